import numpy as np
import pytest


@pytest.fixture(scope="module")
def figures(script):
    return script("evaluation/figures.py")


def test_auroc_is_the_chance_that_an_odd_value_is_above_a_usual_one(figures):
    assert figures.auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1
    assert figures.auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0
    assert figures.auroc(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == 0.75
    assert figures.auroc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5


def test_pro_counts_regions_and_not_their_pixels(figures):
    truth, found = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.float32)
    truth[:10, :10] = truth[15, 15] = 255
    found[15, 15] = 1  # the small region is found; the large one is not
    rng = np.random.default_rng(0)
    assert figures.pro([found + rng.random((20, 20)) * 0.01], [truth]) == pytest.approx(0.5 + 0.5 * 0.15, abs=0.05)


def test_a_perfect_map_has_full_marks(figures):
    truth = np.zeros((20, 20), np.uint8)
    truth[4:9, 4:9] = 255
    assert figures.pro([truth.astype(np.float32)], [truth]) == 1
    assert figures.pixel_auroc([truth.astype(np.float32)], [truth]) == 1
