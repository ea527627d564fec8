"""Inputs of a run that cannot be used: refused before anything runs, each by its code and with the input's name."""

from __future__ import annotations

import numpy as np
import pytest
from trial_runs import NUMBER, completed

PROJECT = f"""
inputs:
  image: {{type: image}}
  n: {NUMBER}
  guide: {{type: mask, required: false}}
  level: {{type: json, schema: {{type: number, minimum: 0}}, default: 5}}
tasks:
  T1: {{node: trial.look, inputs: {{image: $input.image}}}}
  T2: {{node: trial.add, inputs: {{x: $input.n, y: $input.level}}}}
outputs: {{mean: T1.mean, sum: T2.sum}}
"""
PICTURE = np.full((6, 5, 3), 3, np.uint8)
GOOD = {"image": PICTURE, "n": 1}

REFUSED = {
    "missing": ({"n": 1}, "MISSING_INPUT", "image"),
    "none for a required one": ({"image": None, "n": 1}, "MISSING_INPUT", "image"),
    "unknown": ({**GOOD, "imgae": PICTURE}, "UNKNOWN_INPUT", "imgae"),
    "text for a picture": ({**GOOD, "image": "wall.png"}, "WRONG_TYPE", "image"),
    "list for a picture": ({**GOOD, "image": PICTURE.tolist()}, "WRONG_TYPE", "image"),
    "16 bit": ({**GOOD, "image": PICTURE.astype(np.uint16)}, "WRONG_TYPE", "image"),
    "float": ({**GOOD, "image": PICTURE.astype(np.float32)}, "WRONG_TYPE", "image"),
    "grey": ({**GOOD, "image": PICTURE[..., 0].copy()}, "WRONG_TYPE", "image"),
    "RGBA": ({**GOOD, "image": np.zeros((4, 4, 4), np.uint8)}, "WRONG_TYPE", "image"),
    "no pixels": ({**GOOD, "image": np.zeros((0, 5, 3), np.uint8)}, "WRONG_TYPE", "image"),
    "objects": ({**GOOD, "image": np.full((4, 4, 3), None)}, "WRONG_TYPE", "image"),
    "text for a number": ({**GOOD, "n": "1"}, "WRONG_TYPE", "n"),
    "truth for a number": ({**GOOD, "n": True}, "WRONG_TYPE", "n"),
    "NaN": ({**GOOD, "n": float("nan")}, "WRONG_TYPE", "n"),
    "infinity": ({**GOOD, "n": float("inf")}, "WRONG_TYPE", "n"),
    "outside the schema": ({**GOOD, "level": -1}, "WRONG_TYPE", "level"),
    "mask of floats": ({**GOOD, "guide": np.zeros((4, 4), np.float64)}, "WRONG_TYPE", "guide"),
}


def test_defaults_stand_in_and_optional_inputs_may_be_left_out(run):
    assert completed(run(PROJECT, GOOD)) == {"mean": 3, "sum": 6}
    assert completed(run(PROJECT, {**GOOD, "level": 10})) == {"mean": 3, "sum": 11}
    assert completed(run(PROJECT, {**GOOD, "guide": None})) == {"mean": 3, "sum": 6}


@pytest.mark.parametrize("what", REFUSED)
def test_an_input_that_cannot_be_used_is_refused_by_its_code_and_name(run, what):
    inputs, code, name = REFUSED[what]
    result = run(PROJECT, inputs)
    assert (result.status, result.error["code"]) == ("failed", code)
    assert f"'{name}'" in result.error["message"]
    assert not result.events, "nothing began"


def test_a_refused_run_takes_no_other_along(run):
    runs = [run.start(PROJECT, GOOD if number % 2 else {"n": 1}) for number in range(10)]
    statuses = [run.wait(run_id).status for run_id in runs]
    assert statuses == ["failed", "completed"] * 5


def test_a_picture_that_is_no_contiguous_block_is_refused_or_read_as_it_looks(run):
    flipped = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)[:, ::-1]
    result = run(PROJECT, {**GOOD, "image": flipped})
    if result.status == "completed":
        assert result.outputs["mean"] == flipped.mean()
    else:
        assert result.error["code"] == "WRONG_TYPE"
