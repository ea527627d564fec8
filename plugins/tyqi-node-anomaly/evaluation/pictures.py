"""The stated test: pictures of test areas that no training has seen, clean and with defects, with ground truth.

Cracks and spalls are drawn by ``tyqi-node-synth``; the other defects here. None of this code is used in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tyqi_node_synth import drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Image = NDArray[np.uint8]
Drawn = tuple[Image, Image]


@dataclass(frozen=True, slots=True)
class Case:
    """One test picture; ``truth`` is 255 where the defect is, ``defect`` is ``clean`` where there is none."""

    surface: str
    defect: str
    image: Image
    truth: Image


def cases(size: int, clean: int, each: int, seed: int) -> Iterator[Case]:
    """Per surface ``clean`` pictures without defect and ``each`` pictures with each kind of defect."""
    for surface in drawing.SURFACES:
        rng = np.random.default_rng([seed, drawing.SURFACES.index(surface)])
        for _ in range(clean):
            image = drawing.texture(surface, rng, size, "test")
            yield Case(surface, "clean", image, np.zeros(image.shape[:2], np.uint8))
        for defect, draw in DEFECTS.items():
            for _ in range(each):
                image, truth = draw(drawing.texture(surface, rng, size, "test"), rng, surface)
                yield Case(surface, defect, image, truth)


def _crack(image: Image, rng: np.random.Generator, _: str) -> Drawn:
    return drawing.draw_crack(image, rng, width=(1.5, 5.0))


def _spall(image: Image, rng: np.random.Generator, _: str) -> Drawn:
    return drawing.draw_spall(image, rng)


def _scratch(image: Image, rng: np.random.Generator, _: str) -> Drawn:
    """A bright straight line, 1 to 3 px wide."""
    size, angle = image.shape[0], rng.uniform(0, np.pi)
    middle, arm = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.2, 0.4) * size
    step = arm * np.array([np.cos(angle), np.sin(angle)])
    cover = np.zeros(image.shape[:2], np.uint8)
    ends = [tuple(map(int, np.rint(end * 8))) for end in (middle - step, middle + step)]
    cv2.line(cover, ends[0], ends[1], 255, int(rng.integers(1, 4)), cv2.LINE_AA, 3)
    return _laid_over(image, np.full_like(image, 235), cover)


def _stain(image: Image, rng: np.random.Generator, _: str) -> Drawn:
    """A dark spot with soft edges that swallows 30 to 55% of the light; the surface shows through."""
    return _laid_over(image, image * rng.uniform(0.45, 0.7), _patch(image, rng, soft=2.0))


def _smear(image: Image, rng: np.random.Generator, _: str) -> Drawn:
    """A place without relief, as after a repair: the surface blurred."""
    return _laid_over(image, cv2.GaussianBlur(image, (0, 0), 4.0), _patch(image, rng, soft=1.0))


def _foreign(image: Image, rng: np.random.Generator, surface: str) -> Drawn:
    """A piece of another surface, of the same brightness."""
    others = [name for name in drawing.SURFACES if name != surface]
    other = drawing.texture(others[int(rng.integers(len(others)))], rng, image.shape[0], "test")
    levelled = other * (image.mean() / other.mean())
    return _laid_over(image, levelled, _patch(image, rng, soft=1.0))


def _patch(image: Image, rng: np.random.Generator, soft: float) -> Image:
    """The cover of an irregular patch with a radius of 8 to 18% of the picture's side."""
    size = image.shape[0]
    radius, angles = size * rng.uniform(0.08, 0.18), np.linspace(0, 2 * np.pi, 12, endpoint=False)
    centre, reach = rng.uniform(0.25, 0.75, 2) * size, radius * rng.uniform(0.7, 1.3, 12)
    outline = centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(cover, [np.rint(outline).astype(np.int32)], 255)
    return cv2.GaussianBlur(cover, (0, 0), soft).astype(np.uint8)


def _laid_over(image: Image, top: NDArray[Any], cover: Image) -> Drawn:
    opaque = cover[..., None] / 255
    mixed = np.clip(np.rint(image * (1 - opaque) + top * opaque), 0, 255).astype(np.uint8)
    return mixed, np.where(cover >= 128, 255, 0).astype(np.uint8)


DEFECTS: dict[str, Callable[[Image, np.random.Generator, str], Drawn]] = {
    "crack": _crack,
    "spall": _spall,
    "scratch": _scratch,
    "stain": _stain,
    "smear": _smear,
    "foreign": _foreign,
}
