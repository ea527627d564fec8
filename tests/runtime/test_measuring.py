"""What attempts took: counted for each node, memory told only where it is known whose it was."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from tyqi_core.errors import NodeError
from tyqi_core.runtime.history import from_fields
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.measuring import WATCHED_S, Meter, Tally
from tyqi_core.workflow.compiler import compile_text

HEAD = "tyqi: 1\nproject: trial\n"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="no other system tells the memory of a moment")


@pytest.fixture
def tallied(trial_catalog):
    """Runs a project some times; the histories of its nodes, and how the runs ended."""

    def run(text, times=1):
        plan, tally = compile_text(HEAD + text, "p.yaml", trial_catalog), Tally()
        with InProcessRuntime(plan, trial_catalog, threads=4, tally=tally) as runtime:
            results = [handle.wait(60) for handle in [runtime.start({}) for _ in range(times)]]
        return {node: from_fields(fields) for node, fields in tally.summaries().items()}, results

    return run


def test_every_executed_task_is_counted_for_its_node_and_major(tallied):
    histories, results = tallied(
        "tasks:\n"
        "  T1: {node: trial.add, inputs: {x: {value: 1}}}\n"
        "  T2: {node: trial.add, inputs: {x: T1.sum}}\n"
        "  T3: {node: trial.scale@1, inputs: {x: T2.sum}}\n",
        times=40,
    )
    assert {result.status for result in results} == {"completed"}
    assert {node: one.count for node, one in histories.items()} == {"trial.add@1": 80, "trial.scale@1": 40}
    assert all(one.failures == 0 and one.max_s >= one.p50_s > 0 for one in histories.values())


def test_failed_attempts_are_counted_apart(tallied, tmp_path):
    params = f"{{how: fails_first, times: 2, file: '{tmp_path / 'tries'}'}}"
    histories, (result,) = tallied(f"tasks:\n  T1: {{node: trial.misbehave, params: {params}, retries: 2}}\n")
    assert result.status == "completed"
    assert (histories["trial.misbehave@1"].count, histories["trial.misbehave@1"].failures) == (1, 2)


def test_a_skipped_task_was_not_executed_and_is_not_counted(tallied):
    histories, _ = tallied(
        "tasks:\n"
        "  T1: {node: trial.misbehave, params: {how: raises}, on_error: skip}\n"
        "  T2: {node: trial.add, inputs: {x: T1.value}}\n"
    )
    assert "trial.add@1" not in histories
    assert histories["trial.misbehave@1"].count == 0


def test_without_a_tally_nothing_is_measured_and_runs_end_the_same(trial_catalog):
    plan = compile_text(HEAD + "tasks:\n  T1: {node: trial.add, inputs: {x: {value: 1}}}\n", "p.yaml", trial_catalog)
    with InProcessRuntime(plan, trial_catalog) as runtime:
        assert runtime.run({}).status == "completed"


@on_linux
def test_memory_that_an_attempt_gave_back_is_in_its_peak():
    meter = Meter()
    begun = meter.begin("a.b@1")
    block = bytes(1) * (64 << 20)
    del block
    sample = meter.end(begun)
    assert sample.memory_mb is not None
    assert 60 <= sample.memory_mb <= 100


@on_linux
def test_memory_is_not_told_of_attempts_that_overlapped():
    meter = Meter()
    outer = meter.begin("a.outer@1")
    inner = meter.begin("a.inner@1")
    assert meter.end(inner).memory_mb is None
    assert meter.end(outer).memory_mb is None
    assert meter.end(meter.begin("a.third@1")).memory_mb is not None


@on_linux
def test_what_setup_and_the_first_attempt_left_behind_counts_in_later_attempts():
    meter, kept = Meter(), []
    with meter.building("a.model@1"):
        kept.append(b"m" * (64 << 20))
    first = meter.begin("a.model@1")
    kept.append(b"c" * (32 << 20))
    time.sleep(WATCHED_S)
    told = [meter.end(first).memory_mb]
    told.append(meter.end(meter.begin("a.model@1")).memory_mb)
    other = meter.end(meter.begin("a.other@1")).memory_mb
    assert all(memory is not None and 90 <= memory <= 140 for memory in told)
    assert other is not None
    assert other < 20


@on_linux
def test_quick_nodes_are_watched_now_and_then_slow_ones_always():
    meter = Meter()
    quick = [meter.end(meter.begin("a.quick@1")).memory_mb for _ in range(2000)]
    watched = [number for number, memory in enumerate(quick) if memory is not None]
    assert watched[0] == 0
    assert 1 < len(watched) < 5
    for _ in range(3):
        begun = meter.begin("a.slow@1")
        time.sleep(WATCHED_S)
        assert meter.end(begun).memory_mb is not None


def test_gpu_memory_is_what_torch_allocated_beyond_what_was_there(monkeypatch):
    cuda = StandInForCuda(there=1000)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    meter = Meter()
    with meter.building("a.net@1"):
        cuda.allocate(500)
    begun = meter.begin("a.net@1", "cuda:0")
    cuda.allocate(300)
    cuda.allocate(-300)
    assert meter.end(begun).gpu_memory_mb == 800
    assert meter.end(meter.begin("a.cpu@1", "cpu")).gpu_memory_mb is None


def test_cuda_is_not_begun_for_the_sake_of_measuring(monkeypatch):
    cuda = StandInForCuda(there=0, begun=False)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    meter = Meter()
    with meter.building("a.net@1"):
        pass
    assert meter.end(meter.begin("a.net@1", "cuda:0")).gpu_memory_mb is None


class StandInForCuda:
    """The four calls of ``torch.cuda`` that are used, on machines that have no GPU."""

    def __init__(self, there, begun=True):
        self._now = self._peak = there << 20
        self._begun = begun

    def allocate(self, mebibytes):
        self._now += mebibytes << 20
        self._peak = max(self._peak, self._now)

    def is_initialized(self):
        return self._begun

    def _asked(self, value):
        if not self._begun:
            raise NodeError("CUDA was begun")
        return value

    def memory_allocated(self):
        return self._asked(self._now)

    def max_memory_allocated(self):
        return self._asked(self._peak)

    def reset_peak_memory_stats(self):
        self._peak = self._asked(self._now)
