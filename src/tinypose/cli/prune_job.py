"""What ``tinypose prune`` does once its options are understood."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tinypose.cli.prune_target import SAVES, Target, measurer
from tinypose.errors import UsageError

if TYPE_CHECKING:
    from tinypose.config import Config
    from tinypose.metadata import Metadata
    from tinypose.training.run_dir import RunDir

LEARNING_RATE = 0.3
"""Of the learning rate of the run that is pruned."""

REQUEST = "request.json"
"""What was asked for, in the folder that is made."""

REPORT = "prune.json"


@dataclass(frozen=True, kw_only=True)
class PruneJob:
    """One run of the command.

    Args:
        run: The run folder to start from.
        out: The run folder to make.
        target: What the network may cost.
        record: What is trained on; see ``training_record``.
        given: What of it the command line names: ``data``, ``validation`` and
            ``teacher``; None for the run's own, and for no teacher.
        changes: Overrides of the configuration.
        rounds: Of removing channels and training.
        importance: How channels are weighed.
        device: What is trained on.
        quiet: Print nothing.
    """

    run: Path
    out: Path
    target: Target
    record: dict[str, Any]
    given: dict[str, Any]
    changes: list[str]
    rounds: int
    importance: str
    device: str
    quiet: bool

    def do(self) -> None:
        """Make what is missing and train it; begun before, go on."""
        self._check_folder()
        if self.target.kind == "sparsity":
            self._train_sparse()
        else:
            self._train_rounds()

    @cached_property
    def request(self) -> dict[str, Any]:
        """What was asked for, as in ``request.json``, wherever the files lie."""
        from tinypose.data.sources import describe_spec

        return {
            "run": self.run.absolute().name,
            "target": {self.target.kind: self.target.value},
            "data": [describe_spec(spec) for spec in self.record["data"]],
            "validation": [describe_spec(spec) for spec in self.record["validation"]],
            "limit": self.record["limit"],
            "teacher": self.record.get("teacher_sha256"),
            "rounds": self.rounds,
            "importance": self.importance,
            "set": self.changes,
        }

    def _check_folder(self) -> None:
        """Check that nothing but the same request has been begun in the folder.

        Raises:
            UsageError: another run is there, or other things were asked for.
        """
        from tinypose.files import read_json
        from tinypose.training.run_dir import RunDir

        out = self.out
        if out.resolve() == self.run.resolve():
            raise UsageError(f"--out {out}: expected another folder than the run's own")
        if not (out / REQUEST).exists():
            if RunDir(out).config.exists():
                raise UsageError(
                    f"--out {out}: expected a new folder, found a run that this "
                    "command did not make"
                )
            return
        before = read_json(out / REQUEST, "what was asked of tinypose prune")
        for key, value in self.request.items():
            # Earlier versions noted less.
            if before.get(key, value) == value:
                continue
            found = f" ({key}: {before[key]}), found {value}"
            if key == "teacher":  # known by the hash of its weights
                found = (
                    "; repeat its --teacher" if before[key] else ", without --teacher"
                )
            raise UsageError(
                f"--out {out}: expected the same request as it was begun with{found}; "
                "or choose another folder"
            )

    def _train_sparse(self) -> None:
        """Train on while the smallest weights become zero."""
        from tinypose.config import save_config
        from tinypose.files import write_json
        from tinypose.training.run_dir import RunDir

        run_dir = RunDir(self.out)
        if not run_dir.network.exists():
            net, metadata = _network(self.run)
            sparsity = f"training.sparsity={self.target.value}"
            config = self._config_after(
                self.run, metadata, LEARNING_RATE, [sparsity, *self.changes]
            )
            write_json(self.out / REQUEST, self.request)
            save_config(run_dir.config, config)
            run_dir.keep_skeleton(config, metadata.skeleton)
            _save_network(run_dir, net, metadata)
        self._train(self.out)

    def _train_rounds(self) -> None:
        """Remove channels and train, round by round."""
        from tinypose.training.run_dir import RunDir

        goal, source, start = self.target, self.run, 0.0
        measure = measurer(goal)
        for number in range(1, self.rounds + 1):
            last = number == self.rounds
            folder = self.out if last else self.out / f"round_{number}"
            if not RunDir(folder).network.exists():
                start = start or self._starting_cost(measure)
                # Each round takes the same share of what the last one left.
                share = (goal.value / start) ** (number / self.rounds)
                factor = LEARNING_RATE if number == 1 else 1.0
                self._make(source, folder, start * share, factor, measure)
            stopped = self._train(folder)
            if stopped and not last:
                if not self.quiet:
                    typer.echo(f"stopped after {folder}; the same command goes on")
                raise KeyboardInterrupt
            source = folder

    def _starting_cost(self, measure: "Callable[[Any, Metadata], float]") -> float:
        """Return what the run's network costs.

        Raises:
            UsageError: it costs no more than the target already.
            TinyposeError: no pruning brings it there.
        """
        from tinypose.compression.pruning import require_reachable

        net, metadata = _network(self.run)
        cost = measure(net, metadata)
        if cost <= self.target.value:
            raise UsageError(
                f"--target {self.target.kind}: expected less than {self.run} has, "
                f"{cost:,.4g}, found {self.target.value:,.4g}"
            )
        if self.rounds > 1:
            # One round finds out at once; of several, the last would.
            require_reachable(
                net,
                lambda smaller: measure(smaller, metadata),
                self.target.value,
                cost=SAVES[self.target.kind],
            )
        return cost

    def _make(
        self,
        source: Path,
        folder: Path,
        cost: float,
        factor: float,
        measure: "Callable[[Any, Metadata], float]",
    ) -> None:
        """Prune a run's network and write what the next run starts with.

        Args:
            source: The run.
            folder: Of the next run.
            cost: What its network may cost, in the target's unit.
            factor: Of the run's learning rate.
            measure: Measures a network in that unit.
        """
        from tinypose.compression.pruning import shrink_to
        from tinypose.config import save_config
        from tinypose.data.crops import CropDataset
        from tinypose.data.selection import spread_evenly
        from tinypose.data.sources import load_data
        from tinypose.files import write_json
        from tinypose.models.cost import count_macs, count_parameters
        from tinypose.training.pruning import NUM_PICTURES, weigh_channels
        from tinypose.training.run_dir import RunDir
        from tinypose.training.stage import stage_at

        net, metadata = _network(source)
        config = self._config_after(source, metadata, factor, self.changes)
        stage_at(config, 0)  # says where there are too few epochs
        people = load_data(self.record["data"], metadata.skeleton, self.record["limit"])
        # Of all data sets, not of the first alone.
        chosen = [people[index] for index in spread_evenly(len(people), NUM_PICTURES)]
        dataset = CropDataset(chosen, config.model.input_hw, padding=config.padding)
        scores = weigh_channels(net, config, dataset, self.importance)
        pruned = shrink_to(
            net,
            scores,
            lambda smaller: measure(smaller, metadata),
            cost,
            cost=SAVES[self.target.kind],
        )
        run_dir = RunDir(folder)
        if source == self.run:
            # Only now is it known that the request can be met.
            write_json(self.out / REQUEST, self.request)
        save_config(run_dir.config, config)
        run_dir.keep_skeleton(config, metadata.skeleton)
        report: dict[str, Any] = {
            "source": str(source.absolute()),
            "target": {self.target.kind: cost},
            "reached": pruned.value,
            "macs": [count_macs(net), count_macs(pruned.net)],
            "parameters": [count_parameters(net), count_parameters(pruned.net)],
            "kept": {name: len(kept) for name, kept in pruned.keep.items()},
        }
        write_json(folder / REPORT, report)
        _save_network(run_dir, pruned.net, metadata)
        if not self.quiet:
            (macs, fewer), (parameters, less) = report["macs"], report["parameters"]
            typer.echo(
                f"{folder}: {macs / 1e6:.1f} -> {fewer / 1e6:.1f} million "
                f"multiply-accumulates, {parameters:,} -> {less:,} parameters"
            )

    @staticmethod
    def _config_after(
        source: Path, metadata: "Metadata", factor: float, changes: list[str]
    ) -> "Config":
        """Return the configuration of the training that follows."""
        from tinypose.config import apply_overrides

        values = dict(metadata.config)
        rate = factor * values["training"]["learning_rate"]
        first = [
            # A run that was stopped early may have come to small pictures only.
            f"model.input_hw={list(metadata.input_hw)}",
            "training.first_sizes=[]",
            "training.sparsity=0",
            f"training.learning_rate={rate}",
        ]
        return apply_overrides(values, [*first, *changes], str(source))

    def _train(self, folder: Path) -> bool:
        """Train a pruned network, from where it stands.

        Returns:
            Whether the user asked to stop when all was done.
        """
        from tinypose.cli.train_job import continue_run, start_run
        from tinypose.config import load_config
        from tinypose.training.run_dir import RunDir

        run_dir = RunDir(folder)
        if not run_dir.run.exists():
            return start_run(folder, self.record, self.device, self.quiet)
        loaded = run_dir.load_checkpoint()
        epochs = load_config(run_dir.config).training.epochs
        if loaded is None or loaded[1].epoch < epochs:
            return continue_run(folder, self.device, self.quiet, self.given)
        if not self.quiet:
            typer.echo(f"{folder}: trained already")
        return False


def _network(run: Path) -> "tuple[Any, Metadata]":
    from tinypose.cli.run_weights import find_weights
    from tinypose.export.wrapper import load_net

    return load_net(find_weights(run))


def _save_network(run_dir: "RunDir", net: Any, metadata: "Metadata") -> None:
    """Write what a training starts with; its presence says that it has begun."""
    from tinypose.files import atomic_path
    from tinypose.metadata import write_metadata

    with atomic_path(run_dir.network) as temporary:
        net.save(temporary)
        write_metadata(temporary, replace(metadata, accuracy={}, receipt={}))
