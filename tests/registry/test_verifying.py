"""Whatever was changed behind the registry's back is found, and told with its place."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from tests.registry.conftest import evidence_for, wheel_with
from tyqi_core.errors import RegistryError
from tyqi_core.registry.building import build
from tyqi_core.registry.folder import RegistryFolder
from tyqi_core.registry.verifying import reproduce, verify

NAME = "tyqi-node-good"


@pytest.fixture
def place(put, shelf):
    """The folder of one release among two."""
    release = put()
    put("tyqi-node-other")
    return shelf / "packages" / release.name / release.version


def found(shelf):
    return {problem.code for problem in verify(shelf).problems}


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_registry_as_it_was_made_is_sound(place, shelf):
    verified = verify(shelf)
    assert (verified.releases, verified.problems) == (2, [])


def test_a_wheel_that_was_changed_is_found_even_if_size_and_time_are_as_before(place, shelf):
    wheel = next(place.glob("*.whl"))
    kept = wheel.stat()
    content = bytearray(wheel.read_bytes())
    content[60] ^= 1
    wheel.write_bytes(content)
    os.utime(wheel, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert "HASH" in found(shelf)


def test_a_wheel_that_is_gone_is_found(place, shelf):
    next(place.glob("*.whl")).unlink()
    assert found(shelf) >= {"BAD_WHEEL"}


def test_evidence_of_another_wheel_is_found(place, shelf):
    edit(place / "evidence.json", sha256="0" * 64)
    build(shelf)
    assert found(shelf) == {"EVIDENCE"}
    assert not (shelf / "simple" / NAME).exists()


def test_evidence_that_proves_too_little_is_found_whatever_it_says_of_its_tier(place, shelf):
    evidence = json.loads((place / "evidence.json").read_text())
    for result in evidence["results"]:
        if result["check"] == "S01":
            result["outcome"] = "failed"
    edit(place / "evidence.json", results=evidence["results"], tier="gold")
    assert "TIER" in found(shelf)


def test_metadata_for_pip_that_is_not_the_wheels_is_found(place, shelf):
    copy = next(place.glob("*.metadata"))
    copy.write_text(copy.read_text().replace("numpy", "evilnumpy"))
    assert "METADATA" in found(shelf)


@pytest.mark.parametrize(
    "page", ["simple/index.html", f"simple/{NAME}/index.html", f"simple/{NAME}/index.json", "catalogue.json"]
)
def test_a_page_that_was_changed_or_lost_is_found_and_named(place, shelf, page):
    (shelf / page).write_text("changed")
    assert [(one.code, one.file) for one in verify(shelf).problems] == [("STALE", page)]
    (shelf / page).unlink()
    assert [(one.code, one.file) for one in verify(shelf).problems] == [("STALE", page)]
    build(shelf)
    assert verify(shelf).problems == []


def test_what_does_not_belong_there_is_found(place, shelf):
    (place / "extra.whl").write_bytes(b"x")
    (shelf / "simple" / "tyqi-node-ghost").mkdir()
    (shelf / "simple" / "tyqi-node-ghost" / "index.html").write_text("<a>")
    assert [one.code for one in verify(shelf).problems].count("STRANGE_FILE") >= 2


def test_a_release_under_another_name_is_found(place, shelf):
    (place.parent / "1.0.0").rename(place.parent / "1.0.1")
    assert "MISPLACED" in found(shelf)


@pytest.mark.parametrize("file", ["release.json", "evidence.json", "state.json"])
def test_documents_that_cannot_be_read_are_found(place, shelf, file):
    (place / file).write_text("{")
    assert "DAMAGED" in found(shelf)


def test_looking_changes_nothing(place, shelf):
    (place / "listing.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in shelf.rglob("*") if path.name != ".lock"}
    verify(shelf)
    assert {path: path.stat().st_mtime_ns for path in shelf.rglob("*") if path.name != ".lock"} == before


def test_a_registry_in_which_no_lock_can_be_had_can_be_looked_at(place, shelf):
    (shelf / ".lock").unlink()
    (shelf / ".lock").mkdir()
    assert verify(shelf).problems == []


def test_what_is_no_registry_cannot_be_verified(tmp_path):
    with pytest.raises(RegistryError, match="NO_REGISTRY"):
        verify(tmp_path)


def test_a_second_run_of_the_kit_is_compared_check_by_check(place, shelf, tmp_path):
    release = RegistryFolder.open(shelf).find(NAME, "1.0.0")
    same = evidence_for(wheel_with(tmp_path / "again", NAME, "1.0.0"))
    assert reproduce(release, same) == []
    other = replace(
        same, results=[replace(one, outcome="failed") if one.check == "S01" else one for one in same.results]
    )
    assert [one.message for one in reproduce(release, other)] == ["S01 is passed in the evidence and failed now."]
