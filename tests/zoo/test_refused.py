"""The conformance kit tells what is wrong with each animal, and is not harmed by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from animals import ANIMALS, BY_NAME
from examining import Examined, examine

from tyqi_core.conformance.checks import CHECKS
from tyqi_core.conformance.evidence import TIERS, Evidence
from zoo_page import animals_table

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"
DUMPS, LOADS = json.dumps, json.loads


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    return examine(ANIMALS, tmp_path_factory.mktemp("examined"))


@pytest.mark.parametrize("name", BY_NAME)
def test_an_animal_fails_by_the_right_check_and_by_no_other(examined, name):
    animal, failed = BY_NAME[name], examined.ended(name, "failed")
    if animal.outcome == "failed":
        assert animal.check in failed
        assert failed <= {animal.check} | animal.also
    else:
        assert failed == set()
        assert animal.check in examined.ended(name, "warned")


@pytest.mark.parametrize("name", [animal.name for animal in ANIMALS if animal.outcome == "failed"])
def test_an_animal_does_not_reach_the_tier_of_the_check_that_tells_it(examined, name):
    wanted = TIERS.index(CHECKS[BY_NAME[name].check].tier)
    assert TIERS.index(examined.evidence[name].tier) < wanted


@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_told_names_a_place_or_what_happened_and_a_remedy(examined, name):
    animal = BY_NAME[name]
    (result,) = [one for one in examined.evidence[name].results if one.check == animal.check]
    first = result.findings[0]
    assert first.message
    assert first.remedy
    assert first.file or animal.mode != "static"


@pytest.mark.parametrize("name", BY_NAME)
def test_evidence_of_an_animal_can_be_written_and_read(examined, name):
    body = examined.evidence[name].to_json()
    assert Evidence.from_json(json.loads(json.dumps(body))).to_json() == body


def test_nothing_of_an_animal_is_left(examined):
    """No process, no file among the temporary ones, no function exchanged in this process, no file in its folder."""
    assert examined.children == set()
    assert examined.files == []
    assert (json.dumps, json.loads) == (DUMPS, LOADS)
    assert not Path("climbed.py").exists()


def test_the_page_of_the_zoo_tells_what_happens(examined):
    assert animals_table(examined) in PAGE.read_text(encoding="utf-8")
