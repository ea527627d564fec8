"""What the watchdog of a supervisor does about processes that hold something, and what it leaves alone."""

from __future__ import annotations

import os
import signal

import pytest
from trial_runs import entries
from workforce import Crew, Work, eventually, leftovers, lost_workers, mix, story_faults

QUARANTINED = """
tyqi: 1
project: deadly
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: trial.add, inputs: {x: $input.x}, params: {plus: 1}}
  T2: {node: trial.harm, inputs: {x: T1.sum}, params: {how: exits, file: "FILE"}}
outputs: {value: T2.value}
"""
STUCK = """
tyqi: 1
project: stuck
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: trial.harm, inputs: {x: $input.x}, params: {how: HOW, file: "FILE"}, timeout: 1}
outputs: {value: T1.value}
"""
LEAKS = """
tyqi: 1
project: leaks
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: trial.harm, inputs: {x: $input.x}, params: {how: leaks, file: "FILE"}}
outputs: {value: T1.value}
"""


def test_a_process_that_has_nothing_to_do_is_left_alone(employ, redis_broker, trial_catalog):
    work = Work(mix(), trial_catalog)
    with employ(redis_broker, Crew(count=1)) as workforce:
        first = workforce.pid()
        for x in range(4):
            work.submit(workforce, {"x": x})
        workforce.wait(*work.runs)
        eventually(lambda: not any(workforce.held().values()), workforce.held)
        work.check(workforce)
        assert workforce.pid() == first


def test_a_node_that_ends_its_process_is_quarantined_after_three_deaths_and_others_finish(
    employ, broker, trial_catalog, tmp_path
):
    ledger = tmp_path / "ledger"
    deadly = Work(QUARANTINED.replace("FILE", str(ledger)), trial_catalog)
    work = Work(mix(20), trial_catalog)
    with employ(broker, Crew("w1", pool="prefork"), Crew("w2", pool="prefork", count=1)) as workforce:
        run_id = deadly.submit(workforce, {"x": 1})
        for x in range(6):
            work.submit(workforce, {"x": x})
        workforce.wait(run_id, *work.runs)
        result = workforce.client.result(run_id)
        assert result.status == "failed"
        assert result.error["code"] == "QUARANTINED"
        assert entries(ledger) == ["exits 2"] * 3
        assert lost_workers(workforce, run_id) == ["T2"] * 2
        assert [event.subject for event in result.events if event.kind == "task.quarantined"] == ["T2"]
        assert list(story_faults(result)) == []
        workforce.client.forget(run_id)
        work.check(workforce)


@pytest.mark.parametrize("how", ["hangs", "spins"])
def test_a_node_that_never_returns_costs_its_process_and_nobody_else(
    employ, redis_broker, trial_catalog, tmp_path, how
):
    """``spins`` holds Python's lock in native code: no other thread of its process gets to do anything, no beat either.

    So the lease has to be longer than the timeout, or the task is taken for lost before it is late.
    """
    ledger = tmp_path / "ledger"
    stuck = Work(STUCK.replace("FILE", str(ledger)).replace("HOW", how), trial_catalog)
    work = Work(mix(20), trial_catalog)
    with employ(redis_broker, Crew(count=2), lease_s=5.0) as workforce:
        first = workforce.pid()
        run_id = stuck.submit(workforce, {"x": 1})
        for x in range(6):
            work.submit(workforce, {"x": x})
        workforce.wait(run_id, *work.runs)
        result = workforce.client.result(run_id)
        assert result.error["code"] == "TIMEOUT"
        assert list(story_faults(result)) == []
        assert entries(ledger) == [f"{how} {first}"]
        eventually(lambda: workforce.pid() != first, workforce.log)
        assert [task for run in work.runs for task in lost_workers(workforce, run)] == []
        workforce.client.forget(run_id)
        work.check(workforce)


def test_a_frozen_process_is_ended_once_others_have_its_tasks(employ, redis_broker, trial_catalog):
    work = Work(mix(20), trial_catalog)
    with employ(redis_broker, Crew("w1"), Crew("w2")) as workforce:
        for x in range(20):
            work.submit(workforce, {"x": x})
        eventually(lambda: any(workforce.held().values()), workforce.log)
        pid = next(pid for pid, held in workforce.held().items() if held)
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: pid not in workforce.supervisor.pids.values(), workforce.log)
        work.check(workforce)


def test_a_process_that_grows_is_replaced_after_its_task(employ, redis_broker, trial_catalog, tmp_path):
    ledger = tmp_path / "ledger"
    work = Work(LEAKS.replace("FILE", str(ledger)), trial_catalog)
    with employ(redis_broker, Crew(pool="prefork", count=1, options=["--max-memory-per-child", "200000"])) as workforce:
        first = workforce.pid()
        for x in range(8):
            workforce.wait(work.submit(workforce, {"x": x}))
        grown = int(entries(ledger)[0].split()[1])
        eventually(lambda: grown not in workforce.members(), workforce.log)
        workforce.wait(work.submit(workforce, {"x": 8}))
        assert [task for run in work.runs for task in lost_workers(workforce, run)] == []
        assert workforce.pid() == first
        assert list(story_faults(workforce.client.result(next(iter(work.runs))))) == []
        assert leftovers(workforce, work.runs) == []
