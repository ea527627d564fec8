"""Small projects in which every rule matters at least once, for tests that put bugs into the code on purpose."""

from __future__ import annotations

from dataclasses import replace

import yaml
from numeric import Behaviour, NodeSpec, PortSpec
from world import Case

OPTIONAL = PortSpec("number", required=False)
NODES = {
    "t.source": NodeSpec({}, {"x": "number"}),
    "t.need": NodeSpec({"a": PortSpec("number")}, {"x": "number"}),
    "t.take": NodeSpec({"a": OPTIONAL, "b": OPTIONAL}, {"x": "number"}),
    "t.list": NodeSpec({"a": OPTIONAL}, {"x": "number", "items": "numbers"}),
    "t.sum": NodeSpec({"a": PortSpec("list", required=False)}, {"x": "number"}),
    "t.two": NodeSpec({"a": OPTIONAL}, {"x": "number"}, ("p", "q")),
    "t.way": NodeSpec({}, {"way": "number"}, ("p", "q")),
}
CHOICE = """
  T0: {node: t.two, condition: true, branches: {p: A, q: null}}
  A: {node: t.source, subchain: true}
  B: {node: t.source, predecessor: A}
  C: {node: t.need, inputs: {a: A.x}}
  R: {node: t.need, inputs: {a: T0.x}}
  S: {node: t.take, inputs: {a: T0.x, b: R.x}, predecessor: [T0]}
"""
DEEP = """
  T0: {node: t.two, condition: true, branches: {p: A, q: null}}
  A: {node: t.way, subchain: true, condition: true, branches: {p: B, q: null}}
  B: {node: t.source, subchain: true}
  H: {node: t.take, inputs: {a: T0.branch.x}}
"""
LISTS = """
  T0: {node: t.list, foreach: {over: items, as: k, body: A, collect: {xs: A.each.ys}}}
  A: {node: t.list, subchain: true, inputs: {a: $item.k}, foreach: {over: items, as: m, body: B, collect: {ys: B.x}}}
  B: {node: t.need, subchain: true, inputs: {a: $item.m}}
  R: {node: t.take, inputs: {a: T0.x}}
  J: {node: t.sum, inputs: {a: T0.each.xs}}
"""
FAILS = """
  T0: {node: t.source, retries: 1, on_error: %s}
  E: {node: t.source, subchain: true}
  F: {node: t.source, predecessor: E}
  R: {node: t.need, inputs: {a: T0.x}}
  U: {node: t.take, inputs: {a: R.x, b: T0.x}}
  S: {node: t.source, predecessor: [T0]}
  V: {node: t.source}
  W: {node: t.need, inputs: {a: V.x}}
"""
TAILS = """
  P: {node: t.source}
  T0: {node: t.two, condition: true, branches: {p: A, q: null}}
  A: {node: t.source, subchain: true}
  B: {node: t.need, inputs: {a: A.x}}
  C: {node: t.need, inputs: {a: A.x}}
  J: {node: t.source, predecessor: [T0, P]}
  V: {node: t.take, inputs: {a: J.x}, predecessor: [T0]}
"""
CHAIN = """
  A: {node: t.source}
  B: {node: t.need, inputs: {a: A.x}}
  C: {node: t.need, inputs: {a: B.x}, retries: 1}
  D: {node: t.take, inputs: {a: C.x, b: B.x}}
  E: {node: t.need, inputs: {a: D.x}, on_error: skip}
  V: {node: t.take, inputs: {a: E.x, b: A.x}}
"""
TWICE_USED = """
  T0: {node: t.two, condition: true, branches: {p: A, q: null}, on_error: {branch: B}}
  A: {node: t.way, subchain: true, condition: true, branches: {p: B, q: null}}
  B: {node: t.source, subchain: true}
  D: {node: t.need, inputs: {a: B.x}}
  R: {node: t.need, inputs: {a: T0.x}}
  H: {node: t.take, inputs: {a: T0.branch.x, b: R.x}}
  J: {node: t.take, inputs: {a: H.x}, predecessor: [T0]}
"""
P, Q = Behaviour(outcome="p"), Behaviour(outcome="q")
ONCE, TWICE, WRONG = Behaviour(failures=1), Behaviour(failures=2), Behaviour(wrong=True)


def case(tasks: str, /, **table: Behaviour | tuple[Behaviour, ...]) -> Case:
    body = yaml.safe_load(tasks)
    outputs = {name: f"{name}.x" for name in ("H", "J", "S", "U", "V") if name in body}
    project = {"tyqi": 1, "project": "mutants", "tasks": body, "outputs": outputs}
    return Case(project, NODES, {}, {name: one if isinstance(one, tuple) else (one,) for name, one in table.items()})


def fails(policy: str, behaviour: Behaviour) -> Case:
    tasks = FAILS % policy
    if "branch" not in policy:
        tasks = "".join(line + "\n" for line in tasks.splitlines() if not line.startswith(("  E", "  F")))
    return case(tasks, T0=behaviour)


CASES = [
    case(CHOICE, T0=P),
    case(CHOICE, T0=Q),
    case(CHOICE.replace("q: null}", "q: null}, on_error: skip"), T0=replace(P, failures=1)),
    case(DEEP, T0=P, A=P),
    case(DEEP, T0=P, A=Q),
    case(LISTS, T0=Behaviour(items=3), A=(Behaviour(items=2), Behaviour(items=1), Behaviour(items=0))),
    case(LISTS, T0=Behaviour(items=0)),
    case(LISTS.replace("node: t.list, foreach", "node: t.list, on_error: skip, foreach"), T0=Behaviour(failures=1)),
    case(TAILS, T0=P),
    case(CHAIN),
    case(CHAIN, C=ONCE, E=ONCE),
    case(TWICE_USED, T0=P, A=P),
    case(TWICE_USED, T0=P, A=Q),
    case(TWICE_USED, T0=replace(P, failures=1)),
    *(fails(policy, what) for policy in ("skip", "{branch: E}", "fail") for what in (ONCE, TWICE, WRONG)),
]
