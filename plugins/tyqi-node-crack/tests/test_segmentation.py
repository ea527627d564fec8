from __future__ import annotations

import cv2
import numpy as np
import pytest

from tyqi_core.node import LocalContext
from tyqi_node_crack.nodes import CrackSegmenter, RidgeCrackSegmenter

MAJORS = {"segment": CrackSegmenter, "segment.v2": RidgeCrackSegmenter}
CRACK = np.array([[20, 30], [60, 55], [90, 60], [140, 110], [180, 120]], np.int32)


@pytest.fixture(params=MAJORS)
def segment(request, defaults):
    def run(image, **params):
        ctx = LocalContext(params=defaults(request.param, **params))
        return MAJORS[request.param]().process({"image": image}, ctx)["mask"]

    return run


def cracked(image, width, grey=50):
    truth = np.zeros(image.shape[:2], np.uint8)
    cv2.polylines(truth, [CRACK], False, 255, width)
    picture = image.copy()
    picture[truth > 0] = grey
    picture.setflags(write=False)
    return picture, truth


def near(mask, tolerance=2):
    return cv2.dilate(mask, np.ones((2 * tolerance + 1, 2 * tolerance + 1), np.uint8)) > 0


@pytest.mark.parametrize("width", [1, 3, 6])
def test_a_dark_crack_is_marked_along_its_whole_length_and_nothing_else(segment, plaster, width):
    picture, truth = cracked(plaster, width)
    mask = segment(picture)
    assert (near(mask) & (truth > 0)).sum() >= 0.95 * (truth > 0).sum()
    assert (near(truth) & (mask > 0)).sum() >= 0.98 * (mask > 0).sum()


def test_a_clean_wall_has_no_cracks(segment, plaster):
    assert not segment(plaster).any()


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 3), (64, 64)])
def test_a_constant_picture_of_any_size_gives_an_empty_mask_of_that_size(segment, shape, level):
    mask = segment(np.full((*shape, 3), level, np.uint8))
    assert mask.shape == shape
    assert not mask.any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 50)])
def test_a_tiny_noisy_picture_is_no_error(segment, shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert segment(noise).shape == shape


def test_the_mask_is_contiguous_uint8_of_0_and_255(segment, plaster):
    mask = segment(cracked(plaster, 3)[0])
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    assert set(np.unique(mask)) == {0, 255}


def test_the_same_picture_gives_the_same_mask_and_stays_as_it_was(segment, plaster):
    picture, _ = cracked(plaster, 3)
    before = picture.copy()
    assert np.array_equal(segment(picture), segment(picture))
    assert np.array_equal(picture, before)


def test_a_round_hole_is_no_crack(segment, plaster):
    picture = plaster.copy()
    cv2.circle(picture, (100, 80), 5, (40, 40, 40), cv2.FILLED)
    assert not segment(picture).any()


def test_cracks_shorter_than_min_length_are_dropped(segment, plaster):
    picture, _ = cracked(plaster, 3)
    assert segment(picture, min_length=100).any()
    assert not segment(picture, min_length=400).any()


def test_bright_mortar_joints_are_no_cracks(segment, plaster):
    picture = (plaster * 0.5).astype(np.uint8)
    picture[::40] = picture[1::40] = 200
    picture[:, ::60] = picture[:, 1::60] = 200
    assert not segment(picture).any()


def test_version_2_finds_a_faint_thin_crack_that_version_1_misses(plaster, defaults):
    _, truth = cracked(plaster, 2)
    picture = np.where(truth[:, :, None] > 0, plaster * 0.9, plaster).astype(np.uint8)
    found = {}
    for name, node in MAJORS.items():
        mask = node().process({"image": picture}, LocalContext(params=defaults(name)))["mask"]
        found[name] = (near(mask) & (truth > 0)).sum() / (truth > 0).sum()
    assert found["segment"] < 0.5
    assert found["segment.v2"] > 0.8


def test_version_2_marks_the_crack_as_wide_as_it_is(plaster, defaults):
    for width in (3, 5, 7):
        picture, truth = cracked(plaster, width)
        mask = RidgeCrackSegmenter().process({"image": picture}, LocalContext(params=defaults("segment.v2")))["mask"]
        assert np.count_nonzero(mask) == pytest.approx(np.count_nonzero(truth), rel=0.15)
