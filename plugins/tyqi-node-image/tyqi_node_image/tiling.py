"""Cutting a picture into overlapping tiles of one size, and putting tiles together again.

A grid is the JSON object that travels beside the tiles::

    {"rows": 2, "cols": 3, "tile": 256, "stride": 192, "height": 400, "width": 640,
     "boxes": [[0, 0, 256, 256], [192, 0, 448, 256], ...]}

``boxes`` holds ``[x0, y0, x1, y1]`` of each tile in pixels of the picture, x1 and y1 exclusive, row by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tyqi_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Image: TypeAlias = NDArray[np.uint8]
Grid: TypeAlias = dict[str, Any]

MAX_TILES = 10_000
"""More tiles than this would be a mistake in the parameters rather than a wish."""


def plan(height: int, width: int, tile: int, overlap: float) -> Grid:
    """Where the tiles of a picture lie.

    The last row and column are shifted inwards, so that every tile has full size and every pixel is covered. In a
    direction in which the picture is smaller than a tile, the tiles are as large as the picture.

    Args:
        height: of the picture (px).
        width: of the picture (px).
        tile: side of a tile (px).
        overlap: part of a tile that the next one repeats, 0 to below 1.

    Raises:
        InputError: ``TOO_MANY_TILES``, more than :data:`MAX_TILES`.
    """
    stride = max(1, round(tile * (1 - overlap)))
    tops, lefts = _starts(height, tile, stride), _starts(width, tile, stride)
    if len(tops) * len(lefts) > MAX_TILES:
        raise InputError(
            f"a picture of {width} x {height} px gives {len(tops) * len(lefts)} tiles of {tile} px with overlap "
            f"{overlap:g}, more than {MAX_TILES}.",
            code="TOO_MANY_TILES",
            remedy="Choose a larger tile or a smaller overlap.",
        )
    boxes = [[x, y, min(x + tile, width), min(y + tile, height)] for y in tops for x in lefts]
    size = {"rows": len(tops), "cols": len(lefts), "tile": tile, "stride": stride, "height": height, "width": width}
    return {**size, "boxes": boxes}


def cut(image: Image, grid: Grid) -> list[Image]:
    """The tiles of a picture in the order of the grid's boxes, each an array of its own."""
    return [np.ascontiguousarray(image[y0:y1, x0:x1]) for x0, y0, x1, y1 in grid["boxes"]]


def merge(tiles: Sequence[Image | None], grid: Mapping[str, Any]) -> Image:
    """Put RGB tiles together; where they overlap they fade into each other.

    The weight of a tile falls linearly towards its border over the width of the overlap, so that no seam shows.
    A tile that is ``None`` is left out; what no tile covers stays black.

    Raises:
        InputError: ``TILES_DO_NOT_FIT_GRID``, the number or the sizes of the tiles are not those of the grid.
    """
    _check(tiles, grid)
    total = np.zeros((grid["height"], grid["width"], 3), np.float32)
    weights = np.zeros((grid["height"], grid["width"], 1), np.float32)
    ramp = max(1, grid["tile"] - grid["stride"])
    for tile, (x0, y0, x1, y1) in zip(tiles, grid["boxes"], strict=True):
        if tile is not None:
            weight = np.outer(_ramp(y1 - y0, ramp), _ramp(x1 - x0, ramp))[..., None]
            total[y0:y1, x0:x1] += weight * tile
            weights[y0:y1, x0:x1] += weight
    total /= np.maximum(weights, np.finfo(np.float32).tiny)
    return np.ascontiguousarray(np.rint(total), dtype=np.uint8)


def _starts(length: int, tile: int, stride: int) -> list[int]:
    return [*range(0, length - tile, stride), max(0, length - tile)]


def _ramp(length: int, width: int) -> NDArray[np.float32]:
    distance = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    return (np.minimum(distance, width) / width).astype(np.float32)


def _check(tiles: Sequence[Image | None], grid: Mapping[str, Any]) -> None:
    boxes = grid["boxes"]
    if len(tiles) != len(boxes):
        raise _misfit(f"the grid has {len(boxes)} boxes, but there are {len(tiles)} tiles.")
    for index, (tile, (x0, y0, x1, y1)) in enumerate(zip(tiles, boxes, strict=True)):
        if not (0 <= x0 < x1 <= grid["width"] and 0 <= y0 < y1 <= grid["height"]):
            raise _misfit(
                f"box {index} {[x0, y0, x1, y1]} lies outside the {grid['width']} x {grid['height']} picture."
            )
        if tile is not None and tile.shape != (y1 - y0, x1 - x0, 3):
            expected, found = f"{x1 - x0} x {y1 - y0}", f"{tile.shape[1]} x {tile.shape[0]}"
            raise _misfit(f"tile {index} is {found} px, but its box in the grid is {expected} px.")
    # Not a proof of full cover, but no grid can ask for a canvas that its boxes do not account for.
    if sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) < grid["width"] * grid["height"]:
        raise _misfit(f"the boxes do not cover the {grid['width']} x {grid['height']} picture.")


def _misfit(message: str) -> InputError:
    return InputError(
        message,
        code="TILES_DO_NOT_FIT_GRID",
        remedy="Hand over the tiles and the grid of one and the same image.tiles task, each tile in its size.",
    )
