"""Which scope each task belongs to, found by looking back along the arrows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tyqi_core.workflow.drafts import Draft
from tyqi_core.workflow.edges import Written
from tyqi_core.workflow.model import Report, Use
from tyqi_core.workflow.ordering import Ordering
from tyqi_core.workflow.scopes import ROOT, Scopes


class Placing:
    """Places the tasks of one project, in an order along all arrows.

    A head opens a scope of its own. Any other task is where its written predecessors are or, if none are written,
    in the innermost of the scopes that it reads from; without either, in the main workflow.
    """

    def __init__(
        self,
        drafts: Mapping[str, Draft],
        written: Written,
        data: Iterable[tuple[str, str]],
        ordering: Ordering,
        report: Report,
    ) -> None:
        self.drafts = drafts
        self.written = written
        self.report = report
        self.scopes = Scopes()
        self.scope: dict[str, str] = {}
        self.doubtful: set[str] = set()
        self.uses = _uses(drafts)
        self._uses_unknown = any(
            draft.model.broken & {"branches", "foreach", "on_error"}
            or any(use.head not in drafts for use in draft.model.uses)
            for draft in drafts.values()
        )
        self._knot_of = {task: knot for knot in ordering.knots for task in knot}
        self._before_written = _backward(written)
        self._before_data = _backward(data)
        for task in ordering.order:
            self._place(self.drafts[task])

    def _place(self, draft: Draft) -> None:
        name = draft.id
        before = [task for task in self._before_written.get(name, ()) if task in self.scope]
        if name in self.uses:
            self._head(draft, before)
            return
        before = before or [task for task in self._before_data.get(name, ()) if task in self.scope]
        if any(task in self.doubtful for task in before):
            self.doubtful.add(name)
        scope = self._innermost(name, before)
        if scope == ROOT and draft.model.subchain and name not in self.doubtful:
            self._unreachable(draft)
            self.scopes.add(name, ())
            scope = name
        self.scope[name] = scope

    def _head(self, draft: Draft, before: Sequence[str]) -> None:
        name = draft.id
        uses = self.uses[name]
        user = uses[0].user
        self.scopes.add(name, [self.scope[use.user] for use in uses if use.user in self.scope])
        self.scope[name] = name
        if not draft.model.subchain and "subchain" not in draft.model.broken:
            message = f"{name} is the head of a sub-chain of {user}, but is not marked as one."
            self.report.add("UNMARKED_HEAD", message, "tasks", name, remedy=f"Write subchain: true in {name}.")
        for other in before:
            if self._knot_of.get(other) is None or self._knot_of[other] is not self._knot_of.get(name):
                self.report.add(
                    "EDGE_INTO_SUBCHAIN",
                    f"{name} is the head of a sub-chain; it starts when {user} opens it and waits for nothing else.",
                    *self.written[other, name],
                    value=True,
                    remedy="Remove the edge; the branch is the connection."
                    if other == user
                    else f"Remove the edge from {other}, or let {user} wait for {other}.",
                )

    def _unreachable(self, draft: Draft) -> None:
        if self._uses_unknown:
            return
        self.report.add(
            "UNREACHABLE_SUBCHAIN",
            f"no branch, foreach or on_error leads to the sub-chain of {draft.id}; it would never run.",
            "tasks",
            draft.id,
            remedy=f"Name {draft.id} in a branch, or remove 'subchain' if it belongs to the main workflow.",
        )

    def _innermost(self, name: str, before: Sequence[str]) -> str:
        """The innermost scope of the tasks ``before``; notes it if they do not lie within each other."""
        innermost, witness = ROOT, ""
        for task in before:
            scope = self.scope[task]
            if self.scopes.encloses(innermost, scope):
                innermost, witness = scope, task
            elif not self.scopes.encloses(scope, innermost) and name not in self.doubtful:
                self._torn(name, witness, task)
        if name not in self.doubtful and self._before_written.get(name):
            self._crossing(name, before, innermost, witness)
        return innermost

    def _torn(self, name: str, one: str, other: str) -> None:
        """``name`` hangs on two tasks in sub-chains of which neither lies within the other."""
        self.doubtful.add(name)
        around, left, right = self.scopes.apart(self.scope[one], self.scope[other])
        chooser = self._chooser(left, right)
        if chooser:
            self.report.add(
                "EXCLUSIVE_JOIN",
                f"{name} needs both {one} and {other}, but {chooser} runs the sub-chain of either {left} or {right}.",
                "tasks",
                name,
                remedy=f"Write predecessor: [{chooser}], which waits for the one chosen; read {chooser}.branch.PORT.",
            )
            return
        user = next((use.user for use in self.uses.get(right, ()) if self.scope.get(use.user) == around), "its user")
        self.report.add(
            "SUBCHAIN_OVERLAP",
            f"{name} would belong to two sub-chains, that of {left} (after {one}) and that of {right} (after {other}).",
            "tasks",
            name,
            remedy=f"Sub-chains share no tasks; wait for the tasks that open them, such as {user}.",
        )

    def _chooser(self, left: str, right: str) -> str | None:
        """A task that chooses between the sub-chains of two heads."""
        users = {use.user for use in self.uses.get(left, ()) if not use.per_item}
        return next((use.user for use in self.uses.get(right, ()) if not use.per_item and use.user in users), None)

    def _crossing(self, name: str, before: Sequence[str], innermost: str, witness: str) -> None:
        for task in before:
            if self.scope[task] == innermost or (task, name) not in self.written:
                continue
            self.doubtful.add(name)
            self.report.add(
                "EDGE_ACROSS_SCOPES",
                f"{name} waits for {witness} inside the sub-chain of {innermost} and for {task} outside it.",
                *self.written[task, name],
                value=True,
                remedy=f"After the branch, wait for the task that opens it only (its successors wait for all of it); "
                f"within it, let that task wait for {task}.",
            )


def _uses(drafts: Mapping[str, Draft]) -> dict[str, list[Use]]:
    uses: dict[str, list[Use]] = {}
    for draft in drafts.values():
        for use in draft.model.uses:
            if use.head in drafts:
                uses.setdefault(use.head, []).append(use)
    return uses


def _backward(edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    before: dict[str, list[str]] = {}
    for first, then in edges:
        befores = before.setdefault(then, [])
        if first not in befores[-8:]:
            befores.append(first)
    return before
