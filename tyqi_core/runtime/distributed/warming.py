"""Building nodes before their tasks come: loading a model takes seconds, and a task should not wait for it.

A process warms what the most recent completed runs needed when it starts, and what a plan needs when it first meets
it. One thread does so, an instance at a time, and leaves alone whatever a task has built or is building.
docs/decisions/0068 says why only nodes are warmed that some worker has executed before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from tyqi_core.errors import NodeError, TyqiError
from tyqi_core.runtime.context import TaskContext
from tyqi_core.runtime.distributed.durations import reference
from tyqi_core.runtime.distributed.library import LoadedPlan, Part, PlanLibrary, Task
from tyqi_core.runtime.instances import Instances, Slot

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

log = logging.getLogger("tyqi.warming")
RUNS: Final = 50
"""The runs whose plans are warmed at the start."""
_PATIENCE_S: Final = 5.0


class Warming:
    """Builds nodes of one process.

    Args:
        store: knows the runs, and which nodes were executed before.
        library: the plans of those runs.
        instances: the nodes of this process.
        queues: those that this worker serves.
        give: is handed tasks that came while their node was built, to be performed.
    """

    def __init__(
        self,
        store: RedisStore,
        library: PlanLibrary,
        instances: Instances[Task],
        queues: Collection[str],
        give: Callable[[Sequence[Task]], None],
    ) -> None:
        self._store = store
        self._library = library
        self._instances = instances
        self._queues = queues
        self._give = give
        self._met: set[str] = set()
        self._todo: deque[Callable[[], None]] = deque()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._closed = False

    def begin(self) -> None:
        """Warm what the most recent runs need."""
        self._later(self._recent)

    def meet(self, loaded: LoadedPlan, tasks: Iterable[str]) -> None:
        """A message names tasks of a plan: warm its other tasks, if this is the first time."""
        digest = loaded.plan.digest
        if digest not in self._met:
            self._met.add(digest)
            executing = frozenset(tasks)
            self._later(lambda: self._warm(loaded, executing))

    def close(self) -> None:
        """Begin nothing new, and wait for what is being built, but not for long."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE_S)

    def _later(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._todo.append(job)
            if self._thread is None and not self._closed:
                self._thread = Thread(target=self._work, name="tyqi-warming", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except TyqiError as error:
                log.info("nothing is warmed: %s", error)
            except Exception:  # the tasks will build what they need themselves
                log.exception("warming failed")

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if self._todo and not self._closed:
                return self._todo.popleft()
            self._thread = None
            return None

    def _recent(self) -> None:
        completed = [run.plan for run in self._store.runs(RUNS) if run.status == "completed"]
        for digest in dict.fromkeys(completed):
            loaded = self._library.get(digest)
            if loaded is not None and digest not in self._met:
                self._met.add(digest)
                self._warm(loaded, frozenset())

    def _warm(self, loaded: LoadedPlan, executing: frozenset[str]) -> None:
        known = {node for node, _ in self._store.history()}
        for name, task in loaded.plan.tasks.items():
            if self._closed:
                return
            if name not in executing and task.queue in self._queues and reference(task) in known:
                part = loaded.capable(name)
                if part is not None and self._instances.has_room(part.key, part.executable.manifest):
                    self._build(part)

    def _build(self, part: Part) -> None:
        manifest = part.executable.manifest
        slot = self._instances.enter_if_free(part.key, manifest)
        if slot is None:
            return
        try:
            self._instances.node(slot, manifest, TaskContext("", part.task.id, part.task.params, "cpu"))
        except NodeError as error:
            log.info("%s cannot be warmed: %s", manifest.id, error)
        finally:
            self._leave(slot, part)

    def _leave(self, slot: Slot[Task], part: Part) -> None:
        """Leave the instance; tasks that found it busy are handed on, all of them: nobody else will leave it."""
        found: list[Task] = []
        left: Slot[Task] | None = slot
        while left is not None and (task := self._instances.leave(left)) is not None:
            found.append(task)
            left = self._instances.enter_if_free(part.key, part.executable.manifest)
        if found:
            self._give(found)
