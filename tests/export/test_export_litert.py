import os
import sys
import threading

import pytest

from tinypose.quiet import quiet_stderr


def test_native_log_lines_are_kept_off_the_terminal(capfd):
    with quiet_stderr():
        os.write(2, b"INFO: chatter\n")
    os.write(2, b"an error of ours\n")
    assert capfd.readouterr().err == "an error of ours\n"


def test_standard_error_comes_back_after_an_exception(capfd):
    with pytest.raises(RuntimeError), quiet_stderr():
        raise RuntimeError
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_blocks_may_lie_within_each_other_and_overlap_in_threads(capfd):
    inside, leave = threading.Event(), threading.Event()

    def silence():
        with quiet_stderr():
            inside.set()
            leave.wait(timeout=10)

    thread = threading.Thread(target=silence)
    with quiet_stderr():
        thread.start()
        inside.wait(timeout=10)
        with quiet_stderr():
            os.write(2, b"INFO: chatter\n")
    os.write(2, b"INFO: chatter of the other thread\n")
    leave.set()
    thread.join()
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_a_process_without_standard_error_runs(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    ran = False
    with quiet_stderr():
        ran = True
    assert ran
