"""How every benchmark ends when it is run as a script."""

import sys
from collections.abc import Callable

from tinypose.errors import TinyposeError


def run_script(main: Callable[[], None]) -> None:
    """Run a benchmark; what it cannot work with is said in one line.

    Args:
        main: Measures and writes, with the arguments of the command line.
    """
    try:
        main()
    except TinyposeError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
