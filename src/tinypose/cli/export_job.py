"""What ``tinypose export`` does once its options are understood."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tinypose.cli.export_micro import say_next, write_micro
from tinypose.cli.export_receipt import (
    OTHER_PRECISIONS,
    measure_file,
    remove_receipt,
    require_accuracy,
    write_receipt,
)
from tinypose.cli.quiet import load_keras
from tinypose.cli.run_weights import open_weights
from tinypose.errors import TinyposeError, UsageError

if TYPE_CHECKING:
    from tinypose.data.sample import Sample
    from tinypose.evaluation.receipt import Receipt
    from tinypose.export.layer_errors import LayerError
    from tinypose.export.micro import MicroReport
    from tinypose.export.verify import Agreement
    from tinypose.images import Image
    from tinypose.metadata import Metadata

NUM_CALIBRATION = 200
NUM_PICTURES = 32
"""People on whom file and network are compared, unless there is a receipt."""

DEFAULT_DATA = f"stick_people:1-{NUM_PICTURES}"


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """One file to write.

    Args:
        run: The run folder, its ``.keras`` file, weights or a shipped model's name.
        to: What to write.
        kind: ``tflite``, ``onnx``, ``saved_model``, ``micro`` or ``weights``.
        heads: Whether it gives the raw output.
        batch: Pictures per run.
        precision: What the network computes in.
        calibrate: Data sets to calibrate with; the run's own if none.
        data: Data sets on which file and network are compared; ``DEFAULT_DATA``
            if there are none to calibrate with either.
        receipt: Whether the file is measured on all of ``data``.
        max_drop: PCK@0.2 in points that it may lose.
        given: Entries of the metadata from the command line.
    """

    run: Path
    to: Path
    kind: str
    heads: bool
    batch: int
    precision: str
    calibrate: tuple[str, ...]
    data: tuple[str, ...]
    receipt: bool
    max_drop: float | None
    given: dict[str, Any]

    def write(self) -> None:
        """Write the file, or raise a TinyposeError and leave nothing behind."""
        load_keras()
        if self.kind != "weights":
            from tinypose.export.backend import require_tensorflow

            require_tensorflow()
        with open_weights(self.run) as weights:
            if self.kind == "weights":
                _write_weights(weights, self.to, self.given)
            else:
                self._write_file(weights)

    def _write_file(self, weights: Path) -> None:
        from tinypose.data.selection import crop_people, spread_evenly
        from tinypose.data.sources import load_data

        if self.kind == "micro" and self.receipt:
            from tinypose.micro_interpreter import require_installed

            require_installed("--receipt")
        calibrate = self._calibration_data()
        specs = self.data or calibrate or (DEFAULT_DATA,)
        limit = None if self.receipt else NUM_PICTURES
        samples = load_data(specs, limit=limit)
        from tinypose.export.wrapper import load_net

        net, metadata = load_net(weights)
        metadata = _with_given(metadata, self.given)
        # Only pictures are needed, but those of what the network knows.
        examples = (
            load_data(calibrate, metadata.skeleton, limit=NUM_CALIBRATION)
            if calibrate
            else None
        )
        shown = [samples[i] for i in spread_evenly(len(samples), NUM_PICTURES)]
        crops = crop_people(shown, metadata)
        calibration = crop_people(examples, metadata) if examples else None
        check = _Check(self, weights, net, metadata, samples, crops, calibration)
        written = self._export(net, metadata, calibration, check)
        self._report(written, check)

    def _export(
        self, net: Any, metadata: "Metadata", calibration: Any, check: "_Check"
    ) -> "Metadata":
        """Write the file by the exporter of its kind."""
        if self.kind == "onnx":
            from tinypose.export.onnx import export_onnx

            return export_onnx(
                net,
                metadata,
                self.to,
                heads=self.heads,
                batch=self.batch,
                check=check,
            )
        if self.kind == "saved_model":
            from tinypose.export.saved_model import export_saved_model

            return export_saved_model(
                net, metadata, self.to, heads=self.heads, check=check
            )
        from tinypose.export.tflite import export_tflite

        if self.kind == "micro":
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "model.tflite"
                written = export_tflite(
                    net,
                    metadata,
                    file,
                    precision=self.precision,
                    calibration=calibration,
                    check=check,
                )
                check.micro = write_micro(
                    *(file, self.to, check.crops, metadata.name),
                    # The receipt is the folder's, in its own runtime.
                    check.measure if self.receipt else None,
                )
            return written
        return export_tflite(
            net,
            metadata,
            self.to,
            heads=self.heads,
            batch=self.batch,
            precision=self.precision,
            calibration=calibration,
            check=check,
        )

    def _calibration_data(self) -> tuple[str, ...]:
        """Return the data sets that the ranges of values are taken from."""
        from tinypose.metadata import CALIBRATED
        from tinypose.training.run_dir import RunDir
        from tinypose.weights import is_shipped

        if self.precision not in CALIBRATED or self.calibrate:
            return self.calibrate
        files = RunDir(self.run)
        # A folder of a shipped model's name is another model's.
        if is_shipped(self.run) or not files.run.exists():
            is_micro = self.kind == "micro"
            what = "--target micro" if is_micro else f"--precision {self.precision}"
            raise UsageError(
                f"{what}: expected --calibrate NAME=PATH, a part of the training data "
                "from which the ranges of all values are taken"
            )
        return tuple(files.read_run()["data"])

    def _report(self, metadata: "Metadata", check: "_Check") -> None:
        """Say what was written, how far it was checked and what to do with it."""
        from tinypose.inference.footprint import size_bytes

        height, width = metadata.input_hw
        batch = "any" if self.kind == "saved_model" else self.batch
        if check.micro is None:
            typer.echo(
                f"wrote {self.to}: {size_bytes(self.to) / 1000:.0f} kB, "
                f"pictures ({batch}, {height}, {width}, 3) in, {metadata.output} out"
            )
        _report_agreement(check.agreement)
        if check.micro is not None and not self.receipt:
            typer.echo(
                "  (before the C decoder, which moves peaks by quarter cells; "
                "--receipt measures the folder)"
            )
        if check.receipt is None:
            remove_receipt(self.to)
        else:
            write_receipt(self.to, check.receipt, check.layers)
            for line in check.receipt.lines():
                typer.echo(line)
        if check.micro is not None:
            say_next(self.to)
        else:
            typer.echo(
                f"next:  tinypose predict PICTURE --model {self.to} --save predictions"
            )


class _Check:
    """Compare a finished file with its network before it takes its name."""

    agreement: "Agreement"

    def __init__(
        self,
        job: ExportJob,
        weights: Path,
        net: Any,
        metadata: "Metadata",
        samples: "Sequence[Sample]",
        crops: "Image",
        calibration: "Image | None",
    ) -> None:
        self.job = job
        self.weights = weights
        self.net = net
        self.metadata = metadata
        self.samples = samples
        self.crops = crops
        self.calibration = calibration
        self.receipt: Receipt | None = None
        self.layers: list[LayerError] = []
        self.micro: MicroReport | None = None

    def __call__(self, file: Path) -> None:
        from tinypose.export import verify
        from tinypose.inference.backends import open_backend

        backend = open_backend(file)
        self.agreement = verify.compare(
            self.net, backend.metadata, self.crops, backend(self.crops)
        )
        _require_agreement(self.agreement, self.job.to, self.job.precision)
        if self.job.receipt and self.job.kind != "micro":
            self.measure(file)

    def measure(self, file: Path) -> None:
        """Measure file and network; write what was found into the file."""
        from tinypose.export.layer_errors import layer_errors
        from tinypose.export.rewrite import rewrite_metadata
        from tinypose.inference.backends import open_backend

        if self.calibration is not None:
            self.layers = layer_errors(
                self.net, self.metadata, self.job.precision, self.calibration
            )
        self.receipt = measure_file(file, self.weights, self.job.data, self.samples)
        # A microcontroller has eight bits and no others.
        files = self.job.kind != "micro"
        require_accuracy(
            self.receipt,
            self.job.max_drop,
            f"{self.job.to}: not written",
            self.layers,
            OTHER_PRECISIONS.get(self.job.precision) if files else None,
        )
        metadata = replace(open_backend(file).metadata, receipt=self.receipt.to_dict())
        rewrite_metadata(file, metadata)


def _with_given(metadata: "Metadata", given: dict[str, Any]) -> "Metadata":
    """Return metadata with the command line's entries in place of the run's.

    The terms of its origins stay beside its own.
    """
    changed = replace(metadata, **given)
    if "licence" in given:
        changed = changed.with_licence(given["licence"])
    if changed.refinement != metadata.refinement:
        # It was measured with the other decoding.
        changed = replace(changed, accuracy={})
    return changed


def _write_weights(weights: Path, to: Path, given: dict[str, Any]) -> None:
    """Write the weights of a network alone, to start other trainings from."""
    # Without the rest of the export, which needs TensorFlow.
    from tinypose.metadata import read_metadata
    from tinypose.models.loading import load_net
    from tinypose.models.weight_files import save_weights
    from tinypose.training.pruned import is_pruned, layer_weights

    net, metadata = load_net(weights), _with_given(read_metadata(weights), given)
    if is_pruned(layer_weights(net), metadata):
        raise UsageError(
            f"{to}: not written: expected a network as its metadata describe, found a "
            "pruned one, whose channels weights alone do not tell; --init and "
            f"--teacher take its run folder or {weights.name} itself"
        )
    save_weights(net, metadata, to)
    typer.echo(
        f"wrote {to}: {to.stat().st_size / 1000:.0f} kB\n"
        f"next:  tinypose train CONFIG --init {to} --data ... --out RUN"
    )


def _require_agreement(agreement: "Agreement", path: Path, precision: str) -> None:
    from tinypose.export.verify import MAX_DIFFERENCE, MAX_MEDIAN_QUANTISED

    if precision != "float32":
        if agreement.num_clear and agreement.median > MAX_MEDIAN_QUANTISED:
            raise TinyposeError(
                f"{path}: not written: expected {precision} keypoints within "
                f"{MAX_MEDIAN_QUANTISED} px of the network's in the median, found "
                f"{agreement.median:.3f} px; calibrate with data like those of the "
                "training, or export in float32"
            )
    elif agreement.num_clear and agreement.worst > MAX_DIFFERENCE:
        raise TinyposeError(
            f"{path}: not written: expected the exported keypoints within "
            f"{MAX_DIFFERENCE} px of the network's, found up to "
            f"{agreement.worst:.3f} px (median {agreement.median:.3f} px)"
        )


def _report_agreement(agreement: "Agreement") -> None:
    num_crops = len(agreement.differences)
    if agreement.num_clear:
        typer.echo(
            f"same keypoints as the network: median {agreement.median:.4f} px, "
            f"95 % within {agreement.percentile(95):.4f} px, largest "
            f"{agreement.worst:.4f} px apart ({agreement.num_clear} clear peaks in "
            f"{num_crops} pictures)"
        )
    else:
        typer.echo(
            f"not compared with the network: no clear peak in {num_crops} pictures; "
            "train longer, or name pictures that fit with --data",
            err=True,
        )
