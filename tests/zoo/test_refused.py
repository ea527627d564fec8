"""The conformance kit tells what is wrong with each animal, and is not harmed by it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from animals import ANIMALS, BY_NAME, GOOD, Animal

from tyqi_core.conformance import probing
from tyqi_core.conformance.checks import CHECKS, Mode
from tyqi_core.conformance.evidence import Evidence
from tyqi_core.conformance.run import conform

MODES: dict[str, tuple[Mode, ...]] = {
    "static": ("static",),
    "probe": ("static", "probe"),
    "run": ("static", "probe", "run"),
}
PATIENCE_S = 4.0
DUMPS, LOADS = json.dumps, json.loads


@pytest.fixture(autouse=True)
def unharmed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """After each test this process is as it was: no child, no file among the temporary ones, no function exchanged."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(probing, "TIMEOUT_S", PATIENCE_S)
    before = children()
    yield
    assert children() <= before
    assert list((tmp_path / "temporary").iterdir()) == []
    assert (json.dumps, json.loads) == (DUMPS, LOADS)


def children() -> set[int]:
    """The processes that were started here and have not ended, as far as the system tells."""
    try:
        return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
    except FileNotFoundError:
        return set()


def evidence(animal: Animal, wheel: Path) -> Evidence:
    return conform(wheel, modes=MODES[animal.mode], known=animal.known or None)


def ended(found: Evidence, outcome: str) -> set[str]:
    return {result.check for result in found.results if result.outcome == outcome}


@pytest.mark.parametrize("name", BY_NAME)
def test_an_animal_fails_by_the_right_check_and_by_no_other(wheels, name):
    animal = BY_NAME[name]
    found = evidence(animal, wheels[name])
    failed = ended(found, "failed")
    if animal.outcome == "failed":
        assert animal.check in failed
        assert failed <= {animal.check} | animal.also
        assert found.tier in {"none", "bronze"}
    else:
        assert failed == set()
        assert animal.check in ended(found, "warned")
    assert Evidence.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_told_names_a_place_or_what_happened_and_a_remedy(wheels, name):
    animal = BY_NAME[name]
    (result,) = [one for one in evidence(animal, wheels[name]).results if one.check == animal.check]
    for finding in result.findings:
        assert finding.message
        assert finding.remedy
        assert finding.file or animal.mode != "static"


def test_the_good_package_fails_nothing(wheels):
    found = conform(wheels[GOOD], known={"other.node": "tyqi-node-other"})
    assert ended(found, "failed") == set()


def test_every_animal_names_a_check_that_there_is(wheels):
    conform(wheels[GOOD], modes=("static",))
    assert {animal.check for animal in ANIMALS} <= set(CHECKS)
