from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.morphology import skeletonize

from tyqi_core.node import LocalContext
from tyqi_node_crack.nodes import Skeletonizer
from tyqi_node_crack.thinning import branch_points, prune, thin

MASKS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.sampled_from([0, 255]))


def components(mask):
    return cv2.connectedComponents(mask, connectivity=8)[0] - 1


def blobs(seed, size=200):
    rng = np.random.default_rng(seed)
    return ((cv2.GaussianBlur(rng.random((size, size)), (0, 0), 4) > 0.5) * 255).astype(np.uint8)


@given(MASKS)
@settings(max_examples=200, deadline=None)
def test_thinning_keeps_the_number_of_parts_and_stays_inside_the_mask(mask):
    thinned = thin(mask)
    assert components(thinned) == components(mask)
    assert not (thinned & ~mask).any()


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_thinning_twice_changes_nothing(mask):
    once = thin(mask)
    assert np.array_equal(thin(once), once)


@given(MASKS, st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_pruning_keeps_the_number_of_parts(mask, spur_length):
    assert components(prune(thin(mask), spur_length)) == components(mask)


def test_the_centre_lines_lie_where_another_implementation_puts_them():
    mask = blobs(1)
    ours, theirs = thin(mask), skeletonize(mask > 0).astype(np.uint8)
    near = np.ones((5, 5), np.uint8)
    assert (cv2.dilate(ours, near)[theirs > 0] > 0).mean() > 0.97
    assert (cv2.dilate(theirs, near)[ours > 0] > 0).mean() > 0.97


def test_a_bar_becomes_its_middle_line():
    mask = np.zeros((21, 101), np.uint8)
    mask[8:13, 10:91] = 255
    rows, columns = np.nonzero(thin(mask))
    assert set(rows) == {10}
    assert columns.min() <= 13
    assert columns.max() >= 87


def test_a_ring_stays_a_closed_line():
    mask = np.zeros((60, 60), np.uint8)
    cv2.circle(mask, (30, 30), 20, 255, 6)
    thinned = thin(mask)
    holes = cv2.connectedComponents(255 - thinned, connectivity=4)[0] - 2
    assert holes == 1


def test_a_spur_goes_and_the_line_stays():
    lines = np.zeros((40, 100), np.uint8)
    lines[20, 5:95] = 255
    lines[14:20, 50] = 255
    pruned = prune(lines, 10)
    assert not pruned[:18].any()
    assert pruned[20, 8:92].all()


def test_a_branch_longer_than_spur_length_stays():
    lines = np.zeros((40, 100), np.uint8)
    lines[20, 5:95] = 255
    lines[2:20, 50] = 255
    assert prune(lines, 10)[3:17, 50].all()


def test_a_short_line_without_branches_is_no_spur():
    lines = np.zeros((10, 10), np.uint8)
    lines[5, 3:7] = 255
    assert np.array_equal(prune(lines, 100), lines)


def test_a_forked_end_is_not_eaten_up():
    lines = np.zeros((60, 100), np.uint8)
    lines[30, 10:60] = 255
    for step in range(6):
        lines[30 + step, 60 + step] = lines[30 - step, 60 + step] = 255
    columns = np.nonzero(prune(lines, 10))[1]
    assert columns.max() >= 63


def test_a_corner_is_no_branch_and_a_fork_is_one():
    corner = np.zeros((9, 9), np.uint8)
    corner[4, 4:] = corner[4:, 4] = 255
    assert not branch_points(corner).any()
    fork = corner.copy()
    fork[4, :] = 255
    assert branch_points(fork).any()


@pytest.mark.parametrize("mask", [np.zeros((1, 1), np.uint8), np.zeros((20, 30), np.uint8)])
def test_an_empty_mask_has_no_centre_line(mask):
    assert not thin(mask).any()


def test_labels_other_than_255_are_foreground_too():
    assert np.array_equal(thin(blobs(2) // 255 * np.uint8(3)), thin(blobs(2)))


def test_the_node_returns_contiguous_lines_and_leaves_the_mask_alone(defaults):
    mask = blobs(3)
    mask.setflags(write=False)
    skeleton = Skeletonizer().process({"mask": mask}, LocalContext(params=defaults("skeleton")))["skeleton"]
    assert skeleton.flags.c_contiguous
    assert skeleton.dtype == np.uint8
    assert set(np.unique(skeleton)) == {0, 255}
