import numpy as np
import pytest

from tyqi_core.errors import InputError, TaskCancelled
from tyqi_core.node import LocalContext
from tyqi_core.protocol.ports import PortType, checker
from tyqi_node_align.nodes import Stitch


@pytest.fixture
def run(params_of):
    def joined(strips, **params):
        return Stitch().process({"strips": strips}, LocalContext(params=params_of("stitch", **params)))

    return joined


def turned(strips, direction):
    """Strips of a camera that travels to the right, as if it had travelled another way."""
    if direction in ("left", "up"):
        strips = [strip[:, ::-1] for strip in strips]
    if direction in ("down", "up"):
        strips = [strip.swapaxes(0, 1) for strip in strips]
    return [np.ascontiguousarray(strip) for strip in strips]


@pytest.mark.parametrize("name", ["gravel", "grass", "brick", "coins"])
@pytest.mark.parametrize(("count", "overlap"), [(2, 0.3), (3, 0.2), (4, 0.5)])
def test_strips_are_joined_to_a_fraction_of_a_pixel(run, strips_of, error_of_strips, pictures, *, name, count, overlap):
    taken, true = strips_of(pictures[name], seed=count, count=count, overlap=overlap)
    outputs = run(taken)
    assert error_of_strips(outputs["corners"], true) < 0.25
    assert outputs["measurements"]["strips"]["value"] == count
    assert outputs["measurements"]["least_correlation"]["value"] > 0.6


@pytest.mark.parametrize("direction", ["right", "left", "down", "up"])
def test_the_direction_only_turns_the_result(run, strips_of, pictures, direction):
    taken, _ = strips_of(pictures["gravel"], seed=1)
    straight = run(taken)
    outputs = run(turned(taken, direction), direction=direction)
    assert np.array_equal(outputs["image"], turned([straight["image"]], direction)[0])
    x, y = outputs["corners"][0]
    height, width = outputs["image"].shape[:2]
    length = taken[0].shape[1]
    along = {"right": x, "left": width - length - x, "down": y, "up": height - length - y}[direction]
    assert along == pytest.approx(straight["corners"][0][0], abs=1e-6)


def test_the_joined_picture_is_the_scene(run, strips_of, pictures):
    scene = pictures["coffee"]
    taken, true = strips_of(scene, seed=4, count=4, overlap=0.3, noise=0, light=0)
    outputs = run(taken)
    image = outputs["image"]
    left, top = (true[0] - outputs["corners"][0]).round().astype(int)
    part = scene[top : top + image.shape[0], left : left + image.shape[1]]
    error = np.abs(image.astype(int) - part)[5:-5, 5:-5]
    assert np.median(error) <= 3
    assert error.mean() < 6


def test_exposure_is_evened_out(run, strips_of, pictures):
    taken, _ = strips_of(pictures["gravel"], seed=0, count=3, light=0)
    dark = [(strip * factor).astype(np.uint8) for strip, factor in zip(taken, (0.9, 0.6, 0.8), strict=True)]

    def steps(**params):
        image = run(dark, blend="cut", **params)["image"].astype(float)
        means = np.array([image[:, start : start + 60].mean() for start in range(0, image.shape[1] - 60, 20)])
        return np.abs(np.diff(means)).max()

    assert steps(exposure=True) < steps(exposure=False) / 2
    gains = run(dark)["measurements"]
    assert gains["largest_gain"]["value"] / gains["least_gain"]["value"] == pytest.approx(1.5, rel=0.03)


def test_without_subpixel_and_exposure_pixels_are_only_copied(run, read_only, pictures):
    scene = pictures["brick"][:200]
    taken = [read_only(np.ascontiguousarray(scene[:, start : start + 200])) for start in (0, 150, 300)]
    for blend in ("feather", "cut"):
        outputs = run(taken, subpixel=False, exposure=False, blend=blend)
        assert np.array_equal(outputs["image"], scene[:, :500])
        assert outputs["corners"] == [[0, 0], [150, 0], [300, 0]]


def test_crop_cuts_off_what_drift_leaves_empty(run, read_only, pictures):
    scene = pictures["gravel"]
    taken = [
        read_only(np.ascontiguousarray(scene[y : y + 300, x : x + 220])) for x, y in ((0, 20), (140, 5), (290, 30))
    ]
    params = {"subpixel": False, "exposure": False}
    assert np.array_equal(run(taken, **params)["image"], scene[30:305, :510])
    whole = run(taken, crop=False, **params)
    assert whole["image"].shape[:2] == (325, 510)
    assert not whole["image"][:15, :140].any()
    assert whole["corners"] == [[0, 15], [140, 0], [290, 25]]
    assert whole["measurements"]["drift"] == {"value": 25, "unit": "px"}


def test_lines_along_the_travel_do_not_decide_the_offset(run, strips_of, error_of_strips, pictures):
    rails = pictures["grass"].copy()
    rails[100:130], rails[380:410] = 250, 10
    taken, true = strips_of(rails, seed=3, count=3, overlap=0.2)
    assert error_of_strips(run(taken)["corners"], true) < 0.25


def test_strips_that_show_nothing_but_such_lines_are_refused(run, read_only):
    rng = np.random.default_rng(0)
    lines = np.repeat(rng.integers(0, 256, (200, 1, 1)), 150, axis=1).repeat(3, axis=2)
    taken = [read_only(np.clip(lines + rng.normal(0, 3, lines.shape), 0, 255).astype(np.uint8)) for _ in range(2)]
    with pytest.raises(InputError) as caught:
        run(taken)
    assert caught.value.code == "NO_OVERLAP"


@pytest.mark.parametrize("name", ["gravel", "brick", "coffee", "text"])
def test_strips_that_do_not_overlap_are_refused_with_their_numbers(run, strips_of, pictures, name):
    taken, _ = strips_of(pictures[name], seed=2, count=4, overlap=0.25)
    with pytest.raises(InputError, match=r"strips 2 and 3 \(counted from 1\) do not overlap") as caught:
        run([taken[0], taken[1], taken[3]])
    assert caught.value.code == "NO_OVERLAP"
    assert "order" in caught.value.remedy


def test_the_wrong_direction_is_refused(run, strips_of, pictures):
    taken, _ = strips_of(pictures["gravel"], seed=2)
    with pytest.raises(InputError):
        run(taken, direction="left")


@pytest.mark.parametrize("shape", [(1, 1), (2, 30), (60, 80)])
def test_plain_strips_of_any_size_are_refused(run, read_only, shape):
    with pytest.raises(InputError) as caught:
        run([read_only(np.full((*shape, 3), 77, np.uint8))] * 2)
    assert caught.value.code == "NO_OVERLAP"


def test_one_strip_is_the_picture_and_none_is_an_error(run, pictures):
    outputs = run([pictures["coins"]])
    assert np.array_equal(outputs["image"], pictures["coins"])
    assert outputs["measurements"]["least_overlap"]["value"] is None
    with pytest.raises(InputError) as caught:
        run([])
    assert caught.value.code == "NO_STRIPS"


def test_a_strip_beyond_what_warps_can_address_is_refused_by_name(run, read_only):
    with pytest.raises(InputError, match="strip 1 has 33000 x 2 px") as caught:
        run([read_only(np.zeros((2, 33_000, 3), np.uint8))])
    assert caught.value.code == "IMAGE_TOO_LARGE"


def test_strips_of_different_sizes_are_joined(run, read_only, pictures):
    scene = pictures["grass"]
    taken = [
        read_only(np.ascontiguousarray(part)) for part in (scene[:300, :250], scene[10:280, 180:330], scene[:, 280:])
    ]
    outputs = run(taken, subpixel=False, exposure=False)
    assert np.array_equal(outputs["image"], scene[10:280])


def test_a_cancelled_run_stops_between_pairs_and_progress_is_told(params_of, strips_of, pictures):
    taken, _ = strips_of(pictures["gravel"], seed=2)
    told = []
    context = LocalContext(params=params_of("stitch"), on_progress=lambda fraction, note: told.append(fraction))
    Stitch().process({"strips": taken}, context)
    assert told == sorted(told)
    assert len(told) == 2
    with pytest.raises(TaskCancelled):
        Stitch().process({"strips": taken}, LocalContext(params=params_of("stitch"), cancelled=True))


def test_outputs_fit_their_ports_repeat_and_leave_the_inputs_alone(run, strips_of, manifest_of, pictures):
    taken, _ = strips_of(pictures["astronaut"], seed=6)
    before = [strip.copy() for strip in taken]
    first, second = run(taken), run(taken)
    for name, declaration in manifest_of("stitch")["outputs"].items():
        assert checker(PortType.parse(declaration))(first[name]) is None
    assert np.array_equal(first["image"], second["image"])
    assert first["corners"] == second["corners"]
    assert all(np.array_equal(one, other) for one, other in zip(taken, before, strict=True))
