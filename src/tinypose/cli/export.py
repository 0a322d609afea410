"""``tinypose export``: write a trained network as a file that stands alone."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinypose.cli.quiet import load_keras
from tinypose.errors import TinyposeError, UsageError

if TYPE_CHECKING:
    from tinypose.data.sample import Sample
    from tinypose.export.verify import Agreement
    from tinypose.images import Image
    from tinypose.metadata import Metadata

NUM_PICTURES = 32
DEFAULT_DATA = f"stick_people:1-{NUM_PICTURES}"
NUM_CALIBRATION = 200
PRECISIONS = ("float32", "int8")


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A run folder of `tinypose train`, or a .keras file."
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            metavar="FILE.tflite",
            help="The file to write; FILE.npz for weights to start trainings from.",
        ),
    ],
    heads: Annotated[
        bool,
        typer.Option("--heads", help="Export raw heatmaps instead of keypoints."),
    ] = False,
    batch: Annotated[
        int, typer.Option(min=1, help="Pictures per run; browsers need 1.")
    ] = 1,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Pictures on which file and network are compared; repeatable.",
            show_default=DEFAULT_DATA,
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="What the network computes in: float32 or int8.")
    ] = "float32",
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help=f"Training data for int8; {NUM_CALIBRATION} people are taken.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model, if not the run's.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", "--license", help="Terms of use of the file."),
    ] = None,
    refinement: Annotated[
        str | None,
        typer.Option(help="Sub-pixel decoding: dark, quarter or none."),
    ] = None,
) -> None:
    """Write a trained network as a .tflite file: picture in, keypoints out.

    Skeleton, training data, licence and accuracy go into the file. Network and
    file are compared on pictures first: keypoints may differ by 0.1 pixels, in
    int8 by one pixel in the median.

    Example:  tinypose export runs/mine --to mine.tflite
    """
    from tinypose.data.sources import load_data
    from tinypose.export.litert import require_tflite_path

    given = _given(name, licence, refinement)
    if to.suffix.lower() == ".npz":
        if heads or batch != 1 or data or precision != "float32" or calibrate:
            raise UsageError(
                f"{to}: weights alone take no --heads, --batch, --data, --precision "
                "or --calibrate"
            )
        _write_weights(run, to, given)
        return
    to = require_tflite_path(to)
    _check_precision(precision, calibrate)
    load_keras()
    weights = find_weights(run)
    shown = data or calibrate or [DEFAULT_DATA]
    samples = load_data(shown, limit=NUM_PICTURES)
    examples = load_data(calibrate, limit=NUM_CALIBRATION) if calibrate else None
    from tinypose.export.tflite import export_tflite
    from tinypose.export.verify import compare
    from tinypose.export.wrapper import load_net

    net, metadata = load_net(weights)
    metadata = replace(metadata, **given)
    crops = _crops(samples, metadata)
    calibration = _crops(examples, metadata) if examples else None
    agreements = []

    def check(file: Path) -> None:
        agreements.append(compare(net, file, crops))
        _require_agreement(agreements[0], to, precision)

    written = export_tflite(
        net,
        metadata,
        to,
        heads=heads,
        batch=batch,
        calibration=calibration,
        check=check,
    )
    _report(to, written, batch, agreements[0])


def _write_weights(run: Path, to: Path, given: dict[str, Any]) -> None:
    """Write the weights of a run alone, to start other trainings from."""
    load_keras()
    from tinypose.export.wrapper import load_net
    from tinypose.models.weight_files import save_weights

    net, metadata = load_net(find_weights(run))
    save_weights(net, replace(metadata, **given), to)
    typer.echo(
        f"wrote {to}: {to.stat().st_size / 1000:.0f} kB\n"
        f"next:  tinypose train CONFIG --init {to} --data ... --out RUN"
    )


def find_weights(run: Path) -> Path:
    """Return the ``.keras`` file of a run folder, or the file itself.

    Raises:
        TinyposeError: nothing there, no run folder, or no weights in it yet.
    """
    from tinypose.training.run_dir import RunDir

    if not run.exists():
        raise TinyposeError(
            f"{run}: expected a run folder or a .keras file, found nothing there"
        )
    if run.is_file():
        if run.suffix.lower() != ".keras":
            raise UsageError(
                f"{run}: expected a run folder or a file ending in .keras, found "
                f"{run.suffix or 'no suffix'!r}"
            )
        return run
    files = RunDir(run)
    if files.best.exists():
        return files.best
    if files.config.exists():
        raise TinyposeError(
            f"{run}: expected a trained run, found one without {files.best.name}; "
            f"train it first:  tinypose train --resume {run}"
        )
    raise TinyposeError(
        f"{run}: expected a run folder of `tinypose train` (with {files.config.name} "
        f"and {files.best.name}), found another folder"
    )


def _given(
    name: str | None, licence: str | None, refinement: str | None
) -> dict[str, Any]:
    """Return what the command line says about the metadata.

    Raises:
        UsageError: there is no such refinement.
    """
    from tinypose.codecs.heatmap import REFINEMENTS

    if refinement is not None and refinement not in REFINEMENTS:
        raise UsageError(
            f"--refinement: expected {', '.join(REFINEMENTS)}, found {refinement!r}"
        )
    given = {"name": name, "licence": licence, "refinement": refinement}
    return {key: value for key, value in given.items() if value is not None}


def _check_precision(precision: str, calibrate: list[str] | None) -> None:
    if precision not in PRECISIONS:
        raise UsageError(
            f"--precision: expected {' or '.join(PRECISIONS)}, found {precision!r}"
        )
    if precision == "int8" and not calibrate:
        raise UsageError(
            "--precision int8: expected --calibrate NAME=PATH, a part of the training "
            "data from which the ranges of all values are taken"
        )
    if calibrate and precision != "int8":
        raise UsageError("--calibrate is for --precision int8 only")


def _crops(samples: "list[Sample]", metadata: "Metadata") -> "Image":
    """Return the people's crops (num_samples, height, width, 3) uint8."""
    import numpy as np

    from tinypose.geometry import crop_affine
    from tinypose.images import warp_image

    crops = []
    for sample in samples:
        affine = crop_affine(
            sample.box_xywh, metadata.input_hw, padding=metadata.padding
        )
        crops.append(warp_image(sample.load_image(), affine, metadata.input_hw))
    return np.stack(crops)


def _require_agreement(agreement: "Agreement", path: Path, precision: str) -> None:
    from tinypose.export.verify import MAX_DIFFERENCE, MAX_MEDIAN_INT8

    if precision == "int8":
        if agreement.num_clear and agreement.median > MAX_MEDIAN_INT8:
            raise TinyposeError(
                f"{path}: not written: expected int8 keypoints within "
                f"{MAX_MEDIAN_INT8} px of the network's in the median, found "
                f"{agreement.median:.3f} px; calibrate with data like those of the "
                "training, or export in float32"
            )
    elif agreement.num_clear and agreement.worst > MAX_DIFFERENCE:
        raise TinyposeError(
            f"{path}: not written: expected the exported keypoints within "
            f"{MAX_DIFFERENCE} px of the network's, found up to "
            f"{agreement.worst:.3f} px (median {agreement.median:.3f} px)"
        )


def _report(
    path: Path, metadata: "Metadata", batch: int, agreement: "Agreement"
) -> None:
    """Say what was written, how far it was checked and what to do with it."""
    height, width = metadata.input_hw
    typer.echo(
        f"wrote {path}: {path.stat().st_size / 1000:.0f} kB, "
        f"pictures ({batch}, {height}, {width}, 3) in, {metadata.output} out"
    )
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
    typer.echo(f"next:  tinypose predict PICTURE --model {path} --save predictions")
