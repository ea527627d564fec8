"""With the whole zoo installed, the host lists, runs and repairs; what is good works."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from animals import ANIMALS, BY_NAME, GOOD_NODE, Animal
from places import Place

INSTALLED = [animal for animal in ANIMALS if animal.installable]
SPOILT_STATICALLY = [animal.name for animal in INSTALLED if animal.listed]
SOUND_MANIFESTS = [animal.name for animal in INSTALLED if not animal.listed]
HARMFUL_IMPORTS = [animal.name for animal in INSTALLED if animal.probed]


@pytest.fixture(scope="module")
def listed(zoo: Place) -> list[dict[str, Any]]:
    """What ``tyqi nodes`` lists before anything else was done."""
    answer = zoo.tyqi("nodes", "--json")
    assert answer.code == 0, answer.err
    return answer.json()["nodes"]


def of(listed: list[dict[str, Any]], animal: Animal) -> list[dict[str, Any]]:
    return [entry for entry in listed if entry["distribution"] == animal.distribution]


def test_the_good_node_is_listed_as_usable(listed):
    (entry,) = [entry for entry in listed if entry["distribution"] == "tyqi-node-good"]
    assert (entry["id"], entry["state"]) == (GOOD_NODE, "enabled")


@pytest.mark.parametrize("name", SPOILT_STATICALLY)
def test_a_node_whose_files_are_spoilt_is_listed_with_its_reason(listed, name):
    animal = BY_NAME[name]
    entries = of(listed, animal)
    assert entries
    for entry in entries:
        assert entry["state"] == "broken"
        assert animal.listed in [problem["code"] for problem in entry["problems"]]


@pytest.mark.parametrize("name", SOUND_MANIFESTS)
def test_a_node_whose_code_is_spoilt_is_listed_without_running_it(listed, name):
    assert [entry["state"] for entry in of(listed, BY_NAME[name])] == ["enabled"]


def test_a_project_of_the_good_node_runs(zoo):
    answer = zoo.tyqi("run", "good.yaml", "--input", "image=wall.png", "--out", "good", "--json")
    assert answer.code == 0, answer.err
    (run,) = answer.json()["runs"]
    assert run["status"] == "completed"
