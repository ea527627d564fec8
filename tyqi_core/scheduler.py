"""What a result does to a run: pure, no clock, no network, no state of the run.

The laws
--------
1.  A task becomes *ready* once every predecessor in its own scope has *ended*, and every task of its own scope whose
    outputs it merely reads is *settled*.
2.  A plain task ends when it is settled. A task that opens a scope (a chosen sub-chain, a body per foreach item) ends
    when every tail of that scope, in every item, has ended. A null branch or an empty list opens nothing: the task ends
    at once. Tasks of scopes that were not chosen never come into being.
3.  A task is settled exactly once: completed, skipped or failed for good.
4.  A ready task one of whose *required* inputs is absent is settled as skipped without being executed. An absent
    optional input takes its default. A slot is absent when its holder was skipped, failed into an error branch, or
    chose a branch that does not offer it.
5.  A skipped task holds no slot, opens no scope and ends at once.
6.  A final failure does what ``on_error`` says: ``skip`` settles the task as skipped, ``branch`` opens the error
    branch (the task's own slots stay absent), ``fail`` stops the run: tasks that are executing finish, ready tasks
    are held back for a resume, nothing new starts.
7.  The slots of a task are freed once every task of its scope that reads them, itself or from a scope that it opened,
    has ended.
8.  The run completes when every tail of the root scope has ended.

How the laws become numbers
---------------------------
Each law counts something down, so a settlement is a list of *counter changes* ``(key, start, delta)``. A store creates
a missing counter with its start value, adds the delta, and at zero fires the counter and forgets it:

=====================  ===================================  ======================
key                    start                                firing means
=====================  ===================================  ======================
``ready:<instance>``   tasks that the instance waits for    the task is ready
``free:<instance>``    tasks that read its slots            its slots can be freed
``end``                tails of the root scope              the run is complete
=====================  ===================================  ======================

A task that is settled changes the counters of those who only read it by -1; one that ends changes all others that it
feeds by -1. A task that opens a scope with ``n`` tails changes them by
``n - 1`` instead: from now on the tails speak for it, and each tail, when it ends, counts down what its user feeds.
So no counter stands for "the branch has ended", no join guesses which parent was skipped, and the effect of a result
depends on the plan, the instance's path and the result alone.

Source of the counting scheme: reference counting of open obligations (token counting) as used for distributed
termination detection; E. W. Dijkstra, C. S. Scholten, "Termination detection for diffusing computations", 1980.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tyqi_core.errors import InternalError, NodeError
from tyqi_core.workflow.plan import ON_ERROR, Offer, Plan, PlanTask, Source

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """How one task was settled.

    Attributes:
        kind: ``failed`` is a final failure that takes the error branch; one that fails the run settles nothing.
        outcome: what a condition task decided.
        count: how many items a foreach task has.
    """

    kind: Literal["completed", "skipped", "failed"]
    outcome: str | None = None
    count: int | None = None


class Change(NamedTuple):
    """Add ``delta`` to counter ``key``, which starts at ``start``; at zero it fires."""

    key: str
    start: int
    delta: int


class Ready(NamedTuple):
    """A task that becomes ready now. With ``items``, one instance per item: its path holds ``[*]`` for the index."""

    path: str
    items: int | None = None

    def instances(self) -> Iterator[str]:
        """The paths of the instances that this entry stands for."""
        if self.items is None:
            yield self.path
        else:
            before, after = self.path.split("[*]")
            for index in range(self.items):
                yield f"{before}[{index}]{after}"


class Export(NamedTuple):
    """Put a value into ``slot`` of ``instance``, at position ``at`` of its (nested) list; ``()`` is the slot itself.

    ``port`` names the output of the settled task to put there; with ``port`` None an empty list of ``length`` is put
    there, to be filled by the items.
    """

    instance: str
    slot: str
    at: Index
    port: str | None
    length: int = 0


@dataclass(frozen=True, slots=True)
class Effects:
    """All that settling one task does to its run."""

    changes: tuple[Change, ...] = ()
    ready: tuple[Ready, ...] = ()
    exports: tuple[Export, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed attempt leads to; ``delay`` is in seconds and belongs to ``retry``."""

    action: Literal["retry", "skip", "branch", "fail"]
    delay: float = 0.0


MAX_BACKOFF = 300.0
"""Seconds; a doubling delay stops growing here."""

_EACH = "each."

ERROR_SLOT = "$error"
"""The slot of a task that failed into its error branch; it holds the error as a JSON object."""


def task_id(instance: str) -> str:
    """The task that an instance is one use of: ``T4[3]/T5`` -> ``T5``."""
    return instance[instance.rfind("/") + 1 :]


def user_of(instance: str) -> tuple[str, int | None] | None:
    """The instance that opened the scope, and the item: ``T4[3]/T5`` -> (``T4``, 3); ``None`` in the root scope."""
    cut = instance.rfind("/")
    if cut < 0:
        return None
    path = instance[:cut]
    if path[-1] != "]":
        return path, None
    bracket = path.rfind("[")
    return path[:bracket], int(path[bracket + 1 : -1])


class Place(NamedTuple):
    """Where a value is held: in ``slot`` of ``instance``, at position ``at`` of its list; ``()`` is all of it."""

    instance: str
    slot: str
    at: Index = ()


def locate(plan: Plan, instance: str, source: Source) -> Place:
    """The place that a source means for this instance; ``const`` sources have none.

    Run inputs are slots of the instance ``""``; the place of an ``error`` source is the slot :data:`ERROR_SLOT` of the
    task that failed.

    Raises:
        InternalError: no enclosing scope holds it; the compiler never makes such a source.
    """
    if source.kind == "input":
        return Place("", source.name)
    scope = plan.tasks[task_id(instance)].scope
    if source.kind == "slot":
        holder_scope = plan.tasks[source.task].scope
        while scope != holder_scope:
            instance, _, scope = _outward(plan, instance, source)
        return Place(instance[: instance.rfind("/") + 1] + source.task, source.name)
    while True:
        head = scope
        instance, item, scope = _outward(plan, instance, source)
        user = plan.tasks[task_id(instance)]
        if source.kind == "error" and head == source.task:
            return Place(instance, ERROR_SLOT)
        if source.kind == "item" and item is not None and user.foreach and user.foreach.alias == source.name:
            return Place(instance, user.foreach.over, (item,))


def _outward(plan: Plan, instance: str, source: Source) -> tuple[str, int | None, str]:
    user = user_of(instance)
    if user is None:
        raise InternalError(f"no scope around {instance} holds {source}")
    return *user, plan.tasks[task_id(user[0])].scope


def start(plan: Plan) -> Effects:
    """What accepting a run does: the roots become ready."""
    return Effects(ready=tuple(Ready(task) for task in plan.roots))


def effects(plan: Plan, instance: str, result: Result) -> Effects:
    """What settling ``instance`` with ``result`` does to its run.

    Raises:
        InternalError: the outcome or the item count does not belong to the task.
    """
    task = plan.tasks[task_id(instance)]
    head, width = _opened(task, result)
    exports = tuple(_exports(plan, task, instance, result)) if result.kind == "completed" else ()
    delta = -1 if head is None else width * len(plan.tails[head]) - 1
    changes = (*_beside(plan, task, instance), *(_fed(plan, task, instance, delta) if delta else ()))
    if head is None:
        return Effects(changes, (), exports)
    opened = Ready(f"{instance}[*]/{head}", result.count) if result.count else Ready(f"{instance}/{head}")
    return Effects(changes, (opened,), exports)


def after_failure(task: PlanTask, tries: int, error: NodeError) -> Verdict:
    """What follows the failure of attempt number ``tries`` (1 is the first)."""
    if error.retryable and tries <= task.retries:
        return Verdict("retry", min(MAX_BACKOFF, task.backoff * 2 ** (tries - 1)))
    return Verdict(task.on_error)


def _opened(task: PlanTask, result: Result) -> tuple[str | None, int]:
    """The head of the scope that this result opens, and how many times it is opened."""
    if result.kind == "skipped":
        return None, 0
    if result.kind == "failed":
        return task.branches[ON_ERROR], 1
    if task.foreach is not None:
        if result.count is None:
            raise InternalError(f"foreach task {task.id} was settled without its number of items")
        return (task.foreach.body if result.count else None), result.count
    if result.outcome is None:
        return None, 0
    if result.outcome not in task.branches:
        raise InternalError(f"task {task.id} has no branch for outcome {result.outcome!r}")
    return task.branches[result.outcome], 1


def _beside(plan: Plan, task: PlanTask, instance: str) -> Iterator[Change]:
    """The counters of tasks that wait for this one's outputs only, whatever scope it opens."""
    prefix = instance[: len(instance) - len(task.id)]
    for reader in task.beside:
        yield Change(f"ready:{prefix}{reader}", plan.tasks[reader].waits, -1)


def _fed(plan: Plan, task: PlanTask, instance: str, delta: int) -> Iterator[Change]:
    """The counters that the end of ``instance`` counts down: in its own scope and, from a tail, in its users'."""
    while True:
        prefix = instance[: len(instance) - len(task.id)]
        for successor in task.successors:
            yield Change(f"ready:{prefix}{successor}", plan.tasks[successor].waits, delta)
        for holder in task.frees:
            yield Change(f"free:{prefix}{holder}", plan.tasks[holder].readers, delta)
        if not task.tail:
            return
        user = user_of(instance)
        if user is None:
            yield Change("end", len(plan.tails[""]), delta)
            return
        instance = user[0]
        task = plan.tasks[task_id(instance)]


def _exports(plan: Plan, task: PlanTask, instance: str, result: Result) -> Iterator[Export]:
    """What a completed task puts into slots other than its own outputs: lists to be filled, and offers outward."""
    if task.foreach is not None:
        for offer in task.offers.get(task.foreach.body, ()):
            if not offer.slot.startswith(_EACH):
                continue
            if task.readers or task.kept:
                yield Export(instance, offer.slot, (), None, result.count or 0)
            for place in _climb(plan, task, instance, offer.slot, ()):
                yield Export(*place, None, result.count or 0)
    for offer in _offers(plan, task, instance):
        if "." not in offer.source_slot:
            for place in _handed(plan, instance, offer, ()):
                yield Export(*place, offer.source_slot)


def _offers(plan: Plan, task: PlanTask, instance: str) -> Iterator[Offer]:
    """What ``instance`` hands to its user.

    One sub-chain may be a task's body and its error branch; only an item fills ``each`` slots, only a branch others.
    """
    user = user_of(instance)
    if user is not None:
        for offer in plan.tasks[task_id(user[0])].offers.get(task.scope, ()):
            if offer.task == task.id and offer.slot.startswith(_EACH) == (user[1] is not None):
                yield offer


def _climb(plan: Plan, task: PlanTask, instance: str, slot: str, index: Index) -> Iterator[Place]:
    """The places further out to which a value put into ``slot`` of ``instance`` is handed on."""
    for offer in _offers(plan, task, instance):
        if offer.source_slot == slot:
            yield from _handed(plan, instance, offer, index)


def _handed(plan: Plan, instance: str, offer: Offer, index: Index) -> Iterator[Place]:
    """The user's slot that an offer fills, if anyone reads it, and the places further out that follow from it."""
    outer, item = user_of(instance) or ("", None)
    user = plan.tasks[task_id(outer)]
    index = index if item is None else (item, *index)
    if user.readers or user.kept:
        yield Place(outer, offer.slot, index)
    yield from _climb(plan, user, outer, offer.slot, index)
