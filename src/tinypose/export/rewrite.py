"""Give a finished model file other metadata, whatever its kind."""

from pathlib import Path

from tinypose.export.onnx import replace_onnx_metadata
from tinypose.files import write_json
from tinypose.metadata import (
    SAVED_MODEL_MEMBER,
    Metadata,
    is_saved_model,
    replace_metadata,
)
from tinypose.micro_folder import read_micro_folder


def rewrite_metadata(path: str | Path, metadata: Metadata) -> None:
    """Replace the metadata of a ``.tflite`` or ``.onnx`` file or of a folder.

    Raises:
        TinyposeError: it carries none yet, or cannot be written.
    """
    path = Path(path)
    if is_saved_model(path):
        write_json(path / SAVED_MODEL_MEMBER, metadata.to_dict())
    elif path.suffix.lower() == ".onnx":
        replace_onnx_metadata(path, metadata)
    elif (folder := read_micro_folder(path)) is not None:
        replace_metadata(folder.file, metadata)
    else:
        replace_metadata(path, metadata)
