"""Batches across runs: tasks of one node with equal parameters, executed by one call of ``process_batch``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from tyqi_core.errors import NodeError, TaskCancelled
from tyqi_core.node import Node
from tyqi_core.runtime.distributed.attempts import Attempt
from tyqi_core.runtime.distributed.library import Part, PlanLibrary, Task
from tyqi_core.runtime.execute import Bound, Executed, process_batch
from tyqi_core.stores.base import Due

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

Answer = Executed | NodeError | TaskCancelled


class Batches:
    """Finds the tasks of a batch, and executes them.

    Args:
        store: of the runs; its groups tell what waits.
        library: the plans of those runs.
        pause: waits for so many seconds.
    """

    def __init__(self, store: RedisStore, library: PlanLibrary, pause: Callable[[float], None] = time.sleep) -> None:
        self._store = store
        self._library = library
        self._pause = pause

    def gather(self, part: Part, given: Sequence[Task] = ()) -> tuple[list[Task], bool]:
        """The tasks to claim for one batch, and whether more of the group wait.

        If the batch would not be full, others are waited for once, for as long as the node's manifest allows.

        Args:
            part: what the tasks have in common.
            given: tasks that a message brought together; nobody else was sent them.
        """
        most = part.task.max_batch
        if len(given) >= most:
            return list(given[:most]), False
        found = self._with(given, part, least=most)
        if found and len(found) < most and part.task.max_wait_ms > 0:
            self._pause(part.task.max_wait_ms / 1000)
            found = self._with(given, part, least=1)
        return found[:most], len(found) > most

    def _with(self, given: Sequence[Task], part: Part, least: int) -> list[Task]:
        """What was given, and what waits beside it. What is taken of that others are not told of."""
        most = part.task.max_batch
        room = most - len(given)
        known = {(task.run_id, task.instance) for task in given}
        entries = self._store.waiting(part.group, most + 1, least=max(1, least - len(given)), most=room)
        waiting = (task for due in entries for task in self._tasks(due))
        others = (task for task in waiting if (task.run_id, task.instance) not in known)
        return [*given, *islice(others, room + 1)]

    def _tasks(self, due: Due) -> Iterator[Task]:
        loaded = self._library.get(due.plan)
        if loaded is not None:
            for instance in due.instances():
                yield Task(due.run_id, loaded, instance)


def execute_batch(node: Node, attempts: Sequence[Attempt]) -> list[Answer]:
    """One result or one error for each attempt; an item that does not fit its ports leaves the others alone."""
    answers: dict[int, Answer] = {}
    bound: dict[int, Bound] = {}
    for number, attempt in enumerate(attempts):
        try:
            bound[number] = attempt.part.executable.bind(attempt.claim.values)
        except NodeError as error:
            answers[number] = error
    if bound:
        contexts = [attempts[number].context for number in bound]
        given = process_batch(node, list(bound.values()), contexts)
        for (number, inputs), answer in zip(bound.items(), given, strict=True):
            answers[number] = _accepted(attempts[number], answer, inputs)
    return [answers[number] for number in range(len(attempts))]


def _accepted(attempt: Attempt, answer: object, inputs: Bound) -> Answer:
    try:
        return attempt.part.executable.accept(answer, inputs)
    except (NodeError, TaskCancelled) as error:
        return error
