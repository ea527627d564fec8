"""Cracks as lines: a multi-scale ridge filter whose answers are gathered along the line.

1. At each scale the eigenvector of the Hessian matrix gives the direction across a possible line, as in A. F. Frangi
   et al., "Multiscale vessel enhancement filtering", MICCAI 1998.
2. The strength is the weaker of the two edges met when one steps across the line, as in T. M. Koller et al.,
   "Multiscale detection of curvilinear structures in 2-D and 3-D image data", ICCV 1995. A Hessian alone also answers
   beside every bright line and every step; here these have an edge on one side only and fall away, which is what keeps
   bright mortar joints out.
3. Answers of like direction are averaged along straight pieces in a bank of orientations (compare W. T. Freeman and
   E. H. Adelson, "The design and use of steerable filters", IEEE PAMI 13(9), 1991). A crack goes on; the gap between
   two pebbles does not.
4. Hysteresis picks the lines.
5. The lines grow to the full width of the crack: all that is darker than halfway between its middle and its
   surroundings. What is short or plump after that is dropped, and the fainter a line, the longer it must be: texture
   forms short dark lines by chance, long ones hardly ever.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from tyqi_node_crack.shapes import (
    Flags,
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

_DARK_OFFSET = 16.0  # grey levels; keeps the logarithm of black from blowing up noise
_FINEST = 0.8  # pixels
_SCALE_STEP = 1.5
_ORIENTATIONS = 12
_LOW = 0.5  # of the high threshold
_SURE = 1.5  # times the high threshold: lines that may be short
_FAINT_LENGTH = 3.0  # times the least length: what the others must reach
_GROWTH_BLUR = 0.5  # pixels
_FAINTEST = 0.04  # share of light; below it there is nothing to grow into
# What a bar as wide as two scales and of unit contrast answers: density of the normal distribution at one edge, less
# that of the other edge two deviations away.
_IDEAL_ANSWER = (1.0 - math.exp(-2.0)) / math.sqrt(2.0 * math.pi)


def scales(max_width: float) -> list[float]:
    """Standard deviations of the Gaussians, pixels, evenly spaced by ratio.

    The coarsest is where a bar of ``max_width`` bends its blurred profile most in the middle: its width by the square
    root of 12 (C. Steger, "An unbiased detector of curvilinear structures", IEEE PAMI 20(2), 1998).
    """
    span = max(1.0, max_width / math.sqrt(12.0) / _FINEST)
    steps = max(1, math.ceil(math.log(span) / math.log(_SCALE_STEP)))
    return [_FINEST * span ** (step / steps) for step in range(steps + 1)] if span > 1.0 else [_FINEST]


def ridges(image: Image, max_width: float) -> tuple[Floats, Floats]:
    """The strongest dark line through each pixel, over all scales.

    Returns:
        Strength, about the contrast of the line in units of the logarithm of light; and the direction along the line in
        radians (0 along x, growing towards y). Both float32 ``(H, W)``.
    """
    light = np.log(brightness(image, 0.5) + np.float32(_DARK_OFFSET))
    strength = np.zeros(light.shape, np.float32)
    direction = np.zeros(light.shape, np.float32)
    for scale in scales(max_width):
        here, along = _ridges_of(cv2.GaussianBlur(light, (0, 0), scale, borderType=cv2.BORDER_REFLECT), scale)
        stronger = here > strength
        strength[stronger] = here[stronger]
        direction[stronger] = along[stronger]
    return strength, direction


def _ridges_of(smooth: Floats, scale: float) -> tuple[Floats, Floats]:
    slope_y, slope_x = _slopes(smooth)
    xy, xx = _slopes(slope_x)
    yy, _ = _slopes(slope_y)
    # Half the angle of the deviator of the Hessian: the direction of largest curvature, hence across a dark line.
    across = np.float32(0.5) * np.arctan2(np.float32(2) * xy, xx - yy)
    step_x, step_y = np.float32(scale) * np.cos(across), np.float32(scale) * np.sin(across)
    there = _edge(slope_x, slope_y, step_x, step_y)
    back = _edge(slope_x, slope_y, -step_x, -step_y)
    curved = xx + yy > 0  # the middle is darker than what is around it
    strength = np.where(curved, np.maximum(np.minimum(there, back), 0), np.float32(0)) / np.float32(_IDEAL_ANSWER)
    return strength.astype(np.float32), (across + np.float32(math.pi / 2)).astype(np.float32)


def _slopes(field: Floats) -> tuple[Floats, Floats]:
    """Central differences along y and x, over a border that mirrors the picture."""
    kernel = np.array([[-0.5, 0.0, 0.5]], np.float32)
    along_y, along_x = (cv2.filter2D(field, -1, each, borderType=cv2.BORDER_REFLECT) for each in (kernel.T, kernel))
    return along_y.astype(np.float32, copy=False), along_x.astype(np.float32, copy=False)


def _edge(slope_x: Floats, slope_y: Floats, step_x: Floats, step_y: Floats) -> Floats:
    """How fast it gets brighter one step away, going in the direction of the step; times the scale."""
    rows, columns = np.indices(slope_x.shape, np.float32)
    where = (columns + step_x, rows + step_y)
    x = cv2.remap(slope_x, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    y = cv2.remap(slope_y, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    edge: Floats = x * step_x + y * step_y
    return edge


def gather(strength: Floats, direction: Floats, reach: float) -> Floats:
    """Average the strength over straight pieces of ``reach`` pixels, counting only answers of like direction."""
    best = np.zeros(strength.shape, np.float32)
    for index in range(_ORIENTATIONS):
        angle = math.pi * index / _ORIENTATIONS
        agreement = np.maximum(np.cos(np.float32(2) * (direction - np.float32(angle))), 0)
        piece = cv2.filter2D(strength * agreement, -1, line_kernel(reach, angle), borderType=cv2.BORDER_REFLECT)
        np.maximum(best, piece, out=best)
    return best


def line_kernel(reach: float, angle: float) -> Floats:
    """A straight piece of line, ``reach`` pixels long and about a pixel wide, of sum 1."""
    radius = math.ceil(reach / 2)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    along = x * math.cos(angle) + y * math.sin(angle)
    beside = y * math.cos(angle) - x * math.sin(angle)
    piece = np.exp(-0.5 * (beside / 0.7) ** 2) * np.exp(-0.5 * (along / (reach / 3.5)) ** 2)
    normal: Floats = (piece / piece.sum()).astype(np.float32)
    return normal


def segment(
    image: Image,
    *,
    max_width: float,
    min_contrast: float,
    min_length: float,
    min_elongation: float,
    reach: float,
    texture_factor: float,
) -> Mask:
    """Find cracks.

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        max_width: widest crack to find, pixels.
        min_contrast: weakest line to start from, in units of the logarithm of light averaged along the line.
        min_length: shortest crack to keep, pixels; one that stands out little must be three times as long.
        min_elongation: smallest length by width.
        reach: length over which answers are gathered along the line, pixels.
        texture_factor: how far above the strongest answers that the picture's own texture usually gives a line must
            stand, in robust standard deviations of these.

    Returns:
        uint8 ``(H, W)``, 255 on cracks.
    """
    gathered = gather(*ridges(image, max_width), reach)
    high = max(min_contrast, texture_level(strongest_by_tile(gathered), texture_factor))
    lines = hysteresis(gathered, _LOW * high, high)
    grown = grow(lines, darkness(brightness(image, _GROWTH_BLUR), max_width), max_width)
    sure = hysteresis(np.where(grown, gathered + np.float32(1e-6), np.float32(0)), 0.0, _SURE * high)
    faint = keep_elongated(grown & ~sure, _FAINT_LENGTH * min_length, min_elongation)
    return as_mask(keep_elongated(sure, min_length, min_elongation) | faint)


def strongest_by_tile(answers: Floats) -> Floats:
    """The strongest answer in each of some 64 or more square tiles of 8 to 32 pixels.

    A crack crosses the lesser part of the tiles, so their median tells what texture alone can give, also where the
    texture covers little of the picture, as joints do.
    """
    height, width = answers.shape
    side = min(32, max(8, min(height, width) // 8))
    padded = np.pad(answers, ((0, -height % side), (0, -width % side)))
    tiles: Floats = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side)
    return np.asarray(tiles.max(axis=(1, 3)), np.float32)


def grow(lines: Flags, missing: Floats, max_width: float) -> Flags:
    """From lines to full widths: what is at least half as dark as the darkest place within half the largest width.

    The half height of a profile is where its edge lies, whatever the blur of the lens.
    """
    size = 2 * max(1, round(max_width / 2)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    depth = cv2.dilate(np.where(lines, missing, np.float32(0)), disc)
    dark = (missing >= np.float32(0.5) * depth) & (depth > np.float32(_FAINTEST))
    amount, labels = cv2.connectedComponents(dark.astype(np.uint8), connectivity=8)
    touched = np.zeros(amount, np.bool_)
    touched[labels[lines & dark]] = True
    touched[0] = False
    grown: Flags = touched[labels]
    return grown
