"""Where the boxes of a drawing go: a layered layout, top to bottom.

Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for Visual Understanding of Hierarchical System Structures", IEEE
Trans. SMC 11(2), 1981: longest-path layering, placeholders where an edge crosses a layer, ordering by barycentres.
The horizontal places are the least-squares ones for a given order, found by pooling adjacent violators:
R. E. Barlow et al., "Statistical Inference under Order Restrictions", 1972.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Edge = tuple[int, int]
Point = tuple[float, float]

_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in the units of the sizes that were given; x to the right, y down.

    Attributes:
        width: of everything.
        height: of everything.
        corners: the left upper corner of each block.
        routes: edge -> points from the lower edge of the first block to the upper edge of the second. Between two
            points of one layer the way leads straight down; between layers it may bend.
    """

    width: float
    height: float
    corners: list[Point]
    routes: dict[Edge, list[Point]]


@dataclass(slots=True)
class _Graph:
    """Blocks and placeholders: the first ``len(sizes)`` numbers are the blocks that were given."""

    widths: list[float]
    layer: list[int]
    up: list[list[int]] = field(default_factory=list)
    down: list[list[int]] = field(default_factory=list)
    chains: dict[Edge, list[int]] = field(default_factory=dict)

    def add(self, width: float, layer: int) -> int:
        self.widths.append(width)
        self.layer.append(layer)
        self.up.append([])
        self.down.append([])
        return len(self.widths) - 1

    def link(self, upper: int, lower: int) -> None:
        self.down[upper].append(lower)
        self.up[lower].append(upper)


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], gap_x: float, gap_y: float) -> Layout:
    """Place blocks so that every edge leads downwards and none crosses a block.

    Args:
        sizes: width and height of each block.
        edges: pairs of block numbers; there must be no cycle.
        gap_x: least distance between neighbours.
        gap_y: distance between layers.

    Raises:
        ValueError: the edges form a cycle.
    """
    unique = list(dict.fromkeys(edges))
    graph = _with_placeholders(sizes, unique, _layers(len(sizes), unique))
    rows = _ordered(graph)
    centres = _centres(graph, rows, gap_x)
    heights = [max((sizes[i][1] for i in row if i < len(sizes)), default=0.0) for row in rows]
    tops = [sum(heights[:number]) + gap_y * number for number in range(len(rows))]
    corners = [(centres[i] - width / 2, tops[graph.layer[i]]) for i, (width, _) in enumerate(sizes)]
    routes = {edge: _route(graph, edge, centres, tops, heights, sizes) for edge in unique}
    right = max((centres[i] + graph.widths[i] / 2 for i in range(len(graph.widths))), default=0.0)
    return Layout(right, tops[-1] + heights[-1] if rows else 0.0, corners, routes)


def without_detours(count: int, edges: Sequence[Edge]) -> list[Edge]:
    """The edges that say something new: an edge is left out where a longer way leads to the same block.

    Raises:
        ValueError: the edges form a cycle.
    """
    layer = _layers(count, edges)
    below = [0] * count  # a set of blocks as the bits of a number
    by_origin: dict[int, list[int]] = {}
    for upper, lower in dict.fromkeys(edges):
        by_origin.setdefault(upper, []).append(lower)
    kept: set[Edge] = set()
    for upper in sorted(by_origin, key=layer.__getitem__, reverse=True):
        for lower in sorted(by_origin[upper], key=layer.__getitem__):
            if not below[upper] >> lower & 1:
                kept.add((upper, lower))
            below[upper] |= 1 << lower | below[lower]
    return [edge for edge in dict.fromkeys(edges) if edge in kept]


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """The number of edges on the longest way to each block (Kahn's algorithm)."""
    layer, waits = [0] * count, [0] * count
    down: list[list[int]] = [[] for _ in range(count)]
    for upper, lower in edges:
        down[upper].append(lower)
        waits[lower] += 1
    ready = [block for block in range(count) if not waits[block]]
    for upper in ready:  # grows while it is walked
        for lower in down[upper]:
            layer[lower] = max(layer[lower], layer[upper] + 1)
            waits[lower] -= 1
            if not waits[lower]:
                ready.append(lower)
    if len(ready) < count:
        raise ValueError("the edges form a cycle")
    return layer


def _with_placeholders(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], layer: list[int]) -> _Graph:
    graph = _Graph([], [])
    for (width, _), place in zip(sizes, layer, strict=True):
        graph.add(width, place)
    for upper, lower in edges:
        between = [graph.add(0.0, number) for number in range(layer[upper] + 1, layer[lower])]
        chain = [upper, *between, lower]
        for one, other in pairwise(chain):
            graph.link(one, other)
        graph.chains[upper, lower] = chain
    return graph


def _ordered(graph: _Graph) -> list[list[int]]:
    """The order in each layer: repeatedly by the mean place of the neighbours above, then of those below."""
    rows: list[list[int]] = [[] for _ in range(max(graph.layer, default=-1) + 1)]
    for block, place in enumerate(graph.layer):
        rows[place].append(block)
    best, fewest = [list(row) for row in rows], _crossings(graph, rows)
    for sweep in range(_SWEEPS if fewest else 0):
        neighbours, order = (graph.up, rows) if sweep % 2 == 0 else (graph.down, rows[::-1])
        rank = {block: number / max(1, len(row) - 1) for row in rows for number, block in enumerate(row)}
        for row in order:
            keys = {block: _mean([rank[other] for other in neighbours[block]], rank[block]) for block in row}
            row.sort(key=keys.__getitem__)
            rank.update({block: number / max(1, len(row) - 1) for number, block in enumerate(row)})
        crossings = _crossings(graph, rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(graph: _Graph, rows: list[list[int]]) -> int:
    """How many pairs of edges cross between neighbouring layers; rows of more than 200 edges are not looked at."""
    place = {block: number for row in rows for number, block in enumerate(row)}
    total = 0
    for row in rows[:-1]:
        ends = [place[lower] for upper in row for lower in sorted(graph.down[upper], key=place.__getitem__)]
        if len(ends) <= 200:  # noqa: PLR2004  # quadratic beyond, and nobody counts crossings by eye there
            total += sum(later < earlier for number, earlier in enumerate(ends) for later in ends[number + 1 :])
    return total


def _centres(graph: _Graph, rows: list[list[int]], gap: float) -> list[float]:
    """The middle of each block: near the mean of its neighbours, in order, with the gap kept."""
    centres = [0.0] * len(graph.widths)
    for row in rows:
        _settle(graph, row, centres, [0.0] * len(row), gap)
    for sweep in range(_SWEEPS):
        neighbours, order = (graph.up, rows) if sweep % 2 == 0 else (graph.down, rows[::-1])
        for row in order:
            wanted = [_mean([centres[other] for other in neighbours[block]], centres[block]) for block in row]
            _settle(graph, row, centres, wanted, gap)
    left = min((centres[i] - graph.widths[i] / 2 for i in range(len(centres))), default=0.0)
    return [centre - left for centre in centres]


def _settle(graph: _Graph, row: list[int], centres: list[float], wanted: list[float], gap: float) -> None:
    """Give a row the places nearest to those wanted (least squares) at which nothing overlaps."""
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + (graph.widths[one] + graph.widths[other]) / 2 + gap)
    pools: list[tuple[float, int]] = []  # sum and number of the members, whose mean is their common place
    for wish, offset in zip(wanted, offsets, strict=False):
        total, number = wish - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / number:
            earlier, members = pools.pop()
            total, number = total + earlier, number + members
        pools.append((total, number))
    places = [total / number for total, number in pools for _ in range(number)]
    for block, place, offset in zip(row, places, offsets, strict=False):
        centres[block] = place + offset


def _route(
    graph: _Graph,
    edge: Edge,
    centres: list[float],
    tops: list[float],
    heights: list[float],
    sizes: Sequence[tuple[float, float]],
) -> list[Point]:
    upper, *between, lower = graph.chains[edge]
    start = tops[graph.layer[upper]]
    points = [(centres[upper], start + sizes[upper][1]), (centres[upper], start + heights[graph.layer[upper]])]
    for block in between:
        top = tops[graph.layer[block]]
        points += [(centres[block], top), (centres[block], top + heights[graph.layer[block]])]
    return [*points, (centres[lower], tops[graph.layer[lower]])]
