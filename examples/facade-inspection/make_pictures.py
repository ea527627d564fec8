"""Write the example's pictures: facades, some with a crack or a spall drawn on them. The same every time.

    python make_pictures.py FOLDER [--truth FOLDER]

The surfaces are photographs that ship with scikit-image; only their right halves are shown, which no model was trained
on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from tyqi_node_synth.drawing import Image, Surface, draw_crack, draw_spall, texture

SIZE = 512  # px
Draw = Callable[[Image, np.random.Generator], tuple[Image, Image]]


@dataclass(frozen=True)
class Scene:
    """One picture: its name, the surface, what is drawn on it, and the seed of all that is random."""

    name: str
    surface: Surface
    seed: int
    kind: str = "clean"
    draw: Draw | None = None

    def make(self) -> tuple[Image, Image]:
        """The picture, and the mask of its defect."""
        rng = np.random.default_rng(self.seed)
        wall = texture(self.surface, rng, SIZE, "test")
        return self.draw(wall, rng) if self.draw else (wall, np.zeros((SIZE, SIZE), np.uint8))


thin: Draw = partial(draw_crack, width=(2.0, 3.2), length=(0.8, 1.1))
wide: Draw = partial(draw_crack, width=(5.0, 8.0), length=(0.8, 1.1), branches=(1, 2))
small: Draw = partial(draw_spall, radius=(0.045, 0.05), tone="dark")
large: Draw = partial(draw_spall, radius=(0.13, 0.16), tone="light")

SCENES = (
    Scene("01-brick-clean.png", "brick", 101),
    Scene("02-brick-thin-crack.png", "brick", 102, "crack", thin),
    Scene("03-brick-wide-crack.jpg", "brick", 103, "crack", wide),
    Scene("04-brick-small-spall.png", "brick", 104, "spall", small),
    Scene("05-brick-large-spall.jpg", "brick", 105, "spall", large),
    Scene("06-roughcast-clean.png", "gravel", 106),
    Scene("07-roughcast-wide-crack.png", "gravel", 107, "crack", wide),
    Scene("08-roughcast-small-spall.png", "gravel", 108, "spall", small),
    Scene("09-stone-clean.jpg", "grass", 109),
    Scene("10-stone-thin-crack.png", "grass", 110, "crack", thin),
    Scene("11-stone-wide-crack.png", "grass", 111, "crack", wide),
    Scene("12-stone-large-spall.png", "grass", 112, "spall", large),
)


def write(picture: Image, file: Path) -> None:
    """Encode and write under a temporary name, then move: a broken-off run leaves no half picture."""
    stored = picture[..., ::-1] if picture.ndim == 3 else picture  # noqa: PLR2004  OpenCV writes BGR
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95] if file.suffix == ".jpg" else []
    done, data = cv2.imencode(file.suffix, np.ascontiguousarray(stored), quality)
    if not done:
        raise OSError(f"{file.name} cannot be encoded")
    partial_file = file.with_name(file.name + ".part")
    partial_file.write_bytes(data.tobytes())
    partial_file.replace(file)


def make_pictures(folder: Path, truth: Path | None = None) -> list[Path]:
    """Write all scenes into ``folder`` and, where wanted, their masks and kinds into ``truth``."""
    folder.mkdir(parents=True, exist_ok=True)
    written, kinds = [], {}
    for scene in SCENES:
        picture, mask = scene.make()
        write(picture, folder / scene.name)
        written.append(folder / scene.name)
        kinds[scene.name] = scene.kind
        if truth is not None:
            truth.mkdir(parents=True, exist_ok=True)
            write(mask, truth / f"{Path(scene.name).stem}.png")
    if truth is not None:
        (truth / "kinds.json").write_text(json.dumps(kinds, indent=2) + "\n", encoding="utf-8")
    return written


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write the example's pictures.")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--truth", type=Path, help="where masks and kinds of the drawn defects go")
    arguments = parser.parse_args()
    for file in make_pictures(arguments.folder, arguments.truth):
        print(file)


if __name__ == "__main__":
    main()
