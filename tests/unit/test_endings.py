"""What a task holds once it has ended."""

from __future__ import annotations

import pytest

from tyqi_core.runtime.endings import Ending, branched
from tyqi_core.scheduler import ERROR_SLOT, Result
from tyqi_core.workflow.plan import NodePin, PlanTask

ERROR = {"code": "NODE_ERROR", "message": "it fails"}
ENDINGS = [Ending("task.completed", Result("completed"), {"x": 1}), branched(ERROR)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_task_holds_nothing_that_nobody_reads(ending):
    assert ending.slots(PlanTask("T1", "", NodePin("n.one", "1.0.0", "d"))) is None


def test_a_task_that_took_its_error_branch_holds_the_error_for_who_reads_it():
    task = PlanTask("T1", "", NodePin("n.one", "1.0.0", "d"), readers=1)
    assert branched(ERROR).slots(task) == {ERROR_SLOT: ERROR}
