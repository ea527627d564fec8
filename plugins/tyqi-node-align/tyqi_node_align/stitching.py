"""Joining the overlapping strips of one travelling camera to one picture.

Each strip overlaps the one before it; the camera moves along one axis and may drift a little across it. Neighbours are
placed by :mod:`tyqi_node_align.offsets`, evened out in brightness and blended by :mod:`tyqi_node_align.blending`. Both
know only a camera that travels to the right; here other directions are turned into that one and back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tyqi_core.errors import InputError
from tyqi_node_align import blending, offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Image: TypeAlias = NDArray[np.uint8]
Direction: TypeAlias = Literal["right", "left", "down", "up"]


MAX_SIDE = 32_766
"""Of a strip, px: OpenCV's warps address pixels with 16 bits. The joined picture may be longer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to stitch.

    Attributes:
        direction: the way in which the camera travels from strip to strip.
        limits: where to look for the overlap.
        min_correlation: an overlap in which the fine structure correlates less than this is not believed.
        subpixel: whether to find and apply fractions of a pixel. Without it pixels are only copied, not resampled.
        exposure: whether to even out brightness.
        blend: ``feather`` fades over the whole overlap, ``cut`` changes over in its middle.
        crop: whether to cut off, across the travel, what not every strip covers; otherwise it is black.
    """

    direction: Direction = "right"
    limits: offsets.Limits = field(default_factory=offsets.Limits)
    min_correlation: float = 0.5
    subpixel: bool = True
    exposure: bool = True
    blend: blending.Blend = "feather"
    crop: bool = True


@dataclass(frozen=True, slots=True)
class Mosaic:
    """The joined picture and how it came about.

    Attributes:
        image: the joined picture, uint8 ``(H, W, 3)``.
        corners: upper left corner (x, y) of each strip in the joined picture (px), in the order given.
        gains: the factor that each strip's values were multiplied by.
        overlaps: of each pair of neighbours, along the travel (px).
        correlations: of the fine structure in each overlap, -1 to 1.
        drift: the largest shift across the travel between neighbours (px).
    """

    image: Image
    corners: list[tuple[float, float]]
    gains: list[float]
    overlaps: list[float]
    correlations: list[float]
    drift: float


def stitch(
    strips: Sequence[Image], settings: Settings | None = None, step: Callable[[int], None] = lambda _: None
) -> Mosaic:
    """Join strips to one picture.

    Args:
        strips: uint8 RGB ``(H, W, 3)``, each overlapping the one before it. Sizes may differ.
        settings: see :class:`Settings`.
        step: called after each pair with the number of pairs placed.

    Raises:
        InputError: ``NO_STRIPS``, ``IMAGE_TOO_LARGE``, or ``NO_OVERLAP`` with the numbers of the first pair that does
            not fit.
    """
    settings = settings or Settings()
    _check(strips)
    turned = [_turn(strip, settings.direction) for strip in strips]
    placed = _place(turned, settings, step)
    starts = np.cumsum([(0.0, 0.0), *((offset.x, offset.y) for offset in placed)], axis=0)
    factors = blending.gains(turned, starts) if settings.exposure else [1.0] * len(turned)
    image, origin = blending.compose(turned, starts, factors, blend=settings.blend, crop=settings.crop)
    return Mosaic(
        image=_turn_back(image, settings.direction),
        corners=[
            _corner_back(start - origin, strip.shape[1], image.shape[1], settings.direction)
            for start, strip in zip(starts, turned, strict=True)
        ],
        gains=factors,
        overlaps=[strip.shape[1] - offset.x for strip, offset in zip(turned, placed, strict=False)],
        correlations=[offset.correlation for offset in placed],
        drift=max((abs(offset.y) for offset in placed), default=0.0),
    )


def _check(strips: Sequence[Image]) -> None:
    if not strips:
        raise InputError("there are no strips to join.", code="NO_STRIPS", remedy="Hand over at least one picture.")
    for index, strip in enumerate(strips, start=1):
        if max(strip.shape[:2]) > MAX_SIDE:
            raise InputError(
                f"strip {index} has {strip.shape[1]} x {strip.shape[0]} px, {MAX_SIDE} a side is the most.",
                code="IMAGE_TOO_LARGE",
                remedy="Shrink the strips (image.resize) or cut them into shorter ones (image.tiles).",
            )


def _place(strips: Sequence[Image], settings: Settings, step: Callable[[int], None]) -> list[offsets.Offset]:
    placed: list[offsets.Offset] = []
    before = offsets.grey(strips[0])
    for index, strip in enumerate(strips[1:], start=1):
        after = offsets.grey(strip)
        found = offsets.pair_offset(before, after, settings.limits, subpixel=settings.subpixel)
        placed.append(_believed(found, index, settings))
        before = after
        step(index)
    return placed


def _believed(offset: offsets.Offset | None, index: int, settings: Settings) -> offsets.Offset:
    if offset is not None and offset.correlation >= settings.min_correlation:
        return offset
    found = "no likeness" if offset is None else f"a correlation of {offset.correlation:.2f} at best"
    raise InputError(
        f"strips {index} and {index + 1} (counted from 1) do not overlap in travel direction '{settings.direction}': "
        f"{found}, {settings.min_correlation:g} is required.",
        code="NO_OVERLAP",
        remedy="Check the order of the strips and 'direction'; 'min_overlap' and 'max_drift' bound the search.",
    )


def _turn(strip: Image, direction: Direction) -> Image:
    """The strip as a camera that travels to the right would have it (a view)."""
    if direction in ("left", "up"):
        strip = strip[:, ::-1] if direction == "left" else strip[::-1]
    return np.ascontiguousarray(strip.swapaxes(0, 1) if direction in ("down", "up") else strip)


def _turn_back(image: Image, direction: Direction) -> Image:
    if direction in ("down", "up"):
        image = image.swapaxes(0, 1)
    if direction in ("left", "up"):
        image = image[:, ::-1] if direction == "left" else image[::-1]
    return np.ascontiguousarray(image)


def _corner_back(corner: NDArray[np.float64], length: int, total: int, direction: Direction) -> tuple[float, float]:
    """A corner of a turned strip, of this length in a turned picture of this total length, in the final picture."""
    along, across = float(corner[0]), float(corner[1])
    if direction in ("left", "up"):
        along = total - length - along
    return (along, across) if direction in ("right", "left") else (across, along)
