"""Plans as one process serves them: fetched once by their digest, their tasks made ready when they are first met."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import CatalogError
from tyqi_core.runtime.execute import Executable, pinned
from tyqi_core.runtime.instances import Key, instance_key
from tyqi_core.scheduler import Effects, task_id
from tyqi_core.workflow.plan import Plan, PlanTask

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

_KEPT: Final = 256
"""Plans that a process holds at once."""
_READY: Final = "ready:"


@dataclass(frozen=True, slots=True)
class Part:
    """One task of a plan that this process is able to execute."""

    executable: Executable
    key: Key
    group: str
    """The index in which tasks that may share a batch stand; empty for a node that takes no batches."""

    @property
    def task(self) -> PlanTask:
        """The task."""
        return self.executable.task


class LoadedPlan:
    """A plan, and what was made ready of it.

    Args:
        plan: the plan.
        catalog: where its nodes come from; ``None`` for a process that executes none.
    """

    def __init__(self, plan: Plan, catalog: Catalog | None = None) -> None:
        self.plan = plan
        self._catalog = catalog
        self._parts: dict[str, Part] = {}
        self._groups = {name: group_of(task) for name, task in plan.tasks.items() if task.max_batch}

    def task(self, instance: str) -> PlanTask:
        """The task that an instance is a use of."""
        return self.plan.tasks[task_id(instance)]

    def part(self, instance: str) -> Part:
        """The task of an instance, ready to be executed.

        Raises:
            CatalogError: its node is not installed here, or in another version than the plan pins.
        """
        name = task_id(instance)
        part = self._parts.get(name)
        if part is None:
            task = self.plan.tasks[name]
            manifest = pinned(self._catalog or Catalog([]), task.node)
            executable = Executable(self.plan, task, manifest)
            part = self._parts[name] = Part(executable, instance_key(task, manifest), self._groups.get(name, ""))
        return part

    def capable(self, instance: str) -> Part | None:
        """As :meth:`part`; ``None`` if this process cannot execute it."""
        try:
            return self.part(instance)
        except CatalogError:
            return None

    def groups(self, effects: Effects) -> Mapping[str, str]:
        """The groups of the tasks that may become ready by ``effects``, by path."""
        if not self._groups:
            return {}
        return {path: group for path in opened(effects) if (group := self._groups.get(task_id(path)))}


def opened(effects: Effects) -> Iterator[str]:
    """The paths that may become ready by ``effects``."""
    for entry in effects.ready:
        yield entry.path
    for change in effects.changes:
        if change.delta < 0 and change.key.startswith(_READY):
            yield change.key[len(_READY) :]


def group_of(task: PlanTask) -> str:
    """Tasks of this name may share a batch: same node, same major version, same parameters, same queue."""
    params = json.dumps([dict(task.params), task.node.digest, task.queue], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(params.encode()).hexdigest()[:16]
    return f"{task.node.id}@{task.node.major}:{digest}"


class PlanLibrary:
    """The plans that a process has met.

    Args:
        store: where plans are kept.
        catalog: where their nodes come from; ``None`` for a process that executes none.
    """

    def __init__(self, store: RedisStore, catalog: Catalog | None = None) -> None:
        self._store = store
        self._catalog = catalog
        self._plans: OrderedDict[str, LoadedPlan] = OrderedDict()
        self._lock = Lock()

    def get(self, digest: str) -> LoadedPlan | None:
        """The plan of that digest; ``None`` if it is not kept any more."""
        with self._lock:
            loaded = self._plans.get(digest)
            if loaded is not None:
                self._plans.move_to_end(digest)
                return loaded
        texts = self._store.kept_plan(digest)
        if texts is None:
            return None
        return self._keep(digest, LoadedPlan(Plan.from_json(json.loads(texts["plan"])), self._catalog))

    def _keep(self, digest: str, loaded: LoadedPlan) -> LoadedPlan:
        with self._lock:
            loaded = self._plans.setdefault(digest, loaded)
            while len(self._plans) > _KEPT:
                self._plans.popitem(last=False)
            return loaded


class Task(NamedTuple):
    """One task of one run, that a process knows of."""

    run_id: str
    loaded: LoadedPlan
    instance: str
