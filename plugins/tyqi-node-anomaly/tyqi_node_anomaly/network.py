"""The detector: what it looks at, its layers, and how its output becomes scores.

It follows the discriminative half of DRAEM (Zavrtanik, Kristan and Skocaj, "DRAEM: a discriminatively trained
reconstruction embedding for surface anomaly detection", ICCV 2021): a small encoder and decoder that says for every
place how much it departs from the surface around it, trained on clean pictures into which irregularities were pasted.
The reconstruction half is left out. Group normalisation (Wu and He, ECCV 2018) takes its statistics over the whole
picture, so that each place is judged against the surface it lies in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDE = 8
"""Sides of what the network sees are multiples of this (px)."""
SMALLEST = 64
"""Shorter sides are continued by mirroring up to this many px."""
WIDTHS = (16, 32, 48)
"""Channels at half, quarter and eighth resolution."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_DARKEST = 8.0  # grey levels added before the logarithm, so that noise in the dark is not blown up


def to_tensor(image: NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """Copy a picture (H, W, 3) uint8 into a tensor (3, H, W) of the device; the picture may be read-only."""
    return torch.tensor(np.ascontiguousarray(image.transpose(2, 0, 1)), device=device)


def log_luminance(images: Tensor) -> Tensor:
    """What the detector looks at: the logarithm of the luminance, without its mean over each picture.

    Brightness and tint of the light scale the luminance; in the logarithm they are a constant, gone with the mean.

    Args:
        images: RGB, shape (B, 3, H, W), 0 to 255.

    Returns:
        Shape (B, 1, H, W).
    """
    weights = torch.tensor(_LUMA, device=images.device).view(1, 3, 1, 1)
    logarithm = torch.log((images.float() * weights).sum(1, keepdim=True) + _DARKEST)
    return logarithm - logarithm.mean((2, 3), keepdim=True)


class Detector(nn.Module):
    """Log-luminance (B, 1, H, W), sides multiples of :data:`STRIDE` -> oddness as logits (B, 1, H / 2, W / 2)."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth = WIDTHS
        self.fine = nn.Sequential(_block(1, half, stride=2), _block(half, half))
        self.middle = nn.Sequential(_block(half, quarter, stride=2), _block(quarter, quarter))
        self.coarse = nn.Sequential(
            _block(quarter, eighth, stride=2), _block(eighth, eighth, dilation=2), _block(eighth, eighth, dilation=4)
        )
        self.to_quarter = _block(quarter + eighth, quarter)
        self.to_half = _block(half + quarter, half)
        self.head = nn.Conv2d(half, 1, 1)

    def forward(self, plane: Tensor) -> Tensor:
        """See the class."""
        half = self.fine(plane)
        quarter = self.middle(half)
        eighth = self.coarse(quarter)
        joined = self.to_quarter(torch.cat((quarter, _doubled(eighth)), 1))
        logits: Tensor = self.head(self.to_half(torch.cat((half, _doubled(joined)), 1)))
        return logits


def without_weights() -> Detector:
    """A detector that is yet to be filled: nothing is drawn from the process's random generator."""
    with torch.device("meta"):
        return Detector()


def _block(channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, dilation, dilation, bias=False, padding_mode="reflect"),
        nn.GroupNorm(8, channels_out),
        nn.ReLU(),
    )


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
