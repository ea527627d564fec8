"""How well spalls are found and measured, on drawn spalls whose truth is known.

The pictures show the halves of scikit-image's photographs on which no parameter was chosen (``region="test"`` of
tyqi-node-synth).

    python evaluation/evaluate.py [--pictures 20] [--size 384]

prints the table of the README.
"""

from __future__ import annotations

import argparse
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import yaml

from tyqi_core.node import LocalContext
from tyqi_node_spall.nodes import SpallSegmenter, area
from tyqi_node_synth.drawing import SURFACES, Surface, draw_crack, draw_spall, texture

Array = npt.NDArray[np.uint8]
MISSED = 0.1  # a spall of which less than this share is found counts as missed


def defaults(manifest: str) -> LocalContext:
    """A context with the parameters that the manifest gives."""
    declared = yaml.safe_load((files("tyqi_node_spall") / f"{manifest}.node.yaml").read_text(encoding="utf-8"))
    return LocalContext(params={name: schema["default"] for name, schema in declared["params"].items()})


def segment(image: Array) -> Array:
    """The node ``spall.segment`` as a function."""
    mask: Array = SpallSegmenter().process({"image": image}, defaults("segment"))["mask"]
    return mask


def measured_area(mask: Array) -> float:
    """The node ``spall.area`` as a function."""
    return float(area().process({"mask": mask}, defaults("area"))["measurements"]["area"]["value"])


def evaluate(surface: Surface, pictures: int, size: int) -> str:
    """One row of the table."""
    overlaps, errors, clean_marked, cracks_marked = [], [], 0, 0
    for index in range(pictures):
        rng = np.random.default_rng([SURFACES.index(surface), index, 2025])
        clean = texture(surface, rng, size, "test")
        picture, truth = draw_spall(clean, rng)
        found, true = segment(picture), truth > 0
        overlaps.append(np.count_nonzero((found > 0) & true) / np.count_nonzero((found > 0) | true))
        errors.append(measured_area(found) / np.count_nonzero(true) - 1)
        clean_marked += bool(segment(clean).any())
        cracks_marked += bool(segment(draw_crack(clean, rng)[0]).any())
    hit = np.asarray(overlaps) > MISSED
    area_error = np.abs(np.asarray(errors)[hit]).mean()
    return (
        f"| {surface} | {hit.sum()}/{pictures} | {np.mean(overlaps):.2f} | {np.mean(np.asarray(overlaps)[hit]):.2f} "
        f"| {100 * area_error:.0f}% | {clean_marked}/{pictures} | {cracks_marked}/{pictures} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20, help="pictures per surface")
    parser.add_argument("--size", type=int, default=384, help="side of a picture in pixels")
    given = parser.parse_args()
    print("| surface | found | IoU, all | IoU, found ones | area error, found ones | clean marked | cracks marked |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for surface in SURFACES:
        print(evaluate(surface, given.pictures, given.size))


if __name__ == "__main__":
    main()
