"""Train the classifier of ``surface.triage`` and write its weights into the package.

    python training/train.py

Draws pictures of the training halves of scikit-image's photographs (``region="train"`` of tyqi-node-synth), a third of
them with a crack, a third with a spall, a third clean. Seeded: the same versions give the same file. Takes some
minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

import tyqi_node_surface
from tyqi_node_surface.classifier import WEIGHTS, fit
from tyqi_node_surface.features import NAMES, describe
from tyqi_node_synth.drawing import SURFACES, Region, Surface, draw_crack, draw_spall, texture

CLASSES = ("crack", "spall", "clean")
DECAY = 1e-3
SEED = 2026


def picture(kind: str, surface: Surface, region: Region, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One picture of 256 to 512 pixels that shows what ``kind`` says."""
    clean = texture(surface, rng, int(rng.choice((256, 320, 384, 512))), region)
    if kind == "crack":
        return draw_crack(clean, rng, width=(1.2, 6.0), darkness=(0.4, 0.9))[0]
    return draw_spall(clean, rng)[0] if kind == "spall" else clean


def data_set(region: Region, each: int, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], list[str]]:
    """Features, labels and surfaces of ``each`` pictures of every class on every surface."""
    samples, labels, surfaces = [], [], []
    for surface in SURFACES:
        for label, kind in enumerate(CLASSES):
            for index in range(each):
                rng = np.random.default_rng([seed, SURFACES.index(surface), label, index])
                samples.append(describe(picture(kind, surface, region, rng)))
                labels.append(label)
                surfaces.append(surface)
    return np.array(samples), np.array(labels, np.intp), surfaces


def main() -> None:
    """Train, say how well the training pictures are told apart, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=100, help="pictures per class and surface")
    each = parser.parse_args().each
    samples, labels, _ = data_set("train", each, SEED)
    classifier = fit(samples, labels, CLASSES, NAMES, DECAY)
    guesses = [max(chances, key=chances.__getitem__) for chances in map(classifier.probabilities, samples)]
    right = np.mean([CLASSES[label] == guess for label, guess in zip(labels, guesses, strict=True)])
    print(f"{len(labels)} training pictures, {100 * right:.1f}% right")
    body = classifier.to_json() | {"trained_on": {"pictures": len(labels), "seed": SEED, "decay": DECAY}}
    target = Path(tyqi_node_surface.__file__).parent / WEIGHTS
    target.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {target.name}")


if __name__ == "__main__":
    main()
