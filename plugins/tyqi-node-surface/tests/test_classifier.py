from __future__ import annotations

import numpy as np
import pytest

from tyqi_node_surface.classifier import decide, fit, from_json, shipped
from tyqi_node_surface.features import NAMES, describe


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(5)
    centres = np.array([[0, 0], [4, 0], [0, 4]])
    labels = np.repeat(np.arange(3), 60)
    return centres[labels] + rng.normal(0, 0.8, (180, 2)), labels


@pytest.fixture(scope="module")
def fitted(clouds):
    return fit(*clouds, ("a", "b", "c"), ("x", "y"), 1e-3)


def test_three_clouds_are_told_apart(fitted, clouds):
    guesses = [max(chances, key=chances.__getitem__) for chances in map(fitted.probabilities, clouds[0])]
    assert np.mean([guess == "abc"[label] for guess, label in zip(guesses, clouds[1], strict=True)]) > 0.97


def test_fitting_ends_where_the_loss_is_flat(fitted, clouds):
    def loss(classifier):
        chances = [list(classifier.probabilities(sample).values()) for sample in clouds[0]]
        surprise = -np.mean(np.log([row[label] for row, label in zip(chances, clouds[1], strict=True)]))
        return surprise + 0.5e-3 * (np.square(classifier.weights).sum() + np.square(classifier.bias).sum())

    for row, column in np.ndindex(fitted.weights.shape):
        for nudge in (-1e-2, 1e-2):
            body = fitted.to_json()
            body["weights"][row][column] += nudge
            assert loss(from_json(body)) > loss(fitted)


def test_probabilities_add_up_to_1_however_far_a_sample_lies_out(fitted):
    for far in (0.0, 1e3, -1e6):
        assert sum(fitted.probabilities(np.array([far, far])).values()) == pytest.approx(1)


def test_weights_survive_the_way_through_json(fitted, clouds):
    again = from_json(fitted.to_json())
    assert again.probabilities(clouds[0][0]) == fitted.probabilities(clouds[0][0])


def test_the_shipped_weights_were_trained_on_the_features_of_this_version():
    assert shipped().features == NAMES
    assert set(shipped().classes) == {"crack", "spall", "clean"}


@pytest.mark.parametrize(
    ("chances", "min_clean", "outcome"),
    [
        ({"crack": 0.1, "spall": 0.2, "clean": 0.7}, 0.0, "clean"),
        ({"crack": 0.1, "spall": 0.2, "clean": 0.7}, 0.8, "spall"),
        ({"crack": 0.6, "spall": 0.1, "clean": 0.3}, 0.0, "crack"),
    ],
)
def test_clean_needs_its_least_probability(chances, min_clean, outcome):
    assert decide(chances, min_clean) == outcome


@pytest.mark.parametrize("shape", [(1, 1), (2, 90), (64, 64)])
def test_features_of_any_picture_are_finite(shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.isfinite(describe(noise)).all()
    assert np.isfinite(describe(noise * 0)).all()
