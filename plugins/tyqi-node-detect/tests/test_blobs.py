from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tyqi_core.errors import InputError
from tyqi_core.node import LocalContext
from tyqi_node_detect import nodes
from tyqi_node_detect.blobs import Blob, detect, iou, score_of, shared, suppress

PACKAGE = Path(nodes.__file__).parent
DISCS = [((60, 70), 10, 60), ((150, 60), 20, 60), ((110, 170), 30, 220)]  # centre, radius, grey level


def wall(shape=(240, 240), level=140, noise=4.0):
    grey = np.random.default_rng(0).normal(level, noise, shape)
    return np.clip(np.repeat(grey[..., None], 3, axis=2), 0, 255).astype(np.uint8)


def with_discs(discs=DISCS):
    picture = wall()
    for centre, radius, level in discs:
        cv2.circle(picture, centre, radius, (level,) * 3, -1, cv2.LINE_AA)
    return picture


def box_of(disc):
    (x, y), radius, _ = disc
    return x - radius, y - radius, x + radius + 1, y + radius + 1


def test_discs_of_several_sizes_are_found_where_they_are_and_nothing_else():
    found = detect(with_discs())
    assert len(found) == len(DISCS)
    for disc in DISCS:
        assert max(iou(blob.box, box_of(disc)) for blob in found) > 0.7


def test_labels_say_whether_a_blob_is_dark_or_light():
    labels = {blob.label: blob.box for blob in detect(with_discs([DISCS[0], DISCS[2]]))}
    assert iou(labels["dark blob"], box_of(DISCS[0])) > 0.7
    assert iou(labels["light blob"], box_of(DISCS[2])) > 0.7


@pytest.mark.parametrize(("polarity", "expected"), [("dark", 2), ("light", 1), ("both", 3)])
def test_polarity_selects_dark_or_light_blobs(polarity, expected):
    assert len(detect(with_discs(), polarity=polarity)) == expected


def test_blobs_outside_the_size_range_are_left_out():
    boxes = [blob.box for blob in detect(with_discs(), min_size=30, max_size=50)]
    assert len(boxes) == 1
    assert iou(boxes[0], box_of(DISCS[1])) > 0.7


def test_a_stronger_contrast_scores_higher():
    faint, strong = (detect(with_discs([((120, 120), 20, level)]), min_score=0)[0].score for level in (115, 40))
    assert 0 < faint < strong < 1
    assert 0 == score_of(0) < score_of(3) < score_of(-30) < 1


def test_a_gradient_of_light_neither_makes_blobs_nor_hides_them():
    ramp = np.linspace(-60, 60, 240)[None, :, None]
    lit = np.clip(wall() + ramp, 0, 255).astype(np.uint8)
    assert detect(lit) == []
    cv2.circle(lit, (60, 120), 15, (20, 20, 20), -1)
    assert [iou(blob.box, (45, 105, 76, 136)) > 0.7 for blob in detect(lit)] == [True]


def test_a_long_line_is_no_blob():
    picture = wall()
    cv2.line(picture, (0, 100), (239, 140), (20, 20, 20), 6)
    assert all(blob.box[2] - blob.box[0] < 80 for blob in detect(picture))
    assert not any(iou(blob.box, (0, 97, 240, 143)) > 0.3 for blob in detect(picture))


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (7, 5), (64, 64)])
def test_tiny_and_uniform_pictures_hold_no_blobs(shape):
    assert detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_the_picture_is_not_modified_and_boxes_lie_inside_it():
    picture = with_discs([((0, 0), 25, 40), ((239, 120), 25, 40)])
    picture.setflags(write=False)
    found = detect(picture, min_score=0.3)
    assert len(found) >= 2
    for blob in found:
        x0, y0, x1, y1 = blob.box
        assert 0 <= x0 < x1 <= 240
        assert 0 <= y0 < y1 <= 240


def test_sizes_that_are_upside_down_are_refused():
    with pytest.raises(InputError, match="min_size <= max_size"):
        detect(wall(), min_size=50, max_size=20)


def test_of_two_overlapping_blobs_the_better_stays_and_far_ones_both():
    whole, part, far = (
        Blob(box, -9.0, score) for box, score in (((0, 0, 40, 40), 0.8), ((5, 5, 15, 15), 0.9), ((90, 90, 99, 99), 0.7))
    )
    assert suppress([part, whole, far], 0.3) == [whole, far]
    assert suppress([part, whole, far], 1.0) == [part, whole, far]


def test_overlap_measures_of_boxes():
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert shared((0, 0, 10, 10), (5, 5, 7, 7)) == 1
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def test_the_node_gives_tp_detections_on_its_own_example():
    declared = yaml.safe_load((PACKAGE / "blobs.node.yaml").read_text(encoding="utf-8"))
    example = declared["examples"][0]
    params = {name: schema["default"] for name, schema in declared["params"].items()} | example["params"]
    picture = np.ascontiguousarray(cv2.imread(str(PACKAGE / example["inputs"]["image"]))[..., ::-1])
    found = nodes.Blobs().process({"image": picture}, LocalContext(params=params))["detections"]
    assert [one["label"] for one in found] == ["dark blob"]
    assert set(found[0]) == {"box", "score", "label"}
    assert all(isinstance(edge, int) for edge in found[0]["box"])


def test_the_node_keeps_at_most_the_best_detections():
    params = {"min_size": 12, "max_size": 96, "min_score": 0.3, "polarity": "both", "max_overlap": 0.3}
    every, best = (
        nodes.Blobs().process({"image": with_discs()}, LocalContext(params=params | {"max_detections": limit}))
        for limit in (100, 2)
    )
    assert best["detections"] == every["detections"][:2]
    scores = [one["score"] for one in every["detections"]]
    assert scores == sorted(scores, reverse=True)
