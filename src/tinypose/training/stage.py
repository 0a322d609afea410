"""Where in a family's procedure an epoch stands."""

from dataclasses import dataclass

from tinypose.config import Config
from tinypose.errors import UsageError
from tinypose.models import FAMILIES
from tinypose.models.phases import Phase, phase_ends


@dataclass(frozen=True)
class Stage:
    """A phase with its part of a run's epochs.

    Args:
        phase: What learns, and from what.
        begin: Its first epoch, counted from 0.
        end: The epoch after its last.
        is_only: Whether the run has no other.
    """

    phase: Phase
    begin: int
    end: int
    is_only: bool

    @property
    def text(self) -> str:
        """The stage as checkpoints name it."""
        if self.is_only:
            return self.phase.name  # more epochs may follow
        return f"{self.phase.name}, epochs {self.begin + 1} to {self.end}"


def stage_at(config: Config, epoch: int) -> Stage:
    """Return the stage that an epoch, counted from 0, belongs to.

    Raises:
        UsageError: there are fewer epochs than phases, or eight bits are imitated in
            several phases.
    """
    phases = FAMILIES[config.family].phases(config.model)
    if config.training.imitate_int8 and len(phases) > 1:
        raise UsageError(
            "training.imitate_int8: expected a family that is trained in one "
            f"phase, found {config.family}, whose windows' places do not fit "
            "into eight bits"
        )
    try:
        ends = phase_ends(phases, config.training.epochs)
    except ValueError as error:
        raise UsageError(f"training.epochs: {error}") from error
    number = sum(epoch >= end for end in ends[:-1])
    begin = ends[number - 1] if number else 0
    return Stage(phases[number], begin, ends[number], len(phases) == 1)
