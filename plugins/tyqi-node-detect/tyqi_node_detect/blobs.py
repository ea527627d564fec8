"""Blobs to boxes: compact places that are darker or lighter than their surroundings.

The method is scale-space blob detection by differences of Gaussians (Lindeberg, "Feature detection with automatic scale
selection", IJCV 30(2), 1998), on a picture whose slow changes of light are removed first. Where the response has a
local extremum over place and scale there is a blob, and its scale tells its size. Two things are added: a response
counts in units of the texture's own responses at that scale, so that coarse gravel does not drown the picture in blobs,
and the box is read off the blob itself, by growing a region at half its height, in the spirit of extremal
regions (Matas et al., "Robust wide baseline stereo from maximally stable extremal regions", BMVC 2002).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tyqi_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Image = NDArray[np.uint8]
Field = NDArray[np.float32]
Polarity = Literal["dark", "light", "both"]
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in px; x1 and y1 are exclusive."""

AnyBox = tuple[float, float, float, float]

_RATIO = (
    1.6  # between the two Gaussians of a difference: the best approximation of the Laplacian (Marr and Hildreth 1980)
)
_SCALE_STEP = 1.3  # between neighbouring scales
_CLEAR = 2.0  # spreads of the grey levels by which a blob differs from its surroundings to count in full
_FLATTEST = 1.0  # grey levels: a smoother picture than this is taken to be no smoother


@dataclass(frozen=True, slots=True)
class Blob:
    """One detected blob. ``contrast`` is in units of the texture's own responses, positive for light blobs."""

    box: Box
    contrast: float
    score: float

    @property
    def label(self) -> str:
        """What kind of blob it is, for people."""
        return "light blob" if self.contrast > 0 else "dark blob"


def detect(
    image: Image,
    *,
    min_size: float = 12.0,
    max_size: float = 96.0,
    min_score: float = 0.6,
    polarity: Polarity = "both",
    max_overlap: float = 0.3,
) -> list[Blob]:
    """Find blobs of about ``min_size`` to ``max_size`` px in diameter.

    Args:
        image: RGB (H, W, 3) or grey (H, W), uint8.
        min_size: smallest diameter in px.
        max_size: largest diameter in px.
        min_score: blobs with a lower score are left out, see :func:`score_of`.
        polarity: look for dark blobs, light ones or both.
        max_overlap: of two boxes that share more than this part of the smaller one, only the better stays, see
            :func:`suppress`.

    Returns:
        Blobs, best score first.

    Raises:
        InputError: ``BAD_SIZES``: sizes below 2 px, or ``min_size`` above ``max_size``.
    """
    if not 2 <= min_size <= max_size:
        raise InputError(
            f"sizes must fulfil 2 <= min_size <= max_size, found {min_size} and {max_size}.",
            code="BAD_SIZES",
            remedy="Give a min_size that is not above max_size.",
        )
    flat = flattened(image, max_size)
    sigmas = scales(min_size, max_size)
    stack = np.stack([_response(flat, sigma) for sigma in sigmas])
    spread = _spread(flat)
    found = [
        _measured(flat, spread, sign, peak)
        for sign in _signs(polarity)
        for peak in _extrema(sign * stack, sigmas)
        if score_of(peak.height) >= min_score  # measuring only ever lowers it
    ]
    good = [blob for blob in found if blob.score >= min_score and _fits(blob.box, min_size, max_size)]
    return suppress(good, max_overlap)


def scales(min_size: float, max_size: float) -> list[float]:
    """Standard deviations (px) at which discs of the given range of diameters respond most, in even ratios."""
    first, last = min_size / (2 * math.sqrt(2)), max_size / (2 * math.sqrt(2))
    count = 1 + math.ceil(math.log(last / first) / math.log(_SCALE_STEP) - 1e-9)
    return [first * _SCALE_STEP**index for index in range(count)]


def score_of(contrast: float) -> float:
    """Map a contrast, in units of the texture's spread, to 0..1: 0.5 at 5 times the spread, 0.89 at 10 times."""
    return 1.0 - 1.0 / (1.0 + (abs(contrast) / 5.0) ** 3)


def flattened(image: Image, max_size: float) -> Field:
    """Grey levels minus the slow changes of light: what is wider than twice ``max_size`` disappears.

    The background is a mean over places weighted by how typical they are, so that a large blob pulls it less.
    """
    grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image).astype(np.float32)
    sigma = min(max_size, max(grey.shape))
    background = _blur(grey, sigma)
    weight = np.exp(-0.5 * np.square((grey - background) / (2 * _spread(grey - background)))).astype(np.float32)
    typical = _blur(grey * weight, sigma) / np.maximum(_blur(weight, sigma), np.float32(1e-3))
    flat: Field = np.asarray(grey - typical, np.float32)
    return flat


def _response(flat: Field, sigma: float) -> Field:
    """Difference of Gaussians, normalised over scales, in units of the robust spread of its own values."""
    difference = _blur(flat, sigma) - _blur(flat, sigma * _RATIO)
    response: Field = difference / np.float32(_spread(difference))
    return response


def _spread(values: Field) -> float:
    """Median absolute deviation, scaled to be the standard deviation of normal values."""
    return max(_FLATTEST, 1.4826 * float(np.median(np.abs(values - np.median(values)))))


def _blur(picture: Field, sigma: float) -> Field:
    """Gaussian blur; wide ones are computed on a reduced picture, which cannot be told apart and is quicker."""
    factor = min(int(sigma // 4), min(picture.shape) // 8)
    if factor < 2:
        return _gauss(picture, sigma)
    height, width = picture.shape
    small = cv2.resize(picture, (width // factor, height // factor), interpolation=cv2.INTER_AREA).astype(np.float32)
    blurred = cv2.resize(_gauss(small, sigma / factor), (width, height), interpolation=cv2.INTER_LINEAR)
    return blurred.astype(np.float32, copy=False)


def _gauss(picture: Field, sigma: float) -> Field:
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.astype(np.float32, copy=False)


def _signs(polarity: Polarity) -> tuple[int, ...]:
    return {"dark": (-1,), "light": (1,), "both": (-1, 1)}[polarity]


@dataclass(frozen=True, slots=True)
class _Peak:
    x: int
    y: int
    sigma: float
    height: float


def _extrema(stack: Field, sigmas: Sequence[float]) -> list[_Peak]:
    """Local maxima over place and scale."""
    peaks = np.stack([cv2.dilate(layer, np.ones((3, 3), np.uint8)) for layer in stack])
    padded = np.pad(peaks, ((1, 1), (0, 0), (0, 0)), constant_values=-np.inf)
    highest = np.maximum(np.maximum(padded[:-2], padded[2:]), peaks)
    levels, ys, xs = np.nonzero((stack >= highest) & (stack > 2.0))
    heights = stack[levels, ys, xs]
    return [
        _Peak(int(x), int(y), sigmas[int(level)], float(height))
        for level, y, x, height in zip(levels, ys, xs, heights, strict=True)
    ]


def _measured(flat: Field, spread: float, sign: int, peak: _Peak) -> Blob:
    """The blob at a peak. Beside a dark blob the response is light, too: such a halo has no contrast of its own."""
    box, contrast = _grown(sign * flat, peak)
    height = peak.height * min(1.0, max(0.0, contrast) / (_CLEAR * spread))
    return Blob(box, sign * height, score_of(height))


def _grown(flat: Field, peak: _Peak) -> tuple[Box, float]:
    """The box of the region around the peak that is at least half as light as its middle, and its mean lightness.

    Where the region runs out into its surroundings, the box is that of a disc at the peak's scale.
    """
    reach = math.ceil(4 * peak.sigma)
    left, top = max(0, peak.x - reach), max(0, peak.y - reach)
    window = flat[top : peak.y + reach + 1, left : peak.x + reach + 1]
    smooth = _blur(window, max(1.0, peak.sigma / 3))
    at = (peak.y - top, peak.x - left)
    if smooth[at] <= 0:  # darker than the surroundings: the peak is only the halo of something else
        return _disc_box(flat.shape, peak), 0.0
    region = _without_lines((smooth >= 0.5 * smooth[at]).astype(np.uint8), peak.sigma, at)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(region)
    mean = float(window[labels == labels[at]].mean())
    x0, y0, width, height = (int(value) for value in stats[labels[at]][:4])
    if max(width, height) > 2.2 * 2 * math.sqrt(2) * peak.sigma:
        return _disc_box(flat.shape, peak), float(smooth[at])
    return (left + x0, top + y0, left + x0 + width, top + y0 + height), mean


def _disc_box(shape: tuple[int, ...], peak: _Peak) -> Box:
    radius = round(math.sqrt(2) * peak.sigma)
    return (
        max(0, peak.x - radius),
        max(0, peak.y - radius),
        min(shape[1], peak.x + radius + 1),
        min(shape[0], peak.y + radius + 1),
    )


def _without_lines(region: Image, sigma: float, at: tuple[int, int]) -> Image:
    """The region without what is much thinner than the blob, such as a joint that touches it."""
    side = 2 * round(0.6 * sigma) + 1
    opened = cv2.morphologyEx(region, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return opened.astype(np.uint8, copy=False) if opened[at] else region


def _fits(box: Box, min_size: float, max_size: float) -> bool:
    """Lines and whole textures are no blobs: the box is compact and, give or take a fifth, of the size asked for."""
    width, height = box[2] - box[0], box[3] - box[1]
    size = math.sqrt(width * height)
    return 0.8 * min_size <= size <= 1.2 * max_size and max(width, height) <= 3.5 * min(width, height)


def suppress(blobs: Sequence[Blob], max_overlap: float) -> list[Blob]:
    """Non-maximum suppression: of boxes that overlap too much the better one stays.

    Better means score times size: rough rubble breaks up into small blobs of high contrast, and the whole is wanted.

    Returns:
        What is left, highest score first.
    """
    kept: list[Blob] = []
    for blob in sorted(blobs, key=lambda one: (-one.score * math.sqrt(_area(one.box)), one.box)):
        if all(shared(blob.box, better.box) <= max_overlap for better in kept):
            kept.append(blob)
    return sorted(kept, key=lambda one: (-one.score, one.box))


def shared(one: Box, other: Box) -> float:
    """Area that two boxes share, as a part of the smaller box. It is 1 for a box inside another."""
    smaller = min(_area(one), _area(other))
    return _intersection(one, other) / smaller if smaller else 0.0


def iou(one: AnyBox, other: AnyBox) -> float:
    """Intersection over union of two boxes."""
    both = _intersection(one, other)
    union = _area(one) + _area(other) - both
    return both / union if union else 0.0


def _intersection(one: AnyBox, other: AnyBox) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _area(box: AnyBox) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def to_tp(blobs: Sequence[Blob]) -> list[dict[str, Any]]:
    """The blobs as a value of the TP type ``detections``."""
    return [{"box": list(blob.box), "score": round(blob.score, 4), "label": blob.label} for blob in blobs]
