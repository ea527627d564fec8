"""The nodes of ``tyqi-node-anomaly``: thin shells around :mod:`.scoring`, :mod:`.training` and :mod:`.model`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tyqi_core.node import Context, Inputs, Node, Outcome, Outputs, node
from tyqi_node_anomaly import calibration, model, network, scoring, training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Score(Node):
    """How odd a picture's oddest place is; a condition with the outcomes ``odd`` and ``fine``."""

    def setup(self, ctx: Context) -> None:
        """Load the model onto the device."""
        self.model = model.load(ctx.params["model"], ctx.device)

    def process(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Score one picture."""
        scoring.check_size(inputs["image"])
        return self._judged([inputs], [ctx])[0]

    def process_batch(
        self, items: Sequence[Inputs], ctxs: Sequence[Context]
    ) -> Sequence[Outputs | Outcome | Exception]:
        """Score several pictures; those of one size go through the network together."""
        results: list[Outputs | Outcome | Exception | None] = [None] * len(items)
        sizes: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, inputs in enumerate(items):
            try:
                scoring.check_size(inputs["image"])
                sizes[inputs["image"].shape].append(place)
            except Exception as error:  # noqa: BLE001  one bad picture must not take the others along
                results[place] = error
        for places in sizes.values():
            judged = self._judged([items[place] for place in places], [ctxs[place] for place in places])
            for place, outcome in zip(places, judged, strict=True):
                results[place] = outcome
        return [result for result in results if result is not None]

    def _judged(self, items: Sequence[Inputs], ctxs: Sequence[Context]) -> list[Outcome]:
        images = torch.stack([network.to_tensor(inputs["image"], ctxs[0].device) for inputs in items])
        anomalies = scoring.look(self.model, images).cpu().numpy()
        return [_outcome(anomaly, ctx) for anomaly, ctx in zip(anomalies, ctxs, strict=True)]


def _outcome(anomaly: scoring.Map, ctx: Context) -> Outcome:
    score = float(anomaly.max())
    name = "odd" if score > ctx.params["threshold"] else "fine"
    return Outcome(name, {"score": score, "map": np.ascontiguousarray(anomaly)})


class Refine(Node):
    """A slower second look: the mean over scaled, shifted and mirrored views."""

    def setup(self, ctx: Context) -> None:
        """Load the model onto the device."""
        self.model = model.load(ctx.params["model"], ctx.device)

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Look again and describe what is there."""
        scoring.check_size(inputs["image"])
        image = network.to_tensor(inputs["image"], ctx.device)
        anomaly, agreement = scoring.look_again(self.model, image, ctx.check_cancelled)
        return {"finding": scoring.finding(anomaly.cpu().numpy(), agreement).to_json()}


@node(output="score")
def grade(score: float, finding: Mapping[str, Any] | None = None, *, trust: float = 0.7) -> float:
    """The first look's score, corrected by the second look where there was one."""
    return score if finding is None else (1 - trust) * score + trust * finding["score"]


class Map(Node):
    """Per-tile scores as a map of the whole picture."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Paint the tiles."""
        scores = inputs["scores"]
        missing = sum(score is None for score in scores)
        if missing:
            ctx.logger.warning("%d of %d tiles have no score", missing, len(scores))
        return {"map": scoring.painted(scores, inputs["grid"], ctx.params["blend"])}


class Pieces(Node):
    """A picture cut into pieces of bounded size."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Cut the picture."""
        return {"pieces": training.pieces(inputs["image"], ctx.params["largest"])}


class Features(Node):
    """What the detector looks at, for training."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Log-luminance of one picture, shape (1, H, W)."""
        image = network.to_tensor(inputs["image"], ctx.device)
        return {"features": network.log_luminance(image[None])[0].cpu().numpy()}


class Train(Node):
    """A new model from clean pictures of one or more surfaces."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Train on ``features``, calibrate on ``held_out``."""
        params = ctx.params

        def learnt(done: float, note: str) -> None:
            ctx.check_cancelled()
            ctx.progress(0.9 * done, note)

        size, seed = params["crop"], params["seed"]
        planes = training.usable(inputs["features"], size, "features")
        held_out = training.usable(inputs["held_out"], size, "held_out")
        detector = training.train(
            planes,
            steps=params["steps"],
            batch=params["batch"],
            crop=size,
            seed=seed,
            progress=learnt,
            device=ctx.device,
        )
        tiles = calibration.tiles(held_out, size, seed)
        trained = calibration.calibrated(detector, tiles, params["percentile"], ctx.check_cancelled)
        return {"model": model.dump(trained), "measurements": _told(trained, len(tiles))}


def _told(trained: model.Model, tiles: int) -> dict[str, dict[str, Any]]:
    weights = sum(parameter.numel() for parameter in trained.detector.parameters())
    return {
        "weights": {"value": weights, "unit": "1"},
        "calibration_tiles": {"value": tiles, "unit": "1"},
        "level": {"value": trained.level, "unit": "1", "note": "logit at which a score is 1"},
        "refined_level": {"value": trained.refined_level, "unit": "1", "note": "the same for the second look"},
    }
