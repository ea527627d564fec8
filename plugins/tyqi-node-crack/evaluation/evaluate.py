"""How well cracks are found and measured, on drawn cracks whose truth is known.

The pictures show the halves of scikit-image's photographs on which no parameter was chosen (``region="test"`` of
tyqi-node-synth).

    python evaluation/evaluate.py [--pictures 20] [--size 384]

prints the tables of the README.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from tyqi_core.node import LocalContext
from tyqi_node_crack.nodes import CrackSegmenter, RidgeCrackSegmenter
from tyqi_node_crack.thinning import prune, thin
from tyqi_node_crack.width import drop_specks, measure
from tyqi_node_synth.drawing import SURFACES, Surface, draw_crack, texture

Array = npt.NDArray[np.uint8]
TOLERANCE = 2  # pixels
LEVELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "faint": {"width": (1.0, 3.0), "darkness": (0.3, 0.5)},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A clean picture, the same one with a crack, and where the crack is."""

    clean: Array
    cracked: Array
    truth: Array


@dataclass(slots=True)
class Tally:
    """Pixels, summed over pictures."""

    found: int = 0
    found_near_truth: int = 0
    true: int = 0
    true_near_found: int = 0
    both: int = 0
    either: int = 0
    clean_marked: int = 0  # pictures without a crack in which something was found
    pictures: int = 0

    def add(self, found: Array, truth: Array, on_clean: Array) -> None:
        """Count one picture."""
        hit, true = found > 0, truth > 0
        self.found += int(hit.sum())
        self.found_near_truth += int((hit & _widened(truth)).sum())
        self.true += int(true.sum())
        self.true_near_found += int((true & _widened(found)).sum())
        self.both += int((hit & true).sum())
        self.either += int((hit | true).sum())
        self.clean_marked += bool(on_clean.any())
        self.pictures += 1

    def row(self) -> str:
        """Precision, recall, their harmonic mean, intersection over union, marked clean pictures."""
        precision = self.found_near_truth / max(1, self.found)
        recall = self.true_near_found / max(1, self.true)
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        iou = self.both / max(1, self.either)
        return f"{precision:.2f} | {recall:.2f} | {f1:.2f} | {iou:.2f} | {self.clean_marked}/{self.pictures}"


def _widened(mask: Array) -> npt.NDArray[np.bool_]:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * TOLERANCE + 1, 2 * TOLERANCE + 1))
    return cv2.dilate(mask, disc) > 0


def cases(surface: Surface, level: str, pictures: int, size: int) -> Iterator[Case]:
    """Seeded pictures of one surface."""
    for index in range(pictures):
        rng = np.random.default_rng([SURFACES.index(surface), index, 2024])
        clean = texture(surface, rng, size, "test")
        cracked, truth = draw_crack(clean, rng, **LEVELS[level])
        yield Case(clean, cracked, truth)


def segmenter(manifest: str, node: type[CrackSegmenter | RidgeCrackSegmenter]) -> Callable[[Array], Array]:
    """The node with the defaults of its manifest, as a function."""
    declared = yaml.safe_load((files("tyqi_node_crack") / f"{manifest}.node.yaml").read_text(encoding="utf-8"))
    ctx = LocalContext(params={name: schema["default"] for name, schema in declared["params"].items()})
    instance = node()

    def segment(image: Array) -> Array:
        mask: Array = instance.process({"image": image}, ctx)["mask"]
        return mask

    return segment


def compare(pictures: int, size: int) -> None:
    """Print how both versions find cracks."""
    versions = {"1": segmenter("segment", CrackSegmenter), "2": segmenter("segment.v2", RidgeCrackSegmenter)}
    print("| cracks | surface | version | precision | recall | F1 | IoU | clean pictures marked |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for level in LEVELS:
        for surface in SURFACES:
            for name, segment in versions.items():
                tally = Tally()
                for case in cases(surface, level, pictures, size):
                    tally.add(segment(case.cracked), case.truth, segment(case.clean))
                print(f"| {level} | {surface} | {name} | {tally.row()} |")


def check_widths(pictures: int, size: int) -> None:
    """Print measured widths of cracks drawn with one width, from the true mask and from version 2's."""
    segment = segmenter("segment.v2", RidgeCrackSegmenter)
    print("\n| drawn width (px) | mean_width, true mask | mean_width, segment 2 | max_width, segment 2 |")
    print("| --- | --- | --- | --- |")
    for width in (2.0, 3.0, 4.0, 6.0, 8.0):
        readings = []
        for index in range(pictures):
            rng = np.random.default_rng([index, 77])
            clean = texture("brick", rng, size, "test")
            cracked, truth = draw_crack(clean, rng, (width, width), branches=(0, 0))
            exact, found = _measured(truth), _measured(segment(cracked))
            readings.append((exact[0], *found))
        means, spreads = np.mean(readings, axis=0), np.std(readings, axis=0)
        cells = " | ".join(f"{mean:.2f} +- {spread:.2f}" for mean, spread in zip(means, spreads, strict=True))
        print(f"| {width:g} | {cells} |")


def _measured(mask: Array) -> tuple[float, float]:
    cracks = measure(*drop_specks(mask, prune(thin(mask), 8), 10))
    return cracks.mean_width, cracks.max_width


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20, help="pictures per surface")
    parser.add_argument("--size", type=int, default=384, help="side of a picture in pixels")
    given = parser.parse_args()
    compare(given.pictures, given.size)
    check_widths(given.pictures, given.size)


if __name__ == "__main__":
    main()
