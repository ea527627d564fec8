"""``tyqi queues``: what nodes took, and what is proposed from it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import picture
from tyqi_core.runtime.history import Sample, summed
from tyqi_core.runtime.history_file import add_histories

pytestmark = pytest.mark.needs_plugins


def remember(folder, node, seconds, times=30, memory=None):
    add_histories(folder / ".tyqi", {node: summed([Sample(node, seconds, memory)] * times)})


def queue_of(document, node):
    (queue,) = (one["queue"] for one in document["placements"] if one["node"] == node)
    return queue


def test_without_any_run_nodes_are_proposed_where_their_manifests_lead(tyqi):
    answer = tyqi("queues", "--json")
    assert answer.code == 0
    document = answer.json()
    assert document["histories"]["crack.segment@2"] is None
    assert document["overrides"] == {}
    assert {one["queue"] for one in document["placements"]} == {"cpu.short", "cpu.long", "cpu.heavy"}


def test_what_a_run_took_is_shown(folder, tyqi):
    picture(folder / "wall.png")
    assert tyqi("run", "project.yaml", "--input", "image=wall.png", "--out", "out").code == 0
    seen = tyqi("queues", "--json").json()["histories"]["crack.segment@2"]
    assert (seen["count"], seen["failures"]) == (1, 0)
    assert seen["max_s"] >= seen["p50_s"] > 0


def test_a_node_that_turned_out_slow_gets_another_queue_and_the_line_for_the_project(folder, tyqi):
    remember(folder, "crack.segment@2", 7.5, memory=612)
    assert queue_of(tyqi("queues", "--json").json(), "crack.segment@2") == "cpu.long"
    answer = tyqi("queues")
    assert answer.code == 0
    assert "queue: cpu.long  # crack.segment@2" in answer.out
    assert "7.5 s" in answer.out
    assert "612 MiB" in answer.out
    assert "tyqi worker --queues cpu.long" in answer.out


def test_the_history_of_a_node_that_is_not_installed_harms_nothing(folder, tyqi):
    remember(folder, "gone.node@1", 7.5)
    answer = tyqi("queues")
    assert answer.code == 0
    assert "gone.node" not in answer.out


def test_a_damaged_history_is_a_warning_and_manifests_speak(folder, tyqi):
    (folder / ".tyqi").mkdir()
    (folder / ".tyqi" / "history.json").write_text("[", encoding="utf-8")
    answer = tyqi("queues", "--json")
    assert answer.code == 0
    assert "cannot be used" in answer.err
    assert queue_of(answer.json(), "crack.segment@2") == "cpu.short"


def test_devices_are_told_how_they_are_filled(tyqi):
    document = tyqi("queues", "--devices", "0=24576,1=8192", "--json").json()
    assert [(one["name"], one["memory_mb"], one["usable_mb"]) for one in document["devices"]] == [
        ("0", 24576, 22118),
        ("1", 8192, 7372),
    ]
    told = tyqi("queues", "--devices", "0=24576")
    assert "of 22118 MiB" in told.out


@pytest.mark.parametrize("given", ["0", "0=", "=5", "0=x", "0=-5", "0=0", "0=1.5", "0=5,0=5"])
def test_devices_that_make_no_sense_are_refused(tyqi, given):
    answer = tyqi("queues", "--devices", given)
    assert answer.code == 2
    assert "device" in answer.err


def test_tables_are_readable_where_only_ascii_can_be_printed(folder, tyqi):
    remember(folder, "crack.segment@2", 7.5)
    answer = tyqi("queues", PYTHONIOENCODING="ascii")
    assert answer.code == 0
    assert "crack.segment@2" in answer.out
