"""What the real thing did, held against what the reference tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from telling import Fate, Told  # noqa: TC002 - a module beside this one

from tyqi_core.protocol.message import Event
from tyqi_core.scheduler import Ready

SETTLED = {"task.completed": "completed", "task.skipped": "skipped", "task.failed": "failed"}


@dataclass
class Story:
    """What the events of a run say of one instance: attempts, how it was settled, and when (numbers of events)."""

    attempts: int = 0
    kinds: list[str] = field(default_factory=list)
    ready_at: int = -1
    settled_at: int = -1
    started_at: int = -1  # the last attempt


def stories(events: Sequence[Event]) -> dict[str, Story]:
    """Instance -> its story; complains of events that cannot be true whatever the project."""
    found: dict[str, Story] = {}
    resumed = False
    for at, event in enumerate(events):
        if event.kind == "task.ready":
            for instance in Ready(event.subject, (event.data or {}).get("count")).instances():
                again = resumed and instance in found and found[instance].kinds in ([], ["failed"])
                assert instance not in found or again, f"{instance} became ready twice"
                found[instance] = Story(ready_at=at)
        elif event.kind == "task.started":
            assert not found[event.subject].kinds, f"{event.subject} was started after it had been settled"
            found[event.subject].attempts += 1
            found[event.subject].started_at = at
        elif event.kind in SETTLED:
            found[event.subject].kinds.append(SETTLED[event.kind])
            found[event.subject].settled_at = at
        resumed |= event.kind == "run.resumed"
        error = (event.data or {}).get("error") or {}
        if event.kind.startswith("task."):
            assert not error.get("message", "").startswith("input '"), f"{event.subject} was given a bad input: {error}"
            assert error.get("code") != "INTERNAL", error
    return found


def assert_as_told(
    told: Told,
    status: str,
    outputs: Mapping[str, Any],
    events: Sequence[Event],
    *,
    repeated: bool = False,
    segments: bool = False,
) -> None:
    """Same tasks executed and skipped, as often, in an order that was allowed, with the same outputs and end.

    With ``repeated``, workers were lost: attempts began more often than that, at times of a clock that was moved. With
    ``segments``, tasks may have been executed under the claim of one that had begun before the run failed.
    """
    seen = stories(events)
    times = [event.time_ns for event in events]
    assert repeated or times == sorted(times), "the time of an event ran backwards"
    assert status == told.status, f"the run is {status}, {told.status} was due"
    for instance, story in seen.items():
        fate = told.fates.get(instance)
        assert fate is not None, f"{instance} should never have come into being"
        _assert_story(instance, story, fate, repeated=repeated)
        early = [other for other in fate.waits if other not in seen or not 0 <= seen[other].settled_at < story.ready_at]
        assert not early, f"{instance} became ready before {early} had ended"
    if status == "completed":
        assert seen.keys() == told.fates.keys(), f"never ran: {sorted(told.fates.keys() - seen.keys())}"
        assert dict(outputs) == dict(told.outputs)
        return
    stopped_at = min(
        story.settled_at for name, story in seen.items() if told.fates[name].kind == "stopped" and story.kinds
    )
    late = [name for name, story in seen.items() if max(story.ready_at, story.started_at) > stopped_at]
    if segments:
        heads = {
            times[story.settled_at] for story in seen.values() if story.started_at < stopped_at <= story.settled_at
        }
        late = [name for name in late if times[seen[name].ready_at] not in heads]
    assert not late, f"{late} began after the run had failed"
    wrong = {name: value for name, value in outputs.items() if not _so_far(value, told.outputs[name])}
    assert not wrong, f"a stopped run put out {wrong}"


def _so_far(value: Any, whole: Any) -> bool:
    """Whether an output of a stopped run is what was due, or nothing yet; of lists, element by element."""
    if isinstance(value, list) and isinstance(whole, list):
        return len(value) == len(whole) and all(map(_so_far, value, whole))
    return value is None or value == whole


def _assert_story(instance: str, story: Story, fate: Fate, *, repeated: bool) -> None:
    assert len(story.kinds) <= 1, f"{instance} was settled {len(story.kinds)} times: {story.kinds}"
    kind = story.kinds[0] if story.kinds else None
    if fate.kind == "stopped":
        assert kind in (None, "failed"), f"{instance} was {kind}; it should have failed the run"
        assert repeated or (story.attempts == fate.attempts if kind else story.attempts <= fate.attempts)
    elif kind is not None:
        assert kind == fate.kind, f"{instance} was {kind}, {fate.kind} was due"
        due = story.attempts >= fate.attempts if repeated else story.attempts == fate.attempts
        assert due, f"{instance} was tried {story.attempts} times, {fate.attempts} were due"
