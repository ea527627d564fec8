"""The graph of a project: who waits for whom, which task belongs to which sub-chain, who reads whose data.

Three kinds of arrow lead from task to task: *written* ones (``predecessor``, ``successor``), *data* ones (a reference
implies the edge) and *uses* (a branch, a body, an error branch). In an order along all of them each task finds its
scope (``placing.py``). Then every reference is judged by where its two ends are.

A reference outward, from a sub-chain to a task around it, is *lifted*: in the outer scope, the task through which it
passes, the sub-chain's user, waits for what is read. So what a task may read is there when it runs, and no path of
outcomes has to be looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from tyqi_core.workflow.drafts import Draft
from tyqi_core.workflow.edges import Written, data_edges, forget, order_all, place_of, report_cycle, written_edges
from tyqi_core.workflow.model import Report, Use
from tyqi_core.workflow.ordering import ordered
from tyqi_core.workflow.placing import Placing
from tyqi_core.workflow.plan import ON_ERROR
from tyqi_core.workflow.references import Reference
from tyqi_core.workflow.scopes import ROOT, Scopes
from tyqi_core.workflow.shape import Path


class Read(NamedTuple):
    """One reading: by which task, at which place in it (a port, or ``when:...``), and of what."""

    task: str
    place: str
    reference: Reference


Reads = Mapping[str, Iterable[Read]]


@dataclass(slots=True)
class Structure:
    """The graph of a project.

    Attributes:
        scopes: the tree of scopes.
        scope: task -> its scope.
        members: scope -> its tasks, each after all that it waits for.
        uses: head -> its uses.
        opens: task -> the heads that it uses, each once.
        before: task -> the tasks of its scope that it waits for.
        after: the same arrows the other way.
        follows: those of ``after`` that wait for the task's end, and so for what it opens. The others only read its
            outputs and run beside what it opens; of a task that opens nothing, all follow.
        direct: task -> the tasks of its scope that it names as predecessors or reads from.
        doubtful: tasks whose place is unclear, which was noted; nothing is concluded from them.
        inner_first: all scopes but the main workflow, each before those that enclose its uses.
    """

    scopes: Scopes
    scope: dict[str, str]
    members: dict[str, list[str]]
    uses: dict[str, list[Use]]
    opens: dict[str, tuple[str, ...]]
    before: dict[str, set[str]]
    after: dict[str, set[str]]
    follows: dict[str, set[str]]
    direct: dict[str, list[str]]
    doubtful: set[str]
    inner_first: list[str]


def structure_of(drafts: Mapping[str, Draft], report: Report) -> Structure:
    """The graph of a project whose names are known; notes what is wrong with it and goes on where it can."""
    written = written_edges(drafts, report)
    data = list(data_edges(drafts, report))
    ordering = order_all(drafts, written, data, report)
    placing = Placing(drafts, written, data, ordering, report)
    structure = Structure(
        scopes=placing.scopes,
        scope=placing.scope,
        members={},
        uses=placing.uses,
        opens={
            name: tuple(dict.fromkeys(use.head for use in draft.model.uses if use.head in placing.uses))
            for name, draft in drafts.items()
        },
        before={name: set() for name in drafts},
        after={name: set() for name in drafts},
        follows={name: set() for name in drafts},
        direct={name: [] for name in drafts},
        doubtful=placing.doubtful,
        inner_first=[head for head in reversed(ordering.order) if placing.scope[head] == head],
    )
    for name in ordering.order:
        structure.members.setdefault(placing.scope[name], []).append(name)
    structure.doubtful.update(*ordering.knots)
    _judge(drafts, structure, report)
    _connect(drafts, structure, written, {task: knot for knot in ordering.knots for task in knot})
    _lift(drafts, structure, report)
    return structure


def _connect(
    drafts: Mapping[str, Draft], structure: Structure, written: Written, knots: Mapping[str, frozenset[str]]
) -> None:
    """The arrows within each scope; those within a knot, which was noted, are left out."""
    reads = [read for reads in explicit_reads(drafts).values() for read in reads if read.reference.kind == "slot"]
    edges = [(first, then, True) for first, then in written]
    edges += [(read.reference.task, read.task, bool(read.reference.view)) for read in reads]
    for first, then, waits_for_end in edges:
        if structure.scope[first] == structure.scope[then] and not (first in knots and knots[first] is knots.get(then)):
            _arrow(structure, first, then, waits_for_end=waits_for_end)
            structure.direct[then].append(first)


def _arrow(structure: Structure, first: str, then: str, *, waits_for_end: bool) -> None:
    structure.before[then].add(first)
    structure.after[first].add(then)
    if waits_for_end or not structure.opens[first]:
        structure.follows[first].add(then)


def explicit_reads(drafts: Mapping[str, Draft]) -> Reads:
    """What each task's file entry says that it reads."""
    return {name: [Read(name, place, what) for place, what in draft.reads()] for name, draft in drafts.items()}


def outward(structure: Structure, drafts: Mapping[str, Draft], reads: Reads) -> Iterator[tuple[str, Read]]:
    """Every reading of data, with the task that answers for it in the scope where the data is held.

    That is the reader itself or, for a reading from within sub-chains, each user through which it passes; of an item or
    an error, the user that holds it. Readings of run inputs are left out.
    """
    passing: dict[str, dict[Reference, Read]] = {}
    for scope in [*structure.inner_first, ROOT]:
        further: dict[Reference, Read] = {}
        for task in structure.members.get(scope, ()):
            for read in reads.get(task, ()):
                if read.reference.kind == "slot" and structure.scope[read.reference.task] == scope:
                    yield task, read
                elif read.reference.kind != "input":
                    further.setdefault(read.reference, read)
            for head in structure.opens[task]:
                for reference, read in passing.get(head, {}).items():
                    if _held(structure, drafts[task], scope, head, reference):
                        yield task, read
                    else:
                        further.setdefault(reference, read)
        passing[scope] = further


def _held(structure: Structure, user: Draft, scope: str, head: str, reference: Reference) -> bool:
    """Whether what is read from within the sub-chain of ``head`` is held in the scope of its user."""
    if reference.kind == "slot":
        return structure.scope[reference.task] == scope
    if reference.kind == "error":
        return head == reference.task
    foreach = user.model.foreach
    return foreach is not None and foreach.body == head and foreach.alias == reference.name


# ---- judging references by where their ends are


def _judge(drafts: Mapping[str, Draft], structure: Structure, report: Report) -> None:
    for name, draft in drafts.items():
        for place, reference in list(draft.reads()):
            if reference.kind == "error":
                _error_reference(draft, place, structure, report)
            elif reference.kind == "slot":
                fault = fault_of(structure, drafts, name, reference)
                if fault is not None:
                    code, message, remedy = fault
                    report.add(code, message, *place_of(draft, place), value=True, remedy=remedy)
                if fault is not None or {name, reference.task} & structure.doubtful:
                    forget(draft, place)
        for collected in list(draft.collects):
            _collected(draft, collected, structure, drafts, report)


def fault_of(
    structure: Structure, drafts: Mapping[str, Draft], reader: str, reference: Reference
) -> tuple[str, str, str] | None:
    """Why ``reader`` (a task, or empty for the run's outputs) cannot read a slot: code, message and remedy."""
    holder = reference.task
    if {reader, holder} & structure.doubtful:
        return None
    here = structure.scope[reader] if reader else ROOT
    there = structure.scope[holder]
    if structure.scopes.encloses(there, here):
        return None
    who = reader or "the run's output"
    if here != ROOT and leads_out(structure, here, there):
        message = f"{who} reads {reference}, but the sub-chain of {here} is also used where {holder} is not there."
        return (
            "NOT_ON_EVERY_PATH",
            message,
            "Read what is there on every path, or give each use a sub-chain of its own.",
        )
    around, inside, _ = structure.scopes.apart(there, here)
    user = next((use for use in structure.uses.get(inside, ()) if structure.scope[use.user] == around), None)
    message = f"{who} reads {reference}, but {holder} is inside the sub-chain of {inside}."
    if user is None:
        return "REFERENCE_INTO_SUBCHAIN", message, "Read what is handed outward: TASK.branch.PORT or TASK.each.NAME."
    if reader == user.user:
        message = f"{reader} reads {reference}, but {holder} runs only after {reader} itself."
        return "REFERENCE_INTO_SUBCHAIN", message, "A task cannot read what its own branch or body puts out."
    handed = _handed(drafts[user.user], user, reference)
    return "REFERENCE_INTO_SUBCHAIN", message, f"Read {handed}, which is handed outward."


def _handed(user: Draft, use: Use, reference: Reference) -> str:
    if not use.per_item:
        return f"{user.id}.branch.{reference.port}"
    name = next((name for name, collected in user.collects.items() if collected == reference), None)
    return (
        f"{user.id}.each.{name}" if name else f"{user.id}.each.NAME with 'collect: {{NAME: {reference}}}' in {user.id}"
    )


def leads_out(structure: Structure, here: str, there: str) -> bool:
    """Whether ``here`` is ``there``, or a way of uses leads from it outward to there."""
    if here == there:
        return True
    seen = {here}
    waiting = [here]
    while waiting:
        for use in structure.uses.get(waiting.pop(), ()):
            outer = structure.scope[use.user]
            if outer == there:
                return True
            if outer not in seen:
                seen.add(outer)
                waiting.append(outer)
    return False


def _error_reference(draft: Draft, place: str, structure: Structure, report: Report) -> None:
    """Find the error branch that ``$error`` means: the innermost one around the task."""
    scope = structure.scope[draft.id]
    while scope != ROOT:
        if any(use.outcome == ON_ERROR for use in structure.uses.get(scope, ())):
            _rename(
                draft, place, replace(draft.references[place], task=scope) if place in draft.references else None, scope
            )
            return
        scope = structure.scopes.parent(scope)
    if draft.id not in structure.doubtful:
        message = f"{draft.id} reads $error, but is in no sub-chain that an on_error leads to."
        report.add("BAD_REFERENCE", message, *place_of(draft, place), value=True)
    forget(draft, place)


def _rename(draft: Draft, place: str, reference: Reference | None, scope: str) -> None:
    if reference is not None:
        draft.references[place] = reference
    else:
        text = place.removeprefix("when:")
        draft.whens[text] = replace(draft.whens[text], task=scope)


def _collected(draft: Draft, name: str, structure: Structure, drafts: Mapping[str, Draft], report: Report) -> None:
    foreach, reference = draft.model.foreach, draft.collects[name]
    if foreach is None or foreach.body not in drafts or reference.task in structure.doubtful:
        draft.collects.pop(name)
    elif structure.scope[reference.task] != foreach.body:
        message = f"{reference.task} is no task of the body of {draft.id} (the sub-chain of {foreach.body})."
        fault = fault_of(structure, drafts, foreach.body, reference)
        path: Path = ("tasks", draft.id, "foreach", "collect", name)
        remedy = fault[2] if fault and reference.task != draft.id else None
        report.add("BAD_COLLECT", message, *path, value=True, remedy=remedy)
        draft.collects.pop(name)
        draft.faulty.add(f"each.{name}")


# ---- lifted edges


def _lift(drafts: Mapping[str, Draft], structure: Structure, report: Report) -> None:
    """Let users wait for what their sub-chains read; then put the tasks of the scopes concerned in order."""
    lifted: dict[tuple[str, str], Read] = {}
    for task, read in list(outward(structure, drafts, explicit_reads(drafts))):
        holder = read.reference.task
        if read.reference.kind != "slot" or task == read.task:
            continue
        if task != holder:
            lifted.setdefault((holder, task), read)
            _arrow(structure, holder, task, waits_for_end=bool(read.reference.view))
        elif read.reference.view:
            reader = drafts[read.task]
            message = f"{read.task} runs inside what {holder} opens, so {read.reference} is not there yet."
            report.add("BAD_REFERENCE", message, *place_of(reader, read.place), value=True)
            forget(reader, read.place)
    for scope in {structure.scope[first]: None for first, _ in lifted}:
        members = structure.members[scope]
        ordering = ordered(members, {task: sorted(structure.after[task]) for task in members})
        structure.members[scope] = list(ordering.order)
        for cycle in ordering.cycles:
            pair = next(pair for pair in zip(cycle, [*cycle[1:], cycle[0]], strict=True) if pair in lifted)
            why, user = lifted[pair], pair[1]
            report_cycle(cycle, report, lifted=f"{why.task}, inside what {user} opens, reads {why.reference}.")
            structure.doubtful.update(cycle)
