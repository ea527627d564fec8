"""Write the sheets of clean pictures that the shipped model learns from and is calibrated on.

They are cut from the brick, gravel and grass photographs (512 x 512, grey, CC0) in scikit-image's wheel; nothing is
downloaded. The right half of each photograph is left alone: it is the test's (``region="test"`` of tyqi-node-synth). Of
the left half, the upper 320 rows are for training and the lower 192 for calibration.

Example: python training/make_pictures.py training/pictures
"""

from __future__ import annotations

import argparse
import importlib.resources
from pathlib import Path

import cv2
import numpy as np

SURFACES = ("brick", "grass", "gravel")
AREAS = {"normal": np.s_[:320, :256], "held_out": np.s_[320:, :256]}
"""Sheet -> rows and columns of each photograph."""


def write(folder: Path) -> list[Path]:
    """Write ``<sheet>.png`` below ``folder``: the surfaces side by side. The paths of what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for sheet, area in AREAS.items():
        written.append(folder / f"{sheet}.png")
        _save(written[-1], np.hstack([_photograph(surface)[area] for surface in SURFACES]))
    return written


def _photograph(surface: str) -> np.ndarray:
    file = importlib.resources.files("skimage") / "data" / f"{surface}.png"
    grey = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None or grey.shape != (512, 512):
        raise SystemExit(f"scikit-image's {surface}.png is not the picture that this script knows")
    return grey


def _save(path: Path, grey: np.ndarray) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)):
        raise SystemExit(f"cannot write {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; made if it is not there")
    for path in write(parser.parse_args().folder):
        print(path)
