"""What a run leaves behind, through the command line: records, resume in a new process, replay, swap."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from trial_runs import entries, wait_for
from trial_shell import SCALED

from tyqi_core.protocol.message import parse_event_line


@pytest.fixture
def recorded(shell) -> str:
    """The id of a recorded run of the project above with n = 10."""
    words = ("--input", "n=n.json", "--input", "note=n.json")
    return shell.json("run", "scaled.yaml", *words)["runs"][0]["id"]


def test_a_record_holds_plan_project_inputs_events_and_how_it_ended(shell, recorded):
    folder = shell.record(recorded)
    header = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert header["status"] == "completed"
    assert header["project"] == "scaled"
    assert header["branches"] == {"T2": "default"}
    assert header["inputs"].keys() == header["digests"].keys() == {"n", "note"}
    assert header["outputs"].keys() == {"both", "image"}
    assert header["values"] == {"both": [20, None]}
    assert json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    assert (folder / "project.yaml").read_text(encoding="utf-8") == SCALED
    assert not (folder / "state.json").exists(), "a completed run has nothing to go on from"


def test_the_files_of_a_record_are_whole(shell, recorded):
    folder = shell.record(recorded)
    events = [parse_event_line(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (events[0].kind, events[-1].kind) == ("run.accepted", "run.completed")
    assert not [path for path in folder.rglob("*") if "tmp" in path.suffix]
    payloads = {path.name for path in (folder / "payloads").iterdir()}
    header = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert payloads == {header["inputs"]["note"]["sha256"]}
    assert header["inputs"]["n"] == {"value": 10}


def test_the_story_of_a_run_can_be_read_by_the_beginning_of_its_id(shell, recorded):
    told = shell.json("runs", recorded[:12])
    assert told["id"] == recorded
    assert {task: step["status"] for task, step in told["tasks"].items()} == dict.fromkeys(
        ("T1", "T2", "P", "J"), "completed"
    )


def test_the_events_of_a_run_are_printed_as_cloudevents(shell, recorded):
    lines = [json.loads(line) for line in shell("runs", recorded, "--events").splitlines()]
    assert {line["specversion"] for line in lines} == {"1.0"}
    assert lines[-1]["type"] == "tyqi.run.completed"


def test_a_replay_gives_the_same(shell, recorded):
    answer = shell.json("replay", recorded)
    assert (answer["equal"], answer["differences"], answer["status"]) == (True, [], "completed")


def test_a_replay_is_no_run_of_its_own_in_the_record(shell, recorded):
    shell("replay", recorded)
    assert [one["id"] for one in shell.json("runs")["runs"]] == [recorded]


def differences(answer: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {one["what"]: (one["recorded"], one["replayed"]) for one in answer["differences"]}


@pytest.mark.parametrize("swap", ["trial.scale=2", "trial.scale=trial.scale@2"])
def test_a_replay_with_another_major_shows_what_comes_out_differently(shell, recorded, swap):
    answer = shell.json("replay", recorded, "--swap", swap, status=1)
    told = differences(answer)
    assert answer["equal"] is False
    assert told["branch of T2"] == ("default", "when 1")
    assert told["output both[0]"] == (20, 30)
    assert told["output both[1]"] == (None, 1030)
    before, after = told["output image"]
    assert before != after


def test_a_swap_that_changes_nothing_is_equal(shell, recorded):
    assert shell.json("replay", recorded, "--swap", "trial.scale=1")["equal"] is True


def test_a_swap_for_a_node_that_does_not_fit_is_refused_by_the_compiler(shell, recorded):
    answer = shell("replay", recorded, "--swap", "trial.scale=trial.picture", status=2)
    assert "T1" in answer


def test_a_swap_for_a_node_that_is_not_there_is_refused(shell, recorded):
    assert "NODE_MAJOR" in shell("replay", recorded, "--swap", "trial.scale=7", status=2)


def test_without_retention_nothing_is_kept_to_replay(shell):
    run_id = shell.json("run", "scaled.yaml", "--input", "n=n.json", TYQI_RETENTION_DAYS="0")["runs"][0]["id"]
    assert not list(shell.record(run_id).glob("payloads/*"))
    assert "REPLAY_REFUSED" in shell("replay", run_id, status=2)


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_payload_is_refused(shell, recorded, damage):
    (payload,) = (shell.record(recorded) / "payloads").iterdir()
    if damage == "gone":
        payload.unlink()
    else:
        payload.write_bytes(b"11" if damage == "changed" else payload.read_bytes()[:-1])
    assert "REPLAY_REFUSED" in shell("replay", recorded, status=2)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"\xff", b'{"id": 3}'], ids=repr)
@pytest.mark.parametrize(
    ("file", "command"),
    [("run.json", "replay"), ("run.json", "runs"), ("plan.json", "replay"), ("plan.json", "graph --run")],
)
def test_a_damaged_record_is_told_as_such(shell, recorded, file, command, damage):
    (shell.record(recorded) / file).write_bytes(damage)
    told = shell(*command.split(), recorded, status=2)
    assert "BAD_RECORD" in told
    assert file in told


def test_a_damaged_record_is_left_out_of_the_list(shell, recorded):
    whole = shell.json("run", "scaled.yaml", "--input", "n=n.json")["runs"][0]["id"]
    (shell.record(recorded) / "run.json").write_text("{}")
    assert [run["id"] for run in shell.json("runs")["runs"]] == [whole]


def test_a_line_that_a_killed_process_left_half_written_is_no_damage(shell, recorded):
    path = shell.record(recorded) / "events.jsonl"
    path.write_bytes(path.read_bytes() + b'[17, "task.comp')
    assert "completed" in shell("runs", recorded)


def test_a_damaged_line_amid_the_events_is_told_as_such(shell, recorded):
    path = shell.record(recorded) / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b"]\n", b"\xff\n", 1))
    told = shell("runs", recorded, status=2)
    assert "BAD_RECORD" in told
    assert "events.jsonl" in told


def test_the_events_are_one_document_if_json_is_asked_for(shell, recorded):
    kinds = [event["type"] for event in shell.json("runs", recorded, "--events")["events"]]
    assert (kinds[0], kinds[-1]) == ("tyqi.run.accepted", "tyqi.run.completed")


def test_events_without_a_run_are_refused(shell, recorded):
    assert "needs a RUN" in shell("runs", "--events", status=2)


def test_a_failed_run_is_resumed_from_its_record_alone(shell):
    ledger = shell.folder / "tries.txt"
    (shell.folder / "flaky.yaml").write_text(
        f"""tyqi: 1
project: flaky
tasks:
  T1: {{node: trial.ledger, inputs: {{x: {{value: 3}}}}, params: {{file: "{ledger}.1", name: T1}}}}
  P: {{node: trial.picture, inputs: {{x: T1.value}}}}
  T2: {{node: trial.misbehave, inputs: {{x: T1.value}}, params: {{how: fails_first, times: 1, file: "{ledger}"}}}}
  L: {{node: trial.look, predecessor: [T2], inputs: {{image: P.image}}}}
outputs: {{out: T2.value, mean: L.mean}}
""",
        encoding="utf-8",
    )
    failed = shell.json("run", "flaky.yaml", status=1)["runs"][0]
    assert (failed["status"], failed["error"]["task"]) == ("failed", "T2")
    resumed = shell.json("resume", failed["id"])["runs"][0]
    assert resumed["status"] == "completed"
    assert resumed["values"] == {"out": 3, "mean": 3}
    assert entries(Path(f"{ledger}.1")) == ["start T1 3", "end T1 3"]
    told = shell("resume", failed["id"], status=2)
    assert "NOT_RESUMABLE" in told


def test_a_run_that_was_interrupted_by_a_signal_is_resumed_in_a_new_process(shell):
    go, began = shell.folder / "go", shell.folder / "sleep.txt"
    (shell.folder / "long.yaml").write_text(
        f"""tyqi: 1
project: long
tasks:
  T1: {{node: trial.ledger, inputs: {{x: {{value: 3}}}}, params: {{file: "{shell.folder}/ledger.txt", name: T1}}}}
  T2: {{node: trial.sleep, inputs: {{x: T1.value}}, params: {{file: "{began}", until: "{go}"}}}}
  T3: {{node: trial.add, inputs: {{x: T2.value, y: T1.value}}}}
outputs: {{out: T3.sum}}
""",
        encoding="utf-8",
    )
    process = shell.process("run", "long.yaml", "--json")
    try:
        wait_for(began, "begun")
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    (cancelled,) = json.loads(out)["runs"]
    assert cancelled["status"] == "cancelled"
    assert f"tyqi resume {cancelled['id']}" in told
    assert "Traceback" not in told

    go.touch()
    (resumed,) = shell.fresh("resume", cancelled["id"])["runs"]
    assert (resumed["status"], resumed["values"]) == ("completed", {"out": 6})
    assert entries(shell.folder / "ledger.txt") == ["start T1 3", "end T1 3"]
    assert shell.json("replay", cancelled["id"])["equal"] is True
