"""From pictures to anomaly maps, scores and findings.

Maps and scores have one unit: 1 is the level that 1% of clean calibration pictures reach in their oddest place (the
percentile is a parameter of the training), 0 is perfectly usual, and each further ln 2 of log odds adds 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tyqi_core.errors import ContractViolation
from tyqi_node_anomaly.model import Model
from tyqi_node_anomaly.network import SMALLEST, STRIDE, Detector, log_luminance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Map = NDArray[np.float32]

LARGEST = 2048 * 2048
"""Pixels of the largest picture that is looked at in one piece."""
SCALES = (0.75, 1.0, 1.5)
"""Sizes at which the second look sees the picture, in shares of its own."""
SHIFTS = ((0, 0), (5, 3), (3, 6))
"""Offsets (px, down and right) of the second look's views: they move the network's grid over the picture."""


def check_size(image: NDArray[np.uint8]) -> None:
    """Refuse pictures that would take too much memory.

    Raises:
        ContractViolation: ``IMAGE_TOO_LARGE``.
    """
    height, width = image.shape[:2]
    if height * width > LARGEST:
        raise ContractViolation(
            f"a picture of {width} x {height} px is too large to be looked at in one piece",
            code="IMAGE_TOO_LARGE",
            remedy="Cut it with image.tiles and score the tiles.",
        )


@torch.inference_mode()
def look(model: Model, images: Tensor) -> Tensor:
    """One look at pictures of one size.

    Args:
        model: the model, on the device of ``images``.
        images: RGB, shape (B, 3, H, W), uint8.

    Returns:
        Anomaly maps, shape (B, H, W), float32, >= 0.
    """
    planes = log_luminance(images)
    if planes.device.type == "cpu":
        # oneDNN adds in another order for other batch sizes, and one core gains nothing by a batch: one by one, a
        # picture's map does not depend on its neighbours
        return scored(torch.cat([logits(model.detector, plane[None]) for plane in planes]), model.level)
    return scored(logits(model.detector, planes), model.level)


@torch.inference_mode()
def look_again(model: Model, image: Tensor, check_cancelled: Callable[[], None]) -> tuple[Tensor, float]:
    """The second look: the mean over views that are scaled, shifted and mirrored.

    Args:
        model: the model, on the device of ``image``.
        image: RGB, shape (3, H, W), uint8.
        check_cancelled: called between views.

    Returns:
        The anomaly map, shape (H, W), and the share of views in which the picture scores above 1.
    """
    views = []
    for view in views_of(model.detector, log_luminance(image[None])):
        check_cancelled()
        views.append(view)
    stack = torch.stack(views)
    agreement = float((stack.amax((1, 2)) > model.level).float().mean())
    return scored(stack.mean(0), model.refined_level), agreement


def scored(logits: Tensor, level: float) -> Tensor:
    """Logits in the unit of maps and scores, see the module."""
    return functional.softplus(logits - level) / math.log(2)


def views_of(detector: Detector, plane: Tensor) -> Iterator[Tensor]:
    """Logits (H, W) of each view of a log-luminance plane (1, 1, H, W), laid back onto the picture."""
    height, width = plane.shape[2:]
    for scale in SCALES:
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        scaled = functional.interpolate(plane, size=size, mode="bilinear", align_corners=False, antialias=True)
        for mirror, (down, right) in enumerate(SHIFTS):
            turned = scaled.flip(3) if mirror % 2 else scaled
            moved = mirrored_to(turned, size[0] + down, size[1] + right, down, right)
            seen = logits(detector, moved)[:, down:, right:]
            seen = seen.flip(2) if mirror % 2 else seen
            yield functional.interpolate(seen[None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]


def logits(detector: Detector, planes: Tensor) -> Tensor:
    """Logits (B, H, W) of log-luminance planes (B, 1, H, W) of any size."""
    height, width = planes.shape[2:]
    filled = mirrored_to(planes, _whole(height), _whole(width))
    coarse = detector(filled - filled.mean((2, 3), keepdim=True))
    fine = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return fine[:, 0, :height, :width]


def _whole(side: int) -> int:
    return max(SMALLEST, -(-side // STRIDE) * STRIDE)


def mirrored_to(images: Tensor, height: int, width: int, top: int = 0, left: int = 0) -> Tensor:
    """Continue pictures (B, C, H, W) by mirroring at their edges, as often as it takes."""
    rows = _mirrored(images.shape[2], height, top, images.device)
    columns = _mirrored(images.shape[3], width, left, images.device)
    return images[:, :, rows][:, :, :, columns]


def _mirrored(side: int, wanted: int, before: int, device: torch.device) -> Tensor:
    place = torch.arange(-before, wanted - before, device=device) % (2 * side)
    return torch.where(place < side, place, 2 * side - 1 - place)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the second look found. Places are pixels, x to the right and y down, boxes with exclusive ends."""

    score: float
    agreement: float
    peak: tuple[int, int]
    area_px: int
    box: tuple[int, int, int, int] | None

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {
            "score": self.score,
            "agreement": self.agreement,
            "peak": list(self.peak),
            "area_px": self.area_px,
            "box": list(self.box) if self.box else None,
        }


def finding(anomaly: Map, agreement: float) -> Finding:
    """Describe a map: its peak, and the extent of what scores 1 and above."""
    y, x = np.unravel_index(int(anomaly.argmax()), anomaly.shape)
    rows, columns = np.nonzero(anomaly >= 1)
    box = None
    if len(rows):
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return Finding(float(anomaly[y, x]), agreement, (int(x), int(y)), len(rows), box)


def painted(scores: Sequence[float | None], grid: Mapping[str, Any], blend: str) -> Map:
    """Per-tile scores as a map of the whole picture.

    Args:
        scores: one per tile, in the order of ``grid``'s boxes; ``None`` where a tile has none.
        grid: ``{height, width, boxes: [[x0, y0, x1, y1], ...]}`` and more, as ``image.tiles`` gives it.
        blend: where tiles overlap, ``max`` takes the highest score and ``mean`` the mean weighted by nearness to the
            tiles' middles.

    Returns:
        Shape (height, width); 0 where no tile has a score.

    Raises:
        ContractViolation: ``GRID_MISMATCH``, the scores or boxes do not fit the grid.
    """
    height, width, boxes = _checked(scores, grid)
    total, weights = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for score, (x0, y0, x1, y1) in zip(scores, boxes, strict=True):
        if score is None:
            continue
        place = np.s_[y0:y1, x0:x1]
        if blend == "max":
            total[place] = np.maximum(total[place], score)
        else:
            weight = np.outer(_tent(y1 - y0), _tent(x1 - x0))
            total[place] += weight * np.float32(score)
            weights[place] += weight
    return total if blend == "max" else np.divide(total, weights, out=total, where=weights > 0)


def _tent(length: int) -> Map:
    steps = np.arange(1, length + 1, dtype=np.float32)
    return np.minimum(steps, steps[::-1])


def _checked(scores: Sequence[float | None], grid: Mapping[str, Any]) -> tuple[int, int, list[list[int]]]:
    height, width, boxes = grid["height"], grid["width"], grid["boxes"]
    if len(scores) != len(boxes):
        raise ContractViolation(f"{len(scores)} scores for {len(boxes)} tiles", code="GRID_MISMATCH")
    for x0, y0, x1, y1 in boxes:
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ContractViolation(
                f"tile box {[x0, y0, x1, y1]} lies outside the picture of {width} x {height} px", code="GRID_MISMATCH"
            )
    return height, width, boxes
