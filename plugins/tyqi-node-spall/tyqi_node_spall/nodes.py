"""The nodes of this plugin: thin shells around the functions of the other modules."""

from __future__ import annotations

from typing import Any

from tyqi_core.node import Context, Inputs, Node, Outputs, node
from tyqi_node_spall import measures, segmentation


class SpallSegmenter(Node):
    """``spall.segment``: areas whose colour does not belong to the surface."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Mark spalls with 255 in ``mask``."""
        names = ("min_diameter", "min_distance", "texture_factor")
        return {"mask": segmentation.segment(inputs["image"], **{name: ctx.params[name] for name in names})}


@node
def area(mask: measures.Mask, *, mm_per_px: float = 0.0, min_area: float = 60.0) -> dict[str, Any]:
    """``spall.area``: how many spalls, how large; in pixels, or in millimetres when the scale (above 0) is known."""
    spalls, measured = measures.measure(mask, min_area)
    scale, unit = (float(mm_per_px) ** 2, "mm2") if mm_per_px > 0 else (1.0, "px2")
    return {
        "measurements": {
            "area": {"value": spalls.area * scale, "unit": unit},
            "largest": {"value": spalls.largest * scale, "unit": unit},
            "area_fraction": {"value": spalls.fraction, "unit": "1"},
            "count": {"value": spalls.count, "unit": "1"},
        },
        "mask": measured,
    }
