"""Whatever the graph: no overlap, edges lead down, no edge runs through a box."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tyqi_core.results.layout import layered

GAP_X, GAP_Y = 20.0, 40.0
EPSILON = 1e-6


@st.composite
def graphs(draw):
    sizes = draw(st.lists(st.tuples(st.floats(1, 300), st.floats(1, 200)), min_size=1, max_size=14))
    pairs = list(combinations(range(len(sizes)), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=25)) if pairs else []
    return sizes, edges


def boxes(layout, sizes):
    return [(x, y, x + w, y + h) for (x, y), (w, h) in zip(layout.corners, sizes, strict=True)]


@settings(max_examples=200)
@given(graphs())
def test_boxes_never_overlap_and_stay_inside(graph):
    sizes, edges = graph
    layout = layered(sizes, edges, GAP_X, GAP_Y)
    placed = boxes(layout, sizes)
    for (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) in combinations(placed, 2):
        side_by_side = ax1 + GAP_X <= bx0 + EPSILON or bx1 + GAP_X <= ax0 + EPSILON
        assert side_by_side or ay1 <= by0 - GAP_Y + EPSILON or by1 <= ay0 - GAP_Y + EPSILON
    for x0, y0, x1, y1 in placed:
        assert x0 >= -EPSILON
        assert y0 >= -EPSILON
        assert x1 <= layout.width + EPSILON
        assert y1 <= layout.height + EPSILON


@settings(max_examples=200)
@given(graphs())
def test_edges_lead_down_from_box_to_box_and_through_none(graph):
    sizes, edges = graph
    layout = layered(sizes, edges, GAP_X, GAP_Y)
    placed = boxes(layout, sizes)
    for upper, lower in edges:
        route = layout.routes[upper, lower]
        assert route[0][1] == pytest.approx(placed[upper][3])
        assert route[-1][1] == pytest.approx(placed[lower][1])
        assert placed[upper][0] <= route[0][0] <= placed[upper][2]
        assert placed[lower][0] <= route[-1][0] <= placed[lower][2]
        for (x0, y0), (x1, y1) in pairwise(route):
            assert y1 >= y0 - EPSILON
            for number, (left, top, right, bottom) in enumerate(placed):
                straight = abs(x1 - x0) < EPSILON and number not in {upper, lower}
                inside = straight and left < x0 < right and y0 < bottom - EPSILON and y1 > top + EPSILON
                assert not inside


def test_a_chain_stands_in_one_column():
    layout = layered([(100, 40), (60, 40), (100, 40)], [(0, 1), (1, 2)], GAP_X, GAP_Y)
    assert {x + w / 2 for (x, _), w in zip(layout.corners, (100, 60, 100), strict=True)} == {50}


def test_a_join_stands_between_its_branches():
    layout = layered([(100, 40)] * 4, [(0, 1), (0, 2), (1, 3), (2, 3)], GAP_X, GAP_Y)
    xs = [x for x, _ in layout.corners]
    assert xs[0] == xs[3] == pytest.approx((xs[1] + xs[2]) / 2)


def test_crossings_that_can_be_avoided_are():
    layout = layered([(50, 40)] * 6, [(0, 5), (1, 4), (2, 3)], GAP_X, GAP_Y)
    xs = [x for x, _ in layout.corners]
    assert xs[5] < xs[4] < xs[3]


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="cycle"):
        layered([(1, 1)] * 2, [(0, 1), (1, 0)], GAP_X, GAP_Y)


def test_nothing_at_all_takes_no_room():
    layout = layered([], [], GAP_X, GAP_Y)
    assert (layout.width, layout.height) == (0, 0)
