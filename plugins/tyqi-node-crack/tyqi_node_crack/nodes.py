"""The nodes of this plugin: thin shells around the functions of the other modules."""

from __future__ import annotations

from typing import Any

from tyqi_core.errors import ContractViolation
from tyqi_core.node import Context, Inputs, Node, Outputs
from tyqi_node_crack import blackhat, ridge
from tyqi_node_crack.thinning import Mask, prune, thin
from tyqi_node_crack.width import Cracks, drop_specks, measure


class CrackSegmenter(Node):
    """``crack.segment`` 1: black top-hat, threshold and shape."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Mark cracks with 255 in ``mask``."""
        names = ("max_width", "min_contrast", "texture_factor", "min_length", "min_elongation")
        return {"mask": blackhat.segment(inputs["image"], **{name: ctx.params[name] for name in names})}


class RidgeCrackSegmenter(Node):
    """``crack.segment`` 2: multi-scale ridges, gathered along the line."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Mark cracks with 255 in ``mask``."""
        names = ("max_width", "min_contrast", "texture_factor", "reach", "min_length", "min_elongation")
        return {"mask": ridge.segment(inputs["image"], **{name: ctx.params[name] for name in names})}


class Skeletonizer(Node):
    """``crack.skeleton``: a mask thinned to lines one pixel wide."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Mark the centre lines with 255 in ``skeleton``."""
        return {"skeleton": prune(thin(inputs["mask"]), ctx.params["spur_length"])}


class WidthMeter(Node):
    """``crack.width``: count, length and widths of cracks."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Measure what is no speck; ``mask`` shows what that was."""
        mask, skeleton = inputs["mask"], inputs["skeleton"]
        _require_one_shape(mask, skeleton)
        kept, lines = drop_specks(mask, skeleton, ctx.params["min_length"])
        return {"measurements": to_measurements(measure(kept, lines), ctx.params["mm_per_px"]), "mask": kept}


def _require_one_shape(mask: Mask, skeleton: Mask) -> None:
    if mask.shape != skeleton.shape:
        raise ContractViolation(
            f"mask is {mask.shape[1]} x {mask.shape[0]} pixels, skeleton {skeleton.shape[1]} x {skeleton.shape[0]}.",
            code="SHAPE_MISMATCH",
            remedy="Bind 'skeleton' to the output of a crack.skeleton that read this very mask.",
        )


def to_measurements(cracks: Cracks, mm_per_px: float) -> dict[str, dict[str, Any]]:
    """The TP form of what was measured: in pixels, or in millimetres when the scale (above 0) is known."""
    scale, unit = (float(mm_per_px), "mm") if mm_per_px > 0 else (1.0, "px")
    lengths = {name: getattr(cracks, name) * scale for name in ("length", "mean_width", "max_width")}
    return {
        **{name: {"value": value, "unit": unit} for name, value in lengths.items()},
        "count": {"value": cracks.count, "unit": "1"},
        "area": {"value": cracks.area * scale * scale, "unit": f"{unit}2"},
        "branch_points": {"value": cracks.branch_points, "unit": "1"},
        "orientation": {"value": cracks.orientation, "unit": "deg"},
    }
