"""``load_project`` and ``run_project`` as a program calls them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tyqi_core import load_project, run_project
from tyqi_core.errors import InputError, UsageError

PROJECT = """\
tyqi: 1
project: small
inputs: {image: {type: image}}
params: {plus: {type: number, default: 1}}
tasks:
  T1: {node: trial.look, inputs: {image: $input.image}}
  T2: {node: trial.add, inputs: {x: T1.mean}, params: {plus: $param.plus}}
outputs: {out: T2.sum}
"""


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "project.yaml"
    path.write_text(PROJECT, encoding="utf-8")
    return path


@pytest.fixture
def wall(tmp_path):
    path = tmp_path / "wall.png"
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)
    return path


def test_a_picture_may_be_given_as_a_path_as_text_as_bytes_or_as_an_array(project, wall, trial_catalog):
    plan = load_project(project, catalog=trial_catalog)
    for given in (wall, str(wall), wall.read_bytes(), np.full((8, 8, 3), 90, np.uint8)):
        result = run_project(plan, {"image": given}, catalog=trial_catalog)
        assert result.status == "completed"
        assert result.outputs == {"out": 91}


def test_a_path_that_leads_nowhere_is_an_input_error(project, trial_catalog):
    with pytest.raises(InputError, match=r"FILE_NOT_FOUND: gone\.png"):
        run_project(project, {"image": "gone.png"}, catalog=trial_catalog)


def test_parameters_beside_a_plan_are_refused_not_ignored(project, wall, trial_catalog):
    with pytest.raises(UsageError, match="params"):
        run_project(load_project(project, catalog=trial_catalog), {"image": wall}, params={"plus": 9})


def test_a_number_of_threads_below_zero_is_refused(project, wall, trial_catalog):
    with pytest.raises(UsageError, match="threads"):
        run_project(project, {"image": wall}, threads=-1, catalog=trial_catalog)
