"""Figures of merit for anomaly maps and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Values = NDArray[np.floating]
Mask = NDArray[np.uint8]


def auroc(usual: Values, odd: Values) -> float:
    """Area under the ROC curve: the chance that an odd value is above a usual one; ties count half."""
    values, place, counts = np.unique(np.concatenate((usual, odd)), return_inverse=True, return_counts=True)
    middle_ranks = np.cumsum(counts) - (counts - 1) / 2
    odd_ranks = middle_ranks[place[len(usual) :]] if len(values) else np.zeros(0)
    return float((odd_ranks.sum() - len(odd) * (len(odd) + 1) / 2) / (len(usual) * len(odd)))


def pixel_auroc(maps: Sequence[Values], truths: Sequence[Mask]) -> float:
    """AUROC over all pixels of all pictures, every second row and column."""
    values = np.concatenate([one[::2, ::2].ravel() for one in maps])
    odd = np.concatenate([truth[::2, ::2].ravel() > 0 for truth in truths])
    return auroc(values[~odd], values[odd])


def pro(maps: Sequence[Values], truths: Sequence[Mask], limit: float = 0.3, points: int = 50) -> float:
    """Area under the per-region overlap curve up to a false positive rate of ``limit``, in shares of the best.

    Bergmann et al., "The MVTec anomaly detection dataset", IJCV 2021: for each threshold, the share of each connected
    region of the truth that is found, averaged over regions, against the share of clean pixels that are flagged.
    """
    clean = np.concatenate([one[truth == 0] for one, truth in zip(maps, truths, strict=True)])
    rates = np.linspace(0, limit, points)
    thresholds = np.quantile(clean, 1 - rates)
    regions = [values for one, truth in zip(maps, truths, strict=True) for values in _regions(one, truth)]
    found = np.mean([(values[:, None] > thresholds[None, :]).mean(0) for values in regions], axis=0)
    return float(np.trapezoid(found, rates) / limit)


def _regions(one: Values, truth: Mask) -> list[Values]:
    count, labels = cv2.connectedComponents(truth)
    return [one[labels == label] for label in range(1, count)]
