"""An order in which every task comes after all that it waits for; where there is none, the cycles, by networkx."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Arrows = Mapping[str, Collection[str]]
"""Task -> the tasks that come directly after it."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """``order`` holds every task; arrows within ``knots``, sets of tasks in cycles, are ignored.

    ``cycles`` shows one cycle of each knot, beginning with the task that stands first in the file.
    """

    order: tuple[str, ...]
    knots: tuple[frozenset[str], ...] = ()
    cycles: tuple[tuple[str, ...], ...] = ()


def ordered(tasks: Sequence[str], arrows: Arrows) -> Ordering:
    """Order ``tasks``; among those that may come next, the file's order decides (A. B. Kahn, 1962)."""
    order = tuple(_kahn(tasks, arrows))
    if len(order) == len(tasks):
        return Ordering(order)
    done = set(order)
    knots, cycles = _knots([task for task in tasks if task not in done], arrows)
    knot_of = {task: knot for knot in knots for task in knot}
    loose = {
        task: [
            after
            for after in arrows.get(task, ())
            if knot_of.get(task) is None or knot_of.get(after) is not knot_of[task]
        ]
        for task in tasks
    }
    return Ordering(tuple(_kahn(tasks, loose)), tuple(knots), tuple(cycles))


def _kahn(tasks: Iterable[str], arrows: Arrows) -> Iterator[str]:
    waits = dict.fromkeys(tasks, 0)
    for befores in arrows.values():
        for after in befores:
            waits[after] += 1
    ready = [task for task, count in waits.items() if not count]
    for task in ready:  # grows while it is walked
        yield task
        for after in arrows.get(task, ()):
            waits[after] -= 1
            if not waits[after]:
                ready.append(after)


def _knots(tasks: Sequence[str], arrows: Arrows) -> tuple[list[frozenset[str]], list[tuple[str, ...]]]:
    import networkx as nx  # noqa: PLC0415 - 0.2 s and 420 modules, which only a project with a cycle has to pay

    position = {task: index for index, task in enumerate(tasks)}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(tasks)
    graph.add_edges_from((task, after) for task in tasks for after in arrows.get(task, ()) if after in position)
    knots = [
        frozenset(knot)
        for knot in nx.strongly_connected_components(graph)
        if len(knot) > 1 or any(graph.has_edge(task, task) for task in knot)
    ]
    knots.sort(key=lambda knot: min(position[task] for task in knot))
    cycles = []
    for knot in knots:
        first = min(knot, key=position.__getitem__)
        last = min((task for task in graph.predecessors(first) if task in knot), key=position.__getitem__)
        cycles.append(tuple(nx.shortest_path(graph.subgraph(knot), first, last)))
    return knots, cycles
