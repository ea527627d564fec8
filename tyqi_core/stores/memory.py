"""The store of one process: dictionaries, one lock a run. No toy: what ``tyqi run`` uses."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import Any, Literal

from tyqi_core.errors import InternalError, UsageError
from tyqi_core.protocol.message import Event
from tyqi_core.scheduler import Effects, Export, Place, Ready
from tyqi_core.stores.base import ABSENT, TERMINAL, Claim, RunStatus, Settled, Wanted

TaskStatus = Literal["executing", "waiting", "held", "settled"]


@dataclass(slots=True)
class TaskState:
    """One instance that has been claimed at least once, or is held."""

    status: TaskStatus
    token: int = 0
    tries: int = 0


@dataclass(slots=True)
class RunState:
    """All that is known of one run. ``live`` counts tasks that are ready, executing or waiting for a retry."""

    id: str
    status: RunStatus = "running"
    live: int = 0
    ended: bool = False
    counters: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, TaskState] = field(default_factory=dict)
    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: list[Ready] = field(default_factory=list)
    error: Mapping[str, Any] | None = None
    events: list[Event] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, kind: str, subject: str, data: Mapping[str, Any] | None = None) -> None:
        """Append an event."""
        self.events.append(Event(time_ns(), kind, subject, data))


class MemoryStore:
    """A :class:`~tyqi_core.stores.base.RunStore` in this process's memory."""

    def __init__(self) -> None:
        self._runs: dict[str, RunState] = {}

    def accept(self, run_id: str, inputs: Mapping[str, Any], effects: Effects, data: Mapping[str, Any]) -> None:
        """Create a run; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = RunState(run_id)
        if self._runs.setdefault(run_id, run) is not run:
            raise UsageError(f"run {run_id} exists already", code="RUN_EXISTS", remedy="Choose another id.")
        with run.lock:
            run.slots[""] = dict(inputs)
            run.record("run.accepted", "", data)
            _make_ready(run, effects.ready)

    def claim(self, run_id: str, instance: str, wanted: Sequence[Wanted]) -> Claim | None:
        """Begin an attempt; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = self._run(run_id)
        with run.lock:
            task = run.tasks.get(instance)
            if task is None:
                task = run.tasks[instance] = TaskState("waiting")
            elif task.status != "waiting":
                return None
            if run.status != "running":
                _hold(run, instance, task)
                return None
            values = [_read(run, place) for place, _ in wanted]
            skip = any(value is ABSENT and need.required for value, need in zip(values, wanted, strict=True))
            task.status = "executing"
            task.token += 1
            task.tries += 1
            if not skip:
                run.record("task.started", instance, {"try": task.tries} if task.tries > 1 else None)
            return Claim(task.token, task.tries, values, skip)

    def commit(
        self,
        run_id: str,
        instance: str,
        token: int,
        *,
        kind: str,
        slots: Mapping[str, Any] | None,
        outputs: Mapping[str, Any],
        effects: Effects,
        data: Mapping[str, Any] | None = None,
    ) -> Settled | None:
        """Settle a task; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = self._run(run_id)
        with run.lock:
            task = _current(run, instance, token)
            if task is None:
                return None
            task.status = "settled"
            run.live -= 1
            run.record(kind, instance, data)
            if slots is not None:
                run.slots.setdefault(instance, {}).update(slots)
            for export in effects.exports:
                _put(run, export, outputs)
            ready = _make_ready(run, [*effects.ready, *_apply(run, effects)])
            _end_if_over(run)
            return Settled(ready, run.status)

    def retry(self, run_id: str, instance: str, token: int, data: Mapping[str, Any]) -> bool:
        """End the attempt; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = self._run(run_id)
        with run.lock:
            task = _current(run, instance, token)
            if task is None:
                return False
            task.status = "waiting"
            run.record("task.retried", instance, data)
            return True

    def fail(self, run_id: str, instance: str, token: int, error: Mapping[str, Any]) -> RunStatus | None:
        """Fail the run; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = self._run(run_id)
        with run.lock:
            task = _current(run, instance, token)
            if task is None:
                return None
            run.record("task.failed", instance, {"error": error})
            if run.status == "running":
                run.status = "failing"
            run.error = run.error or error
            _hold(run, instance, task)
            return run.status

    def release(self, run_id: str, instance: str, token: int) -> RunStatus | None:
        """Give a task back; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = self._run(run_id)
        with run.lock:
            task = _current(run, instance, token)
            if task is None or run.status == "running":
                return None
            _hold(run, instance, task)
            return run.status

    def cancel(self, run_id: str) -> RunStatus:
        """Stop a run; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = self._run(run_id)
        with run.lock:
            if run.status == "running":
                run.status = "cancelling"
                _end_if_over(run)
            return run.status

    def resume(self, run_id: str) -> Sequence[Ready]:
        """Make held tasks ready again; see :class:`~tyqi_core.stores.base.RunStore`."""
        run = self._run(run_id)
        with run.lock:
            if run.status not in {"failed", "cancelled"}:
                raise UsageError(f"run {run_id} is {run.status}; only a failed or cancelled run can be resumed")
            held, run.held = run.held, []
            run.status, run.error = "running", None
            for entry in held:
                for instance in entry.instances():
                    if instance in run.tasks:
                        run.tasks[instance].status = "waiting"
                        run.tasks[instance].tries = 0
            run.record("run.resumed", "")
            ready = _make_ready(run, held)
            _end_if_over(run)
            return ready

    def status(self, run_id: str) -> RunStatus | None:
        """The run's status; ``None`` for a run that is not held here."""
        run = self._runs.get(run_id)
        return run.status if run else None

    def error(self, run_id: str) -> Mapping[str, Any] | None:
        """The first failure that stopped the run."""
        return self._run(run_id).error

    def read(self, run_id: str, place: Place) -> Any:
        """The value held at a place, or :data:`~tyqi_core.stores.base.ABSENT`."""
        run = self._run(run_id)
        with run.lock:
            return _read(run, place)

    def events(self, run_id: str, start: int = 0) -> Sequence[Event]:
        """The run's events from number ``start`` on."""
        run = self._run(run_id)
        with run.lock:
            return run.events[start:]

    def forget(self, run_id: str) -> None:
        """Drop all that is held of a run."""
        self._runs.pop(run_id, None)

    def state(self, run_id: str) -> RunState:
        """The run's state itself, for a snapshot; call it only when the run has ended."""
        return self._run(run_id)

    def restore(self, run: RunState) -> None:
        """Take in a state that an earlier process left behind."""
        if self._runs.setdefault(run.id, run) is not run:
            raise UsageError(f"run {run.id} exists already", code="RUN_EXISTS")

    def _run(self, run_id: str) -> RunState:
        try:
            return self._runs[run_id]
        except KeyError:
            raise UsageError(f"there is no run {run_id}", code="UNKNOWN_RUN") from None


def check_invariants(run: RunState) -> None:
    """Raise if the state breaks a law; tests call it after every event.

    Raises:
        InternalError: which law, and what was found.
    """
    zeros = [key for key, value in run.counters.items() if value <= 0]
    if zeros:
        raise InternalError(f"counters at or below zero were kept: {zeros}")
    if run.live < 0:
        raise InternalError(f"{run.live} live tasks")
    active = sum(task.status in {"executing", "waiting"} for task in run.tasks.values())
    if active > run.live:
        raise InternalError(f"{active} tasks are active, yet only {run.live} count as live")
    if run.status in TERMINAL and run.live:
        raise InternalError(f"the run is {run.status} with {run.live} live tasks")
    if run.status == "completed" and (run.counters.keys() - {"end"} or not run.ended):
        raise InternalError(f"the run completed with open counters {run.counters}")
    if run.held and run.status in {"running", "completed"}:
        raise InternalError(f"a {run.status} run holds back {run.held}")


def _current(run: RunState, instance: str, token: int) -> TaskState | None:
    task = run.tasks.get(instance)
    return task if task is not None and task.status == "executing" and task.token == token else None


def _make_ready(run: RunState, ready: Sequence[Ready]) -> Sequence[Ready]:
    """Count ready tasks as live; a run that is stopping holds them back instead."""
    if run.status != "running":
        run.held.extend(ready)
        return ()
    for entry in ready:
        run.live += 1 if entry.items is None else entry.items
        run.record("task.ready", entry.path, None if entry.items is None else {"count": entry.items})
    return ready


def _hold(run: RunState, instance: str, task: TaskState) -> None:
    task.status = "held"
    run.held.append(Ready(instance))
    run.live -= 1
    _end_if_over(run)


def _end_if_over(run: RunState) -> None:
    if run.live or run.status in TERMINAL:
        return
    if run.ended and not run.held:
        run.status = "completed"
    elif run.status == "running":
        run.status = "failed"
        run.error = {"code": "STALLED", "message": "no task is left to run, yet the run has not ended: a bug"}
    else:
        run.status = "failed" if run.status == "failing" else "cancelled"
    run.record(f"run.{run.status}", "", {"error": run.error} if run.error else None)


def _apply(run: RunState, effects: Effects) -> list[Ready]:
    """Change the counters; fire those that reach zero. Returns the tasks that became ready by it."""
    counters = run.counters
    ready: list[Ready] = []
    for key, start, delta in effects.changes:
        value = counters.pop(key, start) + delta
        if value:
            counters[key] = value
            continue
        action, _, instance = key.partition(":")
        if action == "ready":
            ready.append(Ready(instance))
        elif action == "free":
            run.slots.pop(instance, None)
        else:
            run.ended = True
    return ready


def _put(run: RunState, export: Export, outputs: Mapping[str, Any]) -> None:
    if export.port is None:
        value: Any = [None] * export.length
    elif export.port in outputs:
        value = outputs[export.port]
    else:
        return
    slots = run.slots.setdefault(export.instance, {})
    if not export.at:
        slots[export.slot] = value
        return
    *outer, last = export.at
    target = slots[export.slot]
    for index in outer:
        target = target[index]
    target[last] = value


def _read(run: RunState, place: Place) -> Any:
    slots = run.slots.get(place.instance)
    if slots is None:
        return ABSENT
    value = slots.get(place.slot, ABSENT)
    for index in place.at:
        if value is ABSENT or value is None:
            return ABSENT
        value = value[index]
    return ABSENT if value is None and place.at else value
