"""The nodes ``synth.texture``, ``synth.crack`` and ``synth.spall``: thin shells around :mod:`.drawing`."""

from __future__ import annotations

import numpy as np

from tyqi_core.node import Context, Inputs, Node, Outputs
from tyqi_node_synth import drawing


class Texture(Node):
    """A clean surface from a photograph."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Draw the picture that the parameters describe."""
        params = ctx.params
        rng = np.random.default_rng(params["seed"])
        return {"image": drawing.texture(params["surface"], rng, params["size"], params["region"])}


class Crack(Node):
    """A crack drawn into the picture."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Draw one crack; ``mask`` is its ground truth."""
        params = ctx.params
        image, mask = drawing.draw_crack(
            inputs["image"],
            np.random.default_rng(params["seed"]),
            width=(params["min_width"], params["max_width"]),
            branches=(0, params["max_branches"]),
        )
        return {"image": image, "mask": mask}


class Spall(Node):
    """A spall drawn into the picture."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Draw one spall; ``mask`` is its ground truth."""
        params = ctx.params
        image, mask = drawing.draw_spall(
            inputs["image"],
            np.random.default_rng(params["seed"]),
            radius=(params["min_radius"], params["max_radius"]),
            tone=params["tone"],
        )
        return {"image": image, "mask": mask}
