"""Brightness and blending of strips that lie side by side along x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
Starts: TypeAlias = NDArray[np.float64]
Blend: TypeAlias = Literal["feather", "cut"]

# Brown and Lowe's sigma_g, and sigma_N in grey levels. Theirs is 10, for views from all sides of a panorama; the
# neighbours of a strip show the same pixels, so the mean values may be held equal more strictly.
_GAIN_SPREAD, _VALUE_SPREAD = 0.1, 1.0
_LAST_CHOICE = 1e-6  # weight of a pixel that counts only where no other strip has one


def gains(strips: Sequence[Image], starts: Starts) -> list[float]:
    """One factor per strip that makes neighbours equally bright where they overlap.

    Minimises, as Brown and Lowe ("Automatic panoramic image stitching using invariant features", IJCV 74(1), 2007,
    section 6), the squared differences of the overlaps' mean values plus a pull of every gain towards 1.

    Args:
        strips: uint8 ``(H, W, 3)``.
        starts: ``(n, 2)``, upper left corner (x, y) of each strip (px).
    """
    count = len(strips)
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for i in range(count - 1):
        mean_i, mean_j, area = _overlap_means(strips[i], strips[i + 1], *np.rint(starts[i + 1] - starts[i]).astype(int))
        likeness, pull = area / _VALUE_SPREAD**2, area / _GAIN_SPREAD**2 + 1e-9
        matrix[i, i] += likeness * mean_i**2 + pull
        matrix[i + 1, i + 1] += likeness * mean_j**2 + pull
        matrix[i, i + 1] -= likeness * mean_i * mean_j
        matrix[i + 1, i] -= likeness * mean_i * mean_j
        right[i : i + 2] += pull
    return [1.0] if count == 1 else [float(gain) for gain in np.linalg.solve(matrix, right)]


def compose(
    strips: Sequence[Image], starts: Starts, factors: Sequence[float], *, blend: Blend, crop: bool
) -> tuple[Image, NDArray[np.int64]]:
    """Lay the strips on one canvas.

    Args:
        strips: uint8 ``(H, W, 3)``.
        starts: upper left corner (x, y) of each strip (px); fractions are resampled.
        factors: what each strip's values are multiplied by.
        blend: ``feather`` or ``cut``.
        crop: cut off the rows that not every strip covers (unless that leaves none).

    Returns:
        The picture, and the point (x, y) of the strips' coordinates at its upper left pixel.
    """
    low = np.floor(starts).astype(int)
    size = np.array([(strip.shape[1], strip.shape[0]) for strip in strips])
    origin, end = low.min(axis=0), np.ceil(starts).astype(int) + size
    canvas = (*(end.max(axis=0) - origin)[::-1], 3)
    total, weights = np.zeros(canvas, np.float32), np.zeros((*canvas[:2], 1), np.float32)
    for index, strip in enumerate(strips):
        moved, cover = _shifted(strip, starts[index] - low[index])
        weight = cover * _along(index, starts, size, moved.shape[1], blend)[None, :, None]
        x, y = low[index] - origin
        total[y : y + moved.shape[0], x : x + moved.shape[1]] += moved * (weight * np.float32(factors[index]))
        weights[y : y + moved.shape[0], x : x + moved.shape[1]] += weight
    total /= np.maximum(weights, np.finfo(np.float32).tiny)
    picture = np.clip(np.rint(total), 0, 255).astype(np.uint8)
    first, last = _rows(starts, size, origin) if crop else (0, canvas[0])
    return np.ascontiguousarray(picture[first:last]), np.array([origin[0], origin[1] + first])


def _overlap_means(first: Image, second: Image, x: int, y: int) -> tuple[float, float, float]:
    """Mean values of two strips where both see the same and neither is clipped, and how many pixels that are."""
    top, low = max(0, y), max(0, -y)
    width, height = min(first.shape[1] - x, second.shape[1]), min(first.shape[0] - top, second.shape[0] - low)
    one, other = first[top : top + height, x : x + width], second[low : low + height, :width]
    clipped = (np.minimum(one, other).min(axis=2) == 0) | (np.maximum(one, other).max(axis=2) == 255)
    usable = ~clipped
    if not usable.any():
        return 0.0, 0.0, 0.0
    return float(one[usable].mean()), float(other[usable].mean()), float(usable.sum())


def _shifted(strip: Image, fraction: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The strip moved right and down by less than a pixel, and the weight ``(H, W, 1)`` of its pixels."""
    right, down = (int(part > 0) for part in fraction)
    height, width = strip.shape[0] + down, strip.shape[1] + right
    moved = strip.astype(np.float32)
    if right or down:
        matrix = np.array([[1, 0, fraction[0]], [0, 1, fraction[1]]], np.float64)
        moved = cv2.warpAffine(
            moved, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float32)
    # A first or last pixel that the shift leaves half empty holds the edge value, in case nothing better is there.
    cover = np.full((height, width, 1), _LAST_CHOICE, np.float32)
    cover[down : height - down, right : width - right] = 1
    return moved, cover


def _along(index: int, starts: Starts, size: NDArray[np.int64], length: int, blend: Blend) -> NDArray[np.float32]:
    """Weights of a strip's columns, greater than 0."""
    if blend == "feather":
        # The distance to the nearer end: in the overlap of two strips one falls as the other rises.
        hat: NDArray[np.float32] = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float32)
        return hat
    place = np.floor(starts[index, 0]) + np.arange(length)
    before = _seam(starts, size, index - 1) if index > 0 else -np.inf
    after = _seam(starts, size, index) if index + 1 < len(starts) else np.inf
    return np.where((before <= place) & (place < after), 1.0, _LAST_CHOICE).astype(np.float32)


def _seam(starts: Starts, size: NDArray[np.int64], index: int) -> float:
    """Where one strip hands over to the next: the middle of their overlap."""
    ends = starts[:, 0] + size[:, 0]
    return float(starts[index + 1, 0] + min(ends[index], ends[index + 1])) / 2


def _rows(starts: Starts, size: NDArray[np.int64], origin: NDArray[np.int64]) -> tuple[int, int]:
    """The rows of the canvas that every strip covers; all of them if there is none."""
    top = int(np.ceil(starts[:, 1]).max()) - int(origin[1])
    end = int((np.floor(starts[:, 1]) + size[:, 1]).min()) - int(origin[1])
    bottom = int((np.ceil(starts[:, 1]) + size[:, 1]).max()) - int(origin[1])
    return (top, end) if top < end else (0, bottom)
