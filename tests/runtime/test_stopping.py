"""Cancelling and resuming: what was settled stays settled, the rest is run, and the outputs are those of one go."""

from __future__ import annotations

import time

import pytest
from trial_runs import completed, entries, executed, position, story, subjects, wait_for

from tyqi_core.errors import UsageError


def interrupted(folder, *, stubborn: bool = False) -> str:
    """T1, P and the items run; T2 waits for a file; T3 to T5 follow."""
    note = f'file: "{folder}/ledger.txt"'
    return f"""
tasks:
  T1: {{node: trial.ledger, inputs: {{x: {{value: 1}}}}, params: {{{note}, name: T1}}, successor: [I]}}
  I: {{node: trial.items, inputs: {{n: {{value: 3}}}}, foreach: {{over: items, body: B, collect: {{all: B.value}}}}, successor: [T2]}}
  B: {{node: trial.ledger, subchain: true, inputs: {{x: $item.item}}, params: {{{note}, name: B}}}}
  P: {{node: trial.picture, inputs: {{x: T1.value}}, successor: [T2]}}
  T2: {{node: trial.sleep, inputs: {{x: T1.value}}, params: {{file: "{folder}/sleep.txt", until: "{folder}/go", stubborn: {str(stubborn).lower()}}}}}
  T3: {{node: trial.ledger, inputs: {{x: T2.value}}, params: {{{note}, name: T3}}}}
  D: {{node: trial.decide, inputs: {{x: T3.value}}, condition: true, branches: {{a: A, b: null, none: null}}, successor: [J]}}
  A: {{node: trial.ledger, subchain: true, inputs: {{x: D.value}}, params: {{{note}, name: A}}}}
  L: {{node: trial.look, predecessor: [T3], inputs: {{image: P.image}}}}
  J: {{node: trial.pair, inputs: {{a: D.branch.value, b: I.each.all}}}}
outputs: {{both: J.both, mean: L.mean, image: L.image}}
"""


def the_same(first, second) -> bool:
    return first.keys() == second.keys() and all(
        (first[name] == second[name]).all() if name == "image" else first[name] == second[name] for name in first
    )


@pytest.mark.parametrize("stubborn", [False, True], ids=["cooperative", "stubborn"])
def test_a_cancelled_run_is_resumed_without_executing_again_what_was_settled(run, tmp_path, stubborn):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "go").touch()
    in_one_go = run(interrupted(tmp_path / "one"))

    run_id = run.start(interrupted(tmp_path, stubborn=stubborn))
    wait_for(tmp_path / "sleep.txt", "begun")
    stopped = run.cancel(run_id, grace=0.1)
    assert stopped.status == "cancelled"
    assert subjects(stopped, "task.completed") == sorted(["T1", "I", "I[0]/B", "I[1]/B", "I[2]/B", "P"])
    assert stopped.events[-1].kind == "run.cancelled"

    (tmp_path / "go").touch()
    resumed = run.resume(run_id)
    assert the_same(completed(resumed), completed(in_one_go))
    names = [line for line in entries(tmp_path / "ledger.txt") if line.startswith("start")]
    assert sorted(names) == sorted(["start T1 1", "start B 0", "start B 1", "start B 2", "start T3 1", "start A 1"])


def test_a_resumed_run_has_one_story_from_its_first_start_to_its_end(run, tmp_path):
    run_id = run.start(interrupted(tmp_path))
    wait_for(tmp_path / "sleep.txt", "begun")
    stopped = run.cancel(run_id)
    (tmp_path / "go").touch()
    resumed = run.resume(run_id)
    assert resumed.id == run_id
    assert list(resumed.events[: len(stopped.events)]) == list(stopped.events)
    assert story(resumed.events, "run.accepted", "run.cancelled", "run.resumed", "run.completed") == [
        ("run.accepted", ""),
        ("run.cancelled", ""),
        ("run.resumed", ""),
        ("run.completed", ""),
    ]
    settled = subjects(resumed, "task.completed")
    assert settled == sorted(set(settled)), "no task is settled twice"


def test_a_run_cancelled_at_any_moment_is_resumed_to_its_end(run, tmp_path):
    (tmp_path / "go").touch()
    for moment_ms in range(0, 48, 4):
        run_id = run.start(interrupted(tmp_path))
        time.sleep(moment_ms / 1000)
        stopped = run.cancel(run_id, grace=0.0 if moment_ms % 3 else 5.0)
        if stopped.status == "completed":
            continue
        if stopped.events:
            assert completed(run.resume(run_id))["both"] == [1, [0, 1, 2]]
        else:  # told to stop before it was accepted: nothing was begun, so there is nothing to go on with
            assert stopped.status == "cancelled"
            with pytest.raises(UsageError, match="UNKNOWN_RUN"):
                run.resume(run_id)


def test_a_run_can_be_cancelled_and_resumed_several_times(run, tmp_path):
    run_id = run.start(interrupted(tmp_path))
    for count in (1, 2, 3):
        wait_for(tmp_path / "sleep.txt", "begun", times=count)
        stopped = run.cancel(run_id)
        assert stopped.status == "cancelled"
        if count < 3:
            assert run.runtime.resume(run_id) == run_id
    (tmp_path / "go").touch()
    assert completed(run.resume(run_id))["both"] == [1, [0, 1, 2]]
    assert entries(tmp_path / "ledger.txt").count("start T1 1") == 1


def test_a_failed_run_is_resumed_after_its_cause_is_gone(run, tmp_path, ledger):
    """The node fails twice, and is tried once a run: the third time it goes well."""
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.ledger, inputs: {{x: {{value: 5}}}}, params: {{file: "{ledger}", name: T1}}}}
  T2: {{node: trial.misbehave, inputs: {{x: T1.value}}, params: {{how: fails_first, times: 2, file: "{ledger}.tries"}}}}
  T3: {{node: trial.ledger, inputs: {{x: T2.value}}, params: {{file: "{ledger}", name: T3}}}}
outputs: {{out: T3.value}}
""")
    assert run.wait(run_id).error["task"] == "T2"
    again = run.resume(run_id)
    assert (again.status, again.error["task"]) == ("failed", "T2")
    assert completed(run.resume(run_id)) == {"out": 5}
    assert entries(ledger) == ["start T1 5", "end T1 5", "start T3 5", "end T3 5"]


def test_a_resumed_task_may_use_its_retries_anew(run, ledger):
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.misbehave, params: {{how: fails_first, times: 3, file: "{ledger}"}}, retries: 1}}
outputs: {{out: T1.value}}
""")
    assert run.wait(run_id).status == "failed"
    assert len(entries(ledger)) == 2
    assert completed(run.resume(run_id)) == {"out": 0}
    assert len(entries(ledger)) == 4


def test_an_item_that_failed_the_run_is_resumed_alone(run, ledger):
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.items, inputs: {{n: {{value: 3}}}}, foreach: {{over: items, body: B, collect: {{all: C.value}}}}}}
  B:
    node: trial.ledger
    subchain: true
    inputs: {{x: $item.item}}
    params: {{file: "{ledger}", name: B}}
    condition: true
    branches: [{{when: "B.value == 1", to: E}}, {{default: null}}]
  E: {{node: trial.misbehave, subchain: true, params: {{how: fails_first, times: 1, file: "{ledger}.tries"}}}}
  C: {{node: trial.ledger, predecessor: [B], inputs: {{x: $item.item}}, params: {{file: "{ledger}", name: C}}}}
  J: {{node: trial.gather, inputs: {{values: T1.each.all}}}}
outputs: {{found: J.found}}
""")
    assert run.wait(run_id).error["task"] == "T1[1]/B/E"
    assert completed(run.resume(run_id)) == {"found": [0, 1, 2]}
    starts = [line for line in entries(ledger) if line.startswith("start")]
    assert sorted(starts) == sorted(f"start {name} {item}" for name in "BC" for item in range(3))


def test_an_error_branch_that_was_cancelled_still_knows_its_error_after_the_resume(run, tmp_path):
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.misbehave, params: {{how: raises}}, on_error: {{branch: E}}}}
  E: {{node: trial.sleep, subchain: true, params: {{file: "{tmp_path}/sleep.txt", until: "{tmp_path}/go"}}}}
  F: {{node: trial.pair, predecessor: [E], inputs: {{a: $error}}}}
  J: {{node: trial.pair, predecessor: [T1], inputs: {{a: T1.branch.both}}}}
outputs: {{out: J.both}}
""")
    wait_for(tmp_path / "sleep.txt", "begun")
    assert run.cancel(run_id).status == "cancelled"
    (tmp_path / "go").touch()
    ((error, _), _) = completed(run.resume(run_id))["out"]
    assert (error["code"], error["task"]) == ("NODE_ERROR", "T1")


def test_nothing_new_starts_after_a_cancel(run, tmp_path):
    run_id = run.start(interrupted(tmp_path))
    wait_for(tmp_path / "sleep.txt", "begun")
    result = run.cancel(run_id)
    assert not {"T3", "D", "J", "L"} & set(executed(result))
    assert entries(tmp_path / "sleep.txt") == ["begun", "stopped"]


def test_a_node_that_returns_after_the_cancel_settles_or_is_held_but_the_run_is_cancelled(run, ledger):
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.misbehave, inputs: {{x: {{value: 6}}}}, params: {{how: late, file: "{ledger}"}}}}
  T2: {{node: trial.ledger, inputs: {{x: T1.value}}, params: {{file: "{ledger}.2", name: T2}}}}
outputs: {{out: T2.value}}
""")
    wait_for(ledger, "begun")
    result = run.cancel(run_id)
    assert result.status == "cancelled"
    assert executed(result) == ["T1"]
    assert result.outputs == {"out": None}


def test_cancelling_one_run_leaves_the_others_alone(run, tmp_path):
    text = interrupted(tmp_path)
    first, second = run.start(text), run.start(text)
    wait_for(tmp_path / "sleep.txt", "begun", times=2)
    assert run.cancel(first).status == "cancelled"
    (tmp_path / "go").touch()
    assert completed(run.wait(second))["both"] == [1, [0, 1, 2]]


def test_cancelling_a_run_that_has_ended_changes_nothing(run):
    text = "tasks:\n  T1: {node: trial.add, inputs: {x: {value: 1}}}\noutputs: {out: T1.sum}"
    run_id = run.start(text)
    before = run.wait(run_id)
    assert run.cancel(run_id) == before
    assert before.status == "completed"


def test_a_completed_run_cannot_be_resumed(run):
    run_id = run.start("tasks:\n  T1: {node: trial.add, inputs: {x: {value: 1}}}\noutputs: {out: T1.sum}")
    run.wait(run_id)
    with pytest.raises(UsageError, match="only a failed or cancelled run can be resumed") as refused:
        run.resume(run_id)
    assert refused.value.code == "NOT_RESUMABLE"


def test_a_run_that_does_not_exist_cannot_be_resumed(run):
    with pytest.raises(UsageError) as refused:
        run.resume("nosuchrun")
    assert refused.value.code == "UNKNOWN_RUN"


def test_a_resumed_run_follows_rules_as_the_first_part_did(run, tmp_path):
    """The join of a branch that was under way when the run was cancelled waits for its end after the resume."""
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.decide, params: {{choose: a}}, condition: true, branches: {{a: A, b: null, none: null}}}}
  A: {{node: trial.sleep, subchain: true, params: {{file: "{tmp_path}/sleep.txt", until: "{tmp_path}/go"}}}}
  B: {{node: trial.add, inputs: {{x: A.value}}, params: {{plus: 3}}}}
  J: {{node: trial.pair, predecessor: [T1], inputs: {{a: T1.branch.sum}}}}
outputs: {{out: J.both}}
""")
    wait_for(tmp_path / "sleep.txt", "begun")
    run.cancel(run_id)
    (tmp_path / "go").touch()
    result = run.resume(run_id)
    assert completed(result) == {"out": [3, None]}
    assert position(result, "task.completed", "T1/B") < position(result, "task.ready", "J")
