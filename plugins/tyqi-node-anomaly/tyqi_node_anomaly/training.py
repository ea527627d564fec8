"""Training on clean surfaces: irregularities are pasted into them, and the detector learns to find those.

The pasted shapes are level sets of smooth random noise (as in DRAEM, ICCV 2021, which uses Perlin noise): blobs, and
thin lines along one level. They are filled with other surfaces (CutPaste, Li et al., CVPR 2021), with blur, with flat
tone, or lightened and darkened. Nothing here draws a crack or a spall: those are for the test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tyqi_core.errors import ContractViolation
from tyqi_node_anomaly.network import STRIDE, Detector, without_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

Progress = Callable[[float, str], None]

_RARELY = -3.0  # log odds at the start: most places are clean


def train(
    planes: Sequence[Tensor], *, steps: int, batch: int, crop: int, seed: int, progress: Progress, device: str = "cpu"
) -> Detector:
    """Train a detector.

    Args:
        planes: log-luminance of clean surfaces, each (1, H, W) with sides of at least ``crop``.
        steps: how many batches it learns from.
        batch: crops in a batch.
        crop: side of a crop in px.
        seed: of everything random; the same seed gives the same weights on the same machine.
        progress: is told how far it is.
        device: where to compute.

    Returns:
        The trained detector, on the CPU.
    """
    rng = torch.Generator().manual_seed(seed)
    detector = initialised(rng).to(device)
    optimiser = torch.optim.AdamW(detector.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.2)
    for step in range(steps):
        clean, foreign = (torch.stack([crop_of(_pick(planes, rng), crop, rng) for _ in range(batch)]) for _ in range(2))
        odd, truth = pasted(clean, foreign, rng)
        logits = detector(disturbed(odd, rng).to(device))
        loss = _loss(logits, functional.avg_pool2d(truth, 2).to(device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without annotations
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress((step + 1) / steps, f"loss {loss.item():.3f}")
    return detector.cpu().eval()


def pieces(image: NDArray[np.uint8], largest: int) -> list[NDArray[np.uint8]]:
    """Cut a picture (H, W, 3) into equal parts, give or take a pixel, no side of which is above ``largest`` px."""
    rows, columns = (-(-side // largest) for side in image.shape[:2])
    return [
        np.ascontiguousarray(piece)
        for band in np.array_split(image, rows, axis=0)
        for piece in np.array_split(band, columns, axis=1)
    ]


def usable(planes: Sequence[Any], crop: int, port: str) -> list[Tensor]:
    """The planes of a port as tensors of this process's own.

    Raises:
        ContractViolation: ``BAD_TRAINING_DATA``, there are none, or one is smaller than a crop; or ``crop`` is no
            multiple of the network's stride.
    """
    if crop % STRIDE:
        raise ContractViolation(f"crop must be a multiple of {STRIDE} px, found {crop}", code="BAD_TRAINING_DATA")
    if not planes:
        raise ContractViolation(f"{port} holds no picture", code="BAD_TRAINING_DATA")
    for place, plane in enumerate(planes):
        if plane.ndim != 3 or plane.shape[0] != 1 or min(plane.shape[1:]) < crop:
            raise ContractViolation(
                f"{port}[{place}] should be (1, H, W) with sides of at least {crop} px, found {tuple(plane.shape)}",
                code="BAD_TRAINING_DATA",
                remedy="Give larger pictures, or train with a smaller crop.",
            )
    return [torch.tensor(plane) for plane in planes]


def initialised(rng: torch.Generator) -> Detector:
    """A detector with random weights from ``rng`` (He et al., ICCV 2015), instead of the process's own generator."""
    detector = without_weights().to_empty(device="cpu")
    for name, weights in detector.named_parameters():
        if weights.dim() > 1:
            torch.nn.init.kaiming_normal_(weights, generator=rng)
        else:
            torch.nn.init.constant_(weights, 1.0 if name.endswith("weight") else 0.0)
    torch.nn.init.constant_(dict(detector.named_parameters())["head.bias"], _RARELY)
    return detector


def _pick(planes: Sequence[Tensor], rng: torch.Generator) -> Tensor:
    return planes[int(torch.randint(len(planes), (), generator=rng))]


def _uniform(low: float, high: float, rng: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=rng) * (high - low) + low


def crop_of(plane: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """A random square of ``plane``, enlarged up to 1.5 times, turned, mirrored, of other contrast: (1, size, size)."""
    side = int(size / float(_uniform(1.0, 1.5, rng)))
    top = int(torch.randint(plane.shape[1] - side + 1, (), generator=rng))
    left = int(torch.randint(plane.shape[2] - side + 1, (), generator=rng))
    square = plane[:, top : top + side, left : left + side]
    square = functional.interpolate(square[None], size=(size, size), mode="bicubic", align_corners=False)[0]
    turned = torch.rot90(square, int(torch.randint(4, (), generator=rng)), (1, 2))
    turned = turned.flip(2) if torch.rand((), generator=rng) < 0.5 else turned
    return (turned - turned.mean()) * torch.exp(_uniform(-1.2, 0.3, rng))


def pasted(clean: Tensor, foreign: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste one irregularity into about two thirds of the crops: (crops, ground truth), each (B, 1, S, S)."""
    opaque = torch.stack([_shape(clean.shape[-1], rng) for _ in clean])
    filled = torch.stack([_filling(own, other, rng) for own, other in zip(clean, foreign, strict=True)])
    opaque = opaque * (_uniform(0, 1, rng, len(clean), 1, 1, 1) < 0.67)
    return clean * (1 - opaque) + filled * opaque, (opaque > 0.5).float()


def _shape(size: int, rng: torch.Generator) -> Tensor:
    noise = _noise(size, float(_uniform(6, 40, rng)), rng)
    if torch.rand((), generator=rng) < 0.5:
        level = noise.flatten().quantile(float(_uniform(0.2, 0.8, rng)))
        steep = (_noise_gradient(noise)).clamp(min=1e-4)
        width = float(_uniform(0.8, 3.5, rng))
        inside = (width / 2 - (noise - level).abs() / steep + 0.5).clamp(0, 1)
    else:
        level = noise.flatten().quantile(float(_uniform(0.85, 0.985, rng)))
        inside = ((noise - level) * 20).clamp(0, 1)
    return inside * _window(size, rng)


def _noise_gradient(noise: Tensor) -> Tensor:
    dy, dx = torch.gradient(noise[0])
    return torch.sqrt(dx * dx + dy * dy)[None]


def _window(size: int, rng: torch.Generator) -> Tensor:
    """One disc, so that most of the crop stays clean."""
    centre = _uniform(0.15 * size, 0.85 * size, rng, 2)
    radius = float(_uniform(0.12 * size, 0.5 * size, rng))
    grid = torch.arange(size, dtype=torch.float32)
    distance = torch.hypot(grid[:, None] - centre[0], grid[None, :] - centre[1])
    return (radius - distance + 0.5).clamp(0, 1)[None]


def _noise(size: int, scale: float, rng: torch.Generator) -> Tensor:
    """Smooth noise (1, size, size) with zero mean and unit deviation; ``scale`` px from hill to hill."""
    cells = max(3, round(size / scale) + 3)
    coarse = torch.randn((1, 1, cells, cells), generator=rng)
    noise = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)[0]
    return (noise - noise.mean()) / noise.std().clamp(min=1e-3)


def _filling(own: Tensor, other: Tensor, rng: torch.Generator) -> Tensor:
    """What shows in the pasted place: (1, S, S)."""
    kind = int(torch.randint(4, (), generator=rng))
    tone = float(_uniform(0.2, 1.6, rng)) * (1 if torch.rand((), generator=rng) < 0.35 else -1)
    if kind == 0:
        return other + 0.3 * tone * float(torch.rand((), generator=rng))
    if kind == 1:
        return blurred(own, float(_uniform(1.5, 5, rng)))
    if kind == 2:
        rough = _noise(own.shape[-1], float(_uniform(2, 12, rng)), rng) * float(_uniform(0.0, 0.25, rng))
        return rough + tone * 0.7 + float(own.mean())
    return own * float(_uniform(0.3, 1.0, rng)) + tone


def blurred(plane: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (1, S, S), edges mirrored."""
    reach = int(3 * sigma)
    taps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-taps * taps / (2 * sigma * sigma))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    wide = functional.pad(plane[None], (reach,) * 4, mode="reflect")
    return functional.conv2d(functional.conv2d(wide, kernel), kernel.transpose(2, 3))[0]


def disturbed(planes: Tensor, rng: torch.Generator) -> Tensor:
    """What is no anomaly: slowly varying light, sensor noise; the mean is taken off again."""
    count, _, size, _ = planes.shape
    ramp = torch.linspace(-1, 1, size)
    light = _uniform(-0.2, 0.2, rng, count, 1, 1, 1) * ramp[:, None] + _uniform(-0.2, 0.2, rng, count, 1, 1, 1) * ramp
    grain = _uniform(0.0, 0.03, rng, count, 1, 1, 1) * torch.randn(planes.shape, generator=rng)
    seen = planes + light + grain
    return seen - seen.mean((2, 3), keepdim=True)


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017) with exponent 1: most places are clean and easy."""
    plain = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    missed = torch.abs(torch.sigmoid(logits) - truth).detach()
    return (plain * missed).mean() * 4
