"""Thinning of a mask to lines one pixel wide, and pruning of short spurs.

The thinning is algorithm A1 of Z. Guo and R. W. Hall, "Parallel thinning with two-subiteration algorithms",
Communications of the ACM 32(3), 1989, pp. 359-373. It keeps the number of 8-connected components and, unlike the older
algorithm of Zhang and Suen (1984), never erases a block of two by two pixels and leaves no double diagonals.

The paper visits every pixel in every pass. A pixel's fate depends on its eight neighbours alone, so here a pass visits
only the pixels beside which something was removed in the last two half passes: same result, work proportional to the
area of the mask.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

# Clockwise from north, as (row, column): p2 ... p9 of the paper. Bit k of a code is neighbour k.
NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _deletion_table(second_half: bool) -> Flags:
    """Which of the 256 neighbourhoods let the centre go in the first or in the second half of a pass."""
    p2, p3, p4, p5, p6, p7, p8, p9 = ((np.arange(256) >> bit) & 1 == 1 for bit in range(8))
    pairs = ((p2, p3, p4), (p4, p5, p6), (p6, p7, p8), (p8, p9, p2))
    crossings = sum((~a & (b | c)).astype(int) for a, b, c in pairs)
    even = sum((a | b).astype(int) for a, b in ((p9, p2), (p3, p4), (p5, p6), (p7, p8)))
    odd = sum((a | b).astype(int) for a, b in ((p2, p3), (p4, p5), (p6, p7), (p8, p9)))
    fewest = np.minimum(even, odd)
    kept = ((p6 | p7 | ~p9) & p8) if second_half else ((p2 | p3 | ~p5) & p4)
    table: Flags = (crossings == 1) & (fewest >= 2) & (fewest <= 3) & ~kept
    return table


_TABLES = (_deletion_table(second_half=False), _deletion_table(second_half=True))


def thin(mask: Mask) -> Mask:
    """Thin a mask to lines one pixel wide.

    Args:
        mask: uint8 ``(H, W)``; anything but 0 is foreground.

    Returns:
        uint8 ``(H, W)``, 255 on the lines, with as many 8-connected components as the mask.
    """
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = mask != 0
    flat = padded.reshape(-1)
    offsets = np.array([row * (width + 2) + column for row, column in NEIGHBOURS], np.intp)
    stamps = np.zeros(flat.size, np.intp)
    everything: Indices = np.flatnonzero(flat)
    before = _remove(flat, everything, offsets, _TABLES[0])
    last = _remove(flat, everything, offsets, _TABLES[1])
    half = 0
    while before.size or last.size:
        candidates = _beside(np.concatenate((before, last)), flat, offsets, stamps)
        before, last = last, _remove(flat, candidates, offsets, _TABLES[half])
        half = 1 - half
    return np.ascontiguousarray(padded[1:-1, 1:-1] * np.uint8(255))


def _beside(places: Indices, flat: Mask, offsets: Indices, stamps: Indices) -> Indices:
    """The foreground pixels beside the places, each once. ``stamps`` is scratch of the size of ``flat``."""
    around = (places[:, None] + offsets).reshape(-1)
    standing = around[flat[around] != 0]
    order = np.arange(standing.size)
    stamps[standing] = order  # of equal pixels the last one wins, so one of them stays
    once: Indices = standing[stamps[standing] == order]
    return once


def _remove(flat: Mask, candidates: Indices, offsets: Indices, table: Flags) -> Indices:
    """One half pass over the candidates: clears in ``flat`` what may go, all at once, and says what that was."""
    standing = candidates[flat[candidates] != 0]
    codes = np.zeros(standing.size, np.uint8)
    for bit, offset in enumerate(offsets):
        codes |= flat[standing + offset] << np.uint8(bit)
    gone: Indices = standing[table[codes]]
    flat[gone] = 0
    return gone


def lines_leaving(skeleton: Mask) -> Mask:
    """How many separate lines leave each skeleton pixel: 1 at an end, 2 along a line, 3 or more at a fork.

    Lines are runs of neighbours around the pixel (the crossing number of D. Rutovitz, "Pattern recognition", Journal of
    the Royal Statistical Society A 129, 1966), so that a corner is not taken for a fork.

    Returns:
        uint8 ``(H, W)``, 0 off the skeleton and on lone pixels.
    """
    height, width = skeleton.shape
    padded = np.pad(skeleton != 0, 1)
    ring = [padded[1 + row : 1 + row + height, 1 + column : 1 + column + width] for row, column in NEIGHBOURS]
    leaving = np.zeros(skeleton.shape, np.uint8)
    for here, following in zip(ring, (*ring[1:], ring[0]), strict=True):
        leaving += ~here & following
    leaving[skeleton == 0] = 0
    return leaving


def branch_points(skeleton: Mask) -> Flags:
    """Skeleton pixels from which three or more separate lines leave."""
    points: Flags = lines_leaving(skeleton) >= 3
    return points


def prune(skeleton: Mask, spur_length: int) -> Mask:
    """Drop side branches that are short and end freely; what they leave is thinned again.

    Only branches that start at a branch point can be spurs: a line of its own is kept however short it is. At each
    branch point the shortest spurs go first and two lines are always left, so that a crack is not eaten up from a
    forked end.

    Args:
        skeleton: uint8 ``(H, W)`` lines one pixel wide, as from :func:`thin`.
        spur_length: branches of fewer pixels than this are spurs; 0 keeps them all.
    """
    lines = (skeleton != 0).astype(np.uint8)
    while spur_length > 0:
        spurs = _spurs(lines, spur_length)
        if not spurs.any():
            break
        lines = (thin(lines & ~spurs) != 0).astype(np.uint8)
    return np.ascontiguousarray(lines * np.uint8(255))


def _spurs(lines: Mask, spur_length: int) -> Mask:
    """1 on the pixels of the branches to drop in one round."""
    leaving = lines_leaving(lines)
    knots = cv2.dilate((leaving >= 3).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.uint8) & lines
    stubs: Mask = knots * (leaving == 1).astype(np.uint8)
    if spur_length > 1 and stubs.any():  # spurs of one pixel, hidden in their knot
        return stubs
    _, knot_labels = cv2.connectedComponents(knots, connectivity=8)
    amount, arm_labels, stats, _ = cv2.connectedComponentsWithStats(lines & ~knots, connectivity=8)
    lengths = stats[:, cv2.CC_STAT_AREA]
    free = np.zeros(amount, np.bool_)
    free[arm_labels[leaving == 1]] = True
    doomed = np.zeros(amount, np.bool_)
    for arms in _arms_by_knot(np.asarray(knot_labels, np.int32), np.asarray(arm_labels, np.int32)):
        spurs = sorted((arm for arm in arms if free[arm] and lengths[arm] < spur_length), key=lambda arm: lengths[arm])
        doomed[spurs[: max(0, len(arms) - 2)]] = True
    doomed[0] = False
    dropped: Mask = doomed[arm_labels].astype(np.uint8)
    return dropped


def _arms_by_knot(knot_labels: npt.NDArray[np.int32], arm_labels: npt.NDArray[np.int32]) -> list[list[int]]:
    """For each knot the arms that touch it."""
    height, width = knot_labels.shape
    knots = np.pad(knot_labels, 1)
    touching: dict[int, set[int]] = {}
    for row, column in NEIGHBOURS:
        beside = knots[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        both = (beside > 0) & (arm_labels > 0)
        for knot, arm in np.unique(np.stack((beside[both], arm_labels[both]), axis=1), axis=0):
            touching.setdefault(int(knot), set()).add(int(arm))
    return [sorted(arms) for _, arms in sorted(touching.items())]
