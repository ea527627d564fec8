"""The node of this package. Its ports and parameters stand in the manifest beside this file."""

import numpy as np
from tyqi_core import Node


class {{ cookiecutter.__class }}(Node):
    """Marks places that are much darker than the picture as a whole."""

    def process(self, inputs, ctx):
        """Segment one picture."""
        grey = inputs["image"].mean(axis=2)
        dark = grey < grey.mean() - ctx.params["depth"] * max(float(grey.std()), 1.0)
        return {"mask": np.where(dark, 255, 0).astype(np.uint8)}
