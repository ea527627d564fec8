"""Softmax regression: the probability of each class as a smooth function of a weighted sum of features.

The weights are data, a JSON file beside this module, written by ``training/train.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
WEIGHTS = "triage.weights.json"


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classes, and for each a weight per feature; features are centred and scaled first.

    Shapes: ``centre`` and ``scale`` ``(F,)``, ``weights`` ``(C, F)``, ``bias`` ``(C,)``.
    """

    classes: tuple[str, ...]
    features: tuple[str, ...]
    centre: Vector
    scale: Vector
    weights: Vector
    bias: Vector

    def probabilities(self, features: Vector) -> dict[str, float]:
        """Class -> probability; the values add up to 1."""
        scores = self.weights @ ((features - self.centre) / self.scale) + self.bias
        powers = np.exp(scores - scores.max())
        return {name: float(power) for name, power in zip(self.classes, powers / powers.sum(), strict=True)}

    def to_json(self) -> dict[str, Any]:
        """As the weights file has it."""
        return {
            "classes": list(self.classes),
            "features": list(self.features),
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
            "bias": self.bias.tolist(),
        }


def from_json(body: dict[str, Any]) -> Classifier:
    """The reverse of :meth:`Classifier.to_json`."""
    numbers = {name: np.array(body[name], np.float64) for name in ("centre", "scale", "weights", "bias")}
    return Classifier(tuple(body["classes"]), tuple(body["features"]), **numbers)


def shipped() -> Classifier:
    """The classifier whose weights come with this package."""
    return from_json(json.loads((files(__package__) / WEIGHTS).read_text(encoding="utf-8")))


def fit(
    samples: Vector, labels: npt.NDArray[np.intp], classes: tuple[str, ...], features: tuple[str, ...], decay: float
) -> Classifier:
    """Fit by Newton's method (iteratively reweighted least squares; K. P. Murphy, "Machine Learning", 2012, 8.3.7).

    The loss is convex, so there is one answer and no seed.

    Args:
        samples: ``(N, F)``.
        labels: ``(N,)``, indices into ``classes``.
        classes: names of the classes.
        features: names of the features.
        decay: weight of the squared weights in the loss, per sample; more than 0.
    """
    centre, scale = samples.mean(axis=0), samples.std(axis=0) + 1e-9
    design = np.hstack(((samples - centre) / scale, np.ones((len(samples), 1))))
    weights = np.zeros((len(classes), design.shape[1]))
    targets = np.eye(len(classes))[labels]
    for _ in range(50):
        step = _newton_step(design, targets, weights, decay)
        weights -= step
        if float(np.abs(step).max()) < 1e-9:
            break
    return Classifier(classes, features, centre, scale, weights[:, :-1], weights[:, -1])


def _newton_step(design: Vector, targets: Vector, weights: Vector, decay: float) -> Vector:
    amount, width = design.shape
    scores = design @ weights.T
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    slope = (chances - targets).T @ design / amount + decay * weights
    classes = len(weights)
    curvature = np.empty((classes, width, classes, width))
    for one in range(classes):
        for other in range(classes):
            shared = chances[:, one] * ((one == other) - chances[:, other])
            curvature[one, :, other, :] = (design * shared[:, None]).T @ design / amount
    square = curvature.reshape(classes * width, classes * width) + decay * np.eye(classes * width)
    return np.linalg.solve(square, slope.reshape(-1)).reshape(weights.shape)


def decide(chances: dict[str, float], min_clean: float) -> str:
    """The likeliest class; but clean only with a probability of at least ``min_clean``, else the likelier defect."""
    likeliest = max(chances, key=chances.__getitem__)
    if likeliest == "clean" and chances["clean"] < min_clean:
        return max(chances.keys() - {"clean"}, key=lambda name: (chances[name], name))
    return likeliest
