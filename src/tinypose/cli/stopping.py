"""Stop long work between two steps, on Ctrl-C or a request to terminate."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

HEARD = "stopping after this step; once more to stop at once"


@contextmanager
def stop_requested(
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether the user has asked to stop.

    The first Ctrl-C (or SIGTERM, or a terminal that was closed) is only noted, so
    that the work can finish its step and save; a second one interrupts at once.

    Args:
        say: Called with a line for the user at the first one.
    """
    requested = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        # It may have interrupted the writing of another line.
        with suppress(RuntimeError, OSError):
            say(HEARD)

    before = {number: signal.signal(number, note) for number in _numbers()}
    try:
        yield lambda: requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers() -> list[signal.Signals]:
    """Return the signals that ask to stop."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # unknown to Windows
    # What nohup started goes on without its terminal.
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        numbers.append(hang_up)
    return numbers
