import numpy as np
import pytest

from tyqi_core.node import LocalContext, Node
from tyqi_node_image.nodes import resize
from tyqi_node_image.sizes import resized


@pytest.fixture
def run(params_of):
    def at(image, **params):
        return resize().process({"image": image}, LocalContext(params=params_of("resize", **params)))["image"]

    return at


def test_resize_is_a_node_whose_ports_and_parameters_are_those_of_its_manifest(manifest_of):
    assert issubclass(resize, Node)
    assert resize.ports == tuple(manifest_of("resize")["inputs"])
    assert resize.parameters == tuple(manifest_of("resize")["params"])


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"width": 300, "height": 300}, (300, 300)),
        ({"width": 300, "height": 200}, (200, 200)),
        ({"width": 300, "height": 200, "fit": "stretch"}, (300, 200)),
        ({"width": 300, "height": 200, "fit": "pad"}, (300, 200)),
        ({"width": 600, "height": 700}, (512, 512)),
        ({"width": 600, "height": 700, "enlarge": True}, (600, 600)),
        ({"width": 600, "height": 200, "fit": "stretch"}, (512, 200)),
        ({"width": 600, "height": 200, "fit": "stretch", "enlarge": True}, (600, 200)),
        ({"width": 600, "height": 700, "fit": "pad"}, (600, 700)),
        ({"width": 1, "height": 16384}, (1, 1)),
    ],
)
def test_the_result_has_the_size_that_the_parameters_ask_for(run, astronaut, params, size):
    image = run(astronaut, **params)
    assert (image.shape[1], image.shape[0]) == size
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


def test_a_very_long_picture_keeps_at_least_one_pixel_across():
    assert resized(np.zeros((2, 5000, 3), np.uint8), (100, 100)).shape == (1, 100, 3)


def test_pictures_of_any_size_end_inside_the_box(run, any_size):
    image = run(any_size, width=50, height=40)
    assert image.shape[1] <= 50
    assert image.shape[0] <= 40


def test_padding_centres_the_picture_on_the_fill_colour(run, read_only):
    image = run(read_only(np.full((10, 20, 3), 200, np.uint8)), width=20, height=20, fit="pad", fill=7)
    assert (image[5:15] == 200).all()
    assert (image[:5] == 7).all()
    assert (image[15:] == 7).all()


@pytest.mark.parametrize("interpolation", ["auto", "nearest", "linear", "area", "cubic", "lanczos"])
def test_every_interpolation_keeps_the_mean_colour_and_the_input(run, astronaut, interpolation):
    before = astronaut.copy()
    small = run(astronaut, width=256, height=256, interpolation=interpolation)
    assert np.allclose(small.mean(axis=(0, 1)), astronaut.mean(axis=(0, 1)), atol=1)
    assert np.array_equal(astronaut, before)


def test_auto_does_not_alias_when_a_fine_pattern_shrinks(run, read_only):
    checks = read_only(np.repeat((np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2))
    assert np.ptp(run(checks, width=101, height=101).astype(int)) < 60
    assert np.ptp(run(checks, width=101, height=101, interpolation="nearest").astype(int)) == 255


def test_a_picture_that_fits_comes_back_as_a_copy_of_itself(run, astronaut):
    image = run(astronaut)
    assert np.array_equal(image, astronaut)
    assert not np.shares_memory(image, astronaut)


def test_grey_pictures_stay_grey():
    assert resized(np.zeros((40, 60), np.uint8), (20, 20), fit="pad").shape == (20, 20)
