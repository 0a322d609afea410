"""Find pictures that are the same, or nearly, by a hash of their brightness."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tinypose.images import Image

FINGERPRINT_BYTES = 16

SIMILAR_BITS = 8
"""Of 128 bits, at most this many differ between nearly identical pictures."""

_NEIGHBOURS = 24
"""How many pictures of similar hash each one is compared with, per ordering."""

_FLAT = 0.06
"""Below this share of set bits a picture shows too little to be compared."""


def fingerprint(image: Image) -> NDArray[np.uint8]:
    """Return the difference hash (16,) of a picture.

    Each bit says whether the picture gets brighter from one cell of a coarse
    grid to the next, so scaling, compression and brightness change few bits.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grid = cv2.resize(grey, (9, 9), interpolation=cv2.INTER_AREA).astype(np.int16)
    across = np.diff(grid, axis=1)[:8] > 0
    down = np.diff(grid, axis=0)[:, :8] > 0
    return np.packbits(np.concatenate([across.ravel(), down.ravel()]))


def similar_pairs(
    fingerprints: Sequence[NDArray[np.uint8]],
) -> Iterator[tuple[int, int, int]]:
    """Yield (later, earlier, differing bits) of nearly identical pictures.

    Each later picture is named once, with its nearest earlier one. Two hashes
    that differ in at most 8 of 128 bits share a stretch of bytes, so they come
    close to each other when the hashes are sorted from that byte on: the time
    grows like a sort, not with the square of the number of pictures.
    """
    if len(fingerprints) < 2:
        return
    hashes = np.stack(fingerprints)
    share = _count_bits(hashes) / (8 * FINGERPRINT_BYTES)
    usable = np.flatnonzero((share > _FLAT) & (share < 1 - _FLAT))
    nearest: dict[int, tuple[int, int]] = {}
    for first in range(0, FINGERPRINT_BYTES, 2):
        turned = np.roll(hashes[usable], -first, axis=1)
        order = usable[np.lexsort(turned.T[::-1])]
        for step in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
            a, b = order[step:], order[:-step]
            bits = _count_bits(hashes[a] ^ hashes[b])
            for i in np.flatnonzero(bits <= SIMILAR_BITS):
                earlier, later = sorted((int(a[i]), int(b[i])))
                found = (int(bits[i]), earlier)
                nearest[later] = min(nearest.get(later, found), found)
    for later, (differing, earlier) in sorted(nearest.items()):
        yield later, earlier, differing


def _count_bits(hashes: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.asarray(np.unpackbits(hashes, axis=1).sum(axis=1), np.intp)
