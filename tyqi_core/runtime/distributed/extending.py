"""Going on without a claim: the short tasks that surely follow, executed before their head is settled."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Final, NamedTuple

from tyqi_core.runtime.context import TaskContext
from tyqi_core.runtime.distributed.attempts import Attempt, Errand, Finished
from tyqi_core.runtime.distributed.batches import Answer
from tyqi_core.runtime.distributed.claiming import RELIEF_S
from tyqi_core.runtime.distributed.durations import Durations
from tyqi_core.runtime.distributed.library import Part, Task
from tyqi_core.runtime.distributed.pulse import Pulse
from tyqi_core.runtime.distributed.segments import Segment
from tyqi_core.runtime.distributed.settling import Settler
from tyqi_core.runtime.distributed.spreading import HOP_S, KEEP_S
from tyqi_core.runtime.endings import Ending, completed
from tyqi_core.runtime.execute import Executed
from tyqi_core.runtime.instances import Instances, Slot
from tyqi_core.stores.base import Claim

SEGMENT_S: Final = 0.02
"""How long a thread goes on without settling: what a crash may cost, and others may wait for what became ready."""
SHARED_FROM_S: Final = 0.00025
"""Tasks that take less are done sooner here than sent: claimed one by one they cost as much again, and the hop."""
_SHORTEST_TIMEOUT_S: Final = 1.0


class Extended(NamedTuple):
    """What is to be settled, or, if the pulse has settled the segment meanwhile, the task that took so long."""

    finished: Finished | None
    rescued: Attempt | None = None
    answer: Answer | None = None


class Extender:
    """Extends segments.

    Args:
        settler, durations, instances: of this process.
        queues: those that this worker serves.
        execute: executes an attempt in an instance.
        pulse: is told when something will be due.
    """

    def __init__(
        self,
        settler: Settler,
        durations: Durations,
        instances: Instances[Task],
        queues: frozenset[str],
        execute: Callable[[Slot[Task], Attempt], Answer],
        pulse: Pulse,
    ) -> None:
        self._pulse = pulse
        self._settler = settler
        self._durations = durations
        self._instances = instances
        self._queues = queues
        self._execute = execute

    def extended(self, errand: Errand, head: Finished, ending: Ending) -> Extended:
        """The head, with the tasks that were executed after it.

        A head whose worker died before goes alone: so the task that kills workers is found out. One that took long is
        settled first: it may have been given to another worker meanwhile, and nothing must follow from it then.
        """
        attempt = head.attempt
        manifest = attempt.part.executable.manifest
        long = monotonic() - attempt.began > KEEP_S
        if long or attempt.claim.deaths or attempt.told or not manifest.idempotent or ending.kind != "task.completed":
            return Extended(head)
        wanted = attempt.part.executable.wanted(attempt.task.instance)
        places = zip((want.place for want in wanted), attempt.claim.values, strict=True)
        segment = Segment(attempt.task.loaded.plan, head.settlement, ending, places)
        if not segment.ready:
            return Extended(head)
        errand.head, errand.segment = attempt, segment
        self._pulse.by(monotonic() + RELIEF_S)
        try:
            return self._extend(errand, head, segment)
        finally:
            errand.head = errand.segment = None

    def _extend(self, errand: Errand, head: Finished, segment: Segment) -> Extended:
        until = monotonic() + SEGMENT_S
        onward: Attempt | None = None
        while onward is None and monotonic() < until:
            following = self._following(head.attempt, segment)
            if following is None:
                break
            slot = self._instances.enter_if_free(following.part.key, following.part.executable.manifest)
            if slot is None:
                break
            answer = self._performed(errand, slot, following)
            if following.told or following.claim.token:  # it took so long that the pulse has settled the segment
                return Extended(None, following, answer)
            if isinstance(answer, Executed):
                ending = completed(answer)
                segment.add(self._settler.settlement(following.task, 0, ending), ending)
            else:
                following.answer, onward = answer, following
        return Extended(head._replace(settlement=segment.settlement(), onward=onward))

    def _following(self, head: Attempt, segment: Segment) -> Attempt | None:
        """The next task that may be executed without a claim; none if there is so much that others should help."""
        if not segment.ready or self._all_take(head, segment) > SEGMENT_S:
            return None
        for path in segment.ready:
            task = Task(head.task.run_id, head.task.loaded, path)
            part = self._fitting(task)
            values = segment.values(part.executable.wanted(path)) if part is not None else None
            if part is not None and values is not None:
                context = TaskContext(task.run_id, path, part.task.params, "cpu")
                return Attempt(task, part, Claim(0, 1, values, skip=False), context)
        return None

    def _all_take(self, head: Attempt, segment: Segment) -> float:
        if len(segment.ready) == 1:
            return 0.0
        expected = (self._durations.expected(head.task.loaded.task(path)) for path in segment.ready)
        seconds = (HOP_S if one is None else one for one in expected)
        return sum(one for one in seconds if one >= SHARED_FROM_S)

    def _fitting(self, task: Task) -> Part | None:
        """The task made ready, if it may join: of this worker's queues, idempotent, surely short, of no batch."""
        plan_task = task.loaded.task(task.instance)
        if plan_task.queue not in self._queues or plan_task.max_batch:
            return None
        if plan_task.timeout is not None and plan_task.timeout < _SHORTEST_TIMEOUT_S:
            return None
        seconds = self._durations.expected(plan_task)
        if seconds is None or seconds >= HOP_S:
            return None
        part = task.loaded.capable(task.instance)
        return part if part is not None and part.executable.manifest.idempotent else None

    def _performed(self, errand: Errand, slot: Slot[Task], following: Attempt) -> Answer:
        with errand.lock:
            errand.inner, following.errand = following, errand
            errand.began = following.began = monotonic()
        begun = perf_counter()
        answer = self._execute(slot, following)
        seconds = perf_counter() - begun
        with errand.lock:
            errand.inner = None
            errand.began = 0.0
        self._durations.note(following.part.task, seconds)
        if following.state == "expired":  # the instance may be in any state; others get a new one
            errand.waiting.extend(self._instances.abandon(slot))
        if (parked := self._instances.leave(slot)) is not None:
            errand.waiting.append(parked)
        return answer
