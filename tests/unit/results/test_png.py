"""Our PNG files hold exactly the array, as other programs read them."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tyqi_core.results.colours import heat, label_palette
from tyqi_core.results.png import png, shrunk

sides = st.integers(1, 24)
shapes = st.one_of(st.tuples(sides, sides), st.tuples(sides, sides, st.just(3)))


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data), formats=["PNG"])
    picture.load()
    return picture


@given(shapes.flatmap(lambda shape: hnp.arrays(np.uint8, shape)))
def test_eight_bit_pictures_come_back_from_pillow_unchanged(array):
    assert np.array_equal(np.asarray(opened(png(array))), array)


@given(st.tuples(sides, sides).flatmap(lambda shape: hnp.arrays(np.uint16, shape)))
def test_grey_pictures_of_sixteen_bits_come_back_from_pillow_unchanged(array):
    assert np.array_equal(np.asarray(opened(png(array))).astype(np.uint16), array)


def test_colours_of_sixteen_bits_come_back_from_opencv_unchanged():
    cv2 = pytest.importorskip("cv2", reason="Pillow reads 8 bits only")
    array = np.random.default_rng(3).integers(0, 65536, (17, 31, 3), dtype=np.uint16)
    back = cv2.imdecode(np.frombuffer(png(array), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(back[..., ::-1], array)


def test_a_mask_with_labels_keeps_them_as_palette_indices():
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = opened(png(mask, label_palette()))
    assert picture.mode == "P"
    assert np.array_equal(np.asarray(picture), mask)
    assert np.asarray(picture.convert("RGB"))[0, 0].tolist() == [0, 0, 0]


def test_labels_have_256_different_colours():
    assert len(set(label_palette())) == 256


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4, 3), np.int64),
    ],
)
def test_what_a_png_cannot_hold_is_refused(array):
    with pytest.raises(ValueError, match="no PNG can hold"):
        png(array)


def test_smooth_pictures_are_stored_as_differences():
    noise = np.random.default_rng(2).integers(0, 3, (300, 300))
    surface = (np.add.outer(np.arange(300), np.arange(300)) / 3 + noise).astype(np.uint8)
    assert len(png(surface)) < len(zlib.compress(surface.tobytes(), 6)) * 0.8


def test_an_array_that_is_no_single_block_of_memory_is_written_as_it_looks():
    array = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)[::2, ::-3]
    assert np.array_equal(np.asarray(opened(png(array))), array)


def test_a_heat_picture_goes_from_black_to_pale_and_grows_lighter():
    picture = heat(np.linspace(0, 7, 50, dtype=np.float32)[None])
    luminance = picture[0] @ [0.2126, 0.7152, 0.0722]
    assert picture.shape == (1, 50, 3)
    assert luminance[0] < 10
    assert luminance[-1] > 240
    assert (np.diff(luminance) > 0).all()


def test_a_map_of_nothing_is_black():
    assert heat(np.zeros((3, 5), np.float32)).max() <= 22


@settings(max_examples=50)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 64))
def test_a_preview_is_never_larger_than_asked_and_keeps_the_brightness(height, width, longest):
    small = shrunk(np.full((height, width, 3), 77, np.uint8), longest)
    assert max(small.shape[:2]) <= longest
    assert (small == 77).all()
