"""Write a folder that a microcontroller's program is built from.

It holds the network as a C array, a decoder in C, the sizes of everything and a
Makefile. The network is the one inside an int8 file of ``export_tflite``; what
it computes was checked in TensorFlow Lite Micro's own interpreter where that is
installed.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose import __version__
from tinypose.errors import TinyposeError, UsageError
from tinypose.export.folders import require_free
from tinypose.export.litert import require_tflite_path
from tinypose.export.micro_model import MicroModel, Quantisation, cut_network
from tinypose.export.micro_run import run_micro, run_reference
from tinypose.export.micro_text import FIXED, fixed_source, identifier, model_sources
from tinypose.files import (
    atomic_folder,
    explain_os_errors,
    write_json,
    write_text,
)
from tinypose.metadata import Metadata, read_metadata, write_metadata
from tinypose.micro_folder import KIND, REPORT, read_micro_folder
from tinypose.micro_interpreter import PACKAGE, input_values

REFINEMENT = "quarter"
"""How the C decoder refines peaks; see ``HeatmapCodec.decode``."""

MAX_STEPS = 1
"""Largest difference from LiteRT, in steps of the int8 heatmaps."""

MAX_REACH = 2**23
"""Bound of cells times pixels along an axis: see ``tinypose_heatmaps_t``."""

_BUILT = ("build.flags", "decode_test", "libtinypose_decode.a")


@dataclass(frozen=True, kw_only=True)
class MicroReport:
    """What was written for a microcontroller.

    Args:
        folder: The folder.
        name: What the model's files and symbols begin with.
        files: Names of all files but the report.
        model_bytes: Size of the model in flash.
        arena_bytes: Memory that it was seen to run in; None if it was not run.
        operators: Those that it uses, as the file format names them.
        input: Quantisation of the picture.
        output: Quantisation of the heatmaps.
        runtime: What ran it, with its version; None if the package tflite-micro
            is not installed.
        largest_difference: From LiteRT, in steps of the int8 heatmaps; None if
            it was not run.
        equal: Share of the heatmaps' values that are LiteRT's; likewise.
    """

    folder: Path
    name: str
    files: tuple[str, ...]
    model_bytes: int
    arena_bytes: int | None
    operators: tuple[str, ...]
    input: Quantisation
    output: Quantisation
    runtime: str | None
    largest_difference: int | None
    equal: float | None


@dataclass(frozen=True)
class _Trial:
    """How a network did in TensorFlow Lite Micro; None for what is not known."""

    arena_bytes: int | None = None
    runtime: str | None = None
    largest_difference: int | None = None
    equal: float | None = None


def export_micro(
    model: str | Path,
    folder: str | Path,
    crops: NDArray[np.uint8],
    *,
    name: str | None = None,
    licence: str | None = None,
    check: Callable[[Path], None] | None = None,
) -> MicroReport:
    """Write a folder with all that a microcontroller's program needs of a model.

    Args:
        model: A ``.tflite`` file in int8 with a batch of 1, complete or heads.
        folder: The folder to write. An earlier export there is replaced.
        crops: (num_crops, height, width, 3) uint8 RGB, on which TensorFlow Lite
            Micro and LiteRT are compared; one or more.
        name: What its files and symbols begin with, and the model's name; by
            default that of the model.
        licence: Its terms of use, beside those of its origins; by default those of
            the model.
        check: Called with the finished folder, under a temporary name; what it
            raises stops the export.

    Returns:
        What was written and measured.

    Raises:
        UsageError: ``folder`` holds something else, or ``model`` is no such file.
        TinyposeError: the model has operators that TensorFlow Lite Micro lacks,
            computes something else there, or the folder cannot be written.
    """
    model, folder = require_tflite_path(model), Path(folder).resolve()
    metadata = read_metadata(model)
    heatmaps_shape = _heatmaps_shape(model, metadata)
    if crops.shape[1:] != (*metadata.input_hw, 3) or not len(crops):
        raise ValueError(
            f"expected crops (1 or more, {metadata.input_hw[0]}, "
            f"{metadata.input_hw[1]}, 3), received {crops.shape}"
        )
    if licence:
        metadata = metadata.with_licence(licence)
    # What was measured of the file was decoded in another way.
    metadata = replace(
        metadata,
        name=name or metadata.name,
        output="heatmaps",
        refinement=REFINEMENT,
        accuracy={},
        receipt={},
        version=__version__,
    )
    require_free(folder, "for microcontrollers", partial(_foreign, folder))
    with explain_os_errors(model, "read"):
        data = model.read_bytes()
    network = cut_network(data, str(model), heatmaps_shape)
    trial = _try(network, crops, str(model))
    return _write(folder, metadata, network, trial, check)


def _heatmaps_shape(model: Path, metadata: Metadata) -> tuple[int, ...]:
    """Return (height, width, num_keypoints) of a model's heatmaps.

    Raises:
        UsageError: there are none, or too large ones for the C decoder.
    """
    if metadata.heatmap_hw is None:
        raise UsageError(
            f"{model}: expected a network that gives heatmaps, found one that gives "
            f"coordinates ({metadata.family}); the decoder for microcontrollers "
            "knows heatmaps only"
        )
    for cells, pixels in zip(metadata.heatmap_hw, metadata.input_hw, strict=True):
        if cells * pixels >= MAX_REACH:
            raise UsageError(
                f"{model}: expected a network small enough for a microcontroller, "
                f"found {cells} cells for {pixels} pixels"
            )
    return (*metadata.heatmap_hw, metadata.skeleton.num_keypoints)


def _foreign(folder: Path, found: Sequence[str]) -> list[str]:
    """Return the files that neither an earlier export nor its Makefile wrote."""
    before = read_micro_folder(folder)
    if before is None:
        return list(found)
    written = {REPORT, *before.files}
    objects = {name for name in found if f"{name.removesuffix('.o')}.c" in written}
    return [name for name in found if name not in written | objects | set(_BUILT)]


def _try(network: MicroModel, crops: NDArray[np.uint8], source: str) -> _Trial:
    """Run a network in both interpreters.

    Raises:
        TinyposeError: they do not agree, or one refuses it.
    """
    values = input_values(crops)
    try:
        expected = run_reference(network.file, values)
    except (RuntimeError, ValueError) as error:
        raise TinyposeError(
            f"{source}: expected a network that LiteRT runs, found one that it "
            f"refuses ({' '.join(str(error).split())[:300]}); is the file damaged?"
        ) from error
    run = run_micro(network.data, values, source)
    if run is None:
        return _Trial()
    steps = np.abs(run.outputs.astype(np.int16) - expected)
    largest = int(steps.max())
    if largest > MAX_STEPS:
        raise TinyposeError(
            f"{source}: expected the heatmaps of TensorFlow Lite Micro within "
            f"{MAX_STEPS} step of LiteRT's, found up to {largest} steps apart; one of "
            f"the two computes an operator wrongly: try another version of {PACKAGE}"
        )
    equal = float(np.mean(steps == 0))
    return _Trial(run.arena_bytes, run.runtime, largest, equal)


def _write(
    folder: Path,
    metadata: Metadata,
    network: MicroModel,
    trial: _Trial,
    check: Callable[[Path], None] | None,
) -> MicroReport:
    name = identifier(metadata.name)
    texts = {source: fixed_source(source) for source in FIXED}
    texts |= model_sources(name, metadata, network, trial.arena_bytes)
    with atomic_folder(folder) as temporary:
        for file, text in texts.items():
            write_text(temporary / file, text)
        whole = temporary / f"{name}.tflite"
        whole.write_bytes(network.file)
        write_metadata(whole, metadata)
        report = MicroReport(
            folder=folder,
            name=name,
            files=tuple(sorted(path.name for path in temporary.iterdir())),
            model_bytes=len(network.data),
            operators=network.operators,
            input=network.input,
            output=network.output,
            **asdict(trial),
        )
        write_json(temporary / REPORT, _as_json(report))
        if check is not None:
            check(temporary)
    return report


def _as_json(report: MicroReport) -> dict[str, Any]:
    """Return what ``report.json`` says; not where the folder lay when written."""
    values = asdict(report)
    del values["folder"]
    return {"kind": KIND, "tinypose": __version__, **values}
