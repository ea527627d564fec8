from __future__ import annotations

import cv2
import numpy as np
import pytest

from tyqi_core.node import LocalContext
from tyqi_node_spall.nodes import SpallSegmenter
from tyqi_node_spall.segmentation import colour_distance


@pytest.fixture
def segment(defaults):
    def run(image, **params):
        ctx = LocalContext(params=defaults("segment", **params))
        return SpallSegmenter().process({"image": image}, ctx)["mask"]

    return run


def broken(image, colour, radius=24, centre=(120, 80)):
    truth = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(truth, centre, radius, 255, cv2.FILLED)
    rng = np.random.default_rng(1)
    rough = np.asarray(colour) * rng.normal(1, 0.1, (*truth.shape, 1))
    picture = np.where(truth[:, :, None] > 0, rough, image).clip(0, 255).astype(np.uint8)
    picture.setflags(write=False)
    return picture, truth


def overlap(mask, truth):
    return ((mask > 0) & (truth > 0)).sum() / ((mask > 0) | (truth > 0)).sum()


@pytest.mark.parametrize("colour", [(70, 60, 55), (235, 225, 215), (170, 130, 100)])
def test_a_patch_that_is_darker_lighter_or_of_another_colour_is_marked(segment, plaster, colour):
    picture, truth = broken(plaster, colour)
    assert overlap(segment(picture), truth) > 0.85


def test_a_spall_across_brick_and_mortar_is_marked_and_the_joints_are_not(segment):
    rng = np.random.default_rng(2)
    wall = np.full((240, 320, 3), (150, 90, 70), np.float64)
    for top in range(0, 240, 30):
        wall[top : top + 5] = (190, 185, 175)
        for left in range((top // 30 % 2) * 35, 320, 70):
            wall[top : top + 30, left : left + 5] = (190, 185, 175)
    wall = (wall + rng.normal(0, 3, wall.shape)).clip(0, 255).astype(np.uint8)
    assert not segment(wall).any()
    picture, truth = broken(wall, (70, 60, 55))
    assert overlap(segment(picture), truth) > 0.8


def test_a_clean_wall_has_no_spalls(segment, plaster):
    assert not segment(plaster).any()


def test_a_crack_is_no_spall(segment, plaster):
    picture = plaster.copy()
    cv2.line(picture, (20, 20), (180, 140), (40, 40, 40), 6)
    assert not segment(picture).any()


def test_spalls_smaller_than_min_diameter_are_dropped(segment, plaster):
    picture, _ = broken(plaster, (70, 60, 55), radius=15)
    assert segment(picture).any()
    assert not segment(picture, min_diameter=45).any()


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
    mask = segment(broken(plaster, (70, 60, 55))[0])
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    assert set(np.unique(mask)) == {0, 255}


def test_the_same_picture_gives_the_same_mask_and_stays_as_it_was(segment, plaster):
    picture, _ = broken(plaster, (70, 60, 55))
    before = picture.copy()
    assert np.array_equal(segment(picture), segment(picture))
    assert np.array_equal(picture, before)


def test_a_large_defect_does_not_become_part_of_the_surface(plaster):
    picture, truth = broken(plaster, (70, 60, 55), radius=28)
    distance = colour_distance(picture)
    assert np.median(distance[truth > 0]) > 4 * np.quantile(distance[truth == 0], 0.95)
