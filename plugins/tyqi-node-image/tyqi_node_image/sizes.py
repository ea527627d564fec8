"""Bringing a picture to another size."""

from __future__ import annotations

from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
Fit: TypeAlias = Literal["inside", "stretch", "pad"]
Interpolation: TypeAlias = Literal["auto", "nearest", "linear", "area", "cubic", "lanczos"]

_FLAGS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}


def resized(
    image: Image,
    box: tuple[int, int],
    *,
    fit: Fit = "inside",
    enlarge: bool = False,
    interpolation: Interpolation = "auto",
    fill: int = 0,
) -> Image:
    """Fit a picture into a box.

    Args:
        image: uint8, ``(H, W)`` or ``(H, W, 3)``.
        box: width and height of the box (px).
        fit: ``inside`` keeps the proportions, and the result may be smaller than the box in one direction;
            ``stretch`` gives exactly the box and distorts; ``pad`` keeps the proportions and fills up to the box.
        enlarge: whether a picture may grow. Without it, no side gets longer (``pad`` still fills up).
        interpolation: ``auto`` is ``area`` where the picture shrinks (no aliasing) and ``cubic`` where it grows.
        fill: grey level beside the picture with ``pad``.

    Returns:
        A new C-contiguous uint8 array with as many channels as before.
    """
    size = _target(image.shape[1], image.shape[0], box, fit, enlarge=enlarge)
    scaled = scaled_to(image, size, interpolation)
    return _padded(scaled, box, fill) if fit == "pad" else scaled


def scaled_to(image: Image, size: tuple[int, int], interpolation: Interpolation = "auto") -> Image:
    """The picture at exactly ``size`` (width, height in px), as a new array."""
    height, width = image.shape[:2]
    if size == (width, height):
        return image.copy()
    if interpolation == "auto":
        interpolation = "area" if size[0] * size[1] < width * height else "cubic"
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=_FLAGS[interpolation]), dtype=np.uint8)


def _target(width: int, height: int, box: tuple[int, int], fit: Fit, *, enlarge: bool) -> tuple[int, int]:
    if fit == "stretch":
        return box if enlarge else (min(width, box[0]), min(height, box[1]))
    scale = min(box[0] / width, box[1] / height)
    if not enlarge:
        scale = min(scale, 1.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _padded(image: Image, box: tuple[int, int], fill: int) -> Image:
    canvas = np.full((box[1], box[0], *image.shape[2:]), fill, np.uint8)
    top, left = (box[1] - image.shape[0]) // 2, (box[0] - image.shape[1]) // 2
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
