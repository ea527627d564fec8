from __future__ import annotations

import numpy as np
import pytest

from tyqi_core.node import LocalContext
from tyqi_node_spall.nodes import area


@pytest.fixture
def measure(defaults):
    def run(mask, **params):
        return area().process({"mask": mask}, LocalContext(params=defaults("area", **params)))

    return run


@pytest.fixture
def two_spalls_and_a_speck():
    mask = np.zeros((100, 200), np.uint8)
    mask[10:30, 10:40] = 255
    mask[50:60, 100:120] = 7
    mask[90:93, 5:8] = 255
    mask.setflags(write=False)
    return mask


def test_spalls_are_counted_and_their_areas_add_up(measure, two_spalls_and_a_speck):
    assert measure(two_spalls_and_a_speck)["measurements"] == {
        "area": {"value": 800.0, "unit": "px2"},
        "largest": {"value": 600.0, "unit": "px2"},
        "area_fraction": {"value": 0.04, "unit": "1"},
        "count": {"value": 2, "unit": "1"},
    }


def test_a_scale_turns_pixels_into_square_millimetres(measure, two_spalls_and_a_speck):
    found = measure(two_spalls_and_a_speck, mm_per_px=0.5)["measurements"]
    assert found["area"] == {"value": 200.0, "unit": "mm2"}
    assert found["largest"] == {"value": 150.0, "unit": "mm2"}
    assert found["area_fraction"]["value"] == 0.04


def test_specks_are_not_shown(measure, two_spalls_and_a_speck):
    shown = measure(two_spalls_and_a_speck)["mask"]
    assert not shown[90:].any()
    assert np.count_nonzero(shown) == 800
    assert set(np.unique(shown)) == {0, 255}
    assert shown.flags.c_contiguous


def test_without_a_least_area_specks_count(measure, two_spalls_and_a_speck):
    assert measure(two_spalls_and_a_speck, min_area=0)["measurements"]["count"]["value"] == 3


@pytest.mark.parametrize("shape", [(1, 1), (40, 60)])
def test_an_empty_mask_measures_zero(measure, shape):
    outputs = measure(np.zeros(shape, np.uint8))
    assert {each["value"] for each in outputs["measurements"].values()} == {0}
    assert not outputs["mask"].any()


def test_a_mask_that_fills_the_picture_covers_all_of_it(measure):
    assert measure(np.full((50, 50), 255, np.uint8))["measurements"]["area_fraction"]["value"] == 1.0


def test_values_are_plain_numbers(measure, two_spalls_and_a_speck):
    for each in measure(two_spalls_and_a_speck, mm_per_px=1)["measurements"].values():
        assert type(each["value"]) in (int, float)
