"""What both crack finders share: light, hysteresis and the shape of connected parts."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def brightness(image: Image, blur: float) -> Floats:
    """Grey levels 0 to 255 of an RGB picture, smoothed with a Gaussian of ``blur`` pixels."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), blur).astype(np.float32, copy=False)


def darkness(grey: Floats, max_width: float) -> Floats:
    """How much of the surrounding light is missing, 0 to 1, in dark places no wider than ``max_width`` pixels.

    The black top-hat of F. Meyer ("Iterative image transformations for an automatic screening of cervical smears",
    Journal of Histochemistry and Cytochemistry 27, 1979), divided by its closing, so that a shadow over the surface
    changes nothing.
    """
    size = 2 * round(max_width / 2 + 1) + 1
    surrounding = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    # In the blackest parts of a picture a grey level of sensor noise would count as a large share of the light.
    missing: Floats = (surrounding - grey) / (surrounding + np.float32(16))
    return missing


def texture_level(answers: Floats, factor: float) -> float:
    """The median of the answers of the whole picture, plus ``factor`` standard deviations by the median deviation."""
    middle = float(np.median(answers))
    return middle + factor * 1.4826 * float(np.median(np.abs(answers - middle)))


def hysteresis(values: Floats, low: float, high: float) -> Flags:
    """The connected parts above ``low`` that rise above ``high`` somewhere (J. Canny, IEEE PAMI 8(6), 1986)."""
    amount, labels = cv2.connectedComponents((values > low).astype(np.uint8), connectivity=8)
    strong = np.zeros(amount, np.bool_)
    strong[labels[values > high]] = True
    strong[0] = False
    kept: Flags = strong[labels]
    return kept


def keep_elongated(found: Flags, min_length: float, min_elongation: float) -> Flags:
    """Keep the parts that are long and thin.

    A part's length is the longer side of the smallest rectangle around it; its elongation is the length squared by the
    area: 1.3 for a disc, length by width for a line. Windings make a crack's elongation smaller, never its area larger.
    """
    amount, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    kept = np.zeros(amount, np.bool_)
    for label in range(1, amount):
        left, top, width, height, area = (int(value) for value in stats[label])
        if width + height < min_length:
            continue
        part = labels[top : top + height, left : left + width] == label
        length = _longer_side(part)
        kept[label] = length >= min_length and length * length >= min_elongation * area
    result: Flags = kept[labels]
    return result


def _longer_side(part: Flags) -> float:
    points = np.argwhere(part).astype(np.float32)
    return float(max(cv2.minAreaRect(points)[1])) + 1.0


def as_mask(found: Flags) -> Mask:
    """255 where found, else 0, C-contiguous."""
    return np.ascontiguousarray(found.astype(np.uint8) * np.uint8(255))
