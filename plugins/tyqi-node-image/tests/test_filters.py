import cv2
import numpy as np
import pytest

from tyqi_core.node import LocalContext
from tyqi_node_image import filters
from tyqi_node_image.nodes import Filter

METHODS = ["gaussian", "median", "bilateral", "clahe", "unsharp"]


def psnr(found, true):
    return 10 * np.log10(255**2 / np.mean((found.astype(float) - true) ** 2))


@pytest.fixture
def run(params_of):
    def filtered(image, **params):
        outputs = Filter().process({"image": image}, LocalContext(params=params_of("filter", **params)))
        return outputs["image"]

    return filtered


@pytest.mark.parametrize("method", METHODS)
def test_every_filter_keeps_the_shape_of_pictures_of_any_size(run, any_size, method):
    filtered = run(any_size, method=method)
    assert filtered.shape == any_size.shape
    assert filtered.dtype == np.uint8
    assert filtered.flags.c_contiguous


@pytest.mark.parametrize("method", METHODS)
def test_every_filter_leaves_its_input_alone_and_repeats_itself(run, astronaut, method):
    before = astronaut.copy()
    first, second = run(astronaut, method=method), run(astronaut, method=method)
    assert np.array_equal(first, second)
    assert np.array_equal(astronaut, before)
    assert not np.shares_memory(first, astronaut)
    assert not np.array_equal(first, astronaut)


@pytest.mark.parametrize("method", METHODS)
def test_every_filter_leaves_one_colour_as_it_is(run, read_only, method):
    plain = read_only(np.full((40, 60, 3), (90, 90, 90), np.uint8))
    if method == "clahe":  # equalising a single value moves it, but must not colour or stain it
        found = run(plain, method=method).reshape(-1, 3)
        assert (found == found[0]).all()
        assert np.ptp(found[0].astype(int)) <= 1
    else:
        assert np.array_equal(run(plain, method=method), plain)


@pytest.mark.parametrize("method", METHODS)
def test_every_function_takes_grey_pictures_too(gravel, method):
    grey = gravel[..., 0]
    arguments = {"gaussian": (1.5,), "median": (2,), "bilateral": (1.5, 2, 30), "clahe": (2, 8), "unsharp": (1.5, 1)}
    filtered = getattr(filters, method)(grey, *arguments[method])
    assert filtered.shape == grey.shape
    assert filtered.dtype == np.uint8


def test_the_median_removes_salt_and_pepper_noise_that_a_gaussian_only_smears(run, astronaut):
    noisy = astronaut.copy()
    draw = np.random.default_rng(1).random(noisy.shape[:2])
    noisy[draw < 0.05], noisy[draw > 0.95] = 0, 255
    median, gaussian = run(noisy, method="median", radius=1), run(noisy, method="gaussian", sigma=1)
    assert psnr(median, astronaut) > psnr(gaussian, astronaut) + 3 > psnr(noisy, astronaut) + 6


def test_the_bilateral_filter_keeps_an_edge_that_a_gaussian_washes_out(run):
    edge = np.full((60, 60, 3), 60, np.uint8)
    edge[:, 30:] = 180
    noise = np.random.default_rng(2).normal(0, 8, edge.shape)
    noisy = np.clip(edge + noise, 0, 255).astype(np.uint8)
    soft = run(noisy, method="bilateral", sigma=3, radius=6, tone=50).astype(float)
    washed = run(noisy, method="gaussian", sigma=3).astype(float)
    assert np.abs(soft - edge)[:, 25:35].mean() < np.abs(washed - edge)[:, 25:35].mean() / 4
    assert soft[:, 5:20].std() < noisy[:, 5:20].std() / 2


def test_clahe_brings_out_structure_in_a_shadow_and_keeps_hues(run, astronaut):
    dark = (astronaut * 0.25).astype(np.uint8)
    even = run(dark, method="clahe", clip_limit=4)
    assert filters.luma(even).std() > 1.5 * filters.luma(dark).std()
    bright = cv2.cvtColor(dark, cv2.COLOR_RGB2HSV)[..., 1:].min(axis=-1) > 40  # a hue needs saturation and light
    hues = [cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 0][bright].astype(int) * 2 for picture in (dark, even)]
    turned = np.abs((hues[0] - hues[1] + 180) % 360 - 180)
    assert np.median(turned) <= 6


def test_unsharp_raises_the_contrast_of_an_edge_and_strength_zero_changes_nothing(run, astronaut):
    def detail(image):
        return cv2.Laplacian(filters.luma(image), cv2.CV_64F).var()

    assert detail(run(astronaut, method="unsharp", strength=1.5)) > 2 * detail(astronaut)
    assert np.array_equal(run(astronaut, method="unsharp", strength=0), astronaut)


def test_a_larger_sigma_smooths_more(run, astronaut):
    left = [run(astronaut, method="gaussian", sigma=sigma).astype(float).std() for sigma in (0.5, 2, 8, 50)]
    assert left == sorted(left, reverse=True)
