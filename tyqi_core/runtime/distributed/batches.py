"""Batches across runs: tasks of one node with equal parameters, executed by one call of ``process_batch``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
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
    """

    def __init__(self, store: RedisStore, library: PlanLibrary) -> None:
        self._store = store
        self._library = library

    def gather(self, part: Part) -> tuple[list[Task], bool]:
        """The tasks to claim for one batch, and whether more of the group wait.

        If the batch would not be full, others are waited for once, for as long as the node's manifest allows.
        """
        most = part.task.max_batch
        found = self._waiting(part.group, most)
        if len(found) < most and part.task.max_wait_ms > 0:
            time.sleep(part.task.max_wait_ms / 1000)
            found = self._waiting(part.group, most)
        return found[:most], len(found) > most

    def _waiting(self, group: str, most: int) -> list[Task]:
        entries = self._store.waiting(group, most + 1)
        return list(islice((task for due in entries for task in self._tasks(due)), most + 1))

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
