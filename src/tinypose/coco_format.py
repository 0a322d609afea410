"""What all who read COCO's format agree on."""

from collections.abc import Mapping
from typing import Any

_NO_CROWD = (None, 0, "", "0")  # of some tools that write all as text


def identifier(value: Any) -> int | str | None:
    """Return an id, a whole number or text; None for what is neither.

    Tables write whole numbers as 1.0.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_one = isinstance(value, (int, str)) and not isinstance(value, bool)
    return value if is_one else None


def is_crowd(record: Mapping[str, Any]) -> bool:
    """Return whether an annotation is of a crowd, in which nobody is told apart."""
    return record.get("iscrowd") not in _NO_CROWD
