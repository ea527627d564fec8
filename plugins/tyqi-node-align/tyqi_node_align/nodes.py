"""The nodes of this package. Their ports and parameters stand in the manifests beside this file."""

from __future__ import annotations

from typing import Any

from tyqi_core.node import Context, Inputs, Node, Outputs
from tyqi_node_align import registration, stitching
from tyqi_node_align.offsets import Limits


class Register(Node):
    """Align a picture to a reference of the same scene, see :mod:`tyqi_node_align.registration`."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Find the transform, and warp the picture onto the reference."""
        image, reference = inputs["image"], inputs["reference"]
        found = registration.register(image, reference, registration.Settings(**ctx.params))
        ctx.check_cancelled()
        return {
            "image": registration.warped(image, found.transform, reference.shape),
            "transform": found.transform.tolist(),
            "measurements": {
                "residual": _measured(found.residual, "px"),
                "inliers": _measured(found.inliers, "1"),
                "matches": _measured(found.matches, "1"),
                "correlation": _measured(found.correlation, "1"),
                "unchanged": _measured(found.unchanged, "1"),
                "coverage": _measured(registration.coverage(found.transform, image.shape, reference.shape), "1"),
                "refined": _measured(int(found.refined), "1"),
            },
        }


class Stitch(Node):
    """Join the overlapping strips of one travelling camera, see :mod:`tyqi_node_align.stitching`."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Join all strips to one picture."""
        strips = inputs["strips"]

        def step(done: int) -> None:
            ctx.check_cancelled()
            ctx.progress(done / len(strips))

        params = dict(ctx.params)
        limits = Limits(params.pop("min_overlap"), params.pop("max_drift"))
        mosaic = stitching.stitch(strips, stitching.Settings(limits=limits, **params), step)
        return {
            "image": mosaic.image,
            "corners": [list(corner) for corner in mosaic.corners],
            "measurements": {
                "strips": _measured(len(strips), "1"),
                "least_overlap": _measured(min(mosaic.overlaps, default=None), "px"),
                "least_correlation": _measured(min(mosaic.correlations, default=None), "1"),
                "drift": _measured(mosaic.drift, "px"),
                "least_gain": _measured(min(mosaic.gains), "1"),
                "largest_gain": _measured(max(mosaic.gains), "1"),
            },
        }


def _measured(value: float | None, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}
