"""Worker processes that fork: nothing of a GPU before the fork, and children that are replaced lose nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from trial_runs import NUMBER, entries, subjects

CHAIN = f"""
inputs: {{n: {NUMBER}}}
tasks:
  A: {{node: trial.ledger, inputs: {{x: $input.n}}, params: {{file: "FILE", name: A}}}}
  B: {{node: trial.ledger, inputs: {{x: A.value}}, params: {{file: "FILE", name: B}}}}
  S: {{node: trial.setup, inputs: {{x: B.value}}, params: {{file: "FILE.life"}}}}
outputs: {{out: B.value, model: S.model}}
"""
IMPORTS = """
tasks:
  A: {node: trial.imports, params: {module: torch}, queue: gpu.short, successor: [B]}
  B: {node: trial.imports, params: {module: math}, queue: gpu.short, predecessor: [A]}
outputs: {first: A.where, second: B.where}
"""
TORCH = """
import os

def _tell(what):
    with open({file!r}, "a") as file:
        file.write(f"{{what}} {{os.getpid()}}\\n")

def set_num_threads(count):
    pass

class Tensor:
    pass

class cuda:
    @staticmethod
    def is_available():
        _tell("cuda")
        return True

    @staticmethod
    def is_initialized():
        return False

_tell("imported")
"""


@pytest.fixture
def told_of_torch(tmp_path, monkeypatch):
    """What a torch tells that stands in for the real one, in workers only: who imports it and asks for its GPU."""
    package = tmp_path / "torch"
    package.mkdir()
    told = tmp_path / "torch.txt"
    (package / "__init__.py").write_text(TORCH.format(file=str(told)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return told


@pytest.mark.parametrize(
    "limit", [("--max-tasks-per-child", "3"), ("--max-memory-per-child", "1")], ids=["tasks", "memory"]
)
def test_a_child_that_is_replaced_loses_and_repeats_no_task(site, ledger, limit):
    worker = site.worker("-P", "prefork", "-c", "2", *limit)
    runs = [site.submit(CHAIN.replace("FILE", str(ledger)), n=n) for n in range(30)]
    assert site.outputs(*runs) == [{"out": n, "model": "plain"} for n in range(30)]
    times = Counter(entries(ledger))
    assert times == Counter(f"{when} {name} {n}" for when in ("start", "end") for name in "AB" for n in range(30))
    told = (event.data or {} for one in runs for event in site.wait(one).events)
    children = {data["worker"] for data in told if "worker" in data}
    assert len(children) > 2
    worker.stop()
    lives = Counter(entries(ledger.with_name(f"{ledger.name}.life")))
    assert lives["setup plain"] == lives["teardown plain"] > 2


def test_no_process_that_forks_imports_torch_or_asks_for_a_gpu(site, told_of_torch):
    worker = site.worker("-P", "prefork", "-c", "1", queues="gpu.short")
    (outputs,) = site.outputs(site.submit(IMPORTS))
    child = outputs["first"]["process"]
    assert child != worker.pid
    assert set(entries(told_of_torch)) == {f"imported {child}", f"cuda {child}"}


def test_a_worker_of_a_gpu_is_one_process_with_one_thread_that_sees_its_device_alone(site, told_of_torch):
    worker = site.worker("-P", "threads", "-c", "1", queues="gpu.short", CUDA_VISIBLE_DEVICES="1")
    (outputs,) = site.outputs(site.submit(IMPORTS))
    assert outputs["second"] == {"device": "cuda:0", "visible": "1", "process": worker.pid}
    assert subjects(site.wait(site.submit(IMPORTS)), "task.completed") == ["A", "B"]
    assert entries(told_of_torch).count(f"imported {worker.pid}") == 1
