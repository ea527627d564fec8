"""What is told about a picture before it is judged: numbers on its strongest line and on its strangest patch.

Lines and patches are looked for with the functions of ``crack.segment`` 2 and ``spall.segment``. Numbers that depend on
the surface are taken relative to what the picture's own texture gives, lengths relative to the picture's side, so that
pictures of different surfaces and sizes compare. Heavy-tailed numbers are taken as logarithms.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from tyqi_node_crack.ridge import gather, ridges, strongest_by_tile
from tyqi_node_crack.shapes import hysteresis
from tyqi_node_spall.segmentation import colour_distance, without_thin_structure

Image = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

_WIDEST_CRACK = 10.0  # pixels
_REACH = 21.0  # pixels along a line
_SMALLEST_SPALL = 19  # pixels
_CLEAR, _FAINT = 4.0, 2.5  # robust deviations above what the texture gives


@dataclass(frozen=True, slots=True)
class Features:
    """The numbers, in the order in which the classifier takes them."""

    line_texture: float  # log of the strongest answers that texture gives to the line filter
    line_peak: float  # log of how far the strongest line stands above these
    line_extent: float  # length of the longest clear line by the picture's side
    line_share: float  # log of the area of all clear lines
    line_elongation: float  # log of the longest clear line's length by its width
    faint_extent: float  # length of the longest faint line by the picture's side
    faint_elongation: float
    patch_texture: float  # log of the largest colour distances that the surface itself shows
    patch_peak: float  # log of how far the strangest patch stands above these
    patch_extent: float  # diameter of the largest clear patch by the picture's side
    patch_roundness: float  # area of that patch by its circumscribed rectangle's
    faint_patch_extent: float
    lines_in_patch: float  # share of the clear lines that lie on or at the largest faint patch


NAMES = tuple(each.name for each in fields(Features))


@dataclass(frozen=True, slots=True)
class _Part:
    """The longest connected part of a mask: sides of its smallest rectangle, and its area, in pixels."""

    length: float = 0.0
    breadth: float = 0.0
    area: float = 0.0


def describe(image: Image) -> Vector:
    """The features of an RGB uint8 picture ``(H, W, 3)`` as a float64 vector, in the order of :data:`NAMES`."""
    lines = gather(*ridges(image, _WIDEST_CRACK), _REACH)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SMALLEST_SPALL, _SMALLEST_SPALL))
    distance = colour_distance(without_thin_structure(image, _SMALLEST_SPALL))
    patches = cv2.morphologyEx(distance, cv2.MORPH_OPEN, disc).astype(np.float32, copy=False)
    return np.array(astuple(_features(lines, patches, float(min(image.shape[:2])))), np.float64)


def _features(lines: Floats, patches: Floats, side: float) -> Features:
    line_texture, line_spread = _texture(lines, noise=0.01)
    patch_texture, patch_spread = _texture(patches, noise=0.3)
    clear_lines = _above(lines, line_texture + _CLEAR * line_spread)
    faint_lines = _above(lines, line_texture + _FAINT * line_spread)
    clear_patches = _above(patches, patch_texture + _CLEAR * patch_spread)
    faint_patches = _above(patches, patch_texture + _FAINT * patch_spread)
    line, faint, patch = _longest(clear_lines), _longest(faint_lines), _longest(clear_patches)
    return Features(
        line_texture=float(np.log(line_texture + 0.01)),
        line_peak=float(np.log1p(max(0.0, (float(lines.max()) - line_texture) / line_spread))),
        line_extent=line.length / side,
        line_share=float(np.log1p(100.0 * clear_lines.mean())),
        line_elongation=_elongation(line),
        faint_extent=faint.length / side,
        faint_elongation=_elongation(faint),
        patch_texture=float(np.log(patch_texture + 0.1)),
        patch_peak=float(np.log1p(max(0.0, (float(patches.max()) - patch_texture) / patch_spread))),
        patch_extent=float(np.sqrt(patch.area)) / side,
        patch_roundness=patch.area / max(1.0, patch.length * patch.breadth),
        faint_patch_extent=float(np.sqrt(_longest(faint_patches).area)) / side,
        lines_in_patch=_share_inside(clear_lines, faint_patches),
    )


def _texture(answers: Floats, noise: float) -> tuple[float, float]:
    """Median of the largest answers by tile, and their robust standard deviation, never below ``noise``."""
    largest = strongest_by_tile(answers)
    middle = float(np.median(largest))
    return middle, noise + 1.4826 * float(np.median(np.abs(largest - middle)))


def _above(answers: Floats, level: float) -> Flags:
    return hysteresis(answers, 0.5 * level, level)


def _longest(found: Flags) -> _Part:
    amount, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    if amount == 1:
        return _Part()
    # The diagonal of the upright box stands in for the length until the one part is known.
    sizes = stats[1:, cv2.CC_STAT_WIDTH].astype(float) ** 2 + stats[1:, cv2.CC_STAT_HEIGHT].astype(float) ** 2
    label = 1 + int(np.argmax(sizes))
    rectangle = cv2.minAreaRect(np.argwhere(labels == label).astype(np.float32))
    breadth, length = sorted(float(each) + 1.0 for each in rectangle[1])
    return _Part(length, breadth, float(stats[label, cv2.CC_STAT_AREA]))


def _elongation(part: _Part) -> float:
    return float(np.log1p(part.length**2 / max(1.0, part.area)))


def _share_inside(lines: Flags, patches: Flags) -> float:
    if not lines.any():
        return 0.0
    near = cv2.dilate(patches.astype(np.uint8), np.ones((_SMALLEST_SPALL, _SMALLEST_SPALL), np.uint8)) > 0
    return float(near[lines].mean())
