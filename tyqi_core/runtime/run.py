"""What is known of one run: how it ended, what of it is under way, who keeps its record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tyqi_core.protocol.message import Event
from tyqi_core.runtime.context import TaskContext
from tyqi_core.runtime.execute import Executable
from tyqi_core.runtime.instances import Slot
from tyqi_core.runtime.pool import Job
from tyqi_core.stores.base import Claim, RunStatus
from tyqi_core.stores.memory import MemoryStore
from tyqi_core.workflow.plan import Plan

Inputs = Mapping[str, Any]
Loader = Callable[[], Inputs]


class Recorder(Protocol):
    """Who keeps what a run leaves behind; see :mod:`tyqi_core.runtime.record`."""

    def accepted(self, run_id: str, plan: Plan, inputs: Inputs, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """A run begins. What is returned goes into its first event (digests of its inputs)."""
        ...

    def reopened(self, run_id: str) -> None:
        """A recorded run goes on."""
        ...

    def moved(self, run_id: str, store: MemoryStore) -> None:
        """The run has new events; called after each settlement, so it must be cheap."""
        ...

    def ended(self, result: RunResult, plan: Plan, store: MemoryStore) -> None:
        """The run reached its end; its state is still in the store."""
        ...


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        id: the run's.
        status: ``completed``, ``failed`` or ``cancelled``.
        outputs: the run's outputs by name, ``None`` for one that the run did not produce.
        error: code, message, task and node of the failure, or ``None``.
        events: everything that happened, in order; empty for a run that was refused for its inputs.
    """

    id: str
    status: RunStatus
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    events: Sequence[Event] = ()

    @property
    def duration_s(self) -> float:
        """Seconds from the first event to the last."""
        return (self.events[-1].time_ns - self.events[0].time_ns) / 1e9 if self.events else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One execution under way. Whoever takes it out of its run's ``attempts``, its thread or its deadline, ends it."""

    job: Job
    executable: Executable
    claim: Claim
    context: TaskContext
    slot: Slot[Job]


@dataclass(slots=True)
class RunUnderWay:
    """A run that has not ended: who waits for it, and what of it is under way."""

    loader: Loader | None
    about: Mapping[str, Any] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)
    result: RunResult | None = None
    attempts: dict[tuple[str, int], Attempt] = field(default_factory=dict)
    delays: dict[str, int] = field(default_factory=dict)
    cancelled: bool = False


class RunHandle:
    """A run that was started."""

    def __init__(self, run_id: str, run: RunUnderWay) -> None:
        self.id = run_id
        self._run = run

    def done(self) -> bool:
        """True once the run has ended."""
        return self._run.done.is_set()

    def pause(self, timeout: float) -> bool:
        """Wait for the end for a while. True once the run has ended."""
        return self._run.done.wait(timeout)

    def wait(self, timeout: float | None = None) -> RunResult:
        """Wait for the end.

        Raises:
            TimeoutError: it did not come within ``timeout`` seconds.
        """
        if not self._run.done.wait(timeout) or self._run.result is None:
            raise TimeoutError(f"run {self.id} has not ended")
        return self._run.result
