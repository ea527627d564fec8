"""A sub-chain per item: lists in the items' order, decisions and failures per item, nesting, empty lists."""

from __future__ import annotations

import pytest
from trial_runs import NUMBER, completed, entries, executed, position, subjects

SQUARE = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.items, inputs: {{n: $input.n}}, foreach: {{over: items, as: one, body: B, collect: {{sums: C.sum}}}}, successor: [J]}}
  B: {{node: trial.add, subchain: true, inputs: {{x: $item.one}}, params: {{plus: 10}}}}
  C: {{node: trial.add, inputs: {{x: B.sum, y: $item.one}}}}
  J: {{node: trial.total, inputs: {{values: T1.each.sums}}}}
outputs: {{sums: T1.each.sums, items: T1.items, total: J.total}}
"""


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_body_runs_once_per_item_and_the_list_keeps_the_items_order(run, count):
    result = run(SQUARE, {"n": count})
    sums = [10 + 2 * number for number in range(count)]
    assert completed(result) == {"sums": sums, "items": list(range(count)), "total": sum(sums)}
    bodies = [f"T1[{number}]/{task}" for number in range(count) for task in "BC"]
    assert executed(result) == sorted([*bodies, "J", "T1"])


def test_an_empty_list_releases_the_join_at_once_with_an_empty_list(run):
    result = run(SQUARE, {"n": 0})
    assert completed(result) == {"sums": [], "items": [], "total": 0}
    assert executed(result) == ["J", "T1"]
    assert result.events[position(result, "task.completed", "T1")].data == {"count": 0}


def test_the_join_waits_for_the_last_item(run):
    result = run(SQUARE, {"n": 6})
    assert position(result, "task.ready", "J") > max(
        position(result, "task.completed", f"T1[{number}]/C") for number in range(6)
    )


def test_items_that_end_in_another_order_are_collected_in_theirs(run, ledger):
    """Item 1 takes the longest, items 0 and 5 no time at all; the ledger shows that they ended otherwise."""
    result = run(f"""
tasks:
  T1: {{node: trial.items, inputs: {{n: {{value: 10}}}}, foreach: {{over: items, body: B, collect: {{all: B.value}}}}}}
  B: {{node: trial.ledger, subchain: true, inputs: {{x: $item.item}}, params: {{file: "{ledger}", name: item, pause_ms: 8}}}}
  J: {{node: trial.gather, inputs: {{values: T1.each.all}}}}
outputs: {{found: J.found}}
""")
    assert completed(result) == {"found": list(range(10))}
    ends = [int(line.rpartition(" ")[2]) for line in entries(ledger) if line.startswith("end")]
    assert sorted(ends) == list(range(10))
    assert ends != list(range(10))


def test_items_overlap(run, tmp_path):
    result = run(f"""
tasks:
  T1: {{node: trial.items, inputs: {{n: {{value: 2}}}}, foreach: {{over: items, body: B, collect: {{all: M.value}}}}}}
  B:
    node: trial.add
    subchain: true
    inputs: {{x: $item.item}}
    condition: true
    branches: [{{when: "B.sum == 0", to: M0}}, {{default: M1}}]
    successor: [M]
  M0: {{node: trial.meet, subchain: true, params: {{folder: "{tmp_path}", name: zero, others: [one]}}}}
  M1: {{node: trial.meet, subchain: true, params: {{folder: "{tmp_path}", name: one, others: [zero]}}}}
  M: {{node: trial.ledger, inputs: {{x: B.branch.value}}}}
outputs: {{all: T1.each.all}}
""")
    assert completed(result) == {"all": [0, 0]}


DECIDED = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.items, inputs: {{n: $input.n}}, foreach: {{over: items, as: one, body: B, collect: {{found: P.both, chosen: B.branch.sum}}}}}}
  B: {{node: trial.decide, subchain: true, inputs: {{x: $item.one}}, condition: true, branches: {{a: A, b: C, none: null}}}}
  A: {{node: trial.add, subchain: true, inputs: {{x: $item.one}}, params: {{plus: 100}}}}
  C: {{node: trial.add, subchain: true, inputs: {{x: B.value}}, params: {{plus: 200}}}}
  P: {{node: trial.pair, inputs: {{a: $item.one, b: B.branch.sum}}}}
  J: {{node: trial.total, inputs: {{values: T1.each.chosen}}}}
outputs: {{found: T1.each.found, chosen: T1.each.chosen, total: J.total, empty: J.empty}}
"""


def test_each_item_is_decided_for_itself(run):
    result = run(DECIDED, {"n": 6})
    chosen = [None, 101, 202, None, 104, 205]
    assert completed(result) == {
        "found": [[number, value] for number, value in enumerate(chosen)],
        "chosen": chosen,
        "total": 612,
        "empty": 2,
    }
    inner = [task for task in executed(result) if task.count("/") == 2]
    assert inner == ["T1[1]/B/A", "T1[2]/B/C", "T1[4]/B/A", "T1[5]/B/C"]


NESTED = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.items, inputs: {{n: $input.n}}, foreach: {{over: items, as: outer, body: T2, collect: {{sums: T2.each.sums, total: T4.total}}}}, successor: [J]}}
  T2: {{node: trial.items, subchain: true, inputs: {{n: $item.outer}}, foreach: {{over: items, as: inner, body: T3, collect: {{sums: T3.sum}}}}}}
  T3: {{node: trial.add, subchain: true, inputs: {{x: $item.inner, y: $item.outer}}, params: {{plus: 10}}}}
  T4: {{node: trial.total, inputs: {{values: T2.each.sums}}}}
  J: {{node: trial.gather, inputs: {{values: T1.each.sums}}}}
outputs: {{found: J.found, sums: T1.each.sums, totals: T1.each.total}}
"""


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_nested_foreach_gives_a_list_of_lists_though_inner_lists_are_empty(run, count):
    result = run(NESTED, {"n": count})
    sums = [[inner + outer + 10 for inner in range(outer)] for outer in range(count)]
    assert completed(result) == {"found": sums, "sums": sums, "totals": [sum(inner) for inner in sums]}
    assert len([task for task in executed(result) if task.endswith("/T3")]) == count * (count - 1) // 2


def test_an_inner_alias_hides_an_outer_one_of_the_same_name(run):
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 2}}, params: {first: 3}, foreach: {over: items, body: T2, collect: {all: T2.each.all}}}
  T2: {node: trial.items, subchain: true, inputs: {n: $item.item}, foreach: {over: items, body: T3, collect: {all: T3.sum}}}
  T3: {node: trial.add, subchain: true, inputs: {x: $item.item}}
outputs: {all: T1.each.all}
""")
    assert completed(result) == {"all": [[0, 1, 2], [0, 1, 2, 3]]}


def test_a_foreach_within_a_branch_within_a_foreach(run):
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 4}}, foreach: {over: items, as: outer, body: D, collect: {all: P.both}}}
  D: {node: trial.decide, subchain: true, inputs: {x: $item.outer}, condition: true, branches: {a: E, b: null, none: null}}
  E: {node: trial.items, subchain: true, inputs: {n: {value: 3}}, foreach: {over: items, as: inner, body: F, collect: {list: F.sum}}}
  F: {node: trial.add, subchain: true, inputs: {x: $item.inner, y: $item.outer}}
  P: {node: trial.pair, inputs: {a: $item.outer, b: D.branch.list}}
outputs: {all: T1.each.all}
""")
    assert completed(result) == {"all": [[0, None], [1, [1, 2, 3]], [2, None], [3, None]]}


def test_a_reader_of_the_items_runs_beside_the_bodies(run, tmp_path):
    result = run(f"""
tasks:
  T1: {{node: trial.items, inputs: {{n: {{value: 1}}}}, foreach: {{over: items, body: B, collect: {{all: B.value}}}}}}
  B: {{node: trial.meet, subchain: true, inputs: {{x: $item.item}}, params: {{folder: "{tmp_path}", name: body, others: [reader]}}}}
  R: {{node: trial.total, inputs: {{values: T1.items}}}}
  S: {{node: trial.meet, inputs: {{x: R.total}}, params: {{folder: "{tmp_path}", name: reader, others: [body]}}}}
outputs: {{all: T1.each.all, s: S.value}}
""")
    assert completed(result) == {"all": [0], "s": 0}


FAILING = """
tasks:
  T1: {{node: trial.items, inputs: {{n: {{value: 4}}}}, params: {{first: -1}}, foreach: {{over: items, body: B, collect: {{values: {collected}}}}}}}
  B: {{node: trial.batch, subchain: true, inputs: {{x: $item.item}}, {on_error}}}
  C: {{node: trial.add, inputs: {{x: B.value}}}}
  {more}
  J: {{node: trial.gather, inputs: {{values: T1.each.values}}}}
outputs: {{values: J.found}}
"""


def test_an_item_that_fails_with_skip_leaves_null_in_its_place_alone(run):
    result = run(FAILING.format(collected="C.sum", on_error="on_error: skip", more=""))
    assert completed(result) == {"values": [None, 0, 10, 20]}
    assert subjects(result, "task.skipped") == ["T1[0]/B", "T1[0]/C"]


def test_an_item_that_fails_into_its_error_branch_offers_what_that_gives(run):
    result = run(
        FAILING.format(
            collected="P.both",
            on_error="on_error: {branch: E}",
            more="E: {node: trial.pair, subchain: true, inputs: {a: $item.item, b: $error}}\n"
            "  P: {node: trial.pair, inputs: {a: B.branch.both, b: $item.item}}",
        )
    )
    values = completed(result)["values"]
    assert [value[1] for value in values] == [-1, 0, 1, 2]
    assert [value[0] is None for value in values] == [False, True, True, True]
    item, error = values[0][0]
    assert (item, error["code"], error["task"]) == (-1, "NODE_ERROR", "T1[0]/B")
    assert executed(result).count("T1[0]/B/E") == 1


def test_an_item_that_fails_for_good_fails_the_run_and_names_the_item(run):
    result = run(FAILING.format(collected="C.sum", on_error="on_error: fail", more=""))
    assert result.status == "failed"
    assert (result.error["task"], result.error["node"]) == ("T1[0]/B", "trial.batch")
    assert result.outputs == {"values": None}


def test_a_list_of_pictures_is_handed_out_and_collected_again(run):
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 3}}, foreach: {over: items, body: B, collect: {images: C.image, means: C.mean}}}
  B: {node: trial.picture, subchain: true, inputs: {x: $item.item}}
  C: {node: trial.look, inputs: {image: B.image}}
outputs: {images: T1.each.images, means: T1.each.means}
""")
    outputs = completed(result)
    assert outputs["means"] == [0, 1, 2]
    assert [image.shape for image in outputs["images"]] == [(8, 8, 3)] * 3


def test_two_tasks_run_the_same_body_over_their_own_items(run):
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 2}}, foreach: {over: items, body: B, collect: {all: B.sum}}}
  T2: {node: trial.items, inputs: {n: {value: 3}}, params: {first: 10}, foreach: {over: items, body: B, collect: {all: B.sum}}}
  B: {node: trial.add, subchain: true, inputs: {x: $item.item}, params: {plus: 1}}
outputs: {one: T1.each.all, two: T2.each.all}
""")
    assert completed(result) == {"one": [1, 2], "two": [11, 12, 13]}


def test_a_thousand_items_complete(run):
    assert completed(run(SQUARE, {"n": 1000}))["total"] == sum(10 + 2 * number for number in range(1000))
