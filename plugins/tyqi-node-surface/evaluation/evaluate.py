"""How often ``surface.triage`` is right, on drawn defects whose kind is known.

The pictures show the halves of scikit-image's photographs on which nothing was trained (``region="test"`` of
tyqi-node-synth).

    python evaluation/evaluate.py [--pictures 30]

prints the tables of the README.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from tyqi_core.node import LocalContext, Outcome
from tyqi_node_surface.nodes import Triage
from tyqi_node_synth.drawing import SURFACES, draw_crack, draw_spall, texture

CLASSES = ("crack", "spall", "clean")
LEVELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "faint": {"width": (1.0, 3.0), "darkness": (0.3, 0.5)},
}


def judged(node: Triage, kind: str, surface: str, index: int, level: str) -> tuple[str, float]:
    """Outcome and score for one seeded picture."""
    rng = np.random.default_rng([SURFACES.index(surface), index, 2027])
    image = texture(surface, rng, int(rng.choice((256, 384, 512))), "test")
    if kind == "crack":
        image = draw_crack(image, rng, **LEVELS[level])[0]
    elif kind == "spall":
        image = draw_spall(image, rng)[0]
    outcome = node.process({"image": image}, LocalContext(params={"min_clean": 0.0}))
    if not isinstance(outcome, Outcome):
        raise TypeError("surface.triage is a condition node")
    return outcome.name, float(outcome.outputs["score"])


def confusion(node: Triage, pictures: int, level: str) -> None:
    """Print who is taken for whom, and how sure the node was."""
    print(f"\n{level} cracks\n")
    print("| surface | truth | as crack | as spall | as clean | mean score, right | mean score, wrong |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    kinds = CLASSES if level == "plain" else ("crack",)
    for surface in SURFACES:
        for kind in kinds:
            answers = [judged(node, kind, surface, index, level) for index in range(pictures)]
            counts = " | ".join(str(sum(name == each for name, _ in answers)) for each in CLASSES)
            right = [score for name, score in answers if name == kind]
            wrong = [score for name, score in answers if name != kind]
            sure = " | ".join(f"{np.mean(scores):.2f}" if scores else "-" for scores in (right, wrong))
            print(f"| {surface} | {kind} | {counts} | {sure} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=30, help="pictures per class and surface")
    pictures = parser.parse_args().pictures
    node = Triage()
    node.setup(LocalContext())
    for level in LEVELS:
        confusion(node, pictures, level)


if __name__ == "__main__":
    main()
