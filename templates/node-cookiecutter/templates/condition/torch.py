"""The node of this package. Its ports and parameters stand in the manifest beside this file."""

import torch
from tyqi_core import Node, Outcome


class {{ cookiecutter.__class }}(Node):
    """Sorts pictures into dark, bright and fine."""

    def process(self, inputs, ctx):
        """Decide about one picture on the device that the framework chose."""
        image = torch.tensor(inputs["image"], device=ctx.device)
        brightness = image.mean(dtype=torch.float64).item() / 255
        if brightness < ctx.params["dark"]:
            return Outcome("dark", {"brightness": brightness})
        return Outcome("bright" if brightness > ctx.params["bright"] else "fine", {"brightness": brightness})
