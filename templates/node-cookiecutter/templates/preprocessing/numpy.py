"""The node of this package. Its ports and parameters stand in the manifest beside this file."""

import numpy as np
from tyqi_core import Node


class {{ cookiecutter.__class }}(Node):
    """Brings a picture to one brightness and contrast."""

    def process(self, inputs, ctx):
        """Normalise one picture."""
        image = inputs["image"].astype(np.float32)
        spread = max(float(image.std(dtype=np.float64)), 1.0)  # a flat picture stays flat
        image = (image - image.mean(dtype=np.float64)) * (ctx.params["contrast"] / spread) + ctx.params["brightness"]
        return {"image": np.clip(np.rint(image), 0, 255).astype(np.uint8)}
