"""A disk may refuse what a run wants to leave behind."""

from __future__ import annotations

import errno
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from trial_runs import NUMBER

from tyqi_core.runtime import record
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.keeping import append_whole
from tyqi_core.runtime.record import RunRecorder
from tyqi_core.workflow.compiler import compile_text

TEXT = f"""tyqi: 1
project: two
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.add, inputs: {{x: $input.n}}}}
  T2: {{node: trial.add, inputs: {{x: T1.sum}}}}
"""


class Refused(RunRecorder):
    """Its events cannot be written once a run began: something else has their name."""

    def accepted(self, run_id: str, *rest: Any) -> Any:
        answer = super().accepted(run_id, *rest)
        (self._runs_folder / run_id / "events.jsonl").mkdir()
        return answer


def test_a_run_whose_events_cannot_be_written_goes_on_to_its_end(trial_catalog, tmp_path: Path, caplog, monkeypatch):
    monkeypatch.setattr(record, "FLUSH_SECONDS", -1.0)  # every settlement writes
    plan = compile_text(TEXT, "two.yaml", trial_catalog)
    with InProcessRuntime(plan, trial_catalog, recorder=Refused(tmp_path, TEXT, {})) as runtime:
        result = runtime.start({"n": 1}, run_id="two").wait(timeout=30)
    assert result.status == "completed"
    assert [event.subject for event in result.events if event.kind == "task.completed"] == ["T1", "T2"]
    assert "run two" in caplog.text


class Full(RunRecorder):
    """The disk is full when the plan is to be written."""

    def _once(self, folder: Path, name: str, *_: Any) -> None:
        (folder / name).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_run_that_cannot_be_recorded_is_refused_and_leaves_nothing_behind(trial_catalog, tmp_path: Path):
    plan = compile_text(TEXT, "two.yaml", trial_catalog)
    with InProcessRuntime(plan, trial_catalog, recorder=Full(tmp_path, TEXT, {})) as runtime:
        result = runtime.start({"n": 1}).wait(timeout=30)
    assert (result.status, result.error["code"]) == ("failed", "STATE_UNWRITABLE")
    assert list((tmp_path / "runs").iterdir()) == []


def test_lines_that_do_not_fit_on_the_disk_are_not_half_written(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    append_whole(path, "first\n")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(OSError, match=r"."):
            append_whole(path, "second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "first\n"
