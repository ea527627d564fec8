"""A plan as a tree of what a drawing shows: scopes hold tasks, tasks hold the scopes that they may open.

A sub-chain that several conditions use stands once in the plan and once for each use here, because each use has its
own story.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tyqi_core.results.layout import without_detours
from tyqi_core.results.tally import Tally
from tyqi_core.workflow.plan import ON_ERROR, Plan, PlanTask

MAX_TASKS = 1500
"""Shared sub-chains in shared sub-chains multiply; a drawing with more boxes than this shows nothing to anybody."""

MAX_DEPTH = 40
"""Scopes in scopes; deeper ones are named, not drawn."""


@dataclass(frozen=True, slots=True)
class Part:
    """One scope that a task may open, or the branch that opens nothing.

    Attributes:
        kind: ``branch``, ``error`` (taken when the task fails), ``each`` (run once an item), ``null``.
        label: the outcome, or the expression that leads here, or what is looped over.
        scope: what is inside; ``None`` for a null branch, and where the drawing stops.
        head: id of the sub-chain's head, ``""`` for a null branch.
        taken: how often this way was gone; ``None`` without a story.
    """

    kind: Literal["branch", "error", "each", "null"]
    label: str
    scope: Scope | None
    head: str
    taken: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """A task in one use of its scope, and what it may open.

    Attributes:
        path: its instance without item numbers.
        followers: tasks of the scope that wait for its end; those that wait for another follower anyway left out.
        beside: tasks of the scope that only read its outputs; likewise.
        tally: what became of it; ``None`` without a story.
    """

    path: str
    task: PlanTask
    parts: tuple[Part, ...]
    followers: tuple[str, ...]
    beside: tuple[str, ...]
    tally: Tally | None

    @property
    def decides(self) -> bool:
        """Whether it chooses between branches; failing is no choice."""
        return any(outcome != ON_ERROR for outcome in self.task.branches)


@dataclass(frozen=True, slots=True)
class Scope:
    """The root workflow, or one use of a sub-chain; its tasks in the order of the file."""

    places: tuple[Place, ...]


def scene(plan: Plan, tallies: Mapping[str, Tally] | None) -> Scope:
    """The whole plan from its root scope on; ``tallies`` is ``None`` where there is no story to tell."""
    return _Builder(plan, tallies).scope("", "", 0)


Lines = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


def _telling_lines(members: list[PlanTask]) -> Lines:
    """Task -> its followers and those beside it, without the lines that other lines imply."""
    start = {task.id: 2 * number for number, task in enumerate(members)}
    end = {name: number + 1 for name, number in start.items()}
    edges = [(start[task.id], end[task.id]) for task in members]
    edges += [(end[task.id], start[name]) for task in members for name in task.successors]
    edges += [(start[task.id], start[name]) for task in members for name in task.beside]
    kept = set(without_detours(2 * len(members), edges))
    return {
        task.id: (
            tuple(name for name in task.successors if (end[task.id], start[name]) in kept),
            tuple(name for name in task.beside if (start[task.id], start[name]) in kept),
        )
        for task in members
    }


class _Builder:
    def __init__(self, plan: Plan, tallies: Mapping[str, Tally] | None) -> None:
        self._tallies = tallies
        self._left = MAX_TASKS
        self._members: dict[str, list[PlanTask]] = {}
        for task in plan.tasks.values():
            self._members.setdefault(task.scope, []).append(task)

    def scope(self, name: str, user: str, depth: int) -> Scope:
        members = self._members.get(name, [])
        self._left -= len(members)
        lines = _telling_lines(members)
        return Scope(tuple(self._place(task, user, depth, lines) for task in members))

    def _place(self, task: PlanTask, user: str, depth: int, lines: Lines) -> Place:
        path = f"{user}/{task.id}" if user else task.id
        followers, beside = lines[task.id]
        return Place(path, task, tuple(self._parts(task, path, depth)), followers, beside, self._tally(path))

    def _tally(self, path: str) -> Tally | None:
        return None if self._tallies is None else self._tallies.get(path, Tally())

    def _parts(self, task: PlanTask, path: str, depth: int) -> Iterator[Part]:
        if set(task.branches) == {ON_ERROR} and task.foreach is None:
            tally = self._tally(path)
            yield Part("null", "no error", None, "", None if tally is None else tally.statuses["completed"])
        expressions = {rule.outcome: rule.expression or "otherwise" for rule in task.rules}
        for outcome, head in task.branches.items():
            if outcome == ON_ERROR:
                yield self._opened("error", "on error", head or "", path, depth)
            elif head is None:
                tally = self._tally(path)
                taken = None if tally is None else tally.outcomes[outcome]
                yield Part("null", expressions.get(outcome, outcome), None, "", taken)
            else:
                yield self._opened("branch", expressions.get(outcome, outcome), head, path, depth, outcome)
        if task.foreach is not None:
            label = f"each {task.foreach.alias} of {task.foreach.over}"
            yield self._opened("each", label, task.foreach.body, path, depth)

    def _opened(
        self, kind: Literal["branch", "error", "each"], label: str, head: str, path: str, depth: int, outcome: str = ""
    ) -> Part:
        user, tally = self._tally(path), self._tally(f"{path}/{head}")
        fits = depth < MAX_DEPTH and self._left >= len(self._members.get(head, ()))
        scope = self.scope(head, path, depth + 1) if fits else None
        # A run that stopped may have chosen a branch whose head never started.
        taken = None if tally is None or user is None else max(tally.total, user.outcomes[outcome])
        return Part(kind, label, scope, head, taken)
