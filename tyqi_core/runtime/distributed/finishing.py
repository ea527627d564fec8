"""After the execution: settle, claim what to go on with in the same call, send the rest."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final, NamedTuple

from tyqi_core.errors import NodeError
from tyqi_core.runtime.distributed.attempts import Attempts, Errand, Finished
from tyqi_core.runtime.distributed.claiming import Claimer
from tyqi_core.runtime.distributed.library import LoadedPlan, Part, Task, opened
from tyqi_core.runtime.distributed.settling import Messenger, Settler
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.runtime.instances import Instances
from tyqi_core.stores.base import Onward, Settled, Settlement

YIELD_S: Final = 1.0
YIELD_TASKS: Final = 64
"""After how long, and after how many tasks, a thread asks whether others wait for its queues."""
_CANDIDATES: Final = 8


class _Candidate(NamedTuple):
    task: Task
    part: Part


class Finisher:
    """Settles what a thread has executed, and finds what the thread goes on with.

    Args:
        settler: of this process.
        messenger: who is told of what others should do.
        claimer: what is claimed within a settlement is handed to it.
        instances: the nodes of this process.
        attempts: what it holds.
        queues: those that this worker serves.
    """

    def __init__(
        self,
        settler: Settler,
        messenger: Messenger,
        claimer: Claimer,
        instances: Instances[Task],
        attempts: Attempts,
        queues: frozenset[str],
    ) -> None:
        self._attempts = attempts
        self._settler = settler
        self._messenger = messenger
        self._claimer = claimer
        self._instances = instances
        self._queues = queues

    def settle(self, errand: Errand) -> None:
        """Settle what is executed. Empty hands claim what to go on with in the same call."""
        finished = errand.take_finished()
        if not finished:
            return
        errand.tasks += len(finished)
        self._ask_who_waits(errand)
        onward = self._onward(errand, finished[-1])
        asks = [Onward(one.task.instance, one.part.executable.wanted(one.task.instance)) for one in onward]
        answers = self._settler.commit([one.settlement for one in finished], asks)
        self._attempts.drop(one.attempt for one in finished)
        for one, settled in zip(finished, answers, strict=True):
            if isinstance(settled, NodeError):
                self._refused(errand, one, settled)
            elif settled is not None:
                self._go_on(errand, one, settled, onward)

    def _ask_who_waits(self, errand: Errand) -> None:
        """Whether this thread has gone on for so long that those who wait for its queues come first."""
        now = monotonic()
        if errand.tasks < YIELD_TASKS and now - errand.started < YIELD_S:
            return
        errand.tasks, errand.started = 0, now
        errand.yields = any(self._messenger.waiting(queue) for queue in self._queues)
        if errand.yields:
            self._messenger.tell_tasks(errand.take_waiting())

    def _onward(self, errand: Errand, last: Finished) -> list[_Candidate]:
        """The tasks that may become ready by a settlement and that this thread could go on with: of one instance."""
        if last.onward is not None:
            return [_Candidate(last.onward.task, last.onward.part)]
        if errand.yields or not errand.empty_handed():
            return []
        task = last.attempt.task
        found: list[_Candidate] = []
        for path in opened(last.settlement.effects):
            if len(found) == _CANDIDATES:
                break
            part = None if "[*]" in path else self._mine(task.loaded, path)
            if part is None or part.group or (found and part.key != found[0].part.key):
                continue
            if found or self._enter(errand, part):
                found.append(_Candidate(Task(task.run_id, task.loaded, path), part))
        return found

    def _mine(self, loaded: LoadedPlan, instance: str) -> Part | None:
        """The task made ready, if this worker may and can execute it."""
        return loaded.capable(instance) if loaded.task(instance).queue in self._queues else None

    def _enter(self, errand: Errand, part: Part) -> bool:
        """Enter the instance of a task that is not claimed yet, unless it is busy."""
        if errand.slot is not None and errand.slot.key == part.key:
            return True
        slot = self._instances.enter_if_free(part.key, part.executable.manifest)
        if slot is None:
            return False
        self._claimer.leave(errand)
        errand.slot = slot
        return True

    def _go_on(self, errand: Errand, one: Finished, settled: Settled, onward: Sequence[_Candidate]) -> None:
        ready, claimed, loaded = settled.ready, settled.claimed, one.attempt.task.loaded
        if claimed is not None:
            ready = [entry for entry in ready if entry.path != claimed.instance]
            task = next(candidate.task for candidate in onward if candidate.task.instance == claimed.instance)
            self._claimer.take(errand, [(task, claimed.claim)], one.onward)
        if not ready:
            return

        def serves(stretch: Stretch) -> bool:
            return not errand.yields and self._mine(loaded, stretch.path) is not None

        kept = self._settler.keep_some(one.attempt.task, ready, serves, idle=errand.empty_handed())
        with errand.lock:
            errand.waiting.extend(kept)

    def _refused(self, errand: Errand, one: Finished, error: NodeError) -> None:
        """The store cannot keep what the task returned: the task failed."""
        attempt = one.attempt
        after = self._settler.failed(attempt.task, attempt.claim.token, attempt.claim.tries, error)
        if isinstance(after, Settlement):
            errand.finish(Finished(attempt, after))
        elif after is not None:
            errand.waiting.appendleft(after)
