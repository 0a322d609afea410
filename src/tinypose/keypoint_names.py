"""Keypoints' names: one name in many spellings, and what they say of left and right."""

import re
from collections.abc import Sequence
from functools import lru_cache

_SIDE_LETTERS = {"l": "left", "r": "right"}
_SIDES_IN_FULL = {"left", "right"}
_MIRRORED = {"left": "right", "l": "r", "right": "left", "r": "l"}
_GLUED_SIDES = (
    (r"(?:^|(?<=_))(?:left|right|l|r)(?=[^_])", "{}_"),
    (r"(?<=[^_])(?:left|right|l|r)(?=_|$)", "_{}"),
)
_SIDE_WORDS = (
    *("links", "linke", "rechts", "rechte", "gauche", "droit", "izquierd", "derech"),
    *("sinistr", "destr", "esquerd", "direit", "lewy", "lewa", "lewe", "prawy"),
    *("prawa", "prawe", "levý", "levá", "levé", "pravý", "pravá", "pravé"),
    *("vänster", "höger", "venstre", "højre", "høyre", "лев", "прав"),
    *("左", "右", "왼", "오른", "좌", "우"),
)
"""How left and right begin in other languages."""

_SIDE_SHORT_WORDS = {
    *("sx", "dx", "izq", "esq", "sağ", "kiri", "kanan", "trái", "phải"),
}
"""Short ones and those that they are cut to: whole words alone."""


def plain_name(name: str) -> str:
    """Return a keypoint's name as words in small letters, ``left_ear``.

    A letter ``l`` or ``r`` beside other words is left or right: ``L-Ear`` and
    ``LEar`` are ``left_ear``, ``EarL`` is ``ear_left``.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    words = re.sub(r"(?<![A-Za-z])([LR])(?=[A-Z][a-z])", r"\1_", words)
    parts = re.sub(r"[\s\-_.:,;/()\[\]（）]+", "_", words.lower()).strip("_").split("_")
    if len(parts) > 1:
        parts = [_SIDE_LETTERS.get(part, part) for part in parts]
    return "_".join(parts)


@lru_cache(maxsize=256)  # every person's keypoints are matched by name
def plain_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a skeleton's names as ``plain_name`` does, sides as words of their own.

    Where ``rwrist`` stands beside ``lwrist``, it is ``right_wrist``, and so are
    ``rightwrist`` and, as ``wrist_right``, ``wristr``.
    """
    plain = [plain_name(name) for name in names]
    known = set(plain) - _SIDES_IN_FULL  # ``right`` makes no side of ``light``
    return tuple(_with_side_apart(name, known) for name in plain)


def _with_side_apart(name: str, known: set[str]) -> str:
    """Return a plain name whose side, glued to a word, is a word of its own."""
    if _SIDES_IN_FULL & set(name.split("_")):
        return name
    for pattern, form in _GLUED_SIDES:
        for match in re.finditer(pattern, name):
            before, side, after = name[: match.start()], match[0], name[match.end() :]
            if before + _MIRRORED[side] + after in known:
                return before + form.format(_SIDE_LETTERS.get(side, side)) + after
    return name


def infer_flip_pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs (left, right) of names that differ in their side alone.

    Sides are understood as by ``plain_names``: ``LShoulder`` and ``RShoulder``,
    ``left eye`` and ``right eye``, ``lwrist`` and ``rwrist`` are pairs.
    """
    plain = plain_names(tuple(names))
    found = {tuple(words.split("_")): names[i] for i, words in enumerate(plain)}
    pairs = []
    for words, name in found.items():
        # Beside a whole word, a letter is none: ``l_left`` is the lower left.
        sides = _SIDES_IN_FULL.intersection(words) or _SIDE_LETTERS.keys()
        turned = [word for word in words if word in sides]
        mirror = tuple(_MIRRORED[word] if word in sides else word for word in words)
        if turned and turned[0] in ("left", "l") and mirror in found:
            pairs.append((name, found[mirror]))
    return tuple(pairs)


def is_side(word: str) -> bool:
    """Return whether a word of a plain name is left or right, in some language."""
    is_short = word in _MIRRORED or word in _SIDE_SHORT_WORDS
    return is_short or word.startswith((*_SIDE_WORDS, *_SIDES_IN_FULL))


_USUAL_SIGMAS = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
    "neck": 0.079,
    "head_top": 0.079,
}


def usual_sigmas(names: Sequence[str]) -> tuple[float, ...]:
    """Return the OKS sigmas of keypoints; empty where one has none that is known.

    Reference:
        Ronchi & Perona, "Benchmarking and error diagnosis in multi-instance pose
        estimation", ICCV 2017, the values of the COCO evaluation; neck and head top
        as in CrowdPose (Li et al., CVPR 2019).
    """
    parts = [name.removeprefix("left_").removeprefix("right_") for name in names]
    if not set(parts) <= set(_USUAL_SIGMAS):
        return ()
    return tuple(_USUAL_SIGMAS[part] for part in parts)
