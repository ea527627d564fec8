"""Train a model by plain calls of the nodes of ``project.yaml``, without the framework: the same file comes out.

Example: python training/train.py training/pictures model.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import torch
import yaml

from tyqi_core.node import LocalContext
from tyqi_node_anomaly import nodes

if TYPE_CHECKING:
    import numpy as np

PROJECT = Path(__file__).parent / "project.yaml"


def main(pictures: Path, out: Path, steps: int | None) -> None:
    """Train on the sheets in ``pictures`` and write the model file."""
    torch.set_num_threads(1)  # what the manifest's `cores: 1` means; more threads add in another order
    project = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))
    tasks, default_steps = project["tasks"], project["params"]["steps"]["default"]
    inputs = {
        "features": _features(pictures / "normal.png", tasks["seen"]["params"]),
        "held_out": _features(pictures / "held_out.png", tasks["unseen"]["params"]),
    }
    ctx = LocalContext(params=tasks["train"]["params"] | {"steps": steps or default_steps}, on_progress=_show)
    outputs = nodes.Train().process(inputs, ctx)
    out.write_bytes(outputs["model"])
    for name, measured in outputs["measurements"].items():
        print(name, measured["value"])
    print(out)


def _features(sheet: Path, params: dict[str, Any]) -> list[np.ndarray]:
    cut = nodes.Pieces().process({"image": _picture(sheet)}, LocalContext(params=params))["pieces"]
    return [nodes.Features().process({"image": piece}, LocalContext())["features"] for piece in cut]


def _picture(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path} is no picture")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _show(fraction: float, note: str) -> None:
    print(f"\r{fraction:4.0%} {note}", end="\n" if fraction == 1 else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="the folder that make_pictures.py wrote")
    parser.add_argument("out", type=Path, help="the model file to write")
    parser.add_argument("--steps", type=int, help="instead of the project's")
    given = parser.parse_args()
    main(given.pictures, given.out, given.steps)
