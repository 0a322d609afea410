"""Errors that a user can act on: what was expected, found, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class TinyposeError(Exception):
    """Say in one line what was expected, what was found and what to do.

    The command line prints the message without a traceback and exits with
    ``exit_code``.
    """

    exit_code = 1


class UsageError(TinyposeError):
    """Report a wrong option, argument or configuration key (exit code 2)."""

    exit_code = 2


class MissingDependencyError(TinyposeError):
    """Name the extra that installs a missing optional dependency."""

    def __init__(self, module: str, purpose: str, extra: str = "train") -> None:
        super().__init__(
            f"{purpose} needs the package {module!r}, which is not installed: "
            f"run  pip install 'tinypose[{extra}]'"
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that names the nearest known word, if any."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
