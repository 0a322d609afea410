"""Checks of a family's configuration; each names key, expectation and value."""

from typing import Any

from tinypose.metadata import MIN_SIGMA_CELLS


def require_at_least(config: Any, low: float, *names: str) -> None:
    """Raise a ValueError where one of some numbers is below ``low``."""
    for name in names:
        _require(getattr(config, name) >= low, config, name, f"at least {low}")


def require_positive(config: Any, *names: str) -> None:
    """Raise a ValueError where one of some numbers is not above 0."""
    for name in names:
        _require(getattr(config, name) > 0, config, name, "more than 0")


def require_sigma(config: Any, *names: str) -> None:
    """Raise a ValueError where a Gaussian is narrower than metadata allow."""
    require_at_least(config, MIN_SIGMA_CELLS, *names)


def require_rate(config: Any, name: str) -> None:
    """Raise a ValueError where a number is not a rate: 0 or more and below 1."""
    value = getattr(config, name)
    _require(0 <= value < 1, config, name, "0 or more and below 1")


def require_numbers(config: Any, length: int, *names: str, low: int = 1) -> None:
    """Raise a ValueError where one of some lists does not have such numbers.

    Args:
        config: The configuration.
        length: How many numbers each list has.
        names: The lists.
        low: The least number.
    """
    for name in names:
        value = getattr(config, name)
        _require(
            len(value) == length and all(number >= low for number in value),
            config,
            name,
            f"{length} numbers of at least {low}",
        )


def require_divisible(config: Any, step: int, formula: str = "") -> None:
    """Raise a ValueError where the picture's sides are no multiples of ``step``.

    Args:
        config: The configuration, with ``input_hw``.
        step: What they are to be multiples of.
        formula: How the step follows from other keys, such as ``4 * 2**depth``.
    """
    reason = f"{formula} = {step}" if formula else f"{step}"
    _require(
        all(side >= step and side % step == 0 for side in config.input_hw),
        config,
        "input_hw",
        f"a height and width that divide by {reason}",
    )


def _require(fits: bool, config: Any, name: str, expected: str) -> None:
    if not fits:
        value = getattr(config, name)
        found = list(value) if isinstance(value, tuple) else value
        raise ValueError(f"model.{name}: expected {expected}, found {found}")
