"""Before the execution: find the node's instance, claim the task and others that go with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from tyqi_core.errors import CatalogError
from tyqi_core.runtime.context import TaskContext
from tyqi_core.runtime.distributed.attempts import Attempt, Attempts, Errand
from tyqi_core.runtime.distributed.batches import Batches
from tyqi_core.runtime.distributed.durations import Durations
from tyqi_core.runtime.distributed.library import Part, Task
from tyqi_core.runtime.distributed.pulse import Pulse
from tyqi_core.runtime.distributed.settling import Settler
from tyqi_core.runtime.distributed.spreading import HOP_S, KEEP_S, TASK_S
from tyqi_core.runtime.instances import Instances
from tyqi_core.stores.base import Ask, Claim

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

CHUNK: Final = 64
"""Short tasks that are claimed at once."""
RELIEF_S: Final = 0.03
"""How long a thread may be busy with a task before the pulse takes what else it has in hand."""


class Claimer:
    """Claims tasks for the threads of this process.

    Args:
        store: of the runs.
        settler: repeats a claim while the store is away.
        instances: the nodes of this process.
        attempts: what this process holds.
        batches: finds the tasks of a batch.
        durations: how long tasks take.
        pulse: is told when something will be due.
        worker: the name under which tasks are claimed.
    """

    def __init__(
        self,
        store: RedisStore,
        settler: Settler,
        instances: Instances[Task],
        attempts: Attempts,
        batches: Batches,
        durations: Durations,
        pulse: Pulse,
        worker: str,
    ) -> None:
        self._store = store
        self._settler = settler
        self._instances = instances
        self._attempts = attempts
        self._batches = batches
        self._durations = durations
        self._pulse = pulse
        self._worker = worker
        self.beat_s = min(store.options.lease_s / 4, 1.0)

    def claim(self, errand: Errand, task: Task) -> None:
        """Claim a task, and what is best claimed with it. What is not to be had is dropped: others have it."""
        part = self._part(task)
        if part is None:
            return
        slot = self._instances.enter(part.key, part.executable.manifest, task)
        if slot is None:
            return  # the instance is busy; whoever leaves it goes on with the task
        errand.slot = slot
        tasks = self._batch(errand, task, part) if part.group else [task, *self._alike(errand, task, part)]
        if not tasks:
            return
        asks = [Ask(one.run_id, one.instance, _wanted(one)) for one in tasks]
        answers = self._settler.insist(lambda: self._store.claim_many(self._worker, asks))
        self.take(errand, list(zip(tasks, answers or (), strict=False)))

    def take(self, errand: Errand, answers: Sequence[tuple[Task, Any]], executed: Attempt | None = None) -> None:
        """Hold what was granted. ``executed`` is an attempt that had ended before it was claimed: how, it knows."""
        attempts = [_attempt(task, claim, errand) for task, claim in answers if isinstance(claim, Claim)]
        for attempt in attempts if executed is not None else ():
            attempt.answer = executed.answer if executed is not None else None
        if not attempts:
            return
        self._attempts.add(attempts)
        with errand.lock:
            errand.claimed.extend(attempts)
        alone = len(errand.claimed) == 1 and not errand.waiting
        self._pulse.by(monotonic() + (self.beat_s if alone else RELIEF_S))

    def leave(self, errand: Errand) -> None:
        """Leave the instance that the thread has entered; a task that waited for it comes into its hands."""
        slot, errand.slot = errand.slot, None
        if slot is not None and (parked := self._instances.leave(slot)) is not None:
            errand.waiting.append(parked)

    def _part(self, task: Task) -> Part | None:
        """The task made ready; ``None``, and a note in its run, if this process cannot execute it."""
        try:
            return task.loaded.part(task.instance)
        except CatalogError as error:
            self._store.note(task.run_id, task.instance, f"NO_CAPABLE_WORKER: {self._worker}: {error.message}")
            return None

    def _batch(self, errand: Errand, task: Task, part: Part) -> list[Task]:
        tasks, more = self._batches.gather(part, self._siblings(errand, task, part))
        if more:  # look again when this batch is done
            errand.waiting.append(task)
        return tasks

    def _siblings(self, errand: Errand, task: Task, part: Part) -> list[Task]:
        """The items of a loop that came with this one in a message, for one batch.

        A task that came alone is looked for in its group: mostly it was in a batch that another message led to.
        """
        found = [task]
        with errand.lock:
            while errand.waiting and len(found) < part.task.max_batch and _items_of_one(errand.waiting[0], task, part):
                found.append(errand.waiting.popleft())
        return found if len(found) > 1 else []

    def _alike(self, errand: Errand, task: Task, part: Part) -> Iterator[Task]:
        """Further tasks of the same instance that are short enough to be claimed together."""
        seconds = self._durations.expected(part.task)
        if seconds is None or seconds >= HOP_S:
            return
        room = min(CHUNK, int(KEEP_S / (seconds + TASK_S)))
        with errand.lock:
            while room > 1 and errand.waiting and _same(errand.waiting[0], task, part):
                room -= 1
                yield errand.waiting.popleft()


def _same(other: Task, task: Task, part: Part) -> bool:
    found = other.loaded.capable(other.instance) if other.loaded is task.loaded else None
    return found is not None and found.key == part.key and not found.group


def _items_of_one(other: Task, task: Task, part: Part) -> bool:
    found = other.loaded.capable(other.instance) if other.run_id == task.run_id else None
    return found is not None and found.group == part.group and other.instance != task.instance


def _wanted(task: Task) -> Any:
    return task.loaded.part(task.instance).executable.wanted(task.instance)


def _attempt(task: Task, claim: Claim, errand: Errand) -> Attempt:
    part = task.loaded.part(task.instance)
    context = TaskContext(task.run_id, task.instance, part.task.params, "cpu")
    return Attempt(task, part, claim, context, errand=errand)
