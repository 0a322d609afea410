"""Fill in the sources that a microcontroller's program is built from.

The texts lie in ``micro_sources``: those that depend on the model end in ``.in``
and have ``$places`` to fill in. Names come out of a model file that may be a
stranger's: none gets into a source unescaped.
"""

import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template

import numpy as np

from tinypose import __version__
from tinypose.export.micro_model import MicroModel, resolver_method
from tinypose.metadata import Metadata
from tinypose.origin import NOT_STATED
from tinypose.skeletons import Skeleton

FIXED = ("tinypose_decode.h", "tinypose_decode.c", "decode_test.c", "Makefile")
"""Sources that are the same for every model."""

SCORE_ONE = 255
SCORE_SHIFT = 23
"""As in ``tinypose_decode.h``."""

_SOURCES = files("tinypose.export") / "micro_sources"
_BYTES_PER_LINE = 16

_ARENA = """\
/* Memory for the network. Measured with the reference kernels on a 64-bit machine:
 * a board's shorter pointers save a little, optimised kernels (CMSIS-NN) want more.
 * interpreter.arena_used_bytes() tells what it is on yours. */
#ifndef {macro}_ARENA_BYTES
#define {macro}_ARENA_BYTES {bytes}
#endif"""
_NO_ARENA = """\
/* Memory for the network: not measured, for want of the package tflite-micro. Begin
 * with plenty, read interpreter.arena_used_bytes() and build with
 * -D{macro}_ARENA_BYTES=... */"""
_MEASURED = """\
The arena was measured with the reference kernels on a 64-bit machine: a board's
shorter pointers save a little, optimised kernels (CMSIS-NN) want more. Read
`interpreter.arena_used_bytes()` on yours."""
_NOT_MEASURED = """\
The arena was not measured, for want of the package `tflite-micro`. Begin with plenty,
read `interpreter.arena_used_bytes()` and build with `-D{macro}_ARENA_BYTES=...`."""


def fixed_source(name: str) -> str:
    """Return the text of one of ``FIXED``."""
    return (_SOURCES / name).read_text("utf-8")


def model_sources(
    name: str, metadata: Metadata, network: MicroModel, arena_bytes: int | None
) -> dict[str, str]:
    """Return the texts that depend on a model, by file name.

    Args:
        name: What its files and symbols begin with; see ``identifier``.
        metadata: What is known about it.
        network: The model itself.
        arena_bytes: Memory that it needs; None if nobody knows.
    """
    macro = name.upper()
    values = {
        "name": name,
        "MACRO": macro,
        "title": plain(metadata.name),
        "version": __version__,
        "licence": plain(metadata.licence),
        "training_data": plain(", ".join(metadata.training_data) or NOT_STATED),
        **_sizes(metadata, network),
        **_skeleton_values(metadata.skeleton, macro),
        "num_operators": len(network.operators),
        "add_operators": _add_operators(network.operators),
        "score_multiplier": score_multiplier(network.output.scale),
        "arena": (_ARENA if arena_bytes else _NO_ARENA).format(
            macro=macro, bytes=arena_bytes
        ),
        "flash_bytes": f"{len(network.data):,}",
        "arena_bytes": f"{arena_bytes:,}" if arena_bytes else "not measured",
        "arena_note": (_MEASURED if arena_bytes else _NOT_MEASURED).format(macro=macro),
        "score_note": _score_note(metadata, macro),
    }
    header, source = (
        _fill(template, values | _pair_tables(metadata.skeleton, name, which))
        for which, template in enumerate(("model.h.in", "model.c.in"))
    )
    example = _fill("example.cc.in", values).rstrip()
    return {
        f"{name}_model.h": header,
        f"{name}_model.c": source.replace(_MODEL_PLACE, _array(network.data)),
        "README.md": _fill("README.md.in", values | {"example": example}),
    }


def identifier(text: str) -> str:
    """Return a name that C takes: ``small-lsp 2`` becomes ``small_lsp_2``."""
    # Names that begin with _ or hold two of them are not a program's own.
    name = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")
    return f"model_{name}".rstrip("_") if not name or name[0].isdigit() else name


def plain(text: str) -> str:
    """Return text that can stand in a C comment: one line of plain characters."""
    return re.sub(r"[^\w .,:;+=()'/@%&-]", "_", " ".join(text.split()), flags=re.ASCII)


def score_multiplier(scale: float) -> int:
    """Return the factor with which the decoder turns steps into scores.

    Args:
        scale: Heatmap value of one step of the int8 output.
    """
    one = SCORE_ONE << SCORE_SHIFT
    return min(one, round(scale * one))


_MODEL_PLACE = "@model@"  # too long for the template engine


def _fill(template: str, values: dict[str, object]) -> str:
    text = (_SOURCES / template).read_text("utf-8")
    return Template(text).substitute(values | {"model": _MODEL_PLACE})


def _sizes(metadata: Metadata, network: MicroModel) -> dict[str, object]:
    height, width = metadata.input_hw
    rows, columns = metadata.heatmap_hw or (0, 0)
    return {
        "model_bytes": len(network.data),
        "input_height": height,
        "input_width": width,
        "input_bytes": height * width * 3,
        "input_scale": _float(network.input.scale),
        "input_zero_point": network.input.zero_point,
        "heatmap_height": rows,
        "heatmap_width": columns,
        "output_bytes": rows * columns * metadata.skeleton.num_keypoints,
        "output_scale": _float(network.output.scale),
        "output_zero_point": network.output.zero_point,
        "crop_percent": round(100 * metadata.padding),
        "crop_factor": f"{metadata.padding:g}",
        "usual_score": round(SCORE_ONE * min(metadata.usual_score, 1.0)),
    }


def _skeleton_values(skeleton: Skeleton, macro: str) -> dict[str, object]:
    symbols = _symbols(skeleton.names)
    return {
        "skeleton": plain(skeleton.name),
        "num_keypoints": skeleton.num_keypoints,
        "first_keypoint": symbols[0],
        "keypoints": "\n".join(f"  {macro}_KEYPOINT_{name}," for name in symbols),
        "keypoint_names": _lines(_string(name) for name in skeleton.names),
    }


def _pair_tables(skeleton: Skeleton, name: str, which: int) -> dict[str, object]:
    """Return the declarations (0) or definitions (1) of the pairs of keypoints."""
    text = ""
    for table, about, pairs in [
        ("edges", "Pairs of keypoints to draw bones between.", skeleton.edges),
        ("flip_pairs", "Pairs that swap in a mirrored picture.", skeleton.flip_pairs),
    ]:
        macro = f"{name}_num_{table}".upper()
        # C has no arrays of nothing.
        symbol = f"const uint16_t {name}_{table}[{macro}][2]"
        if which == 0:
            text += f"\n/* {about} */\n#define {macro} {len(pairs)}\n"
            text += f"extern {symbol};\n" if pairs else ""
        elif pairs:
            rows = ([skeleton.index(end) for end in pair] for pair in pairs)
            lines = _lines(f"{{{first}, {second}}}" for first, second in rows)
            text += f"\n{symbol} = {{\n{lines}\n}};\n"
    return {"pairs": text}


def _add_operators(operators: Sequence[str]) -> str:
    return "\n".join(
        f"    (resolver).Add{resolver_method(operator)}(); \\" for operator in operators
    )


def _score_note(metadata: Metadata, macro: str) -> str:
    if not metadata.usual_score:
        return "How high the scores of people usually are is not known of this model."
    return (
        f"The mean score of people is about {SCORE_ONE * metadata.usual_score:.0f} "
        f"(`{macro}_USUAL_SCORE`): a pose that stays far below is no person."
    )


def _symbols(names: Sequence[str]) -> list[str]:
    """Return each name in capitals, as part of a symbol; no two are the same."""
    symbols: list[str] = []
    for index, name in enumerate(names):
        symbol = re.sub(r"[^0-9A-Z]+", "_", name.upper()).strip("_") or "NAMELESS"
        while symbol in symbols:
            symbol += f"_{index}"
        symbols.append(symbol)
    return symbols


def _string(text: str) -> str:
    """Return text as a C string literal, in UTF-8."""
    # Octal escapes end after three digits, whatever follows; a question mark
    # could begin a trigraph.
    safe = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(safe)}"'


def _float(value: float) -> str:
    return f"{np.float32(value)!s}f"


def _lines(items: Iterable[str]) -> str:
    return "\n".join(f"    {item}," for item in items)


def _array(data: bytes) -> str:
    starts = range(0, len(data), _BYTES_PER_LINE)
    return _lines(
        ", ".join(f"{byte:d}" for byte in data[start : start + _BYTES_PER_LINE])
        for start in starts
    )
