"""Aligning a picture to a reference of the same, roughly flat, scene.

The way is the usual one: local features, matches, a robust fit, a test whether to believe it, and a refinement on
the grey values themselves.

1. Features: ORB (Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011) or SIFT (Lowe,
   "Distinctive image features from scale-invariant keypoints", IJCV 60(2), 2004).
2. Matches: nearest neighbours in both directions that also pass Lowe's ratio test.
3. Fit: RANSAC (Fischler and Bolles, "Random sample consensus", CACM 24(6), 1981).
4. Test: Brown and Lowe, "Automatic panoramic image stitching using invariant features", IJCV 74(1), 2007, accept a
   fit with more than ``8 + 0.3 * matches`` inliers. A transform that folds or collapses the picture is refused, too.
5. Refinement: the transform that maximises the enhanced correlation coefficient, which ignores gain and offset of
   brightness (Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation coefficient
   maximization", IEEE TPAMI 30(10), 2008).

Coordinates are (x, y) in pixels, x to the right, y down, (0, 0) at the *centre* of the upper left pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tyqi_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Image: TypeAlias = NDArray[np.uint8]
Matrix: TypeAlias = NDArray[np.float64]
Points: TypeAlias = NDArray[np.float32]
Descriptors: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
Features: TypeAlias = Literal["orb", "sift"]
Model: TypeAlias = Literal["homography", "affine"]

MAX_SIDE = 32_766
"""OpenCV's warps address pixels with 16 bits."""

_NONE: Descriptors = np.empty((0, 0), np.uint8)
_LEAST_SIDE = 16  # px; ORB fails on pictures that its pyramid shrinks to nothing, and nothing is found in them anyway
_RATIO = {"orb": 0.85, "sift": 0.8}  # binary descriptors have coarser distances, so the ratio test is held looser
_NORM = {"orb": cv2.NORM_HAMMING, "sift": cv2.NORM_L2}
_MOTION = {"homography": cv2.MOTION_HOMOGRAPHY, "affine": cv2.MOTION_AFFINE}
_POINTS_NEEDED = {"homography": 4, "affine": 3}
_ECC_KERNEL, _ECC_SIGMA = 5, 1.1  # OpenCV's own smoothing before ECC: kernel (px) and what it amounts to
_AREA_RATIO = 25.0  # a picture of one scene that shrinks or grows more than fivefold per side is not believed


@dataclass(frozen=True, slots=True)
class Settings:
    """How to register.

    Attributes:
        features: which local features.
        model: ``homography`` for a flat scene under any view, ``affine`` where the view is nearly perpendicular.
        max_features: how many features are kept per picture.
        work_size: pictures are shrunk to this longer side (px) to find the transform; the warp itself uses all pixels.
        tolerance: a match counts as inlier up to this error (px at work size).
        refine: whether to refine with ECC.
        min_correlation: a result below this correlation is refused, see :attr:`Registration.correlation`.
    """

    features: Features = "orb"
    model: Model = "homography"
    max_features: int = 4000
    work_size: int = 1024
    tolerance: float = 3.0
    refine: bool = True
    min_correlation: float = 0.5


@dataclass(frozen=True, slots=True)
class Registration:
    """What was found.

    Attributes:
        transform: 3 x 3, takes homogeneous (x, y, 1) of the picture to the reference, px.
        matches: how many matches were tried.
        inliers: how many of them agree with the transform.
        residual: median distance between matched points after the transform, over the inliers (px of the reference).
        refined: whether ECC converged near the fit; if not, the transform is that of the matches.
        unchanged: part of the common area that looks the same but for brightness, 0 to 1.
        correlation: of the grey values there, smoothed as for ECC, -1 to 1.
    """

    transform: Matrix
    matches: int
    inliers: int
    residual: float
    refined: bool = False
    unchanged: float = 0.0
    correlation: float = 0.0


def register(image: Image, reference: Image, settings: Settings | None = None) -> Registration:
    """Find the transform from ``image`` to ``reference``.

    Args:
        image: uint8, ``(H, W)`` or ``(H, W, 3)`` RGB.
        reference: likewise; the sizes may differ.
        settings: see :class:`Settings`.

    Raises:
        InputError: ``TOO_FEW_MATCHES`` (no or hardly any structure in common), ``NOT_REGISTERED`` (matches, but no
            transform that enough of them agree on) or ``IMAGE_TOO_LARGE``.
    """
    settings = settings or Settings()
    _check_size(image, reference)
    small, to_small = _work_copy(image, settings.work_size)
    small_reference, to_small_reference = _work_copy(reference, settings.work_size)
    source, target = _matches(small, small_reference, settings)
    found = _robust_fit(source, target, settings)
    _check_plausible(found, len(source), small.shape)
    if settings.refine:
        found = _refined(found, (small, small_reference), (source, target), settings)
    found = _compared(found, small, small_reference)
    if found.correlation < settings.min_correlation:
        raise _not_registered(
            f"{found.inliers} of {len(source)} matches agree, but the pictures laid on each other correlate "
            f"with only {found.correlation:.2f}"
        )
    transform = np.linalg.inv(to_small_reference) @ found.transform @ to_small
    return replace(
        found, transform=transform / transform[2, 2], residual=float(found.residual / to_small_reference[0, 0])
    )


def warped(image: Image, transform: Matrix, shape: tuple[int, ...]) -> Image:
    """The picture as seen from the reference: bicubic, black where the picture has no pixels.

    Args:
        image: the picture that was registered.
        transform: as in :class:`Registration`.
        shape: of the reference; its first two numbers count.
    """
    out = cv2.warpPerspective(image, transform, (shape[1], shape[0]), flags=cv2.INTER_CUBIC)
    return np.ascontiguousarray(out, dtype=np.uint8)


def coverage(transform: Matrix, image_shape: tuple[int, ...], reference_shape: tuple[int, ...]) -> float:
    """Which part of the reference's area the picture covers, 0 to 1."""
    corners = _corners(image_shape)
    frame = _corners(reference_shape)
    quad = cv2.perspectiveTransform(corners[None], transform)[0].astype(np.float32)
    common, _ = cv2.intersectConvexConvex(quad, frame)
    return float(min(1.0, common / (reference_shape[0] * reference_shape[1])))


def residuals(transform: Matrix, source: Points, target: Points) -> NDArray[np.float64]:
    """Distance (px) between each target point and its transformed source point."""
    moved = cv2.perspectiveTransform(source[None].astype(np.float64), transform)[0]
    distances: NDArray[np.float64] = np.linalg.norm(moved - target, axis=1)
    return distances


def _check_size(*images: Image) -> None:
    for image in images:
        if max(image.shape[:2]) > MAX_SIDE:
            raise InputError(
                f"a picture of {image.shape[1]} x {image.shape[0]} px cannot be registered, {MAX_SIDE} px a side is "
                "the most.",
                code="IMAGE_TOO_LARGE",
                remedy="Shrink it first (image.resize) or cut it into tiles (image.tiles).",
            )


def _work_copy(image: Image, size: int) -> tuple[Image, Matrix]:
    """The brightness at work size, and the matrix from picture to work coordinates."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    scale = min(1.0, size / max(height, width))
    new = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = grey if scale == 1 else cv2.resize(grey, new, interpolation=cv2.INTER_AREA)
    sx, sy = new[0] / width, new[1] / height
    # Pixel centres: x' + 0.5 = s * (x + 0.5).
    matrix = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]], np.float64)
    return np.ascontiguousarray(small, dtype=np.uint8), matrix


def _matches(image: Image, reference: Image, settings: Settings) -> tuple[Points, Points]:
    points, descriptors = _features(image, settings)
    reference_points, reference_descriptors = _features(reference, settings)
    if min(len(points), len(reference_points)) < 2:
        raise _too_few(min(len(points), len(reference_points)), "features")
    forth = _best(descriptors, reference_descriptors, settings)
    back = _best(reference_descriptors, descriptors, settings)
    pairs = sorted((i, j) for i, j in forth.items() if back.get(j) == i)
    source = np.array([points[i].pt for i, _ in pairs], np.float32).reshape(-1, 2)
    target = np.array([reference_points[j].pt for _, j in pairs], np.float32).reshape(-1, 2)
    return source, target


def _detector(settings: Settings) -> cv2.Feature2D:
    if settings.features == "orb":
        return cv2.ORB.create(nfeatures=settings.max_features, fastThreshold=10)
    return cv2.SIFT.create(nfeatures=settings.max_features)


def _features(image: Image, settings: Settings) -> tuple[Sequence[cv2.KeyPoint], Descriptors]:
    if min(image.shape) < _LEAST_SIDE:
        return (), _NONE
    points, descriptors = _detector(settings).detectAndCompute(image, None)
    if descriptors is None:
        return points, _NONE
    binary = settings.features == "orb"
    return points, np.asarray(descriptors, np.uint8) if binary else np.asarray(descriptors, np.float32)


def _best(one: Descriptors, other: Descriptors, settings: Settings) -> dict[int, int]:
    matcher = cv2.BFMatcher(_NORM[settings.features])
    found = matcher.knnMatch(one, other, k=2)
    ratio = _RATIO[settings.features]
    return {pair[0].queryIdx: pair[0].trainIdx for pair in found if pair[0].distance < ratio * pair[1].distance}


def _robust_fit(source: Points, target: Points, settings: Settings) -> Registration:
    if len(source) < 2 * _POINTS_NEEDED[settings.model]:
        raise _too_few(len(source), "matches")
    limit = settings.tolerance
    if settings.model == "homography":
        found, mask = cv2.findHomography(source, target, cv2.RANSAC, limit, maxIters=5000, confidence=0.999)
    else:
        found, mask = cv2.estimateAffine2D(
            source, target, method=cv2.RANSAC, ransacReprojThreshold=limit, maxIters=5000, confidence=0.999
        )
    inside = np.asarray(mask).ravel().astype(bool)
    if found is None or not np.isfinite(found).all() or not inside.any():  # the stubs do not know that it may be None
        raise _not_registered(f"no {settings.model} fits the {len(source)} matches")
    matrix = np.eye(3)
    matrix[: len(np.asarray(found))] = found
    residual = float(np.median(residuals(matrix, source[inside], target[inside])))
    return Registration(matrix, len(source), int(inside.sum()), residual)


def _check_plausible(found: Registration, matches: int, shape: tuple[int, ...]) -> None:
    needed = 8 + 0.3 * matches
    if found.inliers <= needed:
        raise _not_registered(
            f"only {found.inliers} of {matches} matches agree on a transform, {needed:.0f} are too few"
        )
    corners = _corners(shape)
    depth = np.c_[corners, np.ones(4)] @ found.transform[2]
    if depth.min() <= 0:
        raise _not_registered("the transform found would turn part of the picture inside out")
    quad = cv2.perspectiveTransform(corners[None], found.transform)[0].astype(np.float32)
    growth = cv2.contourArea(quad, oriented=True) / cv2.contourArea(corners, oriented=True)
    if not 1 / _AREA_RATIO < growth < _AREA_RATIO or not cv2.isContourConvex(quad):
        raise _not_registered("the transform found would fold, mirror or collapse the picture")


def _refined(
    found: Registration, pictures: tuple[Image, Image], matches: tuple[Points, Points], settings: Settings
) -> Registration:
    """The transform after ECC, or the one before where ECC does not converge or departs from the matches."""
    transform, converged = found.transform, False
    for _ in range(2):  # the better the pictures lie on each other, the better it shows what has changed
        try:
            transform = _ecc(*pictures, transform, settings.model)
        except cv2.error:  # it says so when the correlation cannot be raised from here
            break
        converged = True
    errors = residuals(transform, *matches)
    inside = errors <= settings.tolerance
    if not converged or inside.sum() < 0.7 * found.inliers:  # in the second case ECC slid off to another optimum
        return found
    residual = float(np.median(errors[inside]))
    return replace(found, transform=transform, inliers=int(inside.sum()), residual=residual, refined=True)


def _compared(found: Registration, image: Image, reference: Image) -> Registration:
    """How much of the common area looks the same, and how well it correlates there."""
    now, then, inside = _overlaid(image, reference, found.transform, _ECC_SIGMA)
    same = _unchanged(image, reference, found.transform) > 0
    if not same.any():
        return found
    one, other = now[same] - now[same].mean(), then[same] - then[same].mean()
    power = float(np.sqrt(np.sum(one * one, dtype=np.float64) * np.sum(other * other, dtype=np.float64)))
    correlation = float(np.sum(one * other, dtype=np.float64)) / power if power > 0 else 0.0
    return replace(found, unchanged=float(same.sum() / inside.sum()), correlation=correlation)


def _ecc(image: Image, reference: Image, transform: Matrix, model: Model) -> Matrix:
    """The refined transform. Raises cv2.error where ECC does not converge."""
    # ECC seeks the warp from the reference to the picture.
    start = np.linalg.inv(transform)
    start = (start / start[2, 2]).astype(np.float32)[: 3 if model == "homography" else 2]
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-6)
    mask = _unchanged(image, reference, transform)
    _, warp = cv2.findTransformECC(
        reference, image, np.ascontiguousarray(start), _MOTION[model], criteria, mask, _ECC_KERNEL
    )
    matrix = np.eye(3)
    matrix[: 3 if model == "homography" else 2] = warp
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _unchanged(image: Image, reference: Image, transform: Matrix) -> Image:
    """255 where the picture looks like the reference but for gain and offset, in coordinates of the picture.

    What appeared, vanished or is not part of the scene (a crack that grew, a person, the black rim of a picture that
    was warped before) would pull ECC away from the right place.
    """
    # Smoothed, so that noise and the pixel by which the first estimate may be off do not count as change.
    now, then, inside = _overlaid(image, reference, transform, sigma=3)
    kept = inside
    difference = np.zeros_like(now)
    for _ in range(4):  # fit gain and offset, drop what is far off, fit again
        gain, offset = _gain_and_offset(then[kept], now[kept])
        difference = np.abs(now - (gain * then + offset))
        limit = 3 * 1.4826 * float(np.median(difference[kept])) + 2
        remaining = inside & (difference <= limit)
        if remaining.sum() < 0.3 * inside.sum():
            break
        kept = remaining
    return np.asarray(cv2.erode(kept.astype(np.uint8) * np.uint8(255), np.ones((7, 7), np.uint8)), np.uint8)


def _overlaid(
    image: Image, reference: Image, transform: Matrix, sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """The picture, the reference warped onto it (both smoothed), and where the reference has pixels."""
    size = (image.shape[1], image.shape[0])
    backwards = np.linalg.inv(transform)
    seen = cv2.warpPerspective(reference, backwards, size, flags=cv2.INTER_LINEAR)
    white = np.full_like(reference, 255)
    inside = np.asarray(cv2.warpPerspective(white, backwards, size, flags=cv2.INTER_NEAREST)) > 0
    now, then = (cv2.GaussianBlur(values.astype(np.float32), (0, 0), sigma) for values in (image, seen))
    return np.asarray(now, np.float32), np.asarray(then, np.float32), inside


def _gain_and_offset(then: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[float, float]:
    """Least squares ``now = gain * then + offset``; gain 1 where ``then`` is all one grey."""
    spread = then - then.mean()
    variance = float(np.mean(spread * spread))
    gain = float(np.mean(spread * now)) / variance if variance > 0.25 else 1.0
    return gain, float(now.mean() - gain * then.mean())


def _corners(shape: tuple[int, ...]) -> Points:
    """Outer corners of a picture, clockwise from the upper left."""
    height, width = shape[:2]
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)


def _too_few(count: int, what: str) -> InputError:
    return InputError(
        f"the picture and the reference have only {count} {what} to go by, too few to align them.",
        code="TOO_FEW_MATCHES",
        remedy="Check that they show the same place and are sharp; features 'sift' or a larger max_features may help.",
    )


def _not_registered(reason: str) -> InputError:
    return InputError(
        f"the picture cannot be aligned to the reference: {reason}.",
        code="NOT_REGISTERED",
        remedy="Check that they show the same place; features 'sift' or a larger work_size may help.",
    )
