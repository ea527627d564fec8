"""How an attempt ends, in the words of the stores: the same for every runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tyqi_core.errors import NodeError, TaskCancelled
from tyqi_core.runtime.execute import Executed
from tyqi_core.scheduler import ERROR_SLOT, Result
from tyqi_core.workflow.plan import PlanTask


@dataclass(frozen=True, slots=True)
class Ending:
    """What settles a task: the event to record, its data, what the scheduler is told, the values to keep."""

    kind: str
    result: Result
    outputs: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None

    def slots(self, task: PlanTask) -> Mapping[str, Any] | None:
        """What the task holds from now on; ``None`` where nobody reads it."""
        return self.outputs if task.readers or task.kept else None


def completed(executed: Executed) -> Ending:
    """The attempt gave outputs."""
    return Ending("task.completed", executed.result, executed.outputs, _story(executed.result))


def skipped(error: Mapping[str, Any] | None = None) -> Ending:
    """A required value is absent, or ``on_error: skip`` follows ``error``."""
    return Ending("task.skipped", Result("skipped"), {}, {"error": error} if error else None)


def branched(error: Mapping[str, Any]) -> Ending:
    """The error branch is taken; it reads the error."""
    return Ending("task.failed", Result("failed"), {ERROR_SLOT: error}, {"error": error})


def attributed(error: NodeError | TaskCancelled, instance: str, task: PlanTask) -> NodeError:
    """The error as one of its task and node."""
    if isinstance(error, TaskCancelled):
        error = NodeError(error.message, code=error.code)
    error.task, error.node = instance, task.node.id
    return error


def _story(result: Result) -> Mapping[str, Any] | None:
    if result.outcome is not None:
        return {"outcome": result.outcome}
    return {"count": result.count} if result.count is not None else None
