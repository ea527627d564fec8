"""``load_project`` and ``run_project`` as a program calls them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tyqi_core import load_project, run_project
from tyqi_core.errors import InputError, UsageError

pytestmark = pytest.mark.needs_plugins

PROJECT = """\
tyqi: 1
project: small
inputs: {image: {type: image}}
params: {sigma: {type: number, default: 1}}
tasks:
  T1: {node: image.filter, inputs: {image: $input.image}, params: {sigma: $param.sigma}}
outputs: {image: T1.image}
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


def test_a_picture_may_be_given_as_a_path_as_text_as_bytes_or_as_an_array(project, wall):
    plan = load_project(project)
    for given in (wall, str(wall), wall.read_bytes(), np.full((8, 8, 3), 90, np.uint8)):
        result = run_project(plan, {"image": given})
        assert result.status == "completed"
        assert result.outputs["image"].shape == (8, 8, 3)


def test_a_path_that_leads_nowhere_is_an_input_error(project):
    with pytest.raises(InputError, match=r"FILE_NOT_FOUND: gone\.png"):
        run_project(project, {"image": "gone.png"})


def test_parameters_beside_a_plan_are_refused_not_ignored(project, wall):
    with pytest.raises(UsageError, match="params"):
        run_project(load_project(project), {"image": wall}, params={"sigma": 9})


def test_a_number_of_threads_below_zero_is_refused(project, wall):
    with pytest.raises(UsageError, match="threads"):
        run_project(project, {"image": wall}, threads=-1)
