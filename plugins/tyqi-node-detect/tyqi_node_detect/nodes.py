"""The node ``detect.blobs``: a thin shell around :mod:`.blobs`."""

from __future__ import annotations

from tyqi_core.node import Context, Inputs, Node, Outputs
from tyqi_node_detect import blobs


class Blobs(Node):
    """Compact places that are darker or lighter than their surroundings."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Detect blobs, best score first."""
        params = ctx.params
        found = blobs.detect(
            inputs["image"],
            min_size=params["min_size"],
            max_size=params["max_size"],
            min_score=params["min_score"],
            polarity=params["polarity"],
            max_overlap=params["max_overlap"],
        )
        return {"detections": blobs.to_tp(found[: params["max_detections"]])}
