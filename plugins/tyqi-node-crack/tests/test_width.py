from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from tyqi_core.errors import ContractViolation
from tyqi_core.node import LocalContext
from tyqi_node_crack.nodes import Skeletonizer, WidthMeter
from tyqi_node_crack.width import local_widths


@pytest.fixture
def measure(defaults):
    def run(mask, **params):
        skeleton = Skeletonizer().process({"mask": mask}, LocalContext(params=defaults("skeleton")))["skeleton"]
        inputs = {"mask": mask, "skeleton": skeleton}
        return WidthMeter().process(inputs, LocalContext(params=defaults("width", **params)))

    return run


def bar(width, angle, length=240, size=400):
    """A bar through the middle, exact to the pixel centre."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2 - 0.25
    turn = math.radians(angle)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return ((np.abs(along) < length / 2) & (np.abs(across) <= width / 2)).astype(np.uint8) * np.uint8(255)


@pytest.mark.parametrize("angle", [0, 17, 45, 68, 90, 130])
@pytest.mark.parametrize("width", [2, 3, 4, 6, 9])
def test_a_bar_measures_its_own_width_length_and_direction(measure, width, angle):
    mask = bar(width, angle)
    found = measure(mask)["measurements"]
    assert found["mean_width"]["value"] == pytest.approx(np.count_nonzero(mask) / 240, abs=0.4)
    assert found["max_width"]["value"] == pytest.approx(width, abs=1.1)
    assert found["length"]["value"] == pytest.approx(240, rel=0.11)
    assert found["count"]["value"] == 1
    assert found["branch_points"]["value"] == 0
    assert abs((found["orientation"]["value"] - angle + 90) % 180 - 90) < 2


def test_a_scale_turns_pixels_into_millimetres(measure):
    pixels, millimetres = measure(bar(4, 0))["measurements"], measure(bar(4, 0), mm_per_px=0.5)["measurements"]
    for name in ("length", "mean_width", "max_width"):
        assert pixels[name]["unit"] == "px"
        assert millimetres[name] == {"value": pixels[name]["value"] * 0.5, "unit": "mm"}
    assert millimetres["area"] == {"value": pixels["area"]["value"] * 0.25, "unit": "mm2"}
    assert millimetres["count"] == pixels["count"]


def test_specks_are_neither_counted_nor_shown(measure):
    mask = bar(4, 30)
    mask[5:8, 5:8] = 255
    outputs = measure(mask)
    assert outputs["measurements"]["count"]["value"] == 1
    assert not outputs["mask"][:20, :20].any()
    assert np.array_equal(outputs["mask"], bar(4, 30))


def test_two_cracks_count_two_and_their_lengths_add_up(measure):
    mask = np.zeros((100, 200), np.uint8)
    mask[20:23, 10:110] = mask[70:73, 50:150] = 255
    found = measure(mask)["measurements"]
    assert found["count"]["value"] == 2
    assert found["length"]["value"] == pytest.approx(200, abs=8)


def test_a_fork_is_counted_and_does_not_pass_for_a_wide_crack(measure):
    mask = np.zeros((200, 200), np.uint8)
    for end in ((20, 100), (170, 30), (170, 170)):
        cv2.line(mask, (100, 100), end, 255, 7)
    arm = np.zeros_like(mask)
    cv2.line(arm, (100, 100), (170, 30), 255, 7)
    found = measure(mask)["measurements"]
    assert found["branch_points"]["value"] == 1
    assert found["max_width"]["value"] <= measure(arm)["measurements"]["max_width"]["value"] + 0.1


def test_a_crack_that_leaves_the_picture_keeps_its_width(measure):
    mask = np.zeros((50, 100), np.uint8)
    mask[20:26] = 255
    assert measure(mask)["measurements"]["max_width"]["value"] == 6


def test_an_empty_mask_measures_zero(measure):
    for shape in ((1, 1), (40, 60)):
        outputs = measure(np.zeros(shape, np.uint8))
        assert {each["value"] for each in outputs["measurements"].values()} == {0}
        assert outputs["mask"].shape == shape
        assert not outputs["mask"].any()


def test_a_mask_that_fills_the_picture_is_measured_without_error(measure):
    found = measure(np.full((30, 30), 255, np.uint8), min_length=0)["measurements"]
    assert found["area"]["value"] == 900


def test_values_are_plain_numbers(measure):
    for each in measure(bar(3, 10))["measurements"].values():
        assert type(each["value"]) in (int, float)
        assert math.isfinite(each["value"])


def test_inputs_stay_as_they_were_and_may_be_read_only(measure):
    mask = bar(3, 10)
    mask.setflags(write=False)
    measure(mask)
    assert np.array_equal(mask, bar(3, 10))


def test_a_skeleton_of_another_size_is_refused_with_its_code(defaults):
    inputs = {"mask": np.zeros((10, 20), np.uint8), "skeleton": np.zeros((20, 10), np.uint8)}
    with pytest.raises(ContractViolation) as refused:
        WidthMeter().process(inputs, LocalContext(params=defaults("width")))
    assert refused.value.code == "SHAPE_MISMATCH"


@pytest.fixture
def one_thread():
    """OpenCV as the runtime sets it for nodes of one core: it then takes other, quicker ways."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("one_thread")
def test_widths_are_exact_to_the_last_bit_and_so_the_same_each_time():
    steps = np.random.default_rng(1).integers(2, 20, (30, 2))
    for thickness in range(3, 40, 3):
        mask = np.zeros((507, 509), np.uint8)  # rows begin at all kinds of places in memory
        cv2.polylines(mask, [np.cumsum(steps, axis=0).astype(np.int32)], isClosed=False, color=255, thickness=thickness)
        widths = local_widths(mask)
        squares = np.rint(widths.astype(np.float64) ** 2)  # of distances between points of a grid: whole numbers
        assert widths.any()
        assert np.array_equal(widths, np.sqrt(squares).astype(np.float32)), thickness
