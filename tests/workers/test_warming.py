"""Nodes are built before their tasks come, in the background, and once."""

from __future__ import annotations

from collections import Counter

import pytest
from trial_runs import entries, wait_for

TWO = """
tasks:
  S: {node: trial.sleep, params: {until: "UNTIL", file: "FILE.sleep"}}
  T: {node: trial.setup, predecessor: [S], params: {file: "FILE", model: red}}
  U: {node: trial.setup, predecessor: [T], params: {file: "FILE", model: MODEL}, queue: cpu.long}
outputs: {out: U.model, slept: S.value, red: T.model}
"""
ONE = """
tasks:
  T: {node: trial.setup, params: {file: "FILE", model: MODEL, fail: FAIL}}
outputs: {out: T.model}
"""
SLOW = """
tasks:
  T: {node: trial.slow, params: {gate: "GATE", file: "FILE"}}
outputs: {out: T.value}
"""


@pytest.fixture
def text(ledger):
    """A project with the paths of this test in it."""

    def of(project, model="blue", fail="nothing"):
        paths = project.replace("UNTIL", str(ledger.with_name("until"))).replace("FILE", str(ledger))
        return paths.replace("MODEL", model).replace("FAIL", fail)

    return of


@pytest.mark.parametrize("pool", [("prefork", "1"), ("threads", "2"), ("gevent", "4")], ids=lambda pool: pool[0])
def test_a_process_builds_what_recent_runs_needed_before_it_gets_a_task(site, text, ledger, pool):
    worker = site.worker("-P", "threads", "-c", "1")
    assert site.outputs(site.submit(text(ONE))) == [{"out": "blue"}]
    worker.stop()
    assert entries(ledger) == ["setup blue", "teardown blue"]
    second = site.worker("-P", pool[0], "-c", pool[1])
    wait_for(ledger, "setup blue", times=2)
    assert site.outputs(site.submit(text(ONE))) == [{"out": "blue"}]
    second.stop()
    assert entries(ledger) == ["setup blue", "teardown blue"] * 2


def test_a_process_that_meets_a_plan_builds_the_other_nodes_of_its_queues_while_a_task_executes(site, text, ledger):
    worker = site.worker("-P", "threads", "-c", "1", queues="cpu.short")
    site.outputs(site.submit(text(ONE, model="known")))
    run_id = site.submit(text(TWO))
    wait_for(ledger, "setup red")
    assert "done" not in entries(ledger.with_name(f"{ledger.name}.sleep"))
    assert "setup blue" not in entries(ledger), "another worker serves that queue"
    ledger.with_name("until").touch()
    site.worker("-P", "threads", "-c", "1", queues="cpu.long")
    assert site.outputs(run_id) == [{"out": "blue", "slept": 0, "red": "red"}]
    worker.stop()
    assert Counter(entries(ledger))["setup red"] == 1


def test_a_node_that_nobody_has_executed_yet_is_built_by_its_task_alone(site, text, ledger):
    site.worker("-P", "threads", "-c", "1")
    run_id = site.submit(text(TWO, model="red"))
    wait_for(ledger.with_name(f"{ledger.name}.sleep"), "begun")
    other = site.submit("tasks: {T: {node: trial.add, inputs: {x: {value: 1}}}}\noutputs: {out: T.sum}\n")
    site.worker("-P", "threads", "-c", "1")
    assert site.outputs(other) == [{"out": 1}]
    assert entries(ledger) == []
    ledger.with_name("until").touch()
    assert site.outputs(run_id) == [{"out": "red", "slept": 0, "red": "red"}]


def test_a_setup_that_fails_while_warming_is_left_to_the_task_to_tell(site, text, ledger):
    worker = site.worker("-P", "threads", "-c", "1")
    site.outputs(site.submit(text(ONE)))
    run_id = site.submit(text(TWO.replace("model: red", "model: bad, fail: setup"), model="bad"))
    wait_for(ledger, "setup bad")  # its task waits yet
    worker.until_logged("trial.setup cannot be warmed: SETUP_FAILED")
    ledger.with_name("until").touch()
    assert site.wait(run_id).error["code"] == "SETUP_FAILED"
    assert site.outputs(site.submit(text(ONE))) == [{"out": "blue"}]


def test_tasks_that_come_while_their_node_is_warmed_are_not_left_behind(site, text, ledger, tmp_path):
    site.worker("-P", "threads", "-c", "1").stop()
    first = site.worker("-P", "threads", "-c", "4")
    gate = tmp_path / "gate"
    gate.touch()
    site.outputs(site.submit(SLOW.replace("GATE", str(gate)).replace("FILE", str(ledger))))
    first.stop()
    gate.unlink()
    site.worker("-P", "threads", "-c", "4")
    wait_for(ledger, "setup", times=2)  # it does not end before the gate opens
    runs = [site.submit(SLOW.replace("GATE", str(gate)).replace("FILE", str(ledger))) for _ in range(6)]
    other = site.submit("tasks: {T: {node: trial.add, inputs: {x: {value: 1}}}}\noutputs: {out: T.sum}\n")
    assert site.outputs(other) == [{"out": 1}], "who waits for the node holds up no other"
    gate.touch()
    assert len(site.outputs(*runs)) == 6
    assert entries(ledger) == ["setup", "teardown", "setup"]
