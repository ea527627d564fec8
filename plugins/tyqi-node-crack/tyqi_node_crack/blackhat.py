"""Cracks as thin dark places: black top-hat, Otsu's threshold with hysteresis, and a test of shape.

This is the classical recipe for pavement and concrete (see the survey of A. Mohan and S. Poobal, "Crack detection using
image processing: A critical review and analysis", Alexandria Engineering Journal 57(3), 2018). It is fast and easy to
reason about, and it takes every thin dark thing for a crack, be it a joint in shade or the gap between two pebbles.
"""

from __future__ import annotations

import cv2
import numpy as np

from tyqi_node_crack.shapes import (
    Floats,
    Image,
    Mask,
    as_mask,
    brightness,
    darkness,
    hysteresis,
    keep_elongated,
    texture_level,
)

_BLUR = 0.8
_LOW = 0.75  # of the high threshold


def segment(
    image: Image,
    *,
    max_width: float,
    min_contrast: float,
    texture_factor: float,
    min_length: float,
    min_elongation: float,
) -> Mask:
    """Find cracks.

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        max_width: widest crack to find, pixels.
        min_contrast: smallest share of the surrounding light that a crack takes away, 0 to 1.
        texture_factor: how far above the picture's own texture a crack must stand, in robust standard deviations.
        min_length: shortest crack to keep, pixels.
        min_elongation: smallest length by width.

    Returns:
        uint8 ``(H, W)``, 255 on cracks.
    """
    missing = darkness(brightness(image, _BLUR), max_width)
    high = max(otsu(missing), min_contrast, texture_level(missing, texture_factor))
    return as_mask(keep_elongated(hysteresis(missing, _LOW * high, high), min_length, min_elongation))


def otsu(missing: Floats) -> float:
    """The threshold that parts values of 0 to 1 best into two classes (N. Otsu, IEEE SMC 9(1), 1979)."""
    levels = np.clip(missing * np.float32(255), 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(threshold) / 255.0
