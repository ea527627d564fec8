"""Telling the store how attempts ended, and whoever should know what became ready by it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import TYPE_CHECKING, Final, TypeVar

from tyqi_core.errors import BrokerError, NodeError, StoreError, TaskCancelled
from tyqi_core.failpoints import hit
from tyqi_core.runtime.distributed.attempts import Finished
from tyqi_core.runtime.distributed.library import LoadedPlan, Task
from tyqi_core.runtime.distributed.publisher import Publisher, Wakeup
from tyqi_core.runtime.distributed.spreading import Expected, Stretch, messages, spread, stretches
from tyqi_core.runtime.endings import Ending, attributed, branched, skipped
from tyqi_core.scheduler import Ready, after_failure, effects, task_id
from tyqi_core.stores.base import Count, Onward, Settled, Settlement
from tyqi_core.workflow.plan import PlanTask

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

log = logging.getLogger("tyqi.settling")
Answer = TypeVar("Answer")
PATIENCE_S: Final = 600.0
"""How long a worker holds on to a result that the store cannot take."""
_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 2.0
_LEFT: Final = "an attempt that cannot be settled is left to the end of its lease: %s"
_PASSING: Final = frozenset({"STORE_UNAVAILABLE", "STORE_FULL"})


class Messenger:
    """Tells workers of ready tasks. What cannot be sent is left to the sweeper: the outbox knows it.

    Args:
        publisher: of the broker.
        expected: how long tasks take.
    """

    def __init__(self, publisher: Publisher, expected: Expected) -> None:
        self._publisher = publisher
        self.expected = expected

    def tell(self, run_id: str, loaded: LoadedPlan, ready: Iterable[Stretch]) -> None:
        """Send tasks of one run to whoever serves their queues."""
        away = ((loaded.plan.tasks[task_id(stretch.path)], stretch) for stretch in ready)
        self.send(run_id, loaded, messages(away, self.expected))

    def send(self, run_id: str, loaded: LoadedPlan, made: Iterable[tuple[PlanTask, list[Stretch]]]) -> None:
        """Send messages that were made already."""
        wakeups = [
            Wakeup(task.node.id, task.queue, (run_id, loaded.plan.digest, *(part.to_json() for part in parts)))
            for task, parts in made
        ]
        if not wakeups:
            return
        hit("CP10")
        try:
            self._publisher.publish(wakeups)
        except BrokerError as error:
            log.warning("%d tasks of run %s wait for the sweeper: %s", len(wakeups), run_id, error)

    def tell_tasks(self, tasks: Iterable[Task]) -> None:
        """Send tasks of any runs; those of which nobody knows how long they take, in two halves a node."""
        grouped: dict[tuple[str, str, str], list[Task]] = {}
        for task in tasks:
            plan_task = task.loaded.task(task.instance)
            grouped.setdefault((task.run_id, plan_task.node.id, plan_task.queue), []).append(task)
        for together in grouped.values():
            first, parts = together[0], [Stretch(task.instance) for task in together]
            plan_task = first.loaded.task(first.instance)
            if self.expected(plan_task) is None:
                middle = (len(parts) + 1) // 2
                halves = [half for half in (parts[:middle], parts[middle:]) if half]
                self.send(first.run_id, first.loaded, [(plan_task, half) for half in halves])
            else:
                self.tell(first.run_id, first.loaded, parts)

    def close(self) -> None:
        """End the connection."""
        self._publisher.close()

    def waiting(self, queue: str) -> bool:
        """Whether messages wait in a queue."""
        return self._publisher.waiting(queue) > 0


class Settler:
    """Settles attempts.

    Args:
        store: of the runs.
        messenger: who is told of what became ready.
        worker: the name under which tasks are claimed.
    """

    def __init__(self, store: RedisStore, messenger: Messenger, worker: str) -> None:
        self._store = store
        self._messenger = messenger
        self._worker = worker
        self.closing = Event()

    def settlement(
        self, task: Task, token: int, ending: Ending, node: str = "", counts: Sequence[Count] = ()
    ) -> Settlement:
        """What settles an attempt by an ending."""
        plan_task, worked_out = task.loaded.task(task.instance), effects(task.loaded.plan, task.instance, ending.result)
        return Settlement(
            task.run_id,
            task.instance,
            token,
            ending.kind,
            ending.slots(plan_task),
            ending.outputs,
            worked_out,
            ending.data,
            task.loaded.groups(worked_out),
            node,
            counts,
        )

    def failed(
        self, task: Task, token: int, tries: int, error: NodeError | TaskCancelled, *, stopping: bool = False
    ) -> Settlement | Task | None:
        """End an attempt that failed.

        Returns:
            What is to be settled, or the task itself if it is to be claimed again at once.
        """
        if stopping:
            self._end(lambda: self._store.release(task.run_id, task.instance, token))
            return None
        plan_task = task.loaded.task(task.instance)
        error = attributed(error, task.instance, plan_task)
        body = error.to_json()
        verdict = after_failure(plan_task, tries, error)
        match verdict.action:
            case "retry":
                data = {"error": body, "try": tries, "delay_s": verdict.delay}
                return task if self._again(task, token, data, verdict.delay) and not verdict.delay else None
            case "skip":
                return self.settlement(task, token, skipped(body))
            case "branch":
                return self.settlement(task, token, branched(body))
        self._end(lambda: self._store.fail(task.run_id, task.instance, token, body))
        return None

    def _again(self, task: Task, token: int, data: dict[str, object], delay: float) -> bool:
        return bool(self._end(lambda: self._store.retry(task.run_id, task.instance, token, data, delay_s=delay)))

    def _end(self, call: Callable[[], Answer]) -> Answer | None:
        """As :meth:`insist`; ``None`` too if the run is damaged. Others that are in the same hands must not suffer."""
        try:
            return self.insist(call)
        except StoreError as error:
            log.error(_LEFT, error)  # noqa: TRY400 - no bug of ours
            return None

    def commit(
        self, settlements: Sequence[Settlement], onward: Sequence[Onward] = ()
    ) -> list[Settled | NodeError | None]:
        """Settle attempts; for each what it led to, ``None`` if it was fenced, or why its values cannot be kept."""

        def together() -> list[Settled | NodeError | None]:
            return list(self._store.commit_many(settlements, worker=self._worker, onward=onward))

        try:
            return self.insist(together) or [None] * len(settlements)
        except (NodeError, StoreError) as error:
            if len(settlements) == 1:
                if isinstance(error, NodeError):
                    return [error]
                log.error(_LEFT, error)  # noqa: TRY400 - no bug of ours
                return [None]
        last = len(settlements) - 1
        return [self.commit([one], onward if number == last else ())[0] for number, one in enumerate(settlements)]

    def finish(self, finished: Sequence[Finished]) -> None:
        """Settle attempts and send everything that becomes ready: for whoever executes nothing itself."""
        answers = self.commit([one.settlement for one in finished])
        for one, settled in zip(finished, answers, strict=True):
            self._send_on(one.attempt.task, settled)

    def finish_for(self, task: Task, settlement: Settlement) -> None:
        """As :meth:`finish`, for an attempt of another process."""
        self._send_on(task, self.commit([settlement])[0])

    def _send_on(self, task: Task, settled: Settled | NodeError | None) -> None:
        if isinstance(settled, Settled):
            self._messenger.tell(task.run_id, task.loaded, stretches(settled.ready))

    def keep_some(
        self, task: Task, ready: Sequence[Ready], serves: Callable[[Stretch], bool], *, idle: bool
    ) -> list[Task]:
        """Send what others should do of the tasks that became ready by ``task``; the rest, to go on with."""
        divided = spread(task.loaded.plan, stretches(ready), serves, self._messenger.expected, idle=idle)
        self._messenger.send(task.run_id, task.loaded, divided.send)
        kept = (instance for stretch in divided.keep for instance in stretch.instances())
        return [Task(task.run_id, task.loaded, instance) for instance in kept]

    def insist(self, call: Callable[[], Answer]) -> Answer | None:
        """The answer of a call to the store, repeated while the store is away or full; ``None``: given up."""
        until, pause = time.monotonic() + PATIENCE_S, _PAUSE_S
        while True:
            try:
                return call()
            except StoreError as error:
                if error.code not in _PASSING:
                    raise
                if time.monotonic() > until or self.closing.wait(pause):
                    log.error("given up, others will repeat the task: %s", error)  # noqa: TRY400 - no bug of ours
                    return None
                log.warning("the store does not take a result, which is kept meanwhile: %s", error)
                pause = min(_LONGEST_PAUSE_S, pause * 2)
