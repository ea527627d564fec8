"""The graphs that ``distributed.py`` runs everywhere, each told three times: as a project, as Canvas, as vertices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import _nodes

LENGTH, WIDTH = 10, 100
ITEMS, ITEM_MS = 8, 50
SHORT, LONG = "cpu.short", "cpu.long"
PROCESSES = 2
"""Worker processes for each queue, of every system alike."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """A task as the floor sees it.

    Attributes:
        after: its successors; of a condition, the heads of its branches, of which the first is chosen.
        needs: how many tasks must have ended before it.
        work: ``step``, ``decide``, ``join`` or ``sleep``.
    """

    after: tuple[str, ...] = ()
    needs: int = 1
    work: str = "step"
    queue: str = SHORT


@dataclass(frozen=True, slots=True)
class Workload:
    """A graph of tasks that do nothing, and hand on the number 1.

    Attributes:
        tasks: how many are executed in one run.
        project: the YAML text.
        vertices: its first one begins.
    """

    title: str
    tasks: int
    project: str
    vertices: Mapping[str, Vertex]


def _chain() -> Workload:
    vertices = {f"T{index}": Vertex(_next("T", index, LENGTH)) for index in range(LENGTH)}
    return Workload(f"W1 chain of {LENGTH}", LENGTH, _nodes.chain(LENGTH), vertices)


def _fan_out(title: str, width: int) -> Workload:
    sides = {f"S{index}": Vertex(("J",)) for index in range(width)}
    vertices = {"T0": Vertex(tuple(sides)), **sides, "J": Vertex((), width, "join")}
    return Workload(title, width + 2, _nodes.fan_out(width), vertices)


def _condition() -> Workload:
    """A condition, two branches of two tasks each, a successor that reads the chosen one's value."""
    tasks = [
        "C: {node: bench.decide, inputs: {value: $input.value}, condition: true, branches: {yes: A1, no: B1}}",
        *(
            line
            for side in "AB"
            for line in (
                f"{side}1: {{node: bench.step, subchain: true, inputs: {{value: $input.value}}, successor: [{side}2]}}",
                f"{side}2: {{node: bench.step, inputs: {{value: {side}1.value}}}}",
            )
        ),
        "J: {node: bench.step, predecessor: [C], inputs: {value: C.branch.value}}",
    ]
    vertices = {"C": Vertex(("A1", "B1"), 1, "decide")}
    for side in "AB":
        vertices |= {f"{side}1": Vertex((f"{side}2",)), f"{side}2": Vertex(("J",))}
    title = "W3 condition with two branches of two tasks"
    return Workload(title, 4, _nodes.project(tasks, "J.value"), {**vertices, "J": Vertex()})


def _two_queues() -> Workload:
    tasks, vertices = [], {}
    for index in range(LENGTH):
        node, queue = ("step", SHORT) if index % 2 == 0 else ("long_step", LONG)
        above = f"T{index - 1}.value" if index else "$input.value"
        tasks.append(f"T{index}: {{node: bench.{node}, inputs: {{value: {above}}}}}")
        vertices[f"T{index}"] = Vertex(_next("T", index, LENGTH), queue=queue)
    title = f"W5 chain of {LENGTH} alternating between two queues"
    return Workload(title, LENGTH, _nodes.project(tasks, f"T{LENGTH - 1}.value"), vertices)


def _long_tasks() -> Workload:
    names = [f"S{index}" for index in range(ITEMS)]
    tasks = ["T0: {node: bench.step, inputs: {value: $input.value}}"]
    tasks += [
        f"{name}: {{node: bench.sleep, params: {{ms: {ITEM_MS}}}, inputs: {{value: T0.value}}}}" for name in names
    ]
    tasks += [
        f"J: {{node: bench.join, inputs: {{{', '.join(f'v{port}: {name}.value' for port, name in enumerate(names))}}}}}"
    ]
    vertices = {"T0": Vertex(tuple(names)), **{name: Vertex(("J",), work="sleep") for name in names}}
    title = f"W6 {ITEMS} tasks of {ITEM_MS} ms side by side and join"
    return Workload(title, ITEMS + 2, _nodes.project(tasks, "J.value"), {**vertices, "J": Vertex((), ITEMS, "join")})


def _next(letter: str, index: int, length: int) -> tuple[str, ...]:
    return (f"{letter}{index + 1}",) if index + 1 < length else ()


WORKLOADS: Mapping[str, Workload] = {
    "W1": _chain(),
    "W2": _fan_out("W2 diamond", 2),
    "W3": _condition(),
    "W4": _fan_out(f"W4 fan-out of {WIDTH} and join", WIDTH),
    "W5": _two_queues(),
    "W6": _long_tasks(),
}
