"""Metadata that travels inside a model file, as ``tinypose.json``.

A ``.keras`` file is a zip archive: the metadata is one more member. A
``.tflite`` file gets a zip archive appended, which runtimes ignore and every
unzip program reads: ``unzip -p model.tflite tinypose.json``. An ``.onnx`` file
holds them among its own properties, a SavedModel in its folder; in a folder for
microcontrollers they are in its ``.tflite`` file.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tinypose.errors import TinyposeError
from tinypose.files import atomic_path, explain_os_errors, require_file
from tinypose.geometry import BOX_PADDING
from tinypose.micro_folder import read_micro_folder
from tinypose.origin import (
    NOT_STATED,
    Origin,
    add_origin,
    join_licences,
    own_data,
    own_licence,
)
from tinypose.skeletons import Skeleton

MEMBER = "tinypose.json"
SAVED_MODEL_MEMBER = f"assets.extra/{MEMBER}"
"""Where a SavedModel's folder keeps it."""

TFLITE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every ``.tflite`` file."""

FORMAT = 1
ONNX_KEY = "tinypose"
"""Of an ONNX model's properties: the one that holds it."""

MAX_MODEL_BYTES = 1024**3
MAX_METADATA_BYTES = 4 * 1024**2
PRECISIONS = ("float32", "float16", "dynamic", "int8", "int8_per_tensor")
"""What a network can compute in; ``tinypose.export.precision`` says more."""

CALIBRATED = ("int8", "int8_per_tensor")
"""Those that need crops, to see what range each activation has."""

OUTPUTS = ("keypoints", "heatmaps", "coordinates")

MIN_SIGMA_CELLS = 1e-3
"""Least standard deviation of target Gaussians, in cells."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a model file says about itself.

    Args:
        name: The model's name, such as ``tiny``.
        family: Its family, a key of ``tinypose.models.FAMILIES``.
        skeleton: The keypoints that it predicts, in order.
        input_hw: Height and width of its input picture, RGB.
        output: ``keypoints`` for (batch, num_keypoints, 3) of x, y in input
            pixels and score; ``heatmaps`` for raw maps (batch, height, width,
            num_keypoints); ``coordinates`` for raw coordinates (batch,
            num_keypoints, 2), relative to the crop.
        heatmap_hw: Height and width of the heatmaps, in cells; None for a
            network that gives coordinates.
        sigma_cells: Standard deviation of the target Gaussians, in cells.
        refinement: How peaks are refined; see ``HeatmapCodec.decode``.
        padding: How much larger than the person's box the crop must be.
        precision: What the network computes in; see ``tinypose.export.precision``.
        training_data: The data sets that it was trained on, those of its origins
            included; see ``tinypose.origin.join_data``.
        licence: Terms of the file, those of the data and of its origins included;
            see ``with_licence``.
        origins: The models whose weights it began with or whose answers it learned.
        accuracy: Measured figures, by name, of what the file computes.
        receipt: What was measured of this very file against its network; see
            ``tinypose.evaluation.receipt``. Empty if nothing was.
        usual_score: Mean score of its poses of people, measured; 0 if unknown.
        num_parameters: Number of parameters of the network.
        macs: Multiply-accumulate operations for one picture.
        version: The tinypose version that wrote the file.
        config: The resolved training configuration.
    """

    name: str
    family: str
    skeleton: Skeleton
    input_hw: tuple[int, int]
    output: str
    heatmap_hw: tuple[int, int] | None
    sigma_cells: float
    refinement: str
    padding: float = BOX_PADDING
    precision: str = "float32"
    training_data: tuple[str, ...] = ()
    licence: str = NOT_STATED
    origins: tuple[Origin, ...] = ()
    accuracy: Mapping[str, float] = field(default_factory=dict)
    receipt: Mapping[str, Any] = field(default_factory=dict)
    usual_score: float = 0.0
    num_parameters: int = 0
    macs: int = 0
    version: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def raw_output(self) -> str:
        """What the network itself gives: ``heatmaps`` or ``coordinates``."""
        return "heatmaps" if self.heatmap_hw else "coordinates"

    def with_licence(self, own: str) -> "Metadata":
        """Return the metadata with other terms of its own beside its origins'."""
        return replace(self, licence=join_licences(own, self.origins))

    def as_origins(self) -> tuple[Origin, ...]:
        """Return what another model has for origins that is made from this one."""
        itself = Origin(
            name=self.name,
            training_data=own_data(self.training_data, self.origins),
            licence=own_licence(self.licence, self.origins),
        )
        return add_origin(self.origins, itself)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in ``tinypose.json``."""
        value = asdict(self)
        value["skeleton"] = self.skeleton.to_dict()
        value["origins"] = [origin.to_dict() for origin in self.origins]
        return {"format": FORMAT, **value}

    def to_json(self) -> str:
        """Return the text of ``tinypose.json``; ``metadata_from_json`` reads it."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @staticmethod
    def from_dict(value: Any, source: str) -> "Metadata":
        """Build metadata from plain values; the inverse of ``to_dict``.

        Raises:
            TinyposeError: the values are no metadata of this format; the
                message names ``source``.
        """
        try:
            if value["format"] != FORMAT:
                raise TinyposeError(
                    f"{source}: expected metadata of format {FORMAT}, found "
                    f"format {value['format']!r}; update tinypose"
                )
            metadata = Metadata(
                name=str(value["name"]),
                family=str(value["family"]),
                skeleton=Skeleton.from_dict(value["skeleton"], source),
                input_hw=_pair(value["input_hw"]),
                output=str(value["output"]),
                heatmap_hw=_pair(value["heatmap_hw"]) if value["heatmap_hw"] else None,
                sigma_cells=float(value["sigma_cells"]),
                refinement=str(value["refinement"]),
                padding=float(value["padding"]),
                precision=str(value.get("precision", "float32")),
                training_data=tuple(str(v) for v in value["training_data"]),
                licence=str(value["licence"]),
                # Files of before there were origins have none.
                origins=tuple(map(Origin.from_dict, value.get("origins", []))),
                accuracy={str(k): float(v) for k, v in value["accuracy"].items()},
                receipt=dict(value.get("receipt", {})),
                usual_score=float(value.get("usual_score", 0.0)),
                num_parameters=int(value["num_parameters"]),
                macs=int(value["macs"]),
                version=str(value["version"]),
                config=dict(value["config"]),
            )
        except (
            *(KeyError, TypeError, ValueError),
            *(AttributeError, OverflowError),
        ) as error:
            raise TinyposeError(
                f"{source}: expected tinypose metadata, found an entry that is "
                f"missing or of the wrong type ({error})"
            ) from error
        for name, low in (("padding", 1.0), ("sigma_cells", MIN_SIGMA_CELLS)):
            number = getattr(metadata, name)
            if not low <= number < float("inf"):
                raise TinyposeError(
                    f"{source}: expected {name} of at least {low:g}, found {number}"
                )
        if metadata.output not in OUTPUTS:
            raise TinyposeError(
                f"{source}: expected an output of {OUTPUTS}, found {metadata.output!r}"
            )
        if metadata.output not in ("keypoints", metadata.raw_output):
            raise TinyposeError(
                f"{source}: expected heatmap_hw where the output is heatmaps, and "
                f"only there, found {metadata.heatmap_hw} and {metadata.output}"
            )
        return metadata


def write_metadata(path: str | Path, metadata: Metadata) -> None:
    """Add the metadata to a freshly written model file (in place)."""
    # Mode "a" appends a new archive to a file that is none (.tflite) and adds
    # a member to a file that is one (.keras).
    member = zipfile.ZipInfo(MEMBER)
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, metadata.to_json())


def replace_metadata(path: str | Path, metadata: Metadata) -> None:
    """Give a finished ``.tflite`` file other metadata, atomically.

    Raises:
        TinyposeError: the file carries no metadata yet, is of another kind, or
            cannot be written.
    """
    read_metadata(path)
    with zipfile.ZipFile(path) as archive:
        others = [name for name in archive.namelist() if name != MEMBER]
        start = archive.getinfo(MEMBER).header_offset
    with explain_os_errors(path, "read"):
        model = Path(path).read_bytes()[:start]
    # The rest of an archive, such as the weights of a .keras file, would be lost.
    if others or model[4:8] != TFLITE_IDENTIFIER:
        found = f"an archive that holds {others[0]!r}" if others else f"{model[4:8]!r}"
        raise TinyposeError(
            f"{path}: expected a TensorFlow Lite model with nothing but metadata "
            f"behind it, found {found}; nothing was changed: export the model first"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(model)
        write_metadata(temporary, metadata)


def is_saved_model(path: str | Path) -> bool:
    """Return whether a path is the folder of a TensorFlow SavedModel."""
    return (Path(path) / "saved_model.pb").is_file()


def metadata_from_json(text: str | bytes, source: str) -> Metadata:
    """Return what ``tinypose.json`` says.

    Raises:
        TinyposeError: it says something else; the message names ``source``.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TinyposeError(
            f"{source}: expected tinypose metadata in JSON, found something that "
            f"does not parse ({error}); is the file damaged?"
        ) from error
    return Metadata.from_dict(value, source)


def read_metadata(path: str | Path) -> Metadata:
    """Read the metadata of a ``.keras`` or ``.tflite`` file or of a folder.

    Raises:
        TinyposeError: no such file, or it carries no tinypose metadata.
    """
    if is_saved_model(path):
        member = Path(path) / SAVED_MODEL_MEMBER
        file = require_file(member, "tinypose metadata", MAX_METADATA_BYTES)
        with explain_os_errors(file, "read"):
            return metadata_from_json(file.read_bytes(), str(file))
    if (folder := read_micro_folder(path)) is not None:
        path = folder.file
    path = require_file(path, "a model file", max_bytes=MAX_MODEL_BYTES)
    try:
        with explain_os_errors(path, "read"), zipfile.ZipFile(path) as archive:
            if archive.getinfo(MEMBER).file_size > MAX_METADATA_BYTES:
                raise TinyposeError(f"{path}: the metadata is too large to be real")
            text = archive.read(MEMBER)
    except (
        *(zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError),
        *(RecursionError, RuntimeError),  # damaged, hostile or encrypted
    ) as error:
        raise TinyposeError(
            f"{path}: expected a model that tinypose wrote, found a file without "
            f"its metadata ({error}); is it complete, and exported by tinypose?"
        ) from error
    return metadata_from_json(text, str(path))


def carries_metadata(path: str | Path) -> bool:
    """Return whether a file is an archive that holds metadata, good or not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MEMBER in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _pair(value: Any) -> tuple[int, int]:
    first, second = value
    if not (0 < int(first) <= 8192 and 0 < int(second) <= 8192):
        raise ValueError(f"expected a height and width, found {value}")
    return int(first), int(second)
