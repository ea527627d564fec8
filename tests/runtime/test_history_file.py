"""``history.json``: nothing is lost between commands that end together, and a damaged file harms nobody."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from tyqi_core.runtime.history import Sample, from_fields, summed
from tyqi_core.runtime.history_file import MOST_NODES, add_histories, read_histories

SEEN = summed([Sample("a.b@1", 0.2, 300)] * 3)
WRITER = """
import sys
from pathlib import Path
from tyqi_core.runtime.history import Sample, summed
from tyqi_core.runtime.history_file import add_histories
seen = {"a.b@1": summed([Sample("a.b@1", 0.2)] * 2)}
times = int(sys.argv[2])
while times:
    add_histories(Path(sys.argv[1]), seen)
    times -= 1
    print("written", flush=True)
"""


def writer(state, times):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(state), str(times)], stdout=subprocess.PIPE, text=True)


def test_what_commands_saw_adds_up(tmp_path):
    state = tmp_path / "not there yet"
    add_histories(state, {"a.b@1": SEEN})
    add_histories(state, {"a.b@1": SEEN, "a.c@2": SEEN})
    histories = {node: from_fields(fields) for node, fields in read_histories(state).items()}
    assert {node: one.count for node, one in histories.items()} == {"a.b@1": 6, "a.c@2": 3}
    assert histories["a.b@1"].memory_mb == 300


def test_a_command_that_executed_nothing_writes_nothing(tmp_path):
    add_histories(tmp_path, {})
    assert read_histories(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_processes_that_end_together_lose_nothing(tmp_path):
    writers = [writer(tmp_path, 25) for _ in range(3)]
    for one in writers:
        one.communicate(timeout=60)
        assert one.returncode == 0
    assert from_fields(read_histories(tmp_path)["a.b@1"]).count == 3 * 25 * 2


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_file_and_no_lock(tmp_path):
    for _ in range(4):
        one = writer(tmp_path, -1)
        assert one.stdout.readline() == "written\n"
        one.kill()
        one.communicate(timeout=60)
    before = from_fields(read_histories(tmp_path)["a.b@1"]).count
    add_histories(tmp_path, {"a.b@1": SEEN})
    assert before >= 4 * 2
    assert from_fields(read_histories(tmp_path)["a.b@1"]).count == before + 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"form": 2, "nodes": {}}',
        b'{"form": 1, "nodes": {"a.b@1": {"at": 1, "fields": {"n": -5}}}}',
        b'{"form": 1, "nodes": {"a.b@1": {"at": "x", "fields": {}}}}',
        b'{"form": 1, "nodes": {"a.b@1": 3}}',
    ],
)
def test_a_damaged_file_is_set_aside_with_a_warning_and_the_work_goes_on(tmp_path, caplog, content):
    (tmp_path / "history.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_histories(tmp_path) == {}
        add_histories(tmp_path, {"a.b@1": SEEN})
    assert "cannot be used" in caplog.text
    assert "was damaged and is now history.json.damaged" in caplog.text
    assert (tmp_path / "history.json.damaged").read_bytes() == content
    assert read_histories(tmp_path) == {"a.b@1": SEEN}


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    (tmp_path / "state").write_text("a file", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        add_histories(tmp_path / "state", {"a.b@1": SEEN})
    assert "durations could not be added" in caplog.text


def test_the_file_keeps_the_nodes_that_ran_last(tmp_path):
    many = {f"old.n{number}@1": {"at": 1, "fields": SEEN} for number in range(MOST_NODES)}
    (tmp_path / "history.json").write_text(json.dumps({"form": 1, "nodes": many}), encoding="utf-8")
    add_histories(tmp_path, {"a.b@1": SEEN})
    kept = read_histories(tmp_path)
    assert len(kept) == MOST_NODES
    assert "a.b@1" in kept
