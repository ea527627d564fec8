"""The stated test of the README: 48 pictures with none to three spalls each. Run as a program it prints the figures."""

import cv2
import numpy as np
import pytest

from tyqi_node_detect.blobs import detect, iou
from tyqi_node_synth.drawing import SURFACES, draw_spall, texture

SEEDS = range(16)
"""The pictures on which the defaults were also chosen."""
UNSEEN = range(16, 80)
"""Pictures that nobody looked at while choosing them."""


def scene(name, seed):
    """A 384 px picture with seed % 4 spalls, 24 to 60 px wide, and their boxes."""
    rng = np.random.default_rng([seed, SURFACES.index(name)])
    picture = texture(name, rng, 384, "test")
    taken, boxes = np.zeros(picture.shape[:2], np.uint8), []
    while len(boxes) < seed % 4:
        drawn, mask = draw_spall(picture, rng, (0.03, 0.08))
        if not (cv2.dilate(mask, np.ones((15, 15), np.uint8)) & taken).any():
            picture, taken = drawn, taken | mask
            x, y, width, height = cv2.boundingRect(mask)
            boxes.append((x, y, x + width, y + height))
    return picture, boxes


def hits(found, boxes):
    """How many detections meet a box of their own with an IoU of 0.5 at least, best score first."""
    free = list(boxes)
    for blob in found:
        best = max(free, key=lambda box: iou(blob.box, box), default=None)
        if best is not None and iou(blob.box, best) >= 0.5:
            free.remove(best)
    return len(boxes) - len(free)


def precision_and_recall(name, seeds=SEEDS):
    found = right = present = 0
    for seed in seeds:
        picture, boxes = scene(name, seed)
        blobs = detect(picture)
        found, right, present = found + len(blobs), right + hits(blobs, boxes), present + len(boxes)
    return right / found, right / present


FLOORS = {"brick": (0.75, 0.55), "gravel": (0.80, 0.45), "grass": (0.65, 0.80)}


@pytest.mark.parametrize("name", FLOORS)
def test_precision_and_recall_are_what_the_readme_says(name):
    precision, recall = precision_and_recall(name)
    assert precision >= FLOORS[name][0]
    assert recall >= FLOORS[name][1]


if __name__ == "__main__":
    for title, seeds in (("chosen on", SEEDS), ("unseen", UNSEEN)):
        for surface in SURFACES:
            figures = "precision {:.2f}, recall {:.2f}".format(*precision_and_recall(surface, seeds))
            print(title, surface, figures)  # noqa: T201
