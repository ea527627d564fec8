"""Tasks that a thread executes one after the other before it settles them all in one call: pure, no clock, no network.

A short task whose predecessors have all just been executed here, and whose inputs are all known here, need not be
claimed: nobody else can know of it before this thread settles what led to it. So the thread goes on with it at once,
under the claim of the segment's first task, its *head*. The settlement of the head carries the others: the store is
told that they became ready, started and were settled, and what that leads to outside the segment. A crash repeats the
segment, which is why only idempotent nodes join one.

When a task is surely ready
---------------------------
A counter of the scheduler stands for obligations of a task's predecessors, and of what they open. If all predecessors
were executed in this segment, nobody outside has seen any of these obligations, so the counter's start value and the
changes made here are all there is; at zero the task is ready. In all other cases the store decides.

By the same reasoning a value all of whose readers were executed here need not be written at all.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from tyqi_core.runtime.endings import Ending
from tyqi_core.scheduler import Change, Effects, Export, Place, Ready, task_id
from tyqi_core.stores.base import ABSENT, Inner, Settlement, Wanted
from tyqi_core.workflow.plan import Plan

_READY: Final = "ready:"
_FREE: Final = "free:"


class Segment:
    """What was executed since the head was claimed.

    Args:
        plan: the run's.
        head: what settles the head, by itself.
        ending: how the head ended.
        values: what was fetched with the head's claim: place -> value.
    """

    def __init__(self, plan: Plan, head: Settlement, ending: Ending, values: Iterable[tuple[Place, Any]]) -> None:
        self._plan = plan
        self._head = head
        self._known = {place: value for place, value in values if value is not ABSENT}
        self._inner: list[Inner] = []
        self._open: deque[str] = deque()
        self._unopened: dict[str, Ready] = {}
        self._changes: dict[str, Change] = {}
        self._groups = dict(head.groups)
        self._preceded: Counter[str] = Counter()
        self._read: Counter[str] = Counter()
        self._held = {head.instance}
        self._add(head.instance, ending, head.effects)

    def __len__(self) -> int:
        """How many tasks follow the head."""
        return len(self._inner)

    @property
    def ready(self) -> Sequence[str]:
        """The tasks that are surely ready and were not executed."""
        return self._open

    def values(self, wanted: Sequence[Wanted]) -> list[Any] | None:
        """The values of a task's inputs; ``None`` if one of them is not known here."""
        found = []
        for want in wanted:
            if want.place not in self._known:
                return None
            found.append(self._known[want.place])
        return found

    def add(self, settlement: Settlement, ending: Ending) -> None:
        """A ready task was executed; ``settlement`` is what would settle it by itself."""
        instance = settlement.instance
        self._open.remove(instance)
        self._unopened.pop(instance, None)
        self._changes.pop(_READY + instance, None)
        self._held.add(instance)
        self._groups |= settlement.groups
        kind, data, slots, outputs = settlement.kind, settlement.data, settlement.slots, settlement.outputs
        self._inner.append(Inner(instance, kind, data, slots, outputs, settlement.effects.exports))
        self._add(instance, ending, settlement.effects)

    def settlement(self) -> Settlement:
        """What settles all of it in one call."""
        if not self._inner:
            return self._head
        head = self._head
        gone = self._freed()
        changes = tuple(change for key, change in self._changes.items() if change.delta and key not in gone)
        freed = {key[len(_FREE) :] for key in gone}
        effects = Effects(changes, tuple(self._unopened.values()), _kept(head.effects.exports, freed))
        return Settlement(
            head.run_id,
            head.instance,
            head.token,
            head.kind,
            None if head.instance in freed else head.slots,
            head.outputs,
            effects,
            head.data,
            {path: group for path, group in self._groups.items() if path not in self._held},
            head.node,
            head.counts,
            tuple(_trimmed(inner, freed) for inner in self._inner),
        )

    def _add(self, instance: str, ending: Ending, effects: Effects) -> None:
        task = self._plan.tasks[task_id(instance)]
        prefix = instance[: len(instance) - len(task.id)]
        for successor in (*task.successors, *task.beside):
            self._preceded[prefix + successor] += 1
        for holder in task.frees:
            self._read[prefix + holder] += 1
        for name, value in ending.outputs.items():
            self._known[Place(instance, name)] = value
        for export in effects.exports:
            if export.port is not None and not export.at and export.port in ending.outputs:
                self._known[Place(export.instance, export.slot)] = ending.outputs[export.port]
        for entry in effects.ready:
            self._unopened[entry.path] = entry
            if entry.items is None:
                self._open.append(entry.path)
        for change in effects.changes:
            self._change(change)

    def _change(self, change: Change) -> None:
        before = self._changes.get(change.key)
        delta = change.delta + (before.delta if before else 0)
        self._changes[change.key] = Change(change.key, change.start, delta)
        if change.key.startswith(_READY) and change.start + delta == 0:
            path = change.key[len(_READY) :]
            if self._preceded[path] == self._plan.tasks[task_id(path)].waits:
                self._open.append(path)

    def _freed(self) -> frozenset[str]:
        """The counters of values that were written and read within the segment alone."""
        return frozenset(
            key
            for key, change in self._changes.items()
            if key.startswith(_FREE) and change.start + change.delta == 0 and self._is_private(key[len(_FREE) :])
        )

    def _is_private(self, holder: str) -> bool:
        task = self._plan.tasks[task_id(holder)]
        return holder in self._held and not task.kept and self._read[holder] == task.readers


def _kept(exports: Sequence[Export], freed: set[str]) -> tuple[Export, ...]:
    return tuple(export for export in exports if export.instance not in freed)


def _trimmed(inner: Inner, freed: set[str]) -> Inner:
    """Without the values that nobody will read any more."""
    slots = None if inner.instance in freed else inner.slots
    return replace(inner, slots=slots, exports=_kept(inner.exports, freed))
