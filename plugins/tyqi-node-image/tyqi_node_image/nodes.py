"""The nodes of this package. Their ports and parameters stand in the manifests beside this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from tyqi_core.node import Context, Inputs, Node, Outputs, node
from tyqi_core.protocol.images import read_image
from tyqi_node_image import filters, sizes, tiling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tyqi_node_image.filters import Image

_FILTERS: Mapping[str, Callable[[Image, Mapping[str, Any]], Image]] = {
    "gaussian": lambda image, p: filters.gaussian(image, p["sigma"]),
    "median": lambda image, p: filters.median(image, p["radius"]),
    "bilateral": lambda image, p: filters.bilateral(image, p["sigma"], p["radius"], p["tone"]),
    "clahe": lambda image, p: filters.clahe(image, p["clip_limit"], p["cells"]),
    "unsharp": lambda image, p: filters.unsharp(image, p["sigma"], p["strength"]),
}


class Decode(Node):
    """Encoded bytes (PNG, JPEG, ...) to an RGB picture, behind the same gates as every picture that enters a run."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Decode one picture; with ``grey`` all three channels hold its brightness."""
        image = read_image(inputs["data"])
        if ctx.params["grey"]:
            image = cv2.cvtColor(filters.luma(image), cv2.COLOR_GRAY2RGB)
        return {"image": np.ascontiguousarray(image)}


class Filter(Node):
    """One of the filters of :mod:`tyqi_node_image.filters`, chosen by ``method``."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Filter one picture."""
        return {"image": _FILTERS[ctx.params["method"]](inputs["image"], ctx.params)}


@node(output="image")
def resize(
    image: Image,
    *,
    width: int = 1024,
    height: int = 1024,
    fit: sizes.Fit = "inside",
    enlarge: bool = False,
    interpolation: sizes.Interpolation = "auto",
    fill: int = 0,
) -> Image:
    """Fit a picture into a box of ``width`` by ``height`` px."""
    return sizes.resized(image, (width, height), fit=fit, enlarge=enlarge, interpolation=interpolation, fill=fill)


class Tiles(Node):
    """A picture as overlapping tiles of one size, with the grid that says where each lies."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Cut up one picture."""
        height, width = inputs["image"].shape[:2]
        grid = tiling.plan(height, width, ctx.params["tile"], ctx.params["overlap"])
        return {"tiles": tiling.cut(inputs["image"], grid), "grid": grid}


class MergeTiles(Node):
    """Tiles, after something was done to each, as one picture again."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Put the tiles of one grid together."""
        return {"image": tiling.merge(inputs["tiles"], inputs["grid"])}
