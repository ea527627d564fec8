"""The story of a run, task by task, read off its events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tyqi_core.protocol.message import Event
from tyqi_core.scheduler import task_id
from tyqi_core.workflow.plan import Plan, PlanTask

_ENDS = {
    "task.completed": "completed",
    "task.skipped": "skipped",
    "task.failed": "failed",
    "task.quarantined": "quarantined",
}
_LAST_INDEX = re.compile(r"\[[0-9]+\](?=[^\[]*$)")


@dataclass(slots=True)
class Step:
    """What became of one task instance.

    ``status`` is ``running``, ``waiting`` (for a retry), ``completed``, ``skipped``, ``failed`` or ``quarantined``.
    Times are nanoseconds since the epoch; ``tries`` counts attempts. Of a run on workers, ``worker`` is who executed it
    last, ``waited_ns`` how long it was ready before it was first begun, ``deaths`` how many workers were lost with it.
    """

    status: str = "running"
    started_ns: int = 0
    ended_ns: int = 0
    tries: int = 0
    outcome: str | None = None
    count: int | None = None
    error: dict[str, Any] | None = None
    worker: str | None = None
    waited_ns: int | None = None
    deaths: int = 0

    @property
    def duration_ms(self) -> float:
        """Milliseconds of the last attempt."""
        return max(0, self.ended_ns - self.started_ns) / 1e6 if self.ended_ns and self.started_ns else 0.0

    def remark(self) -> str:
        """What is worth saying beside status and time."""
        parts = []
        if self.outcome is not None:
            parts.append(f" -> {self.outcome}")
        if self.count is not None:
            parts.append(f" x {self.count}")
        if self.tries > 1:
            parts.append(f" (try {self.tries})")
        if self.deaths:
            parts.append(f" ({self.deaths} worker{'s' if self.deaths > 1 else ''} lost)")
        if self.error is not None:
            parts.append(f" {self.error.get('code')}: {self.error.get('message')}")
        return "".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The step as a JSON object; absent parts are left out."""
        body = {
            "status": self.status,
            "duration_ms": round(self.duration_ms, 3),
            "tries": self.tries,
            "outcome": self.outcome,
            "count": self.count,
            "error": self.error,
            "worker": self.worker,
            "waited_ms": None if self.waited_ns is None else round(self.waited_ns / 1e6, 3),
            "deaths": self.deaths or None,
        }
        return {key: value for key, value in body.items() if value is not None}


def story_of(events: Iterable[Event]) -> dict[str, Step]:
    """Task instance -> what became of it, in the order in which the tasks started."""
    story: dict[str, Step] = {}
    ready: dict[str, int] = {}
    for event in events:
        if event.kind == "task.ready":
            ready.setdefault(event.subject, event.time_ns)
        elif event.kind.startswith("task."):
            step = story.setdefault(event.subject, Step())
            _begin(step, event, ready) if event.kind == "task.started" else _end(step, event)
    return story


def _begin(step: Step, event: Event, ready: Mapping[str, int]) -> None:
    step.started_ns, step.status, step.ended_ns = event.time_ns, "running", 0
    step.tries += 1
    if event.data and "worker" in event.data:
        step.worker = event.data["worker"]
        since = ready.get(event.subject) or ready.get(_LAST_INDEX.sub("[*]", event.subject))
        if since is not None and step.waited_ns is None:
            step.waited_ns = max(0, event.time_ns - since)


def _end(step: Step, event: Event) -> None:
    data = event.data or {}
    step.ended_ns = event.time_ns
    step.status = _ENDS.get(event.kind, "waiting")
    step.outcome, step.count = data.get("outcome"), data.get("count")
    step.error = data.get("error")
    step.deaths = max(step.deaths, data.get("deaths", 0))


def path_taken(plan: Plan, events: Iterable[Event]) -> tuple[str, ...]:
    """The decisions of a run in words, items of a foreach left out: ``("T1 crack", "T2a2 max_width.value > 6")``."""
    return tuple(
        f"{task_id(event.subject)} {_in_words(plan.tasks[task_id(event.subject)], event.data['outcome'])}"
        for event in events
        if event.kind == "task.completed" and event.data and "outcome" in event.data and "[" not in event.subject
    )


def _in_words(task: PlanTask, outcome: str) -> str:
    """An outcome as a person says it: of a rule, its expression, without the task's own name."""
    for rule in task.rules:
        if rule.outcome == outcome:
            return "otherwise" if rule.expression is None else rule.expression.replace(f"{task.id}.", "")
    return outcome
