"""The node of this package. Its ports and parameters stand in the manifest beside this file."""

import torch
from tyqi_core import Node


class Surround(torch.nn.Module):
    """How much darker each place is than the mean of the square around it. Put your network here."""

    def __init__(self, radius):
        super().__init__()
        self.mean = torch.nn.AvgPool2d(2 * radius + 1, stride=1, padding=radius, count_include_pad=False)

    def forward(self, grey):
        """Shape (1, H, W) in, the same out."""
        return self.mean(grey) - grey


class {{ cookiecutter.__class }}(Node):
    """Marks places that are darker than their surroundings."""

    def setup(self, ctx):
        """Build the network once; load its weights here (safetensors, never a pickle)."""
        self.network = Surround(ctx.params["radius"]).to(ctx.device).eval()

    def process(self, inputs, ctx):
        """Segment one picture."""
        image = torch.tensor(inputs["image"], dtype=torch.float32, device=ctx.device)
        with torch.inference_mode():
            depth = self.network(image.mean(dim=2)[None])[0]
        return {"mask": (depth > ctx.params["depth"]).to(torch.uint8).mul(255).cpu().numpy()}
