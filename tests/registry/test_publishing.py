"""Publishing: what a registry takes, what it refuses and why, and that nothing of it is ever half done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from made_wheels import dist_info, make_wheel, metadata_text

from tests.registry.conftest import evidence_for, result_of, wheel_with
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.errors import PublishRefused, RegistryError, UsageError
from tyqi_core.registry.building import build
from tyqi_core.registry.folder import RegistryFolder
from tyqi_core.registry.names import one_edit_apart
from tyqi_core.registry.publishing import publish, quarantine, yank
from tyqi_core.registry.reading import open_registry
from tyqi_core.registry.verifying import verify

NAME = "tyqi-node-good"


def codes(refusal) -> list[str]:
    return [problem.code for problem in refusal.value.problems]


def test_a_wheel_is_published_with_its_evidence_into_a_folder_that_was_not_there(shelf, tmp_path):
    path = make_wheel(tmp_path)
    release = publish(shelf, path, evidence_for(path), key="ci")
    assert (release.name, release.version, release.tier) == (NAME, "1.0.0", "gold")
    place = shelf / "packages" / NAME / "1.0.0"
    assert (place / path.name).read_bytes() == path.read_bytes()
    assert json.loads((place / "release.json").read_text())["key"] == "ci"
    assert open_registry(str(shelf)).evidence(release).sha256 == Wheel(path).sha256
    assert [one.name for one in open_registry(str(shelf)).catalogue().releases] == [NAME]


def test_the_registry_adds_what_only_it_can_judge(put, shelf):
    put()
    release = put(NAME, "1.0.1")
    evidence = open_registry(str(shelf)).evidence(release)
    assert [result_of(evidence, check).outcome for check in ("M04", "V01", "V02")] == ["passed"] * 3


def test_below_bronze_is_refused_with_check_place_and_remedy(shelf, tmp_path):
    path = make_wheel(tmp_path)
    with pytest.raises(PublishRefused) as refusal:
        publish(
            shelf, path, evidence_for(path, S01="eval is called.", P02="there is no URL.", D02="a unit is missing.")
        )
    assert sorted(codes(refusal)) == ["P02", "S01"]
    assert "tyqi_node_good/nodes.py:7:1: S01: eval is called. Mend it." in str(refusal.value)
    assert refusal.value.to_json()["problems"][0]["line"] == 7
    assert not (shelf / "packages").exists()


def test_what_fails_a_higher_tier_is_published_with_the_tier_that_it_has(shelf, tmp_path):
    path = make_wheel(tmp_path)
    assert publish(shelf, path, evidence_for(path, D02="a unit is missing.")).tier == "bronze"


def test_a_check_that_was_not_run_counts_as_failed(shelf, tmp_path):
    path = make_wheel(tmp_path)
    whole = evidence_for(path)
    with pytest.raises(PublishRefused) as refusal:
        publish(shelf, path, replace(whole, results=[one for one in whole.results if one.check != "S01"]))
    assert codes(refusal) == ["S01"]
    with pytest.raises(PublishRefused):
        publish(shelf, path, replace(whole, results=[]))


def test_a_wheel_without_nodes_is_refused_whatever_its_evidence_says(shelf, tmp_path):
    path = make_wheel(tmp_path, without=["tyqi_node_good/brighten.node.yaml"])
    with pytest.raises(PublishRefused, match="no node that has a valid manifest") as refusal:
        publish(shelf, path, evidence_for(path))
    assert codes(refusal) == ["M01"]


def test_a_wheel_whose_metadata_says_another_version_is_refused(shelf, tmp_path):
    text = metadata_text(version="1.0.1")
    path = make_wheel(tmp_path, files={f"{dist_info()}/METADATA": text})
    with pytest.raises(PublishRefused, match=r"says version 1\.0\.1, its name 1\.0\.0") as refusal:
        publish(shelf, path, evidence_for(path))
    assert codes(refusal) == ["M03"]


def test_evidence_about_another_file_is_refused(shelf, tmp_path):
    path, other = make_wheel(tmp_path / "one"), wheel_with(tmp_path, NAME, "1.0.0", title="Other")
    with pytest.raises(PublishRefused, match="EVIDENCE") as refusal:
        publish(shelf, path, evidence_for(other))
    assert codes(refusal) == ["EVIDENCE"]


def test_a_file_that_is_no_wheel_is_refused(shelf, tmp_path):
    path = tmp_path / "tyqi_node_good-1.0.0-py3-none-any.whl"
    path.write_bytes(b"no archive")
    with pytest.raises(UsageError, match="BAD_WHEEL"):
        publish(shelf, path)


@pytest.mark.parametrize("again", ["1.0.0", "1.0"])
def test_a_version_is_published_once(put, shelf, again):
    put()
    before = {path: path.read_bytes() for path in shelf.rglob("*.*") if path.is_file()}
    with pytest.raises(RegistryError, match="VERSION_EXISTS"):
        put(NAME, again, title="Other")
    assert {path: path.read_bytes() for path in shelf.rglob("*.*") if path.is_file()} == before


def test_a_version_that_says_less_than_has_changed_is_refused(put):
    put()
    with pytest.raises(PublishRefused, match=r"params\.gain: the parameter is gone") as refusal:
        put(NAME, "1.1.0", version="1.1.0", params={}, examples=[])
    assert set(codes(refusal)) == {"V01"}
    put(NAME, "2.0.0", version="2.0.0", params={}, examples=[])


def test_an_older_line_is_compared_with_its_own_last_release(put):
    put()
    put(NAME, "2.0.0", version="2.0.0", params={}, examples=[])
    put(NAME, "1.0.1")


def test_releases_that_were_withdrawn_and_previews_bind_nobody(put, shelf):
    put()
    put(NAME, "1.1.0", version="1.1.0", tags=["spoilt"])
    yank(shelf, NAME, "1.1.0", "spoilt")
    put(NAME, "2.0.0rc1", version="2.0.0", params={}, examples=[])
    put(NAME, "1.0.1")


@pytest.mark.parametrize("name", ["tyqi-node-god", "tyqi-node-goods", "tyqi-node-gool", "tyqi-node-godo"])
def test_a_name_one_letter_off_a_published_one_is_refused(put, shelf, tmp_path, name):
    put()
    with pytest.raises(PublishRefused, match="one letter away from tyqi-node-good") as refusal:
        put(name)
    assert codes(refusal) == ["M04"]
    path = wheel_with(tmp_path, name, "1.0.0")
    assert publish(shelf, path, evidence_for(path), similar_name=True).name == name


def test_the_ids_of_another_distribution_are_refused(put):
    put()
    with pytest.raises(PublishRefused, match=r"'good\.' belong to tyqi-node-good") as refusal:
        put("good")
    assert codes(refusal) == ["M04"]


def test_evidence_cannot_say_that_a_stolen_name_is_fine(put, shelf, tmp_path):
    put()
    path = wheel_with(tmp_path, "tyqi-node-goood", "1.0.0")
    assert result_of(evidence_for(path), "M04").outcome == "passed"
    with pytest.raises(PublishRefused):
        publish(shelf, path, evidence_for(path))


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("crack", "crak", True),
        ("crack", "craack", True),
        ("crack", "crakc", True),
        ("crack", "crock", True),
        ("crack", "crack", False),
        ("crack", "cracked", False),
        ("crack", "track2", False),
        ("stage1", "stage2", False),
        ("stage1", "stagel", True),
        ("a", "b", True),
        ("ab", "ba", True),
        ("abc", "cba", False),
        ("", "a", True),
    ],
)
def test_one_edit_is_a_letter_more_less_changed_or_swapped(one, other, near):
    assert one_edit_apart(one, other) is one_edit_apart(other, one) is near


def test_a_folder_that_holds_something_else_does_not_become_a_registry(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    wheel = make_wheel(tmp_path / "wheels")
    with pytest.raises(RegistryError, match="NO_REGISTRY"):
        publish(tmp_path, wheel, evidence_for(wheel))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.txt", "wheels"]


def test_yanked_and_quarantined_are_undone_by_an_empty_reason(put, shelf):
    put()
    for withdraw in (yank, quarantine):
        withdraw(shelf, NAME, "1.0.0", "wrong\nunit")
    (release,) = build(shelf).catalogue.releases
    assert (release.yanked, release.quarantined) == ("wrong unit", "wrong unit")
    yank(shelf, NAME, "1.0.0", "")
    quarantine(shelf, NAME, "1.0", "")
    (release,) = build(shelf).catalogue.releases
    assert (release.yanked, release.quarantined) == ("", "")
    with pytest.raises(RegistryError, match="RELEASE_UNKNOWN"):
        yank(shelf, NAME, "9.9", "why not")


PUBLISHER = """
import json, sys
from pathlib import Path
from tyqi_core.conformance.evidence import Evidence
from tyqi_core.registry.publishing import publish
root, wheel, evidence = map(Path, sys.argv[1:])
publish(root, wheel, Evidence.from_json(json.loads(evidence.read_text())))
"""


@pytest.fixture
def publisher(tmp_path, shelf):
    """Start a process that publishes a good wheel of a name."""

    def start(name, **environ):
        wheel = wheel_with(tmp_path / "made", name, "1.0.0")
        evidence = tmp_path / f"{name}.json"
        evidence.write_text(json.dumps(evidence_for(wheel).to_json()))
        command = [sys.executable, "-c", PUBLISHER, str(shelf), str(wheel), str(evidence)]
        return subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.PIPE, text=True)

    return start


@pytest.mark.parametrize("place", ["registry.staged", "registry.added", "registry.indexed"])
def test_a_publisher_that_is_killed_leaves_a_whole_registry(publisher, put, shelf, place):
    put("tyqi-node-first")
    with publisher("tyqi-node-second", TYQI_FAILPOINT=f"{place}:kill9") as killed:
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    catalogue = open_registry(str(shelf)).catalogue()  # what readers see meanwhile
    assert "tyqi-node-first" in {release.name for release in catalogue.releases}
    build(shelf)
    assert verify(shelf).problems == []
    added = place != "registry.staged"
    assert ("tyqi-node-second" in {one.name for one in RegistryFolder.open(shelf).published()}) is added
    assert list((shelf / "packages").glob(".*")) == []


def test_pages_do_not_depend_on_which_checks_were_imported_first(publisher, shelf):
    assert publisher("tyqi-node-alder").communicate()[1] == ""
    imports = "import sys, tyqi_core.conformance.running, pathlib; from tyqi_core.registry.verifying import verify"
    looked = subprocess.run(
        [sys.executable, "-c", f"{imports}; print(verify(pathlib.Path(sys.argv[1])).problems)", shelf],
        capture_output=True,
        text=True,
        check=True,
    )
    assert looked.stdout.strip() == "[]"


def test_publishers_at_the_same_time_take_turns(publisher, shelf):
    names = [f"tyqi-node-{name}" for name in ("alder", "birch", "cedar", "maple")]
    started = [publisher(name) for name in names]
    assert [process.communicate()[1] for process in started] == [""] * len(names)
    assert {one.name for one in open_registry(str(shelf)).catalogue().releases} == set(names)
    assert verify(shelf).problems == []


def test_a_release_cannot_be_put_over_another_even_without_the_lock(put, shelf, tmp_path):
    put()
    folder = RegistryFolder.open(shelf)
    other = wheel_with(tmp_path / "other", NAME, "1.0.0", title="Other")
    with pytest.raises(RegistryError):
        folder.add(Wheel(other), evidence_for(other), "")
    assert verify(shelf).problems == []


def test_a_release_that_was_removed_by_hand_goes_from_the_pages(put, shelf):
    put("tyqi-node-first")
    put("tyqi-node-second")
    shutil.rmtree(shelf / "packages" / "tyqi-node-first")
    build(shelf)
    assert not (shelf / "simple" / "tyqi-node-first").exists()
    assert verify(shelf).problems == []
