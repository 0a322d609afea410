"""What all who read COCO's format agree on."""

from collections.abc import Mapping
from typing import Any

_NO_CROWD = (None, 0, "", "0")  # of some tools that write all as text


def is_crowd(record: Mapping[str, Any]) -> bool:
    """Return whether an annotation is of a crowd, in which nobody is told apart."""
    return record.get("iscrowd") not in _NO_CROWD
