"""Phase: one of the trainings that a family's procedure consists of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What learns for a part of the epochs, and from what.

    Args:
        name: What the user reads.
        share: Of the epochs.
        outputs: The supervised outputs, each with the weight of its loss.
        trains: Beginnings of the names of the layers that learn; empty for all.
        centres: Name of a ``Centres`` layer. In this phase it gives the true
            positions plus errors like those of the output ``imitates``, measured
            on the training people as the phase begins.
        imitates: Name of that output.
        reach: Largest of those errors along an axis, relative to the crop. Larger
            ones are not imitated: what lies outside a window cannot be seen in it.
    """

    name: str
    share: float = 1.0
    outputs: Mapping[str, float] = field(default_factory=dict)
    trains: tuple[str, ...] = ()
    centres: str = ""
    imitates: str = ""
    reach: float = math.inf


def phase_ends(phases: Sequence[Phase], epochs: int) -> list[int]:
    """Return the number of epochs after which each phase ends.

    Raises:
        ValueError: there are fewer epochs than phases.
    """
    if epochs < len(phases):
        raise ValueError(
            f"expected at least {len(phases)} epochs, one for each of "
            f"{', '.join(phase.name for phase in phases)}, found {epochs}"
        )
    total = sum(phase.share for phase in phases)
    ends: list[int] = []
    share = 0.0
    for number, phase in enumerate(phases):
        share += phase.share
        least = ends[-1] + 1 if ends else 1
        most = epochs - (len(phases) - 1 - number)
        ends.append(min(max(round(epochs * share / total), least), most))
    return ends
