"""What a worker process does with a message: claim, execute, settle, go on with what became ready.

A message only says that tasks are ready. The store decides who executes them: a task is executed under a claim, with
a token and a lease, and settled under that token, so a message that comes twice, late or for nothing changes nothing.

A thread works off an :class:`~tyqi_core.runtime.distributed.attempts.Errand`. It settles what it has executed and
claims what it goes on with in one call; short tasks are claimed and settled several at a time. The pulse keeps the
leases, ends attempts whose time is up, and takes everything else out of the hands of a thread whose task takes long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Final

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InternalError, NodeError, TaskCancelled
from tyqi_core.failpoints import hit
from tyqi_core.node import Node
from tyqi_core.runtime.distributed.attempts import Attempt, Attempts, Errand, Finished
from tyqi_core.runtime.distributed.batches import Answer, Batches, execute_batch
from tyqi_core.runtime.distributed.claiming import Claimer
from tyqi_core.runtime.distributed.durations import Durations
from tyqi_core.runtime.distributed.extending import Extender
from tyqi_core.runtime.distributed.finishing import Finisher
from tyqi_core.runtime.distributed.library import PlanLibrary, Task
from tyqi_core.runtime.distributed.pulse import Pulse
from tyqi_core.runtime.distributed.settling import Messenger, Settler
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.runtime.distributed.upkeep import Upkeep
from tyqi_core.runtime.distributed.warming import Warming
from tyqi_core.runtime.endings import Ending, completed, skipped
from tyqi_core.runtime.execute import Executed, described
from tyqi_core.runtime.instances import Instances, Slot
from tyqi_core.runtime.processes.boards import Held
from tyqi_core.runtime.watch import Watch
from tyqi_core.scheduler import task_id
from tyqi_core.stores.base import Settlement

if TYPE_CHECKING:
    from tyqi_core.hooks import Hooks
    from tyqi_core.stores.redis import RedisStore

log = logging.getLogger("tyqi.engine")
SETTLE_S: Final = 0.004
"""How old an executed task may get before it is settled, while short ones follow."""


class Engine:
    """Performs the messages of one process.

    Args:
        store: of the runs.
        catalog: the nodes that can be executed here.
        messenger: who is told of ready tasks.
        durations: how long tasks take.
        worker: the name under which tasks are claimed.
        queues: those that this worker serves.
        hooks: trusted packages that are told what tasks do.
        show: told of all attempts whenever that changes.
    """

    def __init__(
        self,
        store: RedisStore,
        catalog: Catalog,
        messenger: Messenger,
        durations: Durations,
        *,
        worker: str,
        queues: frozenset[str],
        hooks: Hooks | None = None,
        show: Callable[[Sequence[Held]], None] = lambda _: None,
    ) -> None:
        self._durations = durations
        self._messenger = messenger
        self._watch = Watch(hooks, durations.tally)
        self._attempts = Attempts(show)
        self._errands: set[Errand] = set()
        self._library = PlanLibrary(store, catalog)
        self._instances: Instances[Task] = Instances(catalog, meter=durations.tally.meter)
        self._settler = Settler(store, messenger, worker)
        self._upkeep = Upkeep(store, self._settler, messenger, self._attempts, self._errands)
        self._pulse = Pulse(self._upkeep.tick)
        self._warming = Warming(store, self._library, self._instances, queues, messenger.tell_tasks)
        batches = Batches(store, self._library)
        self._claimer = Claimer(
            store, self._settler, self._instances, self._attempts, batches, durations, self._pulse, worker
        )
        self._extender = Extender(self._settler, durations, self._instances, queues, self._execute, self._pulse)
        self._finisher = Finisher(self._settler, messenger, self._claimer, self._instances, self._attempts, queues)

    def warm_up(self) -> None:
        """Build the nodes that recent runs needed, in the background."""
        self._warming.begin()

    def perform(self, run_id: str, digest: str, ready: Sequence[Stretch]) -> None:
        """Do what a message asks for, and what follows from it."""
        loaded = self._library.get(digest)
        if loaded is None or any(task_id(stretch.path) not in loaded.plan.tasks for stretch in ready):
            log.warning("a message for run %s means nothing that is known here; it is dropped", run_id[:100])
            return
        self._warming.meet(loaded, (task_id(stretch.path) for stretch in ready))
        errand = Errand()
        errand.waiting.extend(Task(run_id, loaded, path) for stretch in ready for path in stretch.instances())
        self._errands.add(errand)
        try:
            while self._advance(errand):
                pass
        except BaseException:  # a bug of ours, or a store that stays away: what this thread holds goes to others
            self._upkeep.abandon(errand)
            raise
        finally:
            self._errands.discard(errand)
            self._claimer.leave(errand)
        hit("CP12")

    def close(self) -> None:
        """An orderly end: nothing is performed any more, nodes are torn down."""
        self._settler.closing.set()
        self._warming.close()
        self._pulse.close()
        self._instances.close()

    def _advance(self, errand: Errand) -> bool:
        """Execute, settle or claim something. False: nothing is left."""
        if (attempt := errand.next_attempt()) is not None:
            self._perform(errand, attempt)
            if errand.finished and errand.claimed and monotonic() - errand.oldest > SETTLE_S:
                self._finisher.settle(errand)
            return True
        if errand.finished:
            self._finisher.settle(errand)
            return True
        self._claimer.leave(errand)
        task = errand.next_task()
        if task is not None:
            self._claimer.claim(errand, task)
        return task is not None

    def _perform(self, errand: Errand, attempt: Attempt) -> None:
        """Execute an attempt, or the batch that it belongs to."""
        if attempt.claim.skip or attempt.answer is not None:
            if self._attempts.take(attempt):
                self._ended(errand, attempt, attempt.answer or skipped())
            return
        together = [attempt, *_mates(errand, attempt)]
        self._begin(together)
        errand.began, begun = monotonic(), perf_counter()
        answers = self._answers(errand.slot, together)
        seconds = (perf_counter() - begun) / len(together)
        errand.began = 0.0
        self._durations.note(attempt.part.task, seconds)
        for one, answer in zip(together, answers, strict=True):
            if self._attempts.take(one):
                self._ended(errand, one, answer)
            else:
                self._come_back_late(errand)

    def _begin(self, together: Sequence[Attempt]) -> None:
        now = monotonic()
        timeout = together[0].part.task.timeout
        for attempt in together:
            attempt.began = now
            attempt.deadline = None if timeout is None else now + timeout
        self._attempts.begin(together)
        if timeout is not None:
            self._pulse.by(now + timeout)

    def _answers(self, slot: Slot[Task] | None, together: Sequence[Attempt]) -> Sequence[Answer]:
        first = together[0]
        if len(together) == 1:
            return [self._execute(entered(slot), first)]
        try:
            node = self._instances.node(entered(slot), first.part.executable.manifest, first.context)
            return self._batch(node, together)
        except (NodeError, TaskCancelled) as error:
            return [error] * len(together)
        except BaseException as error:  # see _execute
            log.exception("executing a batch of %s failed outside its node", first.part.task.node.id)
            return [NodeError(described(error), code="INTERNAL") for _ in together]

    def _execute(self, slot: Slot[Task], attempt: Attempt) -> Answer:
        """How a single attempt ends; nothing is raised."""
        executable, context = attempt.part.executable, attempt.context
        try:
            node = self._instances.node(slot, executable.manifest, context)
            names = (attempt.task.run_id, attempt.task.instance)
            return self._watch.run(executable, node, attempt.claim.values, context, names)
        except (NodeError, TaskCancelled) as error:
            return error
        except BaseException as error:  # not even an exit hidden in what a node returned may end this worker
            log.exception("executing %s failed outside its node", attempt.task.instance)
            return NodeError(described(error), code="INTERNAL")

    def _batch(self, node: Node, together: Sequence[Attempt]) -> Sequence[Answer]:
        for mate in together[1:]:
            mate.context.device = together[0].context.device
        begun = perf_counter()
        answers = execute_batch(node, together)
        seconds = (perf_counter() - begun) / len(together)
        for attempt in together:
            self._durations.tally.took(attempt.part.executable.node, seconds)
        return answers

    def _ended(self, errand: Errand, attempt: Attempt, answer: Answer | Ending) -> None:
        task, claim = attempt.task, attempt.claim
        if isinstance(answer, NodeError | TaskCancelled):
            after = self._settler.failed(task, claim.token, claim.tries, answer, stopping=attempt.told == "cancel")
            if not isinstance(after, Settlement):
                self._attempts.drop([attempt])
            if isinstance(after, Settlement):
                errand.finish(Finished(attempt, after))
            elif after is not None:
                errand.waiting.appendleft(after)
            return
        ending = completed(answer) if isinstance(answer, Executed) else answer
        finished = Finished(attempt, self._settler.settlement(task, claim.token, ending, *self._durations.counts()))
        extended = self._extender.extended(errand, finished, ending)
        if extended.finished is not None:
            errand.finish(extended.finished)
            if extended.finished.onward or not attempt.part.executable.manifest.idempotent:
                self._finisher.settle(errand)
        elif extended.rescued and extended.answer and self._attempts.take(extended.rescued):
            self._ended(errand, extended.rescued, extended.answer)

    def _come_back_late(self, errand: Errand) -> None:
        """The attempt was ended by its deadline; its instance may be in any state, others get a new one."""
        if errand.slot is not None:
            self._messenger.tell_tasks(self._instances.abandon(errand.slot))


def entered(slot: Slot[Task] | None) -> Slot[Task]:
    """The instance that the thread is in; who claims has entered it before."""
    if slot is None:
        raise InternalError("a task was claimed without entering its node's instance")
    return slot


def _mates(errand: Errand, attempt: Attempt) -> list[Attempt]:
    """The claimed attempts that are executed together with this one."""
    if not attempt.part.group:
        return []
    with errand.lock:
        fitting = (one for one in errand.claimed if one.part.group == attempt.part.group and not one.claim.skip)
        mates = list(fitting)[: attempt.part.task.max_batch - 1]
        for mate in mates:
            errand.claimed.remove(mate)
    return mates
