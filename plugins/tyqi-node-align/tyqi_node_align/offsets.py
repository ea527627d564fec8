"""The offset between two overlapping strips of a camera that travels to the right.

1. Candidate offsets come from phase correlation (Kuglin and Hines, "The phase correlation image alignment method",
   Int. Conf. on Cybernetics and Society, 1975). It is applied to the end of one strip and the beginning of the next,
   for several lengths of these: an overlap of a tenth would drown in the other nine tenths.
2. Each candidate is tested by the correlation of the grey values where the strips would overlap, and the best wins,
   after Preibisch, Saalfeld and Tomancak, "Globally optimal stitching of tiled 3D microscopic image acquisitions",
   Bioinformatics 25(11), 2009.
3. The offset is refined to a fraction of a pixel by enhanced correlation (Evangelidis and Psarakis, "Parametric image
   alignment using enhanced correlation coefficient maximization", IEEE TPAMI 30(10), 2008).

Offsets are (x, y) in px, x along the travel, y across it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
Grey: TypeAlias = NDArray[np.float32]

_PARTS = (1.0, 0.6, 0.35, 0.2, 0.1)  # lengths of the pieces to correlate, as parts of a strip
_PEAKS = 8  # candidates per length
_ROUNDING = 0.05  # grey levels; a spread below this is what floating point leaves of a plain surface
_DETAIL = 3.0  # px; structure coarser than about this is removed: shading must not pass for likeness


@dataclass(frozen=True, slots=True)
class Limits:
    """Where to look.

    Attributes:
        min_overlap: the least part of a strip, along the travel, that the next one repeats.
        max_drift: how far a strip may be shifted across the travel against the one before (part of its size there).
    """

    min_overlap: float = 0.05
    max_drift: float = 0.1


@dataclass(frozen=True, slots=True)
class Offset:
    """Where a strip begins, seen from the strip before: (x, y) in px, and the correlation in the overlap, -1 to 1."""

    x: float
    y: float
    correlation: float


def grey(strip: Image) -> Grey:
    """Brightness of an RGB strip, float32 ``(H, W)``."""
    return cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY).astype(np.float32)


def pair_offset(first: Grey, second: Grey, limits: Limits, *, subpixel: bool) -> Offset | None:
    """The offset at which two strips are most alike where they overlap.

    Args:
        first: brightness of a strip, float32 ``(H, W)``.
        second: of the next one.
        limits: of overlap and drift.
        subpixel: whether to find fractions of a pixel.

    Returns:
        The best offset, believed or not; ``None`` if no offset within the limits was even a candidate.
    """
    one, other = _detail(first), _detail(second)
    candidates = {shift for part in _PARTS for shift in _candidates(one, other, part)}
    tested = [
        Offset(x, y, _correlation(one, other, x, y))
        for x, y in sorted(candidates)
        if _within_limits(one, other, x, y, limits)
    ]
    if not tested:
        return None
    best = _climbed(one, other, max(tested, key=lambda offset: offset.correlation), limits)
    return _refined(first, second, best) if subpixel else best


def _detail(values: Grey) -> Grey:
    fine: Grey = cv2.GaussianBlur(values, (0, 0), 0.7) - cv2.GaussianBlur(values, (0, 0), _DETAIL)
    return fine


def _candidates(first: Grey, second: Grey, part: float) -> list[tuple[int, int]]:
    """Offsets that the strongest peaks of phase correlation stand for.

    The correlation is circular, so each peak stands for four offsets; later tests tell which is meant.
    """
    lengths = [max(8, round(part * strip.shape[1])) for strip in (first, second)]
    end, beginning = first[:, -lengths[0] :], second[:, : lengths[1]]
    skipped = first.shape[1] - end.shape[1]
    height, width = (cv2.getOptimalDFTSize(max(sides)) for sides in zip(end.shape, beginning.shape, strict=True))
    surface = _phase_correlation(end, beginning, height, width)
    shifts = []
    for y, x in _peaks(surface):
        shifts += [(skipped + dx, dy) for dx in (x, x - width) for dy in (y, y - height)]
    return shifts


def _phase_correlation(one: Grey, other: Grey, height: int, width: int) -> Grey:
    spectra = [cv2.dft(_tapered(piece, height, width), flags=cv2.DFT_COMPLEX_OUTPUT) for piece in (one, other)]
    cross = np.asarray(cv2.mulSpectrums(spectra[0], spectra[1], 0, conjB=True), np.float32)
    magnitude = np.asarray(cv2.magnitude(cross[..., 0], cross[..., 1]), np.float32)[..., None]
    cross /= magnitude + 1e-6 * float(magnitude.max()) + np.finfo(np.float32).tiny
    return np.asarray(cv2.idft(cross, flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT), np.float32)


def _tapered(piece: Grey, height: int, width: int) -> Grey:
    """The piece, faded out at its borders so that these do not correlate, on a canvas of zeros."""
    canvas = np.zeros((height, width), np.float32)
    rows, cols = (_taper(length) for length in piece.shape)
    canvas[: piece.shape[0], : piece.shape[1]] = piece * np.outer(rows, cols)
    return canvas


def _taper(length: int) -> Grey:
    ramp = max(1, length // 8)
    distance = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    weights: Grey = np.sin(np.minimum(distance / ramp, 1) * (np.pi / 2)).astype(np.float32)
    return weights


def _peaks(surface: Grey) -> list[tuple[int, int]]:
    """(y, x) of the highest local maxima."""
    highest = cv2.dilate(surface, np.ones((5, 5), np.uint8))
    places = np.flatnonzero(surface >= highest)
    order = places[np.argsort(-surface.ravel()[places], kind="stable")[:_PEAKS]]
    return [(int(place) // surface.shape[1], int(place) % surface.shape[1]) for place in order]


def _within_limits(first: Grey, second: Grey, x: float, y: float, limits: Limits) -> bool:
    overlap = min(first.shape[1] - x, second.shape[1])
    least = max(4.0, limits.min_overlap * min(first.shape[1], second.shape[1]))
    drift = limits.max_drift * min(first.shape[0], second.shape[0])
    return x >= 1 and overlap >= least and abs(y) <= drift


def _overlap(first: Grey, second: Grey, x: int, y: int) -> tuple[Grey, Grey]:
    """What two strips show of the same place if the second begins at (x, y) of the first."""
    top, low = max(0, y), max(0, -y)
    width, height = min(first.shape[1] - x, second.shape[1]), min(first.shape[0] - top, second.shape[0] - low)
    return first[top : top + height, x : x + width], second[low : low + height, :width]


def _correlation(first: Grey, second: Grey, x: int, y: int) -> float:
    """Normalised correlation in the overlap, -1 to 1; 0 where one side has no structure.

    Each row counts as its departure from the row's mean: lines that run along the travel (a rail, a joint of bricks)
    look the same at every x and would lend their likeness to any of them.
    """
    one, other = (piece - piece.mean(axis=1, keepdims=True) for piece in _overlap(first, second, x, y))
    powers = float(np.vdot(one, one)), float(np.vdot(other, other))
    if min(powers) < _ROUNDING**2 * one.size:
        return 0.0
    return float(np.vdot(one, other)) / math.sqrt(powers[0] * powers[1])


def _climbed(first: Grey, second: Grey, start: Offset, limits: Limits) -> Offset:
    """The best offset near by: a tapered, circular correlation may peak a pixel beside the place."""
    best = start
    while True:
        around = [(int(best.x) + dx, int(best.y) + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
        allowed = [(x, y) for x, y in around if _within_limits(first, second, x, y, limits)]
        top = max((Offset(x, y, _correlation(first, second, x, y)) for x, y in allowed), key=lambda o: o.correlation)
        if top.correlation <= best.correlation:
            return best
        best = top


def _refined(first: Grey, second: Grey, offset: Offset) -> Offset:
    """The offset refined by ECC; as it is where ECC does not converge or wanders off."""
    one, other = (np.ascontiguousarray(piece) for piece in _overlap(first, second, int(offset.x), int(offset.y)))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-5)
    start, everywhere = np.eye(2, 3, dtype=np.float32), np.full(other.shape, 255, np.uint8)
    try:
        _, warp = cv2.findTransformECC(one, other, start, cv2.MOTION_TRANSLATION, criteria, everywhere, 5)
    except cv2.error:  # raised where the correlation cannot be improved
        return offset
    # The warp leads from the first strip to the second, so it is minus what the second must move.
    dx, dy = -float(warp[0, 2]), -float(warp[1, 2])
    return Offset(offset.x + dx, offset.y + dy, offset.correlation) if max(abs(dx), abs(dy)) < 1 else offset
