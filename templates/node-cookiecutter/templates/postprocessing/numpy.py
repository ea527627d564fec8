"""The node of this package. Its ports and parameters stand in the manifest beside this file."""

import numpy as np
from tyqi_core import Node


class {{ cookiecutter.__class }}(Node):
    """Measures how much of a picture a mask marks."""

    def process(self, inputs, ctx):
        """Measure one mask."""
        mask, scale = inputs["mask"], ctx.params["mm_per_px"]
        marked = int(np.count_nonzero(mask))
        area = {"value": marked * scale**2, "unit": "mm2"} if scale else {"value": marked, "unit": "px2"}
        return {"measurements": {"area": area, "area_fraction": {"value": marked / mask.size, "unit": "1"}}}
