"""Where a score is 1: a percentile of what clean pictures reach that the training has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tyqi_node_anomaly import scoring
from tyqi_node_anomaly.model import Model
from tyqi_node_anomaly.network import Detector
from tyqi_node_anomaly.training import crop_of, disturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TILES_PER_PICTURE = 150


def tiles(planes: Sequence[Tensor], size: int, seed: int) -> list[Tensor]:
    """Random clean tiles (1, 1, size, size) of log-luminance planes, varied in light and contrast as in training."""
    rng = torch.Generator().manual_seed(seed + 1)
    return [disturbed(crop_of(plane, size, rng)[None], rng) for plane in planes for _ in range(TILES_PER_PICTURE)]


@torch.inference_mode()
def calibrated(
    detector: Detector, clean: Sequence[Tensor], percentile: float, check_cancelled: Callable[[], None]
) -> Model:
    """The detector with the levels that ``percentile`` % of the clean tiles stay below in their oddest place."""
    once, refined = [], []
    for tile in clean:
        check_cancelled()
        once.append(scoring.logits(detector, tile).max())
        refined.append(torch.stack(list(scoring.views_of(detector, tile))).mean(0).max())
    share = percentile / 100
    return Model(detector, float(torch.stack(once).quantile(share)), float(torch.stack(refined).quantile(share)))
