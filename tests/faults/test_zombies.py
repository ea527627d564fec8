"""A worker that comes back after its task was given to another changes nothing."""

from __future__ import annotations

import os
import signal

from trial_runs import entries
from workforce import Crew, Work, eventually, lost_workers, mix

WAITS = """
tyqi: 1
project: waits
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: trial.harm, inputs: {x: $input.x}, params: {how: waits, file: "FILE", until: "UNTIL"}}
  T2: {node: trial.add, inputs: {x: T1.value}}
outputs: {value: T2.sum}
"""


def pids(ledger, did):
    """The processes that did something, in order."""
    return [int(line.rpartition(" ")[2]) for line in entries(ledger) if line.startswith(did)]


def dump(workforce):
    """What is held of runs, byte for byte."""
    with workforce.state.client() as client:
        return {key: client.dump(key) for key in client.scan_iter() if b"run:" in key}


def test_a_zombie_settles_nothing(employ, broker, trial_catalog, tmp_path):
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    slow = Work(WAITS.replace("FILE", str(ledger)).replace("UNTIL", str(gate)), trial_catalog)
    work = Work(mix(), trial_catalog)
    with employ(broker, Crew("w1", count=1), Crew("w2", count=1), watched=False) as workforce:
        run_id = slow.submit(workforce, {"x": 1})
        eventually(lambda: pids(ledger, "waits"), workforce.log)
        (zombie,) = pids(ledger, "waits")
        os.kill(zombie, signal.SIGSTOP)
        eventually(lambda: len(pids(ledger, "waits")) > 1, workforce.log)
        heir = pids(ledger, "waits")[1]
        gate.touch()
        workforce.wait(run_id)
        before = dump(workforce)
        os.kill(heir, signal.SIGSTOP)
        os.kill(zombie, signal.SIGCONT)
        other = work.submit(workforce, {"x": 2})
        workforce.wait(other)  # the zombie alone is there to do it: it is through with what it had
        assert pids(ledger, "went on") == [heir, zombie]
        workforce.client.forget(other)
        assert dump(workforce) == before
        os.kill(heir, signal.SIGCONT)
        assert lost_workers(workforce, run_id) == ["T1"]
        slow.check(workforce)
