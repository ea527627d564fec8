"""Measures of spalls: how many, how large."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Spalls:
    """What was measured; areas in pixels, ``fraction`` of the whole picture; all zero when there is no spall."""

    count: int
    area: int
    largest: int
    fraction: float


def measure(mask: Mask, min_area: float) -> tuple[Spalls, Mask]:
    """Count and measure the connected parts of a mask.

    Args:
        mask: uint8 ``(H, W)``, not 0 where there is a spall.
        min_area: parts of fewer pixels are specks and are left out.

    Returns:
        The measures, and the mask (0 or 255, a new array) of what was measured.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats((mask != 0).astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= min_area
    kept[0] = False  # the background
    shown: Mask = kept[labels].astype(np.uint8) * np.uint8(255)
    sizes = areas[kept]
    total = int(sizes.sum())
    spalls = Spalls(int(kept.sum()), total, int(sizes.max(initial=0)), total / max(1, mask.size))
    return spalls, np.ascontiguousarray(shown)
