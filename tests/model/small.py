"""All small projects of a systematic enumeration, as ``(name, Case)``; their tasks may do anything they can."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from numeric import NodeSpec, PortSpec
from world import Case

OPTIONAL = PortSpec("number", required=False)
REQUIRED = PortSpec("number")
NODES = {
    "t.source": NodeSpec({}, {"x": "number"}),
    "t.need": NodeSpec({"a": REQUIRED}, {"x": "number"}),
    "t.take": NodeSpec({"a": OPTIONAL}, {"x": "number"}),
    "t.both": NodeSpec({"a": OPTIONAL, "b": OPTIONAL}, {"x": "number"}),
    "t.list": NodeSpec({"a": OPTIONAL}, {"x": "number", "items": "numbers"}),
    "t.sum": NodeSpec({"a": PortSpec("list", required=False)}, {"x": "number"}),
    "t.tell": NodeSpec({"a": PortSpec("any", required=False)}, {"x": "number"}),
    "t.two": NodeSpec({"a": OPTIONAL}, {"x": "number"}, ("p", "q")),
    "t.one": NodeSpec({"a": OPTIONAL}, {"x": "number"}, ("p",)),
}
"""``two`` and ``one`` decide; all other nodes just calculate."""

Tasks = dict[str, dict[str, Any]]


def case_of(tasks: Tasks, outputs: dict[str, str] | None = None) -> Case:
    return Case({"tyqi": 1, "project": "small", "tasks": tasks, "outputs": outputs or {}}, NODES, {}, {})


def alone(tasks: Tasks) -> dict[str, str]:
    """An output for each task, so that none of them is forgotten."""
    return {f"o{at}": f"{name}.x" for at, name in enumerate(tasks)}


def graphs() -> Iterator[tuple[str, Case]]:
    """Every order of up to four plain tasks; each edge is a mere order, or carries data that is required."""
    for size in range(1, 5):
        pairs = list(itertools.combinations(range(size), 2))
        for edges in itertools.product((False, True), repeat=len(pairs)):
            arrows = [pair for pair, there in zip(pairs, edges, strict=True) if there]
            for style in ("order", "data"):
                yield f"graph {size} {arrows} {style}", _graph(size, arrows, style)


def _graph(size: int, arrows: list[tuple[int, int]], style: str) -> Case:
    tasks: Tasks = {f"T{at}": {"node": "t.source"} for at in range(size)}
    for first, then in arrows:
        body = tasks[f"T{then}"]
        if style == "data" and "inputs" not in body:
            body |= {"node": "t.need", "inputs": {"a": f"T{first}.x"}}
        else:
            body.setdefault("predecessor", []).append(f"T{first}")
    tasks["T0"]["on_error"] = "skip"
    return case_of(tasks, alone(tasks))


INNER = {
    "null": {},
    "one": {"A": {"node": "t.source"}},
    "chain": {"A": {"node": "t.source"}, "B": {"node": "t.need", "inputs": {"a": "A.x"}}},
    "skips": {"A": {"node": "t.source", "on_error": "skip"}, "B": {"node": "t.need", "inputs": {"a": "A.x"}}},
    "fork": {
        "A": {"node": "t.source"},
        "B": {"node": "t.source", "predecessor": "A"},
        "C": {"node": "t.take", "inputs": {"a": "A.x"}},
    },
    "outer": {"A": {"node": "t.need", "inputs": {"a": "T0.x"}}},
}
"""What a branch or a body may be: sub-chains of one to three tasks; ``outer`` reads the task that opens it."""


def inner(kind: str, prefix: str) -> Tasks:
    """The tasks of a sub-chain, renamed."""
    tasks: Tasks = {}
    for name, body in INNER[kind].items():
        renamed = {**body, **({"subchain": True} if name == "A" else {})}
        if "predecessor" in body:
            renamed["predecessor"] = [prefix + body["predecessor"]]
        if "inputs" in body:
            renamed["inputs"] = {p: prefix + t if t[0] in "ABC" else t for p, t in body["inputs"].items()}
        tasks[prefix + name] = renamed
    return tasks


AFTER: dict[str, Tasks] = {
    "nothing": {},
    "successor": {"S": {"node": "t.source", "predecessor": ["T0"]}},
    "reader": {"R": {"node": "t.need", "inputs": {"a": "T0.x"}}},
    "hander": {"H": {"node": "t.take", "inputs": {"a": "T0.branch.x"}}},
    "reader and hander": {
        "R": {"node": "t.need", "inputs": {"a": "T0.x"}},
        "H": {"node": "t.take", "inputs": {"a": "T0.branch.x"}},
    },
    "joined": {
        "R": {"node": "t.take", "inputs": {"a": "T0.x"}},
        "J": {"node": "t.both", "inputs": {"a": "T0.branch.x", "b": "R.x"}},
    },
    "order after reader": {
        "R": {"node": "t.source", "predecessor": ["T0"]},
        "J": {"node": "t.both", "inputs": {"a": "R.x", "b": "T0.x"}},
    },
}
"""What may stand behind a task that opens something."""


def conditions() -> Iterator[tuple[str, Case]]:
    """One condition, every kind of branch on either outcome, everything that may stand behind it: up to five tasks."""
    for left, right, after in itertools.product(INNER, INNER, AFTER):
        tasks: Tasks = {"T0": {"node": "t.two", "condition": True, "branches": {"p": None, "q": None}}}
        for outcome, kind, prefix in (("p", left, "L"), ("q", right, "Q")):
            if kind != "null":
                tasks["T0"]["branches"][outcome] = f"{prefix}A"
                tasks |= inner(kind, prefix)
        tasks |= AFTER[after]
        hands = any("T0.branch.x" in body.get("inputs", {}).values() for body in AFTER[after].values())
        offering = {left, right} - {"null"}
        if len(tasks) <= 5 and (not hands or (offering and "fork" not in offering)):
            yield f"condition {left} | {right} -> {after}", case_of(tasks, {"o": "T0.x"})


def nested() -> Iterator[tuple[str, Case]]:
    """A condition in the branch of a condition; also one that a tail follows, reads, or is handed from."""
    for below in (
        {},
        {"LB": {"node": "t.source", "predecessor": ["LA"]}},
        {"LB": {"node": "t.take", "inputs": {"a": "LA.x"}}},
        {"LB": {"node": "t.take", "inputs": {"a": "LA.branch.x"}}},
    ):
        for first, second in itertools.product(("DA", None), ("DB", None, "DA")):
            heads = {head for head in (first, second) if head}
            for after in ("successor", "reader"):
                tasks: Tasks = {
                    "T0": {"node": "t.one", "condition": True, "branches": {"p": "LA"}},
                    "LA": {"node": "t.two", "subchain": True, "condition": True, "branches": {"p": first, "q": second}},
                    **{head: {"node": "t.need", "subchain": True, "inputs": {"a": "T0.x"}} for head in sorted(heads)},
                    **below,
                    **AFTER[after],
                }
                handed = "LB" in below and "LA.branch.x" in below["LB"].get("inputs", {}).values()
                if len(tasks) <= 5 and (heads or not handed):
                    yield f"nested {first} {second} {list(below.values())} -> {after}", case_of(tasks, {"o": "T0.x"})


EACH: dict[str, Tasks] = {
    "nothing": {},
    "successor": AFTER["successor"],
    "reader": AFTER["reader"],
    "collector": {"H": {"node": "t.sum", "inputs": {"a": "T0.each.xs"}}},
    "reader and collector": {**AFTER["reader"], "H": {"node": "t.sum", "inputs": {"a": "T0.each.xs"}}},
}


def bodies() -> Iterator[tuple[str, Tasks, str]]:
    """(name, tasks, what is collected): bodies of a foreach, also with a decision per item and a foreach within."""
    for kind in ("one", "chain", "skips", "fork", "outer"):
        yield kind, inner(kind, "L"), "LA.x" if kind in ("one", "outer") else "LB.x"
    decides = {
        "LA": {
            "node": "t.one",
            "subchain": True,
            "condition": True,
            "inputs": {"a": "$item.k"},
            "branches": {"p": "DA"},
        }
    }
    may = {"LA": {**decides["LA"], "node": "t.two", "branches": {"p": "DA", "q": None}}}
    does = {"DA": {"node": "t.need", "subchain": True, "inputs": {"a": "$item.k"}}}
    yield "decides", {**decides, **does}, "LA.branch.x"
    yield "may decide", {**may, **does}, "LA.branch.x"
    yield (
        "nested",
        {
            "LA": {
                "node": "t.list",
                "subchain": True,
                "foreach": {"over": "items", "as": "m", "body": "DA", "collect": {"ys": "DA.x"}},
            },
            "DA": {"node": "t.need", "subchain": True, "inputs": {"a": "$item.k"}},
        },
        "LA.each.ys",
    )


def foreachs() -> Iterator[tuple[str, Case]]:
    """One foreach, with every body and everything that may stand behind it."""
    for (kind, body, collected), after in itertools.product(bodies(), EACH):
        foreach = {"over": "items", "as": "k", "body": "LA", "collect": {"xs": collected}}
        tasks = {"T0": {"node": "t.list", "foreach": foreach}, **body, **EACH[after]}
        if len(tasks) <= 5:
            yield (
                f"foreach {kind} -> {after}",
                case_of(tasks, {"o": "T0.each.xs"} if "collector" in after else {"o": "T0.x"}),
            )


def shared() -> Iterator[tuple[str, Case]]:
    """One sub-chain used by two conditions, by both outcomes of one, by body and failure, by an item and the root."""
    used = {"node": "t.source", "subchain": True}
    two = {"node": "t.two", "condition": True, "branches": {"p": "S", "q": None}}
    for link in ({}, {"predecessor": ["T0"]}, {"inputs": {"a": "T0.x"}}, {"inputs": {"a": "T0.branch.x"}}):
        tasks = {
            "T0": two,
            "T1": {**two, **link},
            "S": used,
            "J": {"node": "t.both", "inputs": {"a": "T0.branch.x", "b": "T1.branch.x"}},
        }
        yield f"shared by two {link}", case_of(tasks)
    yield (
        "shared by both outcomes",
        case_of(
            {
                "T0": {**two, "branches": {"p": "S", "q": "S"}},
                "S": used,
                "J": {"node": "t.need", "inputs": {"a": "T0.branch.x"}},
            }
        ),
    )
    body = {"over": "items", "as": "k", "body": "S", "collect": {"xs": "S.x"}}
    for after in (
        {},
        {"J": {"node": "t.sum", "inputs": {"a": "T0.each.xs"}}},
        {"J": {"node": "t.take", "inputs": {"a": "T0.branch.x"}}},
    ):
        tasks = {"T0": {"node": "t.list", "foreach": body, "on_error": {"branch": "S"}}, "S": used, **after}
        yield f"shared by body and failure {after}", case_of(tasks, {"o": "T0.branch.x", "l": "T0.each.xs"})
    inside = {
        "T0": {"node": "t.list", "foreach": {**body, "body": "C", "collect": {"xs": "C.branch.x"}}},
        "C": {**two, "subchain": True},
        "T1": two,
        "S": used,
    }
    yield "shared by an item and the root", case_of(inside, {"l": "T0.each.xs", "o": "T1.branch.x"})


def policies() -> Iterator[tuple[str, Case]]:
    """Each ``on_error`` policy, retries, and what may stand behind a task that fails or is skipped."""
    error: Tasks = {"E": {"node": "t.tell", "subchain": True, "inputs": {"a": "$error"}}}
    longer: Tasks = {**error, "F": {"node": "t.need", "inputs": {"a": "E.x"}}}
    rest: dict[str, Tasks] = {
        **{name: AFTER[name] for name in ("nothing", "successor", "reader")},
        "chain": {"R": {"node": "t.need", "inputs": {"a": "T0.x"}}, "U": {"node": "t.take", "inputs": {"a": "R.x"}}},
        "optional": {"R": {"node": "t.take", "inputs": {"a": "T0.x"}}},
        "beside": {
            "R": {"node": "t.take", "inputs": {"a": "T0.x"}},
            "B": {"node": "t.source"},
            "J": {"node": "t.both", "inputs": {"a": "R.x", "b": "B.x"}},
        },
    }
    for policy, retries, (name, after) in itertools.product(
        ("fail", "skip", "branch", "longer branch"), (0, 1), rest.items()
    ):
        tasks: Tasks = {"T0": {"node": "t.source", "retries": retries, "on_error": policy}, **after}
        if "branch" in policy:
            tasks["T0"]["on_error"] = {"branch": "E"}
            tasks |= longer if policy == "longer branch" else error
        if len(tasks) <= 5:
            yield f"on_error {policy} {retries} -> {name}", case_of(tasks, {"o": "T0.x"})
    for name in ("hander", "joined"):
        tasks = {"T0": {"node": "t.source", "on_error": {"branch": "E"}}, **error, **AFTER[name]}
        yield f"on_error branch -> {name}", case_of(tasks)
    for policy in ("skip", {"branch": "E"}):
        tasks = {
            "T0": {"node": "t.two", "condition": True, "branches": {"p": "A", "q": None}, "on_error": policy},
            "A": {"node": "t.source", "subchain": True, "on_error": "skip"},
            **AFTER["hander"],
        }
        if policy != "skip":
            tasks |= error
        yield f"a condition that fails, {policy}", case_of(tasks)
        body = {"over": "items", "as": "k", "body": "A", "collect": {"xs": "A.x"}}
        items = {
            "T0": {"node": "t.list", "foreach": body},
            "A": {"node": "t.need", "subchain": True, "inputs": {"a": "$item.k"}, "on_error": policy},
            **EACH["collector"],
        }
        if policy != "skip":
            items |= error
        yield f"an item that fails, {policy}", case_of(items)


FAMILIES = {
    "graphs": graphs,
    "conditions": conditions,
    "nested": nested,
    "foreachs": foreachs,
    "shared": shared,
    "policies": policies,
}
