"""Spalls as areas whose colour does not belong to the surface.

1. A median filter takes the thin structure away: mortar joints, cracks, the grain of the material.
2. How far is each pixel's colour (CIE L*a*b*) from those of the surface, counted in the surface's own spread? This is
   the detector of I. S. Reed and X. Yu ("Adaptive multiple-band CFAR detection of an optical pattern with unknown
   spectral distribution", IEEE Transactions on Acoustics, Speech, and Signal Processing 38(10), 1990). Light and shade
   spread the colours of a surface along one direction, brick with mortar along another; along these a distance counts
   little.
3. The surface's centre and spread must not be those of the defects, so they are estimated on the part of the picture
   that fits best together: the concentration steps of P. J. Rousseeuw and K. Van Driessen ("A fast algorithm for the
   minimum covariance determinant estimator", Technometrics 41(3), 1999).
4. A grey-scale opening with a disc drops what is narrower than the smallest spall.
5. Regions grow from what stands out clearly over all that connects to it and still stands out (hysteresis).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

# Spread of L*, a*, b* that sensor noise and compression leave even on one even paint; keeps the distance finite.
_NOISE = np.diag(np.square([1.0, 0.6, 0.6]))
_SURFACE = 0.9  # share of the picture on which the surface is estimated
_STEPS = 4  # concentration steps; the estimate hardly moves after three
_SAMPLES = 20_000  # pixels that are enough to estimate three means and six covariances
_LOW = 0.6  # of the threshold from which regions grow


def segment(image: Image, *, min_diameter: float, min_distance: float, texture_factor: float) -> Mask:
    """Find spalls.

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        min_diameter: smallest spall to find, pixels; must be more than joints and cracks are wide.
        min_distance: smallest distance from the surface's colours, in standard deviations of these.
        texture_factor: how far above the largest distances that the surface itself usually shows a spall must stand, in
            robust standard deviations of these.

    Returns:
        uint8 ``(H, W)``, 255 on spalls.
    """
    distance = colour_distance(without_thin_structure(image, min_diameter))
    broad = cv2.morphologyEx(distance, cv2.MORPH_OPEN, _disc(min_diameter)).astype(np.float32, copy=False)
    high = max(min_distance, usual_maximum(broad, texture_factor))
    found = hysteresis(broad, _LOW * high, high)
    return np.ascontiguousarray(found.astype(np.uint8) * np.uint8(255))


def without_thin_structure(image: Image, min_diameter: float) -> Image:
    """The picture under a median filter about two fifths as wide as the smallest spall."""
    size = 2 * max(1, round(min_diameter / 5)) - 1
    return cv2.medianBlur(image, size).astype(np.uint8, copy=False) if size > 1 else image


def colour_distance(image: Image) -> Floats:
    """Mahalanobis distance of each pixel's colour from those of the picture's own surface, float32 ``(H, W)``, >= 0."""
    lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    colours = lab.reshape(-1, 3).astype(np.float64)
    centre, precision = surface_colours(colours[:: max(1, len(colours) // _SAMPLES)])
    distances = np.sqrt(_squared_distances(colours, centre, precision))
    return distances.reshape(image.shape[:2]).astype(np.float32)


def surface_colours(samples: Matrix) -> tuple[Matrix, Matrix]:
    """Centre and inverse covariance of the nine tenths of the samples that fit best together.

    Args:
        samples: float64 ``(N, 3)``, N >= 1.
    """
    kept = samples
    for _ in range(_STEPS):
        centre = np.median(kept, axis=0)
        precision = np.linalg.inv(np.cov(kept, rowvar=False, bias=True) + _NOISE)
        distances = _squared_distances(samples, centre, precision)
        kept = samples[distances <= np.quantile(distances, _SURFACE)]
    return centre, precision


def _squared_distances(colours: Matrix, centre: Matrix, precision: Matrix) -> Matrix:
    away = colours - centre
    squares: Matrix = np.einsum("ni,ij,nj->n", away, precision, away, optimize=True)
    return np.maximum(squares, 0.0)


def usual_maximum(distance: Floats, factor: float) -> float:
    """What texture alone reaches: median of the largest values in tiles of 8 to 32 pixels, plus so many deviations.

    A spall covers the lesser part of the tiles, so the median is that of the sound surface.
    """
    height, width = distance.shape
    side = min(32, max(8, min(height, width) // 8))
    padded = np.pad(distance, ((0, -height % side), (0, -width % side)))
    largest = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side).max(axis=(1, 3))
    middle = float(np.median(largest))
    return middle + factor * 1.4826 * float(np.median(np.abs(largest - middle)))


def hysteresis(values: Floats, low: float, high: float) -> Flags:
    """The connected parts above ``low`` that rise above ``high`` somewhere (J. Canny, IEEE PAMI 8(6), 1986)."""
    amount, labels = cv2.connectedComponents((values > low).astype(np.uint8), connectivity=8)
    strong = np.zeros(amount, np.bool_)
    strong[labels[values > high]] = True
    strong[0] = False
    kept: Flags = strong[labels]
    return kept


def _disc(diameter: float) -> Mask:
    size = 2 * (max(1, round(diameter)) // 2) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)).astype(np.uint8, copy=False)
