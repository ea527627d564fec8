"""Surfaces and defects, drawn from a random generator: the same generator state gives the same picture.

The surfaces are the brick, gravel and grass photographs that ship inside scikit-image's wheel (all CC0). Every
``draw_*`` function returns a new picture and the exact mask of what it drew; the picture given is not touched.
"""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tyqi_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

Image = NDArray[np.uint8]
Field = NDArray[np.float32]
Range = tuple[float, float]
Surface = Literal["brick", "gravel", "grass"]
Region = Literal["all", "train", "test"]

SURFACES: tuple[Surface, ...] = ("brick", "gravel", "grass")
REGIONS: dict[Region, Range] = {"all": (0.0, 1.0), "train": (0.0, 0.5), "test": (0.5, 1.0)}
"""Region -> share of the photograph's width that it covers. ``train`` and ``test`` have no pixel in common."""

SMALLEST = 32
"""Pictures with a shorter side (px) are refused: no defect fits into them."""

_SUPERSAMPLING = 4  # coverage of a pixel is counted on 4 x 4 points


@dataclass(frozen=True, slots=True)
class _Look:
    """How a grey photograph becomes a facade: RGB tints to draw from, and how much of its contrast stays.

    What is brighter than ``joints`` (grey levels) keeps little of the tint: mortar between bricks is grey.
    """

    tints: tuple[tuple[float, float, float], ...]
    contrast: Range
    brightness: Range
    joints: float = 256.0
    upright: bool = False
    """Quarter turns that lay the courses level; without them any turn is as good as another."""


_LOOKS: dict[Surface, _Look] = {
    # brickwork, from red to yellow clay
    "brick": _Look(
        ((1.28, 0.90, 0.76), (1.20, 0.98, 0.78), (1.14, 0.94, 0.86)), (0.8, 1.0), (112, 134), 135.0, upright=True
    ),
    # roughcast render: pebbles, partly covered, in warm or cool grey
    "gravel": _Look(((1.05, 1.00, 0.93), (1.00, 1.00, 1.00), (1.08, 0.99, 0.86)), (0.4, 0.6), (132, 160)),
    # weathered sandstone: fine relief without direction, grey to ochre
    "grass": _Look(((1.03, 1.00, 0.92), (1.10, 1.01, 0.84), (1.00, 1.00, 0.97)), (0.3, 0.45), (132, 160)),
}


@functools.cache
def photograph(name: Surface) -> Image:
    """The photograph behind a surface, read-only.

    Returns:
        Grey levels, shape (512, 512).

    Raises:
        ValueError: there is no surface of that name.
        FileNotFoundError: the installed scikit-image does not ship the photograph.
    """
    if name not in SURFACES:
        raise ValueError(f"unknown surface {name!r}; known are {', '.join(SURFACES)}")
    file = importlib.resources.files("skimage") / "data" / f"{name}.png"
    grey = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise FileNotFoundError(f"scikit-image's {name}.png cannot be decoded; reinstall scikit-image")
    grey.setflags(write=False)
    return grey.astype(np.uint8, copy=False)


def texture(
    name: Surface,
    rng: np.random.Generator,
    size: int = 256,
    region: Region = "all",
    *,
    zoom: Range = (1.0, 1.3),
    noise: float = 2.0,
) -> Image:
    """A clean surface: a random crop, flipped, tinted and lit unevenly, with sensor noise.

    Args:
        name: which photograph.
        rng: source of all that is random.
        size: height and width of the picture in px.
        region: the part of the photograph that the crop may show; ``train`` and ``test`` never overlap.
        zoom: range of the enlargement. It is raised where the region is too small for ``size``: a picture of
            512 px from half a photograph is enlarged twice.
        noise: standard deviation of the sensor noise in grey levels.

    Returns:
        RGB, shape (size, size, 3).

    Raises:
        ValueError: an unknown name or region, or ``size`` below 32.
    """
    if size < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST} px, found {size}")
    if region not in REGIONS:
        raise ValueError(f"unknown region {region!r}; known are {', '.join(REGIONS)}")
    crop = _crop(_part(photograph(name), region), rng, size, zoom)
    look = _LOOKS[name]
    return _finish(_tinted(_turned(crop, rng, look.upright), look, rng), rng, noise)


def _part(grey: Image, region: Region) -> Image:
    start, stop = (round(share * grey.shape[1]) for share in REGIONS[region])
    return grey[:, start:stop]


def _crop(grey: Image, rng: np.random.Generator, size: int, zoom: Range) -> Field:
    height, width = grey.shape
    side = min(round(size / rng.uniform(*zoom)), height, width)
    top, left = (int(rng.integers(0, room + 1)) for room in (height - side, width - side))
    crop = grey[top : top + side, left : left + side]
    shrinks = side > size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=how).astype(np.float32)


def _turned(crop: Field, rng: np.random.Generator, upright: bool) -> Field:
    turns = int(rng.integers(0, 4))
    return np.ascontiguousarray(np.rot90(crop, turns | 1 if upright else turns)[:, :: _sign(rng)])


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _tinted(grey: Field, look: _Look, rng: np.random.Generator) -> Field:
    level = rng.uniform(*look.brightness)
    lit = (level + (grey - grey.mean()) * rng.uniform(*look.contrast)) * _illumination(grey.shape[0], rng)
    tint = np.array(look.tints[rng.integers(len(look.tints))], np.float32) * rng.uniform(0.97, 1.03, 3)
    saturation = 1 - 0.75 * np.clip((grey - look.joints) / 30, 0, 1)
    coloured: Field = (lit[..., None] * (1 + (tint - 1) * saturation[..., None])).astype(np.float32)
    return coloured


def _illumination(size: int, rng: np.random.Generator) -> Field:
    """A linear gradient of light with a random direction, up to 15% brighter or darker at the edges."""
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.15)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    gradient: Field = 1 + np.float32(strength) * (
        np.float32(np.cos(angle)) * ramp[None, :] + np.float32(np.sin(angle)) * ramp[:, None]
    )
    return gradient


def _finish(picture: Field, rng: np.random.Generator, noise: float) -> Image:
    grain = rng.normal(0.0, noise, (*picture.shape[:2], 1)).astype(np.float32)
    return _to_uint8(picture + grain)


def _to_uint8(picture: Field) -> Image:
    finished: Image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return finished


def draw_crack(
    image: Image,
    rng: np.random.Generator,
    width: Range = (1.5, 6.0),
    *,
    length: Range = (0.6, 1.1),
    branches: tuple[int, int] = (0, 2),
    darkness: Range = (0.65, 0.9),
) -> tuple[Image, Image]:
    """Draw one crack: a random walk with branches, of varying width, dark with soft edges.

    Args:
        image: RGB, shape (H, W, 3), at least 32 px a side; not modified.
        rng: source of all that is random.
        width: range of the crack's width in px; it varies along the way and never leaves the range.
        length: range of the main crack's length, in shares of the picture's longer side.
        branches: least and largest number of side cracks.
        darkness: range of the share of light that the crack swallows.

    Returns:
        The picture with the crack, and its mask: uint8 (H, W), 255 where the crack covers at least half a pixel.

    Raises:
        InputError: ``BAD_PICTURE``: not an RGB uint8 picture of at least 32 px a side; ``BAD_RANGE``: one upside down.
    """
    _check_picture(image)
    _check_range("width", width, least=0.5)
    _check_range("length", length, least=0.05)
    walks = _walks(image.shape[:2], rng, width, length, branches)
    coverage = _coverage(image.shape[:2], lambda canvas: _paint_walks(canvas, walks))
    soft = np.maximum(cv2.GaussianBlur(coverage, (0, 0), 0.6), coverage * 0.6)[..., None]
    dark = 1 - rng.uniform(*darkness) * soft * _grain(coverage.shape, rng, 0.12)[..., None]
    return _to_uint8(image.astype(np.float32) * dark), _mask(coverage)


@dataclass(frozen=True, slots=True)
class _Walk:
    points: NDArray[np.float64]  # (N, 2), x and y in px
    widths: NDArray[np.float64]  # (N,) px


def _walks(
    shape: tuple[int, int], rng: np.random.Generator, width: Range, length: Range, branches: tuple[int, int]
) -> list[_Walk]:
    main = _main_walk(shape, rng, width, rng.uniform(*length) * max(shape))
    count = int(rng.integers(branches[0], branches[1] + 1))
    return [main, *(_branch(main, rng, width) for _ in range(count))]


def _main_walk(shape: tuple[int, int], rng: np.random.Generator, width: Range, length: float) -> _Walk:
    """A walk whose middle lies near the picture's centre, so that most of it is in view."""
    centre = np.array(shape[::-1]) * rng.uniform(0.35, 0.65, 2)
    heading = rng.uniform(0, 2 * np.pi)
    points = _random_walk(centre, heading, length, rng)
    points += centre - points[len(points) // 2]
    return _Walk(points, _widths(len(points), rng, width))


def _branch(main: _Walk, rng: np.random.Generator, width: Range) -> _Walk:
    count = len(main.points)
    at = int(rng.integers(count // 5, max(count // 5 + 1, 4 * count // 5)))
    step = main.points[min(at + 1, count - 1)] - main.points[max(at - 1, 0)]
    heading = float(np.arctan2(step[1], step[0])) + _sign(rng) * rng.uniform(0.5, 1.1)
    points = _random_walk(main.points[at], heading, rng.uniform(0.2, 0.5) * count * _STEP, rng)
    widths = np.clip(_widths(len(points), rng, width) * 0.6, *width)
    return _Walk(points, np.minimum(widths, max(width[0], main.widths[at])))


_STEP = 4.0  # px between two points of a walk


def _random_walk(
    start: NDArray[np.float64], heading: float, length: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Steps whose direction wanders: the wandering is itself a damped walk, so that the line bends and recovers."""
    count = max(4, round(length / _STEP))
    bend, headings = 0.0, np.empty(count)
    for index in range(count):
        bend = 0.8 * bend + rng.normal(0.0, 0.22)
        headings[index] = heading + bend
    steps = _STEP * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    walk: NDArray[np.float64] = start + np.cumsum(steps, axis=0)
    return walk


def _widths(count: int, rng: np.random.Generator, width: Range) -> NDArray[np.float64]:
    """Smooth widths inside the range, thinner towards both ends."""
    knots = rng.uniform(*width, max(3, count // 8))
    smooth = np.interp(np.linspace(0, len(knots) - 1, count), np.arange(len(knots)), knots)
    taper = np.minimum(1.0, 0.4 + 4 * np.minimum(np.linspace(0, 1, count), np.linspace(1, 0, count)))
    widths: NDArray[np.float64] = np.clip(smooth * taper, *width)
    return widths


def _paint_walks(canvas: Image, walks: list[_Walk]) -> None:
    for walk in walks:
        _paint_walk(canvas, walk)


def _paint_walk(canvas: Image, walk: _Walk) -> None:
    points = np.rint(walk.points * _SUPERSAMPLING).astype(int)
    thickness = np.maximum(1, np.rint(walk.widths * _SUPERSAMPLING)).astype(int)
    for start, end, thick in zip(points[:-1], points[1:], thickness[1:], strict=True):
        cv2.line(canvas, tuple(map(int, start)), tuple(map(int, end)), 255, int(thick))


def draw_spall(
    image: Image,
    rng: np.random.Generator,
    radius: Range = (0.06, 0.18),
    *,
    tone: Literal["any", "light", "dark"] = "any",
) -> tuple[Image, Image]:
    """Draw one spall: an irregular patch where the surface broke off, rough inside, with a shadowed rim.

    Args:
        image: RGB, shape (H, W, 3), at least 32 px a side; not modified.
        rng: source of all that is random.
        radius: range of the mean radius, in shares of the picture's shorter side.
        tone: whether the exposed material is lighter or darker than the surface around it.

    Returns:
        The picture with the spall, and its mask: uint8 (H, W), 255 where the spall covers at least half a pixel.

    Raises:
        InputError: ``BAD_PICTURE``: not an RGB uint8 picture of at least 32 px a side; ``BAD_RANGE``: one upside down.
    """
    _check_picture(image)
    _check_range("radius", radius, least=0.01)
    shape = image.shape[:2]
    outline = _outline(shape, rng, rng.uniform(*radius) * min(shape))
    coverage = _coverage(shape, lambda canvas: _fill(canvas, outline))
    mask = _mask(coverage)
    exposed = _exposed(image, mask, rng, tone)
    alpha = coverage[..., None]
    return _to_uint8(image.astype(np.float32) * (1 - alpha) + exposed * alpha), mask


def _outline(shape: tuple[int, int], rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """A closed curve around a centre: a circle whose radius is disturbed by harmonics of falling strength."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    factor = np.ones_like(angles)
    for harmonic in range(2, 15):
        factor += rng.normal(0.0, 0.28 / harmonic) * np.cos(harmonic * angles + rng.uniform(0, 2 * np.pi))
    reach = radius * np.clip(factor, 0.45, 1.7)
    size = np.array(shape[::-1])
    margin = np.minimum(1.2 * radius, 0.45 * size)
    centre = rng.uniform(margin, size - margin)
    outline: NDArray[np.float64] = centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return outline


def _fill(canvas: Image, outline: NDArray[np.float64]) -> None:
    cv2.fillPoly(canvas, [np.rint(outline * _SUPERSAMPLING).astype(np.int32)], 255)


def _exposed(image: Image, mask: Image, rng: np.random.Generator, tone: str) -> Field:
    """The broken material all over the picture: its own colour, rough, shaded as a hollow lit from one side."""
    around = image[cv2.dilate(mask, np.ones((15, 15), np.uint8)) > mask]
    base = around.mean(axis=0) if len(around) else image.reshape(-1, 3).mean(axis=0)
    lighter = rng.random() < 0.5 if tone == "any" else tone == "light"
    target = np.array([205, 196, 182]) if lighter else np.array([62, 54, 47])
    colour = 0.35 * base + 0.65 * target
    shaded = colour * (_grain(mask.shape, rng, 0.10) * _hollow(mask, rng))[..., None]
    material: Field = shaded.astype(np.float32)
    return material


def _hollow(mask: Image, rng: np.random.Generator) -> Field:
    """Light on a hollow of the mask's shape: dark below the rim that faces away from the light, bright opposite."""
    reach = max(3.0, 0.12 * float(np.sqrt(np.count_nonzero(mask))))
    depth = np.minimum(cv2.distanceTransform(mask, cv2.DIST_L2, 5) / reach, 1.0)
    relief = depth * reach + 2.5 * (_grain(mask.shape, rng, 0.5) - 1)
    smooth = cv2.GaussianBlur(relief.astype(np.float32), (0, 0), 1.2)
    slope_y, slope_x = np.gradient(smooth)
    angle = rng.uniform(-0.85, -0.15) * np.pi  # the light comes from above
    slope = slope_x * np.cos(angle) + slope_y * np.sin(angle)
    light: Field = np.clip(0.95 + 0.5 * slope, 0.35, 1.25).astype(np.float32)
    return light


def _grain(shape: tuple[int, ...], rng: np.random.Generator, strength: float) -> Field:
    """Roughness around 1: noise of five scales, the finer ones weaker."""
    height, wide = shape[:2]
    total = np.zeros((height, wide), np.float32)
    for octave in range(5):
        cells = 2**octave
        noise = rng.standard_normal((max(2, height * cells // 29), max(2, wide * cells // 29))).astype(np.float32)
        total += cv2.resize(noise, (wide, height), interpolation=cv2.INTER_CUBIC) / np.float32(1.3**octave)
    grain: Field = np.clip(1 + np.float32(strength) * total, 0.3, 1.7)
    return grain


def _coverage(shape: tuple[int, int], paint: Callable[[Image], None]) -> Field:
    """The share of each pixel that ``paint`` covers, 0 to 1."""
    height, wide = shape
    canvas: Image = np.zeros((height * _SUPERSAMPLING, wide * _SUPERSAMPLING), np.uint8)
    paint(canvas)
    coverage = cv2.resize(canvas.astype(np.float32) / 255, (wide, height), interpolation=cv2.INTER_AREA)
    return coverage.astype(np.float32, copy=False)


def _mask(coverage: Field) -> Image:
    mask: Image = np.where(coverage >= 0.5, 255, 0).astype(np.uint8)
    return mask


def _check_picture(image: NDArray[Any]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise _bad_picture(f"expected an RGB picture (H, W, 3) of uint8, found {image.shape} of {image.dtype}.")
    if min(image.shape[:2]) < SMALLEST:
        raise _bad_picture(f"expected at least {SMALLEST} px a side, found {image.shape[1]} x {image.shape[0]}.")


def _bad_picture(message: str) -> InputError:
    return InputError(message, code="BAD_PICTURE", remedy="Hand over a larger RGB picture.")


def _check_range(name: str, given: Range, least: float) -> None:
    if not least <= given[0] <= given[1]:
        message = f"{name} must be a range (low, high) with {least} <= low <= high, found {given}."
        raise InputError(message, code="BAD_RANGE", remedy="Give a least value that is not above the largest.")
