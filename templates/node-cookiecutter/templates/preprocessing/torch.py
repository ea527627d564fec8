"""The node of this package. Its ports and parameters stand in the manifest beside this file."""

import torch
from tyqi_core import Node


class {{ cookiecutter.__class }}(Node):
    """Brings a picture to one brightness and contrast."""

    def process(self, inputs, ctx):
        """Normalise one picture on the device that the framework chose."""
        image = torch.tensor(inputs["image"], dtype=torch.float32, device=ctx.device)
        spread = image.std(correction=0).clamp(min=1)  # a flat picture stays flat
        image = (image - image.mean()) * (ctx.params["contrast"] / spread) + ctx.params["brightness"]
        return {"image": image.round().clamp(0, 255).to(torch.uint8).cpu().numpy()}
