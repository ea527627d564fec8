"""Threads about joins after a branch: a join that runs too early, never, or with an empty input.

The texts of airflow 55187 and 46297, dagster 4630, haystack 8059 and 8937 were read, of haystack 7533 its fix. The others could not
be had: what is said of them is rebuilt from a one-line account of each, and may miss what their reporters saw.
"""

from __future__ import annotations

import pytest
from trial_runs import NUMBER, completed, executed, position, subjects


def test_airflow_39801_a_join_behind_one_of_two_branches_runs_once_the_chosen_one_has_ended(run):
    # There, whether a join was skipped or run hung on which of its parents was settled first.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: SHORT, b: LONG, none: null}}, successor: [J]}}
  SHORT: {{node: trial.ledger, subchain: true, inputs: {{x: {{value: 1}}}}}}
  LONG: {{node: trial.ledger, subchain: true, inputs: {{x: {{value: 2}}}}}}
  LONG2: {{node: trial.ledger, inputs: {{x: LONG.value}}, params: {{pause_ms: 5}}}}
  J: {{node: trial.pair, inputs: {{a: T1.branch.value}}}}
outputs: {{out: J.both}}
"""
    for n, value, last in ((1, 1, "T1/SHORT"), (2, 2, "T1/LONG2")):
        result = run(text, {"n": n})
        assert completed(result) == {"out": [value, None]}
        assert position(result, "task.completed", last) < position(result, "task.ready", "J")


def test_airflow_55187_a_task_behind_two_decisions_runs_only_where_the_last_of_them_leads_to_it(run):
    # There, the first branch counted as a parent that had succeeded, so a task behind it ran although the second
    # branch had led elsewhere.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  B1: {{node: trial.decide, params: {{choose: a}}, condition: true, branches: {{a: B2, b: PROBLEM, none: null}}}}
  B2: {{node: trial.decide, subchain: true, inputs: {{x: $input.n}}, condition: true, branches: {{a: DEADEND, b: PROBLEM, none: null}}}}
  DEADEND: {{node: trial.add, subchain: true, inputs: {{x: {{value: 1}}}}}}
  PROBLEM: {{node: trial.add, subchain: true, inputs: {{x: {{value: 2}}}}}}
outputs: {{out: B1.value}}
"""
    assert executed(run(text, {"n": 1})) == ["B1", "B1/B2", "B1/B2/DEADEND"]
    assert executed(run(text, {"n": 2})) == ["B1", "B1/B2", "B1/B2/PROBLEM"]


def test_airflow_46297_a_join_within_a_mapped_group_is_not_skipped_whichever_branch_an_item_takes(run):
    # There, the join of a branch inside a group that was expanded over a list was skipped for every item.
    result = run("""
tasks:
  S: {node: trial.items, inputs: {n: {value: 3}}, params: {first: 1}, foreach: {over: items, as: n, body: B, collect: {all: F.both}}}
  B:
    node: trial.add
    subchain: true
    inputs: {x: $item.n}
    condition: true
    branches: [{when: "B.sum == 1", to: FOO}, {default: BAR}]
  FOO: {node: trial.add, subchain: true, inputs: {x: $item.n}, params: {plus: 1}}
  BAR: {node: trial.add, subchain: true, inputs: {x: $item.n}, params: {plus: 3}}
  F: {node: trial.pair, predecessor: [B], inputs: {a: B.branch.sum}}
  ALL: {node: trial.gather, inputs: {values: S.each.all}}
outputs: {all: ALL.found}
""")
    assert completed(result) == {"all": [[2, None], [5, None], [6, None]]}
    assert not subjects(result, "task.skipped")


def test_dagster_4630_two_fan_outs_are_added_up_though_one_of_them_was_skipped(run):
    # There, the grand total never ran once one of the two lists had not been produced.
    result = run("""
tasks:
  D: {node: trial.misbehave, params: {how: raises}, on_error: skip}
  FOO: {node: trial.items, inputs: {n: {value: 6}}, params: {first: 1}, foreach: {over: items, body: M, collect: {all: M.sum}}}
  BAR: {node: trial.items, inputs: {n: D.value}, foreach: {over: items, body: M, collect: {all: M.sum}}}
  M: {node: trial.add, subchain: true, inputs: {x: $item.item, y: $item.item}, params: {plus: 17}}
  F: {node: trial.total, inputs: {values: FOO.each.all}}
  B: {node: trial.total, inputs: {values: BAR.each.all}}
  T: {node: trial.pair, inputs: {a: F.total, b: B.total}}
outputs: {out: T.both}
""")
    assert completed(result) == {"out": [2 * 21 + 6 * 17, None]}
    assert subjects(result, "task.skipped") == ["B", "BAR", "D"]


def test_dagster_8574_what_follows_a_join_of_optional_results_runs_with_those_that_are_there(run):
    # There, a join was left out when some of what it gathers had not been produced.
    result = run("""
tasks:
  T1: {node: trial.decide, params: {choose: a}, condition: true, branches: {a: A, b: null, none: null}}
  T2: {node: trial.decide, params: {choose: none}, condition: true, branches: {a: A, b: null, none: null}}
  A: {node: trial.add, subchain: true, inputs: {x: {value: 7}}}
  J: {node: trial.pair, predecessor: [T1, T2], inputs: {a: T1.branch.sum, b: T2.branch.sum}}
  K: {node: trial.pair, inputs: {a: J.both}}
outputs: {out: K.both}
""")
    assert completed(result) == {"out": [[7, None], None]}


def test_haystack_7533_a_task_with_defaults_behind_a_branch_that_was_not_chosen_does_not_run(run):
    # There, a component all of whose inputs have defaults ran although the route to it had not been taken.
    result = run("""
tasks:
  T1: {node: trial.decide, params: {choose: b}, condition: true, branches: {a: A, b: B, none: null}}
  A: {node: trial.pair, subchain: true}
  B: {node: trial.pair, subchain: true, inputs: {a: T1.value}}
  J: {node: trial.pair, predecessor: [T1], inputs: {a: T1.branch.both}}
outputs: {out: J.both}
""")
    assert completed(result) == {"out": [[0, None], None]}
    assert executed(result) == ["J", "T1", "T1/B"]


@pytest.mark.parametrize("choose", ["a", "b"])
def test_haystack_8059_a_join_within_the_branch_that_was_not_chosen_holds_nothing_up(run, choose):
    # There, a pipeline with a joiner in the branch that did not run looped for ever, waiting for its input.
    result = run(f"""
tasks:
  T1: {{node: trial.decide, params: {{choose: {choose}}}, condition: true, branches: {{a: A, b: B, none: null}}}}
  A: {{node: trial.pair, subchain: true, inputs: {{a: {{value: 1}}}}}}
  B: {{node: trial.add, subchain: true, inputs: {{x: {{value: 1}}}}}}
  B1: {{node: trial.add, inputs: {{x: B.sum}}}}
  B2: {{node: trial.add, inputs: {{x: B.sum}}}}
  BJ: {{node: trial.pair, inputs: {{a: B1.sum, b: B2.sum}}}}
  J: {{node: trial.pair, predecessor: [T1], inputs: {{a: T1.branch.both}}}}
outputs: {{out: J.both}}
""")
    assert completed(result) == {"out": [[1, None] if choose == "a" else [1, 1], None]}
    assert executed(result).count("J") == 1


def test_haystack_8641_a_join_with_optional_inputs_waits_for_all_that_will_come(run):
    # There, a component started as soon as it had enough to run, before its other inputs had been computed.
    result = run("""
tasks:
  S: {node: trial.add, inputs: {x: {value: 1}}}
  FAST: {node: trial.add, inputs: {x: S.sum}}
  L1: {node: trial.ledger, inputs: {x: S.sum}, params: {pause_ms: 3}}
  L2: {node: trial.ledger, inputs: {x: L1.value}, params: {pause_ms: 3}}
  J: {node: trial.pair, inputs: {a: FAST.sum, b: L2.value}}
outputs: {out: J.both}
""")
    assert completed(result) == {"out": [1, 1]}
    assert position(result, "task.completed", "L2") < position(result, "task.ready", "J")


@pytest.mark.parametrize(("choose", "value"), [("a", 1), ("b", 2)])
def test_haystack_8937_the_value_of_the_chosen_route_is_not_overwritten_by_the_silence_of_the_other(run, choose, value):
    # There, two outputs of one router fed one joiner, and the mark "no output" of the route not taken replaced the
    # value of the one that was.
    result = run(f"""
tasks:
  R: {{node: trial.decide, params: {{choose: {choose}}}, condition: true, branches: {{a: A, b: B, none: null}}}}
  A: {{node: trial.add, subchain: true, inputs: {{x: {{value: 1}}}}}}
  B: {{node: trial.add, subchain: true, inputs: {{x: {{value: 2}}}}}}
  J: {{node: trial.pair, predecessor: [R], inputs: {{a: R.branch.sum, b: R.branch.sum}}}}
outputs: {{out: J.both}}
""")
    assert completed(result) == {"out": [value, value]}


def test_haystack_pr_11057_the_result_does_not_depend_on_the_order_in_which_tasks_are_written(run):
    # There, which component ran next, and so what a join saw, could hang on the order in which parts were added.
    tasks = """
  T1: {node: trial.decide, params: {choose: a}, condition: true, branches: {a: A, b: null, none: null}}
  A: {node: trial.add, subchain: true, inputs: {x: {value: 5}}}
  P: {node: trial.add, inputs: {x: T1.value}, params: {plus: 1}}
  Q: {node: trial.add, inputs: {x: P.sum}, params: {plus: 1}}
  J: {node: trial.pair, predecessor: [T1], inputs: {a: T1.branch.sum, b: Q.sum}}
""".strip("\n").split("\n")
    for order in (tasks, tasks[::-1], tasks[2:] + tasks[:2]):
        result = run("tasks:\n" + "\n".join(order) + "\noutputs: {out: J.both}\n")
        assert completed(result) == {"out": [5, 2]}


def test_celery_9674_a_join_within_a_join_runs_after_all_its_members(run):
    # There, a group whose members are joins themselves could lose its body: it ran too early or never.
    chains = "\n".join(
        f"  A{number}: {{node: trial.add, inputs: {{x: {{value: {number}}}}}}}\n"
        f"  B{number}: {{node: trial.add, inputs: {{x: {{value: 10}}}}}}\n"
        f"  J{number}: {{node: trial.add, inputs: {{x: A{number}.sum, y: B{number}.sum}}}}"
        for number in range(3)
    )
    result = run(f"""
tasks:
{chains}
  K: {{node: trial.add, inputs: {{x: J0.sum, y: J1.sum}}}}
  L: {{node: trial.add, inputs: {{x: K.sum, y: J2.sum}}}}
outputs: {{out: L.sum}}
""")
    assert completed(result) == {"out": 33}
    inner = max(position(result, "task.completed", f"J{number}") for number in range(3))
    assert inner < position(result, "task.started", "L")


def test_celery_5229_a_join_whose_member_failed_does_not_wait_for_ever(run):
    # There, the body of a group hung, neither run nor failed, after one of its members had failed.
    members = "\n".join(
        f"  M{number}: {{node: trial.add, inputs: {{x: {{value: 1}}}}, successor: [J]}}" for number in range(3)
    )
    text = f"""
tasks:
{members}
  BAD: {{node: trial.misbehave, params: {{how: raises}}, POLICY, successor: [J]}}
  J: {{node: trial.pair, inputs: {{a: M0.sum, b: BAD.value}}}}
outputs: {{out: J.both}}
"""
    assert run(text.replace("POLICY", "on_error: fail")).status == "failed"
    assert completed(run(text.replace("POLICY", "on_error: skip"))) == {"out": [1, None]}
