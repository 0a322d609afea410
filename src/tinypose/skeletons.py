"""Skeletons: the keypoints' names, edges, left/right pairs and OKS sigmas.

Every array of keypoints in tinypose is in the order of a skeleton's names.
Everything is person-centric: ``left_wrist`` is the person's own left wrist. A
keypoint that is not labelled has ``visible == 0``; its coordinates then mean
nothing and there is no sentinel value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError, did_you_mean
from tinypose.files import read_yaml
from tinypose.keypoint_names import (
    infer_flip_pairs,
    is_side,
    plain_names,
    usual_sigmas,
)

DEFAULT_SIGMA = 0.05
"""OKS sigma of a keypoint for which nobody has measured one."""

_FIELDS = (
    "name",
    "keypoints",
    "edges",
    "flip_pairs",
    "oks_sigmas",
    "torso",
    "head",
    "limbs",
)


@dataclass(frozen=True)
class Skeleton:
    """A set of named keypoints and what is known about them.

    Args:
        name: Identifier, such as ``lsp``.
        names: The keypoints' names, in order.
        edges: Pairs of names that are drawn as bones.
        flip_pairs: Pairs of names that swap when a picture is mirrored.
        oks_sigmas: One per keypoint, as the COCO evaluation uses them; empty
            means ``DEFAULT_SIGMA`` for all.
        torso: The two names whose distance normalises PCK, if there are any.
        head: The two names whose distance normalises PCKh, if there are any.
        limbs: Pairs of names that PCP scores; empty means all edges.
        declares_pairs: Whether somebody has written ``flip_pairs`` down, as none
            perhaps; otherwise the names tell them.
    """

    name: str
    names: tuple[str, ...]
    edges: tuple[tuple[str, str], ...] = ()
    flip_pairs: tuple[tuple[str, str], ...] = ()
    oks_sigmas: tuple[float, ...] = ()
    torso: tuple[str, str] | None = None
    head: tuple[str, str] | None = None
    limbs: tuple[tuple[str, str], ...] = ()
    declares_pairs: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("expected at least one keypoint name, received none")
        if len(set(self.names)) != len(self.names):
            twice = sorted({n for n in self.names if self.names.count(n) > 1})
            raise ValueError(
                f"expected distinct keypoint names, received {twice} twice"
            )
        pairs = [*self.edges, *self.flip_pairs, *self.limbs]
        pairs += [pair for pair in (self.torso, self.head) if pair]
        for pair in pairs:
            if len(pair) != 2:
                raise ValueError(f"expected a pair of names, received {list(pair)}")
            for name in pair:
                self.index(name)
        flipped = [name for pair in self.flip_pairs for name in pair]
        if len(set(flipped)) != len(flipped):
            raise ValueError("expected each name in at most one flip pair")
        if len(self.oks_sigmas) not in (0, len(self.names)):
            raise ValueError(
                f"expected {len(self.names)} oks_sigmas, one per keypoint, "
                f"received {len(self.oks_sigmas)}"
            )
        if any(not sigma > 0 for sigma in self.oks_sigmas):
            raise ValueError("expected positive oks_sigmas")

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints."""
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the position of a keypoint name.

        Raises:
            ValueError: there is no such keypoint; names the nearest.
        """
        if name in self.names:
            return self.names.index(name)
        hint = did_you_mean(name, self.names)
        raise ValueError(
            f"expected a keypoint of skeleton {self.name!r} "
            f"({', '.join(self.names)}), received {name!r}{hint}"
        )

    @cached_property
    def flip_indices(self) -> NDArray[np.intp]:
        """Permutation (num_keypoints,) that swaps left and right."""
        order = np.arange(self.num_keypoints)
        for first, second in self.flip_pairs:
            i, j = self.index(first), self.index(second)
            order[[i, j]] = order[[j, i]]
        return order

    @cached_property
    def edge_indices(self) -> list[tuple[int, int]]:
        """The edges as pairs of positions."""
        return [(self.index(a), self.index(b)) for a, b in self.edges]

    @cached_property
    def limb_indices(self) -> list[tuple[int, int]]:
        """The limbs that PCP scores, as pairs of positions."""
        return [(self.index(a), self.index(b)) for a, b in self.limbs or self.edges]

    @cached_property
    def sigmas(self) -> NDArray[np.float64]:
        """The OKS sigmas (num_keypoints,)."""
        sigmas = self.oks_sigmas or (DEFAULT_SIGMA,) * self.num_keypoints
        return np.array(sigmas, np.float64)

    def mapping_to(self, target: "Skeleton") -> NDArray[np.intp]:
        """Return where each keypoint of ``target`` is found here, by name.

        Spelling does not matter: ``L-Ear`` and ``left_ear`` are the same, see
        ``plain_names``. A ``head`` beside a ``neck`` is the ``head_top`` of a
        skeleton without a ``head``, and the other way round.

        Returns:
            (target.num_keypoints,) positions in this skeleton; -1 where this
            skeleton has no keypoint of that name.
        """
        plain = plain_names(self.names)
        mine = {name: i for i, name in reversed([*enumerate(plain)])}
        theirs = plain_names(target.names)
        for here, there in (("head", "head_top"), ("head_top", "head")):
            only_here = here in mine and here not in theirs and "neck" in mine
            if only_here and there in theirs and there not in mine:
                mine[there] = mine[here]
        exact = {name: i for i, name in enumerate(self.names)}
        return np.array(
            [
                exact.get(name, mine.get(plain, -1))
                for name, plain in zip(target.names, theirs, strict=True)
            ]
        )

    def with_pairs(self, pairs: Sequence[tuple[str, str]]) -> "Skeleton":
        """Return the skeleton with the pairs that somebody has written down.

        Raises:
            ValueError: a name is no keypoint's or in two pairs.
        """
        own, given = (set(map(frozenset, some)) for some in (self.flip_pairs, pairs))
        if own and own == given:
            return self
        return replace(self, flip_pairs=tuple(pairs), declares_pairs=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the skeleton as plain values, as in a YAML file."""
        value: dict[str, Any] = {
            "name": self.name,
            "keypoints": list(self.names),
            "edges": [list(pair) for pair in self.edges],
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
        }
        if self.oks_sigmas:
            value["oks_sigmas"] = list(self.oks_sigmas)
        if self.torso:
            value["torso"] = list(self.torso)
        if self.head:
            value["head"] = list(self.head)
        if self.limbs:
            value["limbs"] = [list(pair) for pair in self.limbs]
        return value

    @staticmethod
    def from_dict(value: Any, source: str = "skeleton") -> "Skeleton":
        """Build a skeleton from plain values; the inverse of ``to_dict``.

        Without ``flip_pairs`` the names tell them: ``infer_flip_pairs``.

        Raises:
            TinyposeError: keys or values do not describe a skeleton; the
                message names ``source``.
        """
        if not isinstance(value, Mapping) or "keypoints" not in value:
            raise TinyposeError(
                f"{source}: expected a skeleton, a mapping with the keys 'name', "
                f"'keypoints', 'edges' and 'flip_pairs', found {_brief(value)}"
            )
        for key in value:
            if key not in _FIELDS:
                hint = did_you_mean(str(key), _FIELDS)
                raise TinyposeError(
                    f"{source}: expected the keys {', '.join(_FIELDS)}, "
                    f"found {key!r}{hint}"
                )
        try:
            names = tuple(_names(value["keypoints"], "keypoints"))
            return Skeleton(
                name=str(value.get("name", "custom")),
                names=names,
                edges=_pairs(value.get("edges"), "edges"),
                flip_pairs=(
                    infer_flip_pairs(names)
                    if value.get("flip_pairs") is None
                    else _pairs(value["flip_pairs"], "flip_pairs")
                ),
                oks_sigmas=tuple(float(s) for s in value.get("oks_sigmas") or ()),
                torso=_pair(value.get("torso"), "torso"),
                head=_pair(value.get("head"), "head"),
                limbs=_pairs(value.get("limbs"), "limbs"),
                declares_pairs=value.get("flip_pairs") is not None,
            )
        except (ValueError, TypeError) as error:
            raise TinyposeError(f"{source}: {error}") from error


def unpaired_sides(skeleton: Skeleton) -> list[str]:
    """Return the names that speak of left or right, in some language, in no pair."""
    paired = {name for pair in skeleton.flip_pairs for name in pair}
    plain = plain_names(skeleton.names)
    return [
        name
        for name, words in zip(skeleton.names, plain, strict=True)
        if name not in paired and any(map(is_side, words.split("_")))
    ]


def load_skeleton(name_or_path: str | Path) -> Skeleton:
    """Return a built-in skeleton by name, or one's own from a YAML file.

    Raises:
        TinyposeError: no such skeleton or file, or the file is not a skeleton.
    """
    text = str(name_or_path)
    if text in SKELETONS:
        return SKELETONS[text]
    if not text.endswith((".yaml", ".yml")):
        hint = did_you_mean(text, SKELETONS)
        raise TinyposeError(
            f"expected a skeleton ({', '.join(SKELETONS)}) or a YAML file that "
            f"describes one, found {text!r}{hint}"
        )
    return Skeleton.from_dict(read_yaml(text, "skeleton file"), source=text)


def _names(value: Any, what: str) -> Sequence[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"expected a list of names in {what!r}, found {_brief(value)}")
    for item in value:
        if not isinstance(item, str):
            hint = f"; quote it: '{item}'" if type(item) in (int, float, bool) else ""
            raise ValueError(f"expected names in {what!r}, found {_brief(item)}{hint}")
    return value


def _pair(value: Any, what: str) -> tuple[str, str] | None:
    if value is None:
        return None
    names = _names(value, what)
    if len(names) != 2:
        raise ValueError(f"expected two names in {what!r}, found {list(names)}")
    return names[0], names[1]


def _pairs(value: Any, what: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"expected a list of pairs in {what!r}, found {_brief(value)}")
    pairs = [_pair(item, what) for item in value]
    return tuple(pair for pair in pairs if pair)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_FLIP_PAIRS = tuple((f"left_{part}", f"right_{part}") for part in _SIDES)
_LIMBS = tuple(
    (f"{side}_{upper}", f"{side}_{lower}")
    for side in ("left", "right")
    for upper, lower in [
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("hip", "knee"),
        ("knee", "ankle"),
    ]
)
_TRUNK = (
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
)
_NECK = (
    ("head_top", "neck"),
    ("neck", "left_shoulder"),
    ("neck", "right_shoulder"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_hip", "right_hip"),
)
_TORSO = ("left_shoulder", "right_hip")
_HEAD = ("head_top", "neck")

# fmt: off
_AI_CHALLENGER_NAMES = (
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "head_top", "neck",
)
# Wu et al., "AI Challenger: a large-scale dataset for going deeper in image
# understanding", 2017.
_AI_CHALLENGER_SIGMAS = (
    0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144,
    0.03909642, 0.03686941, 0.01981803, 0.03843971, 0.03412318, 0.02415081,
    0.01291456, 0.01236173,
)
_LSP_NAMES = (
    "right_ankle", "right_knee", "right_hip",
    "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist",
    "neck", "head_top",
)
# fmt: on

AI_CHALLENGER = Skeleton(
    name="ai_challenger",
    names=_AI_CHALLENGER_NAMES,
    edges=_LIMBS + _NECK,
    flip_pairs=_FLIP_PAIRS,
    oks_sigmas=_AI_CHALLENGER_SIGMAS,
    torso=_TORSO,
    head=_HEAD,
    limbs=(*_LIMBS, _HEAD),
)
LSP = Skeleton(
    name="lsp",
    names=_LSP_NAMES,
    edges=_LIMBS + _NECK,
    flip_pairs=_FLIP_PAIRS,
    # LSP defines no OKS. AI Challenger's are for the whole box as the area.
    oks_sigmas=usual_sigmas(_LSP_NAMES),
    torso=_TORSO,
    head=_HEAD,
    limbs=(*_LIMBS, _HEAD),
)
# fmt: off
MPII = Skeleton(
    name="mpii",
    names=(
        "right_ankle", "right_knee", "right_hip",
        "left_hip", "left_knee", "left_ankle",
        "pelvis", "thorax", "neck", "head_top",
        "right_wrist", "right_elbow", "right_shoulder",
        "left_shoulder", "left_elbow", "left_wrist",
    ),
    edges=(
        *_LIMBS, _HEAD, ("neck", "thorax"), ("thorax", "pelvis"),
        ("thorax", "left_shoulder"), ("thorax", "right_shoulder"),
        ("pelvis", "left_hip"), ("pelvis", "right_hip"),
    ),
    flip_pairs=_FLIP_PAIRS,
    oks_sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079, 0.026, 0.026,
        0.062, 0.072, 0.079, 0.079, 0.072, 0.062,
    ),
    torso=_TORSO,
    head=_HEAD,
    limbs=(*_LIMBS, _HEAD),
)
_FACE = ("eye", "ear")
_COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)
COCO = Skeleton(
    name="coco",
    names=_COCO_NAMES,
    edges=(
        *_LIMBS, *_TRUNK,
        ("nose", "left_eye"), ("nose", "right_eye"),
        ("left_eye", "left_ear"), ("right_eye", "right_ear"),
    ),
    flip_pairs=(
        *((f"left_{part}", f"right_{part}") for part in _FACE), *_FLIP_PAIRS,
    ),
    oks_sigmas=usual_sigmas(_COCO_NAMES),
    torso=_TORSO,
    limbs=_LIMBS,
)
# fmt: on

SKELETONS = {s.name: s for s in (AI_CHALLENGER, LSP, MPII, COCO)}
