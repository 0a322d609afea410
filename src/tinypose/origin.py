"""Models that another one was made from: begun with, taught by or pruned from.

What they were trained on, and their terms, go on with the weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One model that another one was made from.

    Args:
        name: Its name.
        training_data: The data sets that it was trained on itself, without those
            of its own origins; empty if nobody knows.
        licence: Terms of its own, likewise.
    """

    name: str
    training_data: tuple[str, ...] = ()
    licence: str = NOT_STATED

    @property
    def data_text(self) -> str:
        """What it was trained on, for the training data of what is made from it."""
        return f"{self.name}: {'; '.join(self.training_data) or NOT_STATED}"

    @property
    def licence_text(self) -> str:
        """Its terms, for the licence of what is made from it."""
        return f"derived from {self.name}: {self.licence}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; ``from_dict`` gives an equal origin back."""
        return {**asdict(self), "training_data": list(self.training_data)}

    @staticmethod
    def from_dict(value: Any) -> "Origin":
        """Build an origin from plain values.

        Raises:
            KeyError, TypeError: an entry is missing or of the wrong type.
        """
        return Origin(
            name=str(value["name"]),
            training_data=tuple(str(text) for text in value["training_data"]),
            licence=str(value["licence"]),
        )


def join_origins(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """Return the origins in their order, each once."""
    return tuple(dict.fromkeys(origins))


def add_origin(origins: Iterable[Origin], latest: Origin) -> tuple[Origin, ...]:
    """Return a model's origins and the model itself, for what is made from it.

    A network that is trained on the same data again and again has one origin,
    which names a few of its trainings.
    """
    joined = list(join_origins(origins))
    for place, origin in enumerate(joined):
        if latest.training_data and replace(latest, name=origin.name) == origin:
            joined[place] = replace(origin, name=_names(origin.name, latest.name))
            return tuple(joined)
    return join_origins([*joined, latest])


def _names(first: str, second: str) -> str:
    names = first.split(", ")
    if second in names:
        return first
    if len(names) > 2:
        names = [*names[:2], "..."]
    return ", ".join([*names, second])


def join_data(own: Iterable[str], origins: Sequence[Origin]) -> tuple[str, ...]:
    """Return all that a model was trained on; ``own_data`` takes it apart.

    Args:
        own: Data sets of its own training.
        origins: What it was made from.
    """
    return tuple(dict.fromkeys([*(o.data_text for o in origins), *own]))


def own_data(joined: Iterable[str], origins: Sequence[Origin]) -> tuple[str, ...]:
    """Return the data sets of a model's own training; see ``join_data``."""
    inherited = {origin.data_text for origin in origins}
    return tuple(text for text in joined if text not in inherited)


def join_licences(own: str, origins: Sequence[Origin]) -> str:
    """Return all terms of a model; ``own_licence`` takes them apart.

    Args:
        own: Terms of its own, or ``NOT_STATED``.
        origins: What it was made from; terms that are not stated are left out.
    """
    stated = dict.fromkeys(
        origin.licence_text for origin in origins if origin.licence != NOT_STATED
    )
    if own != NOT_STATED:
        return "; ".join([own, *stated])
    return "; ".join(stated) or NOT_STATED


def own_licence(joined: str, origins: Sequence[Origin]) -> str:
    """Return the terms of a model's own; see ``join_licences``."""
    inherited = join_licences(NOT_STATED, origins)
    if inherited == NOT_STATED:
        return joined
    return NOT_STATED if joined == inherited else joined.removesuffix(f"; {inherited}")
