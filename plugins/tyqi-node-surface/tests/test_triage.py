from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
import pytest

from tyqi_core.node import LocalContext
from tyqi_node_surface.nodes import Triage


@pytest.fixture
def triage(defaults):
    node = Triage()
    node.setup(LocalContext(params=defaults("triage")))

    def run(image, **params):
        return node.process({"image": image}, LocalContext(params=defaults("triage", **params)))

    return run


def example(name):
    pixels = cv2.imdecode(
        np.frombuffer((files("tyqi_node_surface") / "examples" / name).read_bytes(), np.uint8), cv2.IMREAD_COLOR
    )
    return np.ascontiguousarray(pixels[:, :, ::-1])


@pytest.mark.parametrize(
    ("name", "outcome"), [("cracked.png", "crack"), ("spalled.png", "spall"), ("clean.png", "clean")]
)
def test_a_shown_defect_is_named_with_confidence(triage, name, outcome):
    found = triage(example(name))
    assert found.name == outcome
    assert found.outputs["score"] > 0.5


def test_a_crack_on_a_surface_never_trained_on_is_a_crack(triage, plaster):
    picture = plaster.copy()
    cv2.polylines(picture, [np.array([[20, 30], [60, 55], [90, 60], [140, 110], [180, 120]])], False, (60, 60, 60), 3)
    assert triage(picture).name == "crack"


def test_a_dark_patch_on_a_surface_never_trained_on_is_a_spall(triage, plaster):
    picture = plaster.copy()
    cv2.circle(picture, (120, 80), 25, (70, 60, 55), cv2.FILLED)
    assert triage(picture).name == "spall"


def test_a_clean_surface_never_trained_on_is_clean(triage, plaster):
    assert triage(plaster).name == "clean"


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 3), (64, 64)])
def test_a_constant_picture_of_any_size_is_clean(triage, shape, level):
    assert triage(np.full((*shape, 3), level, np.uint8)).name == "clean"


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 50), (40, 40)])
def test_the_score_is_a_plain_number_from_0_to_1_for_any_picture(triage, shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    score = triage(noise).outputs["score"]
    assert type(score) is float
    assert 0 <= score <= 1


def test_a_picture_that_is_not_surely_clean_goes_to_the_likelier_defect(triage):
    assert triage(example("clean.png"), min_clean=1.0).name in ("crack", "spall")


def test_the_same_picture_is_judged_alike_and_stays_as_it_was(triage):
    picture = example("cracked.png")
    before = picture.copy()
    picture.setflags(write=False)
    assert triage(picture) == triage(picture)
    assert np.array_equal(picture, before)
