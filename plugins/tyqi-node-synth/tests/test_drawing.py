import cv2
import numpy as np
import pytest

from tyqi_core.errors import InputError
from tyqi_node_synth.drawing import SURFACES, draw_crack, draw_spall, photograph, texture


def rng(seed=0):
    return np.random.default_rng(seed)


def brightness_change(before, after, where):
    return after[where].astype(float).mean() - before[where].astype(float).mean()


@pytest.mark.parametrize("name", SURFACES)
def test_a_texture_is_an_rgb_picture_of_the_size_asked_for(name):
    picture = texture(name, rng(), size=96)
    assert picture.shape == (96, 96, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.std() > 5


@pytest.mark.parametrize("draw", [draw_crack, draw_spall])
def test_the_same_seed_draws_the_same_and_another_seed_something_else(draw):
    wall = texture("brick", rng(1), 128)
    first, same, other = (draw(wall, rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], same[0])
    assert np.array_equal(first[1], same[1])
    assert not np.array_equal(first[1], other[1])


def test_the_same_seed_gives_the_same_texture():
    assert np.array_equal(texture("gravel", rng(4), 64), texture("gravel", rng(4), 64))
    assert not np.array_equal(texture("gravel", rng(4), 64), texture("gravel", rng(5), 64))


@pytest.mark.parametrize(("region", "half"), [("train", slice(None, 256)), ("test", slice(256, None))])
def test_a_region_reads_only_its_own_half_of_the_photograph(region, half, monkeypatch):
    painted = np.full((512, 512), 255, np.uint8)
    painted[:, half] = 60
    monkeypatch.setattr("tyqi_node_synth.drawing.photograph", lambda _: painted)
    for seed in range(20):
        grey = texture("brick", rng(seed), 128, region, noise=0.0).mean(axis=2)
        assert np.ptp(grey) < 80, "the white half shows"


def test_a_photograph_cannot_be_changed_by_its_reader():
    with pytest.raises(ValueError, match="read-only"):
        photograph("brick")[0, 0] = 0


@pytest.mark.parametrize("draw", [draw_crack, draw_spall])
def test_drawing_leaves_the_given_picture_and_all_that_is_far_from_the_mask_untouched(draw):
    wall = texture("brick", rng(1), 160)
    before = wall.copy()
    wall.setflags(write=False)
    picture, mask = draw(wall, rng(2))
    assert np.array_equal(wall, before)
    far = cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0
    assert far.any()
    assert np.array_equal(picture[far], wall[far])


@pytest.mark.parametrize("name", SURFACES)
def test_a_crack_is_darker_than_its_surroundings_on_every_surface(name):
    wall = texture(name, rng(1), 256)
    for seed in range(5):
        picture, mask = draw_crack(wall, rng(seed))
        assert brightness_change(wall, picture, mask > 0) < -40


def test_a_crack_keeps_within_the_width_asked_for():
    wall = np.full((256, 256, 3), 150, np.uint8)
    for seed in range(10):
        for low, high in ((2.0, 3.0), (5.0, 8.0)):
            _, mask = draw_crack(wall, rng(seed), width=(low, high), branches=(0, 0))
            thickness = 2 * cv2.distanceTransform(mask, cv2.DIST_L2, 5).max()
            assert low - 1.5 <= thickness <= high + 2.5


def test_branches_add_to_a_crack():
    wall = np.full((256, 256, 3), 150, np.uint8)
    alone = sum(np.count_nonzero(draw_crack(wall, rng(s), branches=(0, 0))[1]) for s in range(8))
    forked = sum(np.count_nonzero(draw_crack(wall, rng(s), branches=(3, 3))[1]) for s in range(8))
    assert forked > 1.2 * alone


def test_a_crack_is_one_connected_line():
    wall = np.full((256, 256, 3), 150, np.uint8)
    for seed in range(10):
        _, mask = draw_crack(wall, rng(seed), width=(1.5, 2.0), branches=(2, 2))
        parts = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]
        # a walk may leave the picture and come back, or thin to less than half a pixel for one step
        assert parts.max() > 0.5 * parts.sum()


def test_a_spall_is_one_patch_of_about_the_radius_asked_for():
    wall = texture("brick", rng(1), 256)
    for seed in range(10):
        _, mask = draw_spall(wall, rng(seed), radius=(0.1, 0.1))
        assert cv2.connectedComponents(mask)[0] == 2
        assert 0.4 * np.pi * 25.6**2 < np.count_nonzero(mask) < 2.2 * np.pi * 25.6**2


def test_the_tone_of_a_spall_is_lighter_or_darker_than_the_wall_as_asked():
    wall = np.full((128, 128, 3), 130, np.uint8)
    for seed in range(5):
        light, mask = draw_spall(wall, rng(seed), tone="light")
        assert brightness_change(wall, light, mask > 0) > 15
        dark, mask = draw_spall(wall, rng(seed), tone="dark")
        assert brightness_change(wall, dark, mask > 0) < -15


@pytest.mark.parametrize("shape", [(48, 200), (200, 48), (32, 32)])
def test_pictures_that_are_not_square_are_drawn_on_too(shape):
    wall = np.full((*shape, 3), 130, np.uint8)
    for draw in (draw_crack, draw_spall):
        picture, mask = draw(wall, rng(3))
        assert picture.shape == wall.shape
        assert mask.shape == shape
        assert mask.any()


@pytest.mark.parametrize(
    ("wall", "wrong"),
    [
        (np.zeros((64, 64), np.uint8), "RGB"),
        (np.zeros((64, 64, 3), np.float32), "float32"),
        (np.zeros((16, 64, 3), np.uint8), "64 x 16"),
    ],
)
def test_what_cannot_be_drawn_on_is_refused_with_what_was_found(wall, wrong):
    for draw in (draw_crack, draw_spall):
        with pytest.raises(InputError, match=wrong):
            draw(wall, rng())


def test_a_range_that_is_upside_down_is_refused():
    wall = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(InputError, match="width must be a range"):
        draw_crack(wall, rng(), width=(5, 3))
    with pytest.raises(InputError, match="radius must be a range"):
        draw_spall(wall, rng(), radius=(0.2, 0.1))


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [(("marble", 64, "all"), "marble"), (("brick", 16, "all"), "16"), (("brick", 64, "left"), "left")],
)
def test_an_unknown_surface_a_tiny_size_and_an_unknown_region_are_refused(arguments, wrong):
    name, size, region = arguments
    with pytest.raises(ValueError, match=wrong):
        texture(name, rng(), size, region)
