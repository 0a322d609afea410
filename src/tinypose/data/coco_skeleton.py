"""The skeleton that the categories of a COCO keypoint file describe."""

from pathlib import Path
from typing import Any

from tinypose.coco_format import identifier
from tinypose.data.records import brief, expect_mapping, expect_records
from tinypose.errors import TinyposeError
from tinypose.keypoint_names import infer_flip_pairs, plain_names, usual_sigmas
from tinypose.skeletons import (
    AI_CHALLENGER,
    COCO,
    SKELETONS,
    Skeleton,
)

Pair = tuple[str, str]

PAIRS = "flip_pairs"
"""A key of ours: pairs of positions, counted from 1, that swap in mirrored pictures."""


def category_skeleton(path: Path, categories: Any) -> tuple[Skeleton, set[Any]]:
    """Return the one skeleton of a file and the ids of its categories.

    A built-in skeleton's own object is returned where names, order and pairs agree.
    Pairs are those under ``flip_pairs``; without it, the names tell.

    Args:
        path: The file, for error messages.
        categories: The value under ``categories``.

    Raises:
        TinyposeError: no category has keypoints, several have different ones, or
            the pairs are none.
    """
    records = expect_records(categories, f"{path}: 'categories'", "categories")
    found: dict[Any, tuple[tuple[str, ...], Any]] = {}
    pairs = None
    for number, record in enumerate(records):
        where = f"{path}: categories[{number}]"
        keypoints = expect_mapping(record, where).get("keypoints")
        if keypoints:
            names = keypoint_names(keypoints, f"{where}: 'keypoints'")
            category = identifier(record.get("id"))
            if category is None:
                raise TinyposeError(
                    f"{where}: expected a whole number or text under 'id', "
                    f"found {brief(record.get('id'))}"
                )
            found[category] = names, record.get("skeleton")
            if record.get(PAIRS) is not None:
                pairs = _pairs(names, record[PAIRS], f"{where}: {PAIRS!r}")
    if not found:
        raise TinyposeError(
            f"{path}: expected a category with a list of names under 'keypoints', "
            f"found none in {len(records)} categories; is this the file of boxes "
            "instead of the one of keypoints?"
        )
    distinct = {names for names, _ in found.values()}
    if len(distinct) > 1:
        raise TinyposeError(
            f"{path}: expected one set of keypoint names, found {len(distinct)} in "
            f"categories {', '.join(map(str, found))}; write one file for each"
        )
    names, edges = next(iter(found.values()))
    where = f"{path}: 'keypoints' of the category"
    skeleton = named_skeleton(path.stem, names, edges, where)
    return skeleton if pairs is None else skeleton.with_pairs(pairs), set(found)


def keypoint_names(keypoints: Any, where: str) -> tuple[str, ...]:
    """Return the names in a list, spelt as ``plain_names`` does.

    Raises:
        TinyposeError: it is no list of names; the message begins with ``where``.
    """
    if not isinstance(keypoints, list) or not all(
        isinstance(name, str) and name.strip() for name in keypoints
    ):
        raise TinyposeError(
            f"{where}: expected a list of names, found {brief(keypoints)}"
        )
    names = list(plain_names(tuple(keypoints)))
    # CrowdPose and MPII-TRB call the two ends of the head "head" and "neck".
    if "head" in names and "neck" in names and "head_top" not in names:
        names[names.index("head")] = "head_top"
    return tuple(names)


def named_skeleton(
    name: str, names: tuple[str, ...], edges: Any, where: str
) -> Skeleton:
    """Return the skeleton of keypoints of these names.

    A built-in skeleton's own object is returned where names and order agree.

    Args:
        name: What a skeleton of one's own is called.
        names: From ``keypoint_names``.
        edges: Pairs of positions, counted from 1; None for those that are known.
        where: The names' place, with which error messages begin.

    Raises:
        TinyposeError: a name is there twice.
    """
    for skeleton in SKELETONS.values():
        # LSP's order never comes as a COCO file, so names decide alone.
        if skeleton.names == names:
            return skeleton
    try:
        return Skeleton(
            name=name,
            names=names,
            edges=_edges(names, edges),
            flip_pairs=infer_flip_pairs(names),
            oks_sigmas=usual_sigmas(names),
            torso=_pair_if_known(names, AI_CHALLENGER.torso),
            head=_pair_if_known(names, AI_CHALLENGER.head),
            limbs=_known_pairs(names, COCO.limbs),
        )
    except ValueError as error:
        raise TinyposeError(f"{where}: {error}") from error


def _pairs(names: tuple[str, ...], pairs: Any, where: str) -> tuple[Pair, ...]:
    """Return the pairs that a file states; unlike edges, they change what is learned.

    Raises:
        TinyposeError: they do not fit the names.
    """
    ends = [end for pair in pairs for end in pair] if _is_pairs(pairs) else [0]
    if not set(ends) <= {*range(1, len(names) + 1)} or len(set(ends)) < len(ends):
        raise TinyposeError(
            f"{where}: expected pairs of positions from 1 to {len(names)}, each in one "
            f"pair at most, such as [[1, 2]], found {brief(pairs)}"
        )
    return tuple((names[a - 1], names[b - 1]) for a, b in pairs)


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and [type(end) for end in pair] == [int, int]
        for pair in value
    )


def _edges(names: tuple[str, ...], edges: Any) -> tuple[Pair, ...]:
    """Return the file's edges, or those of the known keypoints.

    Some files (CrowdPose) carry the edges of another set of keypoints. Edges
    are only drawn, so a list that does not fit is no reason to refuse a file.
    """
    positions = range(1, len(names) + 1)
    usable = _is_pairs(edges) and all(
        end in positions for edge in edges for end in edge
    )
    if usable and edges:
        return tuple((names[a - 1], names[b - 1]) for a, b in edges)
    known = dict.fromkeys((*AI_CHALLENGER.edges, *COCO.edges))
    return _known_pairs(names, tuple(known))


def _known_pairs(names: tuple[str, ...], pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    return tuple((a, b) for a, b in pairs if a in names and b in names)


def _pair_if_known(names: tuple[str, ...], pair: Pair | None) -> Pair | None:
    return pair if pair and pair[0] in names and pair[1] in names else None
