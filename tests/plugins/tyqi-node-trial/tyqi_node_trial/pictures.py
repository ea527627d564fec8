"""Pictures: made, handed on, looked at."""

from __future__ import annotations

import numpy as np

from tyqi_core import Node
from tyqi_core.node import Context, Inputs, Outputs


class Picture(Node):
    """A grey square in RGB, as bright as x says."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """The picture."""
        side = ctx.params["side"]
        return {"image": np.full((side, side, 3), int(inputs["x"]) % 256, np.uint8)}


class Look(Node):
    """Looks at a picture and hands it on as it is."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Its mean, and whether the node could have written into it."""
        image = inputs["image"]
        return {"image": image, "mean": float(image.mean()), "writeable": bool(image.flags.writeable)}
