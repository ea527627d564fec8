"""Measures of cracks: how many, how long, how wide.

Widths come from the distance transform read along the centre line: twice the distance to the nearest edge. The distance
is computed on the mask enlarged twice, where a line of any whole width has its middle between two pixels, so that even
and odd widths are both read exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tyqi_node_crack.thinning import NEIGHBOURS, Flags, Mask, branch_points

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cracks:
    """What was measured, in pixels; all zero when there is no crack.

    ``orientation`` is the direction in which all centre lines together extend furthest: degrees from 0 to below 180,
    counted from the x axis towards the y axis (down). ``branch_points`` counts the places where three or more lines
    meet.
    """

    count: int = 0
    length: float = 0.0
    mean_width: float = 0.0
    max_width: float = 0.0
    area: float = 0.0
    branch_points: int = 0
    orientation: float = 0.0


def drop_specks(mask: Mask, skeleton: Mask, min_length: float) -> tuple[Mask, Mask]:
    """Keep the parts of the mask whose centre line is at least ``min_length`` pixels long.

    Returns:
        The mask and the centre lines inside it, both 0 or 255, both new arrays.
    """
    foreground = (mask != 0).astype(np.uint8)
    lines = (skeleton != 0).astype(np.uint8) & foreground
    amount, labels = cv2.connectedComponents(foreground, connectivity=8)
    long_enough = line_lengths(lines, labels, amount) >= max(min_length, 1.0)
    long_enough[0] = False
    kept = long_enough[labels].astype(np.uint8) * np.uint8(255)
    return kept, np.where(kept != 0, lines, np.uint8(0)) * np.uint8(255)


def line_lengths(lines: Mask, labels: npt.NDArray[np.int32], amount: int) -> npt.NDArray[np.float64]:
    """Length of the lines inside each labelled part.

    A step to a side neighbour counts 1, a diagonal step the square root of 2 (H. Freeman, "Boundary encoding and
    processing", 1970); a diagonal that only cuts a corner of two side steps counts nothing. A lone pixel counts 1.

    Returns:
        One length for each label from 0 to ``amount - 1``.
    """
    padded = np.pad(lines != 0, 1)
    height, width = lines.shape

    def shifted(row: int, column: int) -> Flags:
        view: Flags = padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        return view

    here = shifted(0, 0)
    weights = np.zeros(lines.shape, np.float64)
    for row, column in ((0, 1), (1, 0)):
        weights += here & shifted(row, column)
    for row, column in ((1, 1), (1, -1)):
        cut = shifted(row, 0) | shifted(0, column)
        weights += math.sqrt(2.0) * (here & shifted(row, column) & ~cut)
    lonely = here & ~np.logical_or.reduce([shifted(row, column) for row, column in NEIGHBOURS])
    lengths: npt.NDArray[np.float64] = np.zeros(amount, np.float64)
    lengths += np.bincount(labels.reshape(-1), (weights + lonely).reshape(-1), minlength=amount)
    return lengths


def local_widths(mask: Mask) -> Floats:
    """The width of the mask in pixels, right on its centre lines; lower elsewhere.

    Beyond the edge of the picture the mask is taken to go on, so that a crack that leaves the picture keeps its width.
    """
    doubled = np.repeat(np.repeat((mask != 0).astype(np.uint8), 2, axis=0), 2, axis=1)
    distance = cv2.distanceTransform(doubled, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    blocks = distance.reshape(mask.shape[0], 2, mask.shape[1], 2).max(axis=(1, 3))
    # The centre line may run a pixel beside the crest of the distance; the crest is what is wanted.
    crest = cv2.dilate(blocks, np.ones((3, 3), np.uint8))
    # The last bit of OpenCV's root depends on where in memory the picture lies. The squares are whole numbers: take
    # the root of these again, and the widths are the same each time.
    return np.sqrt(np.rint(crest.astype(np.float64) ** 2)).astype(np.float32)


def measure(mask: Mask, skeleton: Mask) -> Cracks:
    """Measure all cracks of a mask along their centre lines.

    Args:
        mask: uint8 ``(H, W)``, not 0 where there is crack.
        skeleton: uint8 ``(H, W)``, its lines one pixel wide, inside the mask.
    """
    lines = ((skeleton != 0) & (mask != 0)).astype(np.uint8)
    if not lines.any():
        return Cracks()
    amount, labels = cv2.connectedComponents((mask != 0).astype(np.uint8), connectivity=8)
    forks = branch_points(lines)
    along = _readings(local_widths(mask), lines, forks)
    return Cracks(
        count=int(np.count_nonzero(np.bincount(labels[lines != 0], minlength=amount))),
        length=float(line_lengths(lines, labels, amount).sum()),
        mean_width=float(along.mean(dtype=np.float64)),
        max_width=float(along.max()),
        area=float(np.count_nonzero(mask)),
        branch_points=cv2.connectedComponents(forks.astype(np.uint8), connectivity=8)[0] - 1,
        orientation=_orientation(lines),
    )


def _readings(widths: Floats, lines: Mask, forks: Flags) -> Floats:
    """Widths along the lines, but for those within a width of a fork.

    A circle between the arms is wider than any of them, and would pass for the widest place.
    """
    at_forks = np.zeros(lines.shape, np.uint8)
    for row, column in np.argwhere(forks):
        cv2.circle(at_forks, (int(column), int(row)), math.ceil(float(widths[row, column])), 1, cv2.FILLED)
    clear: Floats = widths[(lines != 0) & (at_forks == 0)]
    everywhere: Floats = widths[lines != 0]
    return clear if clear.size else everywhere


def _orientation(lines: Mask) -> float:
    """Direction of the main axis of the lines' pixels, in degrees from 0 to below 180."""
    rows, columns = np.nonzero(lines)
    if rows.size < 2:
        return 0.0
    y, x = rows - rows.mean(), columns - columns.mean()
    angle = 0.5 * math.atan2(2.0 * float((x * y).sum()), float((x * x - y * y).sum()))
    return math.degrees(angle) % 180.0
