import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.errors import InputError
from tyqi_core.node import LocalContext
from tyqi_node_image import tiling
from tyqi_node_image.nodes import Filter, MergeTiles, Tiles


@pytest.fixture
def run(params_of):
    def tiles(image, **params):
        return Tiles().process({"image": image}, LocalContext(params=params_of("tiles", **params)))

    return tiles


def merged(tiles, grid):
    return MergeTiles().process({"tiles": tiles, "grid": grid}, LocalContext())["image"]


@given(height=st.integers(1, 150), width=st.integers(1, 150), tile=st.integers(16, 128), overlap=st.floats(0, 0.9))
def test_every_pixel_lies_in_a_tile_and_all_tiles_have_one_size(height, width, tile, overlap):
    grid = tiling.plan(height, width, tile, overlap)
    covered = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in grid["boxes"]:
        covered[y0:y1, x0:x1] = True
        assert (x1 - x0, y1 - y0) == (min(tile, width), min(tile, height))
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
    assert covered.all()
    assert len(grid["boxes"]) == grid["rows"] * grid["cols"] == len({tuple(box) for box in grid["boxes"]})


def test_tiles_stand_row_by_row_where_their_boxes_say(run, astronaut):
    outputs = run(astronaut, tile=200, overlap=0.25)
    assert (outputs["grid"]["rows"], outputs["grid"]["cols"], outputs["grid"]["stride"]) == (4, 4, 150)
    assert outputs["grid"]["boxes"][:4] == [
        [0, 0, 200, 200],
        [150, 0, 350, 200],
        [300, 0, 500, 200],
        [312, 0, 512, 200],
    ]
    for tile, (x0, y0, x1, y1) in zip(outputs["tiles"], outputs["grid"]["boxes"], strict=True):
        assert np.array_equal(tile, astronaut[y0:y1, x0:x1])
        assert tile.flags.c_contiguous


def test_the_last_row_and_column_are_shifted_inwards(run, read_only):
    outputs = run(read_only(np.zeros((100, 130, 3), np.uint8)), tile=64)
    assert outputs["grid"]["boxes"] == [
        [0, 0, 64, 64], [64, 0, 128, 64], [66, 0, 130, 64], [0, 36, 64, 100], [64, 36, 128, 100], [66, 36, 130, 100],
    ]  # fmt: skip


@pytest.mark.parametrize(("shape", "boxes"), [((10, 20), 1), ((64, 64), 1), ((1, 1), 1), ((10, 130), 3)])
def test_a_picture_smaller_than_a_tile_gives_tiles_of_its_own_size(run, read_only, shape, boxes):
    outputs = run(read_only(np.zeros((*shape, 3), np.uint8)), tile=64)
    assert [tile.shape[:2] for tile in outputs["tiles"]] == [(min(64, shape[0]), min(64, shape[1]))] * boxes


def test_too_many_tiles_are_refused_with_a_remedy(run, read_only):
    with pytest.raises(InputError) as caught:
        run(read_only(np.zeros((2000, 2000, 3), np.uint8)), tile=16)
    assert caught.value.code == "TOO_MANY_TILES"
    assert "larger tile" in caught.value.remedy


@pytest.mark.parametrize("overlap", [0, 0.3, 0.75])
def test_tiles_put_together_again_are_the_picture(run, astronaut, overlap):
    outputs = run(astronaut, tile=96, overlap=overlap)
    image = merged(outputs["tiles"], outputs["grid"])
    assert np.array_equal(image, astronaut)
    assert image.flags.c_contiguous


def test_filtering_tile_by_tile_leaves_no_seam_where_tiles_overlap(run, params_of, astronaut):
    context = LocalContext(params=params_of("filter", method="gaussian", sigma=3))

    def by_tiles(overlap):
        outputs = run(astronaut, tile=128, overlap=overlap)
        done = [Filter().process({"image": tile}, context)["image"] for tile in outputs["tiles"]]
        return merged(done, outputs["grid"]).astype(int)

    whole = Filter().process({"image": astronaut}, context)["image"].astype(int)
    assert np.abs(by_tiles(0.5) - whole).max() < np.abs(by_tiles(0) - whole).max() / 2


def test_a_skipped_tile_is_left_out_of_the_picture(run, astronaut):
    outputs = run(astronaut, tile=256)
    image = merged([None, *outputs["tiles"][1:]], outputs["grid"])
    assert not image[:256, :256].any()
    assert np.array_equal(image[256:], astronaut[256:])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda tiles, grid: (tiles[:-1], grid), "4 boxes, but there are 3 tiles"),
        (lambda tiles, grid: ([tiles[0][:9], *tiles[1:]], grid), "tile 0 is 256 x 9 px"),
        (lambda tiles, grid: (tiles, grid | {"height": 500}), "lies outside the 512 x 500 picture"),
        (lambda tiles, grid: (tiles, grid | {"height": 10**9}), "do not cover"),
    ],
)
def test_tiles_that_do_not_fit_their_grid_are_refused(run, astronaut, change, text):
    outputs = run(astronaut, tile=256)
    with pytest.raises(InputError, match=text) as caught:
        merged(*change(outputs["tiles"], outputs["grid"]))
    assert caught.value.code == "TILES_DO_NOT_FIT_GRID"
