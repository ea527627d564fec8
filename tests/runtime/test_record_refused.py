"""A disk may refuse what a run wants to leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trial_runs import NUMBER

from tyqi_core.runtime import record
from tyqi_core.runtime.inprocess import InProcessRuntime
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
