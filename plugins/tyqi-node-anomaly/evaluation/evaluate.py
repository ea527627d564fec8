"""How well the nodes do on the stated test. Prints the tables of the README.

Example: python evaluation/evaluate.py
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import figures
import numpy as np
import pictures
import torch

from tyqi_core.node import LocalContext, Node
from tyqi_node_anomaly import nodes
from tyqi_node_synth import drawing

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Seen:
    """A test picture and what the nodes say of it."""

    case: pictures.Case
    score: float
    refined: float
    map: NDArray[np.float32]


def main() -> None:
    """Run the test and print the tables."""
    given = _arguments()
    torch.set_num_threads(1)
    score, refine, ctx = _nodes(given.model)
    for size in given.sizes:
        cases = pictures.cases(size, given.clean, given.each, given.seed)
        seen = [_looked_at(case, score, refine, ctx) for case in cases]
        print(f"\n### {size} x {size} px\n")
        print_scores(seen)
        print()
        print_rates(seen)
        print()
        print_times(size, score, refine, ctx)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="a model file instead of the shipped one")
    parser.add_argument("--clean", type=int, default=200, help="clean pictures a surface")
    parser.add_argument("--each", type=int, default=60, help="pictures a surface and kind of defect")
    parser.add_argument("--seed", type=int, default=7, help="of the pictures; settings were chosen on seed 3")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256], help="sides of the pictures in px")
    return parser.parse_args()


def _nodes(model: str) -> tuple[Node, Node, LocalContext]:
    ctx = LocalContext(params={"model": model, "threshold": 1.0})
    score, refine = nodes.Score(), nodes.Refine()
    score.setup(ctx)
    refine.setup(ctx)
    return score, refine, ctx


def _looked_at(case: pictures.Case, score: Node, refine: Node, ctx: LocalContext) -> Seen:
    inputs = {"image": case.image}
    outputs: Any = score.process(inputs, ctx)
    finding: Any = refine.process(inputs, ctx)
    return Seen(case, outputs.outputs["score"], finding["finding"]["score"], outputs.outputs["map"])


def print_scores(seen: list[Seen]) -> None:
    """Image AUROC by surface and defect, then the mean, the second look's mean, pixel AUROC and PRO."""
    kinds = list(pictures.DEFECTS)
    print("| surface |", " | ".join(kinds), "| mean | mean, second look | pixel AUROC | PRO |")
    print("| --- " * (len(kinds) + 5) + "|")
    for surface in drawing.SURFACES:
        own = [one for one in seen if one.case.surface == surface]
        first = [_image_auroc(own, kind, "score") for kind in kinds]
        second = [_image_auroc(own, kind, "refined") for kind in kinds]
        odd = [one for one in own if one.case.defect != "clean"]
        maps, truths = [one.map for one in odd], [one.case.truth for one in odd]
        places = [figures.pixel_auroc(maps, truths), figures.pro(maps, truths)]
        _row(surface, [*first, float(np.mean(first)), float(np.mean(second)), *places], "{:.2f}")


def _image_auroc(own: list[Seen], kind: str, of: str) -> float:
    usual = [getattr(one, of) for one in own if one.case.defect == "clean"]
    odd = [getattr(one, of) for one in own if one.case.defect == kind]
    return figures.auroc(np.array(usual), np.array(odd))


def print_rates(seen: list[Seen]) -> None:
    """What scores above 1: clean pictures (false alarms) and each kind of defect (found)."""
    kinds = ["clean", *pictures.DEFECTS]
    print("| surface | false alarms |", " | ".join(kinds[1:]), "| second look: false alarms | found |")
    print("| --- " * (len(kinds) + 3) + "|")
    for surface in drawing.SURFACES:
        own = [one for one in seen if one.case.surface == surface]
        first = [np.mean([one.score > 1 for one in own if one.case.defect == kind]) for kind in kinds]
        second = [np.mean([one.refined > 1 for one in own if (one.case.defect == "clean") == c]) for c in (True, False)]
        _row(surface, [*first, *second], "{:.1%}")


def _row(name: str, values: list[Any], form: str) -> None:
    print(f"| {name} |", " | ".join(form.format(value) for value in values), "|")


def print_times(size: int, score: Node, refine: Node, ctx: LocalContext) -> None:
    """Median processor time of one call on one thread: other load on the machine does not count."""
    inputs = {"image": drawing.texture("gravel", np.random.default_rng(0), size, "test")}
    for name, node in (("anomaly.score", score), ("anomaly.refine", refine)):
        spent = []
        for _ in range(21):
            start = time.process_time()
            node.process(inputs, ctx)
            spent.append(time.process_time() - start)
        print(f"{name}: {median(spent) * 1000:.0f} ms of one core a picture")


if __name__ == "__main__":
    main()
