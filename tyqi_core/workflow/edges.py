"""The arrows of a project: written ones, data ones and uses; contradictions among them and cycles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tyqi_core.workflow.drafts import Draft
from tyqi_core.workflow.model import Report
from tyqi_core.workflow.ordering import Ordering, ordered
from tyqi_core.workflow.shape import Path

Written = dict[tuple[str, str], Path]
"""(task, the one after it) -> where the file says so."""


def written_edges(drafts: Mapping[str, Draft], report: Report) -> Written:
    """The edges of all ``predecessor`` and ``successor`` fields."""
    edges: Written = {}
    for name, draft in drafts.items():
        for field, neighbours in (("predecessor", draft.model.predecessor), ("successor", draft.model.successor)):
            for position, other in enumerate(neighbours or ()):
                if other not in drafts:
                    continue
                path = _place(report, name, field, position)
                if other == name:
                    report.add("SELF_EDGE", f"{name} waits for itself.", *path, value=True)
                    continue
                edge = (other, name) if field == "predecessor" else (name, other)
                edges.setdefault(edge, path)
                _agree(drafts, name, other, field, path=path, report=report)
    return edges


def _place(report: Report, task: str, field: str, position: int) -> Path:
    listed = isinstance(report.document.value["tasks"][task][field], list)
    return ("tasks", task, field, position) if listed else ("tasks", task, field)


def _agree(drafts: Mapping[str, Draft], name: str, other: str, field: str, *, path: Path, report: Report) -> None:
    """Both sides of an edge may be written; then they must say the same."""
    model = drafts[other].model
    opposite = "successor" if field == "predecessor" else "predecessor"
    theirs = model.predecessor if opposite == "predecessor" else model.successor
    if theirs is None or name in theirs or opposite in model.broken or any(task not in drafts for task in theirs):
        return
    said = ", ".join(theirs) or "nothing"
    first, then = (other, name) if field == "predecessor" else (name, other)
    report.add(
        "CONTRADICTION",
        f"{name} names {other} as its {field}, but {other} names {said} as its {opposite}.",
        *path,
        value=True,
        remedy=f"Let both say that {then} comes after {first}, or leave one side out.",
    )


def data_edges(drafts: Mapping[str, Draft], report: Report) -> Iterator[tuple[str, str]]:
    """(task, reader) for each reference; a task that reads itself is noted and not yielded."""
    for name, draft in drafts.items():
        for place, reference in list(draft.reads()):
            if reference.kind != "slot":
                continue
            if reference.task == name:
                report.add(
                    "SELF_EDGE", f"{name} reads {reference}, its own output.", *place_of(draft, place), value=True
                )
                forget(draft, place)
            else:
                yield reference.task, name


def place_of(draft: Draft, place: str) -> Path:
    """The path of an input port, or of the first rule whose expression reads ``when:...``."""
    here: Path = ("tasks", draft.id)
    if not place.startswith("when:"):
        return (*here, "inputs", place) if place in draft.model.inputs else here
    text = place.removeprefix("when:")
    for rule, expression in draft.rules:
        if expression is not None and text in expression.references:
            return (*rule.path, "when")
    return (*here, "branches")


def forget(draft: Draft, place: str) -> None:
    """Take out a reference of which something was noted."""
    if place.startswith("when:"):
        draft.whens.pop(place.removeprefix("when:"), None)
    else:
        draft.references.pop(place, None)
    draft.faulty.add(place)


def order_all(
    drafts: Mapping[str, Draft], written: Written, data: Sequence[tuple[str, str]], report: Report
) -> Ordering:
    """An order along all arrows; each knot is told once, by one cycle in it."""
    arrows: dict[str, dict[str, str]] = {name: {} for name in drafts}
    for first, then in data:
        arrows[first][then] = "whose data it reads"
    for first, then in written:
        arrows[first][then] = "before"
    for name, draft in drafts.items():
        for use in draft.model.uses:
            if use.head in arrows:
                arrows[name][use.head] = "opens"
    ordering = ordered(list(drafts), arrows)
    for cycle in ordering.cycles:
        report_cycle(cycle, report, opens=any(arrows[a].get(b) == "opens" for a, b in _around(cycle)))
    return ordering


def report_cycle(cycle: Sequence[str], report: Report, *, opens: bool = False, lifted: str = "") -> None:
    """Note a cycle at its first task."""
    shown = [*cycle, cycle[0]] if len(cycle) <= 12 else [*cycle[:6], "...", *cycle[-5:], cycle[0]]  # noqa: PLR2004
    way = " -> ".join(shown)
    if opens:
        message = f"a sub-chain leads back to a task that opens it: {way}."
    elif lifted:
        message = f"these tasks wait for each other: {way}; {lifted}"
    else:
        message = f"these tasks wait for each other: {way}."
    report.add("CYCLE", message, "tasks", cycle[0])


def _around(cycle: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from zip(cycle, [*cycle[1:], cycle[0]], strict=True)
