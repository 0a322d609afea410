"""The progress bar shows figures on a terminal and nothing elsewhere."""

import pytest

from tinypose.cli.console import progress_bar


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_bar(terminal: bool, capsys, monkeypatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with progress_bar("counting", 3) as show:
        show(2, "PCK@0.2 50.0")
        show(3, "PCK@0.2 92.9")
    err = capsys.readouterr().err
    if terminal:
        assert "counting" in err and "3/3" in err and "PCK@0.2 92.9" in err
    else:
        assert err == ""
