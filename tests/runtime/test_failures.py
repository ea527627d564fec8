"""What a failure does: on_error, skip cascades, retries, timeouts; an attempt that comes late changes nothing."""

from __future__ import annotations

import pytest
from trial_runs import completed, entries, executed, position, story, subjects, wait_for


def failing(on_error: str, *, more: str = "", outputs: str = "T2.both") -> str:
    return f"""
tasks:
  T1: {{node: trial.misbehave, params: {{how: raises}}, {on_error}, successor: [T2]}}
  T2: {{node: trial.pair, inputs: {{a: T1.value}}}}
  {more}
outputs: {{out: {outputs}}}
"""


def test_on_error_fail_ends_the_run_with_code_task_and_node(run):
    result = run(failing("on_error: fail"))
    assert result.status == "failed"
    assert {key: result.error[key] for key in ("code", "task", "node")} == {
        "code": "NODE_ERROR",
        "task": "T1",
        "node": "trial.misbehave",
    }
    assert "ValueError: this cannot be done" in result.error["message"]
    assert "misbehaviour.py:" in result.error["message"], "the line of the node that raised it"
    assert executed(result) == ["T1"]
    assert result.outputs == {"out": None}


def test_fail_is_what_happens_when_nothing_is_said(run):
    result = run(failing("retries: 0"))
    assert result.status == "failed"
    assert story(result.events)[-2:] == [("task.failed", "T1"), ("run.failed", "")]


def test_on_error_skip_makes_an_optional_input_null_and_the_run_completes(run):
    result = run(failing("on_error: skip"))
    assert completed(result) == {"out": [None, None]}
    skipped = result.events[position(result, "task.skipped", "T1")]
    assert skipped.data["error"]["code"] == "NODE_ERROR"


def test_skipping_travels_along_required_inputs_and_stops_at_the_first_optional_one(run):
    result = run("""
tasks:
  T1: {node: trial.misbehave, params: {how: raises}, on_error: skip}
  T2: {node: trial.add, inputs: {x: T1.value}}
  T3: {node: trial.scale@1, inputs: {x: T2.sum}}
  T4: {node: trial.add, inputs: {x: {value: 5}, y: T3.value}}
  T5: {node: trial.add, inputs: {x: T4.sum}}
outputs: {out: T5.sum, missing: T3.value}
""")
    assert completed(result) == {"out": 5, "missing": None}
    assert subjects(result, "task.skipped") == ["T1", "T2", "T3"]
    assert executed(result) == ["T1", "T4", "T5"]


def test_skipping_does_not_travel_along_mere_order(run):
    result = run("""
tasks:
  T1: {node: trial.misbehave, params: {how: raises}, on_error: skip, successor: [T2]}
  T2: {node: trial.add, inputs: {x: {value: 5}}}
outputs: {out: T2.sum}
""")
    assert completed(result) == {"out": 5}


def test_a_skipped_condition_opens_no_branch_and_its_join_runs(run):
    result = run("""
tasks:
  T0: {node: trial.misbehave, params: {how: raises}, on_error: skip}
  T1: {node: trial.decide, inputs: {x: T0.value}, condition: true, branches: {a: A, b: A, none: A}}
  A: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
  J: {node: trial.pair, predecessor: [T1], inputs: {a: T1.branch.sum}}
outputs: {out: J.both}
""")
    # T1.x has a default, so T1 itself runs: x is 0, the outcome none
    assert completed(result) == {"out": [1, None]}
    result = run("""
tasks:
  T0: {node: trial.misbehave, params: {how: raises}, on_error: skip}
  T1:
    node: trial.add
    inputs: {x: T0.value}
    condition: true
    branches: [{when: "T1.sum > 0", to: A}, {default: A}]
  A: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
  J: {node: trial.pair, predecessor: [T1], inputs: {a: T1.branch.sum}}
outputs: {out: J.both}
""")
    assert completed(result) == {"out": [None, None]}
    assert subjects(result, "task.skipped") == ["T0", "T1"]
    assert executed(result) == ["J", "T0"]


def test_a_skipped_foreach_gives_an_absent_list_not_an_empty_one(run):
    result = run("""
tasks:
  T0: {node: trial.misbehave, params: {how: raises}, on_error: skip}
  T1: {node: trial.items, inputs: {n: T0.value}, foreach: {over: items, body: B, collect: {all: B.sum}}}
  B: {node: trial.add, subchain: true, inputs: {x: $item.item}}
  J: {node: trial.pair, predecessor: [T1], inputs: {a: T1.each.all}}
  K: {node: trial.total, inputs: {values: T1.each.all}}
outputs: {out: J.both, total: K.total}
""")
    assert completed(result) == {"out": [None, None], "total": None}
    assert subjects(result, "task.skipped") == ["K", "T0", "T1"]


def test_a_task_skipped_in_a_branch_still_ends_the_branch(run):
    result = run("""
tasks:
  T1: {node: trial.decide, params: {choose: a}, condition: true, branches: {a: A, b: null, none: null}}
  A: {node: trial.misbehave, subchain: true, params: {how: raises}, on_error: skip}
  B: {node: trial.add, inputs: {x: A.value}}
  J: {node: trial.pair, predecessor: [T1], inputs: {a: T1.branch.sum}}
outputs: {out: J.both}
""")
    assert completed(result) == {"out": [None, None]}
    assert subjects(result, "task.skipped") == ["T1/A", "T1/B"]


def test_an_error_branch_gets_the_error_and_the_successors_wait_for_it(run):
    result = run(
        failing(
            "on_error: {branch: E}",
            more="E: {node: trial.pair, subchain: true, inputs: {a: $error}, successor: [F]}\n"
            "  F: {node: trial.pair, inputs: {a: E.both}}\n"
            "  J: {node: trial.pair, predecessor: [T2], inputs: {a: T1.branch.both, b: T2.both}}",
            outputs="J.both",
        )
    )
    (((error, _), _), own) = completed(result)["out"]
    assert (error["code"], error["task"]) == ("NODE_ERROR", "T1")
    assert "this cannot be done" in error["message"]
    assert own == [None, None]
    assert position(result, "task.completed", "T1/F") < position(result, "task.ready", "T2")
    assert subjects(result, "task.failed") == ["T1"]
    assert result.error is None


def test_an_error_branch_is_not_entered_when_the_task_succeeds(run):
    result = run("""
tasks:
  T1: {node: trial.misbehave, inputs: {x: {value: 3}}, on_error: {branch: E}}
  E: {node: trial.pair, subchain: true, inputs: {a: $error}}
  J: {node: trial.pair, inputs: {a: T1.value, b: T1.branch.both}}
outputs: {out: J.both}
""")
    assert completed(result) == {"out": [3, None]}
    assert executed(result) == ["J", "T1"]


def test_a_failure_within_an_error_branch_fails_the_run(run):
    result = run("""
tasks:
  T1: {node: trial.misbehave, params: {how: raises}, on_error: {branch: E}}
  E: {node: trial.misbehave, subchain: true, params: {how: out_of_memory}}
  J: {node: trial.pair, predecessor: [T1], inputs: {a: T1.branch.value}}
outputs: {out: J.both}
""")
    assert (result.status, result.error["task"], result.error["code"]) == ("failed", "T1/E", "OUT_OF_MEMORY")


def test_what_executes_when_another_task_fails_the_run_is_finished_and_settled(run, tmp_path, ledger):
    """T1 fails only after T2 has begun, and T2 goes on until T1 has failed."""
    gate, go = tmp_path / "gate", tmp_path / "go"
    run_id = run.start(f"""
tasks:
  G: {{node: trial.sleep, params: {{until: "{gate}"}}}}
  T1: {{node: trial.misbehave, inputs: {{x: G.value}}, params: {{how: fails_first, file: "{tmp_path}/tries"}}}}
  T2: {{node: trial.sleep, params: {{file: "{ledger}", until: "{go}"}}}}
outputs: {{a: T1.value, b: T2.value}}
""")
    wait_for(ledger, "begun")
    gate.touch()
    wait_for(tmp_path / "tries", "try 0")
    go.touch()
    result = run.wait(run_id)
    assert (result.status, result.error["task"]) == ("failed", "T1")
    assert entries(ledger) == ["begun", "done"], "it was not told to stop"
    assert position(result, "task.completed", "T2") < position(result, "run.failed", "")
    assert result.outputs == {"a": None, "b": 0}


# -- retries ----------------------------------------------------------------------------------------------------------


def flaky(ledger, times: int, policy: str) -> str:
    return f"""
tasks:
  T1: {{node: trial.misbehave, inputs: {{x: {{value: 4}}}}, params: {{how: fails_first, times: {times}, file: "{ledger}"}}, {policy}}}
outputs: {{out: T1.value}}
"""


def test_a_task_is_repeated_until_it_succeeds(run, ledger):
    result = run(flaky(ledger, 2, "retries: 5"))
    assert completed(result) == {"out": 4}
    assert entries(ledger) == ["try 4"] * 3
    kinds = [event.kind for event in result.events if event.subject == "T1"]
    assert kinds == ["task.ready", *["task.started", "task.retried"] * 2, "task.started", "task.completed"]


def test_a_task_is_repeated_as_often_as_retries_says_and_no_more(run, ledger):
    result = run(flaky(ledger, 99, "retries: 3"))
    assert (result.status, result.error["code"], result.error["task"]) == ("failed", "NODE_ERROR", "T1")
    assert len(entries(ledger)) == 4


def test_without_retries_the_first_failure_is_final(run, ledger):
    assert run(flaky(ledger, 99, "on_error: fail")).status == "failed"
    assert len(entries(ledger)) == 1


def test_on_error_decides_after_the_last_attempt_only(run, ledger):
    result = run(flaky(ledger, 99, "retries: 2, on_error: skip"))
    assert completed(result) == {"out": None}
    assert len(entries(ledger)) == 3
    assert subjects(result, "task.skipped") == ["T1"]


def test_the_delay_between_attempts_doubles(run, ledger):
    result = run(flaky(ledger, 3, "retries: 3, backoff: 0.01"))
    assert completed(result) == {"out": 4}
    retried = [event.data for event in result.events if event.kind == "task.retried"]
    assert [data["delay_s"] for data in retried] == [0.01, 0.02, 0.04]
    assert [data["try"] for data in retried] == [1, 2, 3]
    starts = [event.time_ns for event in result.events if event.kind == "task.started"]
    ends = [event.time_ns for event in result.events if event.kind == "task.retried"]
    waited = [(start - end) / 1e9 for end, start in zip(ends, starts[1:], strict=True)]
    assert all(seen > due - 0.005 for seen, due in zip(waited, [0.01, 0.02, 0.04], strict=True)), "never too early"


def test_a_value_that_does_not_fit_its_port_is_not_tried_again(run, ledger):
    result = run("""
tasks:
  T1: {node: trial.misbehave, params: {how: value_text}, retries: 5}
outputs: {out: T1.value}
""")
    assert (result.status, result.error["code"]) == ("failed", "CONTRACT_VIOLATION")
    assert len(subjects(result, "task.started")) == 1


def test_a_task_waiting_for_its_retry_holds_up_nobody_else(run, ledger):
    """T1 waits five minutes for its second attempt; T2 to T9 complete meanwhile, more of them than there are threads."""
    others = "\n".join(
        f"  T{number}: {{node: trial.add, inputs: {{x: {{value: {number}}}}}}}" for number in range(2, 10)
    )
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.misbehave, params: {{how: raises}}, retries: 5, backoff: 300}}
{others}
  J: {{node: trial.ledger, predecessor: [T2, T3, T4, T5, T6, T7, T8, T9], inputs: {{x: null}}, params: {{file: "{ledger}", name: done}}}}
outputs: {{out: T1.value, j: J.value, {", ".join(f"t{number}: T{number}.sum" for number in range(2, 10))}}}
""")
    wait_for(ledger, "end done 0")
    result = run.cancel(run_id)
    assert result.status == "cancelled", "the delay itself is cut short"
    assert result.outputs["j"] == 0


# -- timeouts ---------------------------------------------------------------------------------------------------------


def sleeping(ledger, until, policy: str, *, stubborn: bool) -> str:
    return f"""
tasks:
  T1: {{node: trial.sleep, params: {{file: "{ledger}", until: "{until}", stubborn: {str(stubborn).lower()}}}, timeout: 0.05, {policy}}}
  T2: {{node: trial.pair, inputs: {{a: T1.value}}}}
outputs: {{out: T2.both}}
"""


@pytest.mark.parametrize("stubborn", [False, True], ids=["cooperative", "stubborn"])
def test_a_task_that_passes_its_deadline_fails_with_timeout(run, ledger, tmp_path, stubborn):
    result = run(sleeping(ledger, tmp_path / "go", "retries: 0", stubborn=stubborn))
    (tmp_path / "go").touch()
    assert (result.status, result.error["code"], result.error["task"]) == ("failed", "TIMEOUT", "T1")


@pytest.mark.parametrize("stubborn", [False, True], ids=["cooperative", "stubborn"])
def test_a_timeout_follows_on_error_like_any_failure(run, ledger, tmp_path, stubborn):
    result = run(sleeping(ledger, tmp_path / "go", "on_error: skip", stubborn=stubborn))
    (tmp_path / "go").touch()
    assert completed(result) == {"out": [None, None]}
    assert result.events[position(result, "task.skipped", "T1")].data["error"]["code"] == "TIMEOUT"


def test_a_node_that_asks_is_told_that_its_time_is_up(run, ledger, tmp_path):
    run(sleeping(ledger, tmp_path / "go", "on_error: skip", stubborn=False))
    wait_for(ledger, "stopped")
    assert entries(ledger) == ["begun", "stopped"]


def test_a_result_that_comes_after_the_deadline_changes_nothing(run, ledger, tmp_path):
    """The stubborn node ends, successfully, while the run still goes on: what was settled stays as it was."""
    late, gate = tmp_path / "late", tmp_path / "gate"
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.sleep, inputs: {{x: {{value: 7}}}}, params: {{file: "{ledger}", until: "{late}", stubborn: true}}, timeout: 0.05, on_error: skip}}
  T2: {{node: trial.pair, inputs: {{a: T1.value}}}}
  T3: {{node: trial.sleep, predecessor: [T2], inputs: {{x: null}}, params: {{file: "{ledger}.3", until: "{gate}"}}}}
outputs: {{out: T2.both, one: T1.value, three: T3.value}}
""")
    wait_for(ledger.with_name(ledger.name + ".3"), "begun")
    late.touch()
    wait_for(ledger, "done")
    gate.touch()
    result = run.wait(run_id)
    assert completed(result) == {"out": [None, None], "one": None, "three": 0}
    kinds = [event.kind for event in result.events if event.subject == "T1"]
    assert kinds == ["task.ready", "task.started", "task.skipped"]


def test_a_task_is_repeated_after_a_timeout_though_its_first_attempt_never_returns(run, ledger, tmp_path):
    result = run(sleeping(ledger, tmp_path / "go", "retries: 2, on_error: skip", stubborn=True))
    (tmp_path / "go").touch()
    assert completed(result) == {"out": [None, None]}
    assert entries(ledger)[:3] == ["begun"] * 3


def test_threads_that_never_return_leave_room_for_other_runs(run, ledger, tmp_path):
    """More stubborn tasks than threads are given up; the next run of the same workers completes."""
    text = sleeping(ledger, tmp_path / "go", "on_error: skip", stubborn=True)
    for _ in range(6):
        assert completed(run(text)) == {"out": [None, None]}
    (tmp_path / "go").touch()


def test_a_task_within_its_deadline_is_left_alone(run, tmp_path, ledger):
    (tmp_path / "go").touch()
    result = run(f"""
tasks:
  T1: {{node: trial.sleep, inputs: {{x: {{value: 2}}}}, params: {{until: "{tmp_path / "go"}"}}, timeout: 60}}
outputs: {{out: T1.value}}
""")
    assert completed(result) == {"out": 2}
