"""Filters for 8-bit pictures: smoothing, contrast, sharpening.

Every function takes a uint8 array, ``(H, W)`` grey or ``(H, W, 3)`` RGB, leaves it as it is, and returns a new
C-contiguous uint8 array of the same shape. Beyond the border the picture is mirrored or its edge repeated, so that no
dark rim appears.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]


def gaussian(image: Image, sigma: float) -> Image:
    """Smooth with a Gaussian of standard deviation ``sigma`` (px)."""
    return _uint8(cv2.GaussianBlur(image, (0, 0), sigma))


def median(image: Image, radius: int) -> Image:
    """Replace each value by the median of the square of ``2 * radius + 1`` px around it, per channel.

    Removes salt-and-pepper noise and keeps straight edges. Constant time per pixel, after Perreault and Hebert,
    "Median filtering in constant time", IEEE Transactions on Image Processing 16(9), 2007.
    """
    return _uint8(cv2.medianBlur(image, 2 * radius + 1))


def bilateral(image: Image, sigma: float, radius: int, tone: float) -> Image:
    """Smooth within surfaces and not across edges.

    Tomasi and Manduchi, "Bilateral filtering for gray and color images", ICCV 1998.

    Args:
        image: the picture.
        sigma: standard deviation in space (px).
        radius: the window reaches this far (px); the time grows with its square.
        tone: standard deviation in value (grey levels): a difference well above it counts as an edge.
    """
    return _uint8(cv2.bilateralFilter(image, 2 * radius + 1, tone, sigma))


def clahe(image: Image, clip_limit: float, cells: int) -> Image:
    """Even out the contrast region by region: contrast limited adaptive histogram equalisation.

    Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994. A colour picture is
    equalised in the lightness of CIE L*a*b*, so that hues stay.

    Args:
        image: the picture.
        clip_limit: a histogram bin may hold at most this many times the mean bin; higher means more contrast
            and more noise.
        cells: the picture is divided into ``cells`` by ``cells`` regions.
    """
    equaliser = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(cells, cells))
    if image.ndim == 2:
        return _uint8(equaliser.apply(image))
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
    return _uint8(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def unsharp(image: Image, sigma: float, strength: float) -> Image:
    """Sharpen: add ``strength`` times the difference between the picture and its Gaussian blur of ``sigma`` (px)."""
    # In floating point: with the blur rounded to whole levels first, a smooth gradient would come out in steps.
    sharp = image.astype(np.float32)
    blurred = cv2.GaussianBlur(sharp, (0, 0), sigma)
    cv2.addWeighted(sharp, 1 + strength, blurred, -strength, 0, dst=sharp)
    return _uint8(np.clip(np.rint(sharp, out=sharp), 0, 255, out=sharp))


def luma(image: Image) -> Image:
    """The brightness ``(H, W)`` of an RGB picture, weighted as in ITU-R BT.601."""
    return _uint8(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _uint8(array: NDArray[np.generic]) -> Image:
    return np.ascontiguousarray(array, dtype=np.uint8)
