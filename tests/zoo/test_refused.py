"""The conformance kit tells what is wrong with each animal, and is not harmed by it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from animals import ANIMALS, BY_NAME, GOOD, Animal

from tyqi_core.conformance import probing
from tyqi_core.conformance.checks import CHECKS, Mode
from tyqi_core.conformance.evidence import TIERS, Evidence
from tyqi_core.conformance.run import conform

MODES: Mapping[str, tuple[Mode, ...]] = {
    "static": ("static",),
    "probe": ("static", "probe"),
    "run": ("static", "probe", "run"),
}
PATIENCE_S = 5.0
DUMPS, LOADS = json.dumps, json.loads


@dataclass(frozen=True)
class Examined:
    """What the kit says of each animal and, under its distribution's name, of the good package; what it left behind."""

    evidence: Mapping[str, Evidence]
    children: set[int]
    files: list[Path]

    def ended(self, name: str, outcome: str) -> set[str]:
        return {result.check for result in self.evidence[name].results if result.outcome == outcome}


@pytest.fixture(scope="module")
def examined(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Examined:
    temporary = tmp_path_factory.mktemp("temporary")
    before = children()
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as two:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setattr(probing, "TIMEOUT_S", PATIENCE_S)
        asked = {animal.name: two.submit(examine, animal, wheels[animal.name]) for animal in reversed(ANIMALS)}
        asked[GOOD] = two.submit(conform, wheels[GOOD], known={"other.node": "tyqi-node-other"})
        evidence = {name: answer.result() for name, answer in asked.items()}
    return Examined(evidence, children() - before, list(temporary.iterdir()))


def examine(animal: Animal, wheel: Path) -> Evidence:
    return conform(wheel, modes=MODES[animal.mode], known=animal.known or None)


def children() -> set[int]:
    """The processes that were started here and have not ended, as far as the system tells."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()}


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


def test_the_good_package_fails_nothing(examined):
    assert examined.ended(GOOD, "failed") == set()
    assert examined.evidence[GOOD].tier == "gold"


def test_nothing_of_an_animal_is_left(examined):
    """No process, no file among the temporary ones, no function exchanged in this process, no folder in this one."""
    assert examined.children == set()
    assert examined.files == []
    assert (json.dumps, json.loads) == (DUMPS, LOADS)
    assert not Path("climbed.py").exists()
