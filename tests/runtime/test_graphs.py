"""Chains, diamonds and joins without any decision."""

from __future__ import annotations

import pytest
from trial_runs import NUMBER, completed, executed, position, story, subjects

CHAIN = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.add, inputs: {{x: $input.n}}, params: {{plus: 1}}, successor: [T2]}}
  T2: {{node: trial.add, inputs: {{x: T1.sum}}, params: {{plus: 1}}, successor: [T3]}}
  T3: {{node: trial.add, inputs: {{x: T2.sum, y: T1.sum}}}}
outputs: {{last: T3.sum, first: T1.sum}}
"""
DIAMOND = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.add, inputs: {{x: $input.n}}}}
  T2: {{node: trial.add, inputs: {{x: T1.sum}}, params: {{plus: 10}}}}
  T3: {{node: trial.add, inputs: {{x: T1.sum}}, params: {{plus: 100}}}}
  T4: {{node: trial.add, inputs: {{x: T2.sum, y: T3.sum}}}}
outputs: {{sum: T4.sum}}
"""


def test_a_chain_hands_values_from_task_to_task_and_past_one(run):
    assert completed(run(CHAIN, {"n": 5})) == {"last": 13, "first": 6}


def test_a_chain_executes_each_task_once_and_in_order(run):
    started = story(run(CHAIN, {"n": 5}).events, "task.started")
    assert started == [("task.started", task) for task in ("T1", "T2", "T3")]


def test_the_join_of_a_diamond_sees_both_sides(run):
    assert completed(run(DIAMOND, {"n": 1})) == {"sum": 112}


def test_the_join_of_a_diamond_starts_after_both_sides_are_settled(run):
    result = run(DIAMOND, {"n": 1})
    joined = position(result, "task.started", "T4")
    assert max(position(result, "task.completed", side) for side in ("T2", "T3")) < joined


def test_a_task_that_is_only_a_predecessor_is_waited_for_though_nothing_is_read_from_it(run, ledger):
    result = run(f"""
tasks:
  T1: {{node: trial.ledger, params: {{file: "{ledger}", name: first}}, successor: [T2]}}
  T2: {{node: trial.ledger, params: {{file: "{ledger}", name: second}}, inputs: {{x: null}}}}
outputs: {{x: T2.value}}
""")
    assert completed(result) == {"x": 0}
    assert ledger.read_text().split("\n")[:-1] == ["start first 0", "end first 0", "start second 0", "end second 0"]


def test_twenty_roots_meet_in_one_task(run):
    roots = "\n".join(
        f"  R{number}: {{node: trial.add, inputs: {{x: {{value: {number}}}}}, successor: [J]}}" for number in range(20)
    )
    result = run(
        f"tasks:\n{roots}\n  J: {{node: trial.add, inputs: {{x: R0.sum, y: R19.sum}}}}\noutputs: {{sum: J.sum}}"
    )
    assert completed(result) == {"sum": 19}
    assert position(result, "task.started", "J") > max(
        position(result, "task.completed", f"R{number}") for number in range(20)
    )


def test_independent_tasks_without_a_join_all_run_before_the_run_completes(run):
    result = run("""
tasks:
  T1: {node: trial.add, inputs: {x: {value: 1}}}
  T2: {node: trial.add, inputs: {x: {value: 2}}}
  T3: {node: trial.add, inputs: {x: {value: 3}}}
outputs: {one: T1.sum, two: T2.sum, three: T3.sum}
""")
    assert completed(result) == {"one": 1, "two": 2, "three": 3}
    assert result.events[-1].kind == "run.completed"


def test_a_chain_of_three_hundred_tasks_completes(run):
    tasks = "\n".join(
        f"  T{number}: {{node: trial.add, inputs: {{x: T{number - 1}.sum}}, params: {{plus: 1}}}}"
        for number in range(1, 300)
    )
    text = f"tasks:\n  T0: {{node: trial.add, inputs: {{x: {{value: 0}}}}}}\n{tasks}\noutputs: {{sum: T299.sum}}"
    assert completed(run(text)) == {"sum": 299}


def test_parallel_tasks_overlap(run, tmp_path):
    """Neither task ends unless the other executes at the same time: proved by a meeting, not by a clock."""
    result = run(f"""
tasks:
  T1: {{node: trial.meet, params: {{folder: "{tmp_path}", name: one, others: [two]}}, successor: [T3]}}
  T2: {{node: trial.meet, params: {{folder: "{tmp_path}", name: two, others: [one]}}, successor: [T3]}}
  T3: {{node: trial.add, inputs: {{x: T1.value, y: T2.value}}}}
outputs: {{sum: T3.sum}}
""")
    assert completed(result) == {"sum": 0}


def test_there_are_no_levels_a_long_branch_does_not_hold_up_the_next_task_of_a_short_one(run, tmp_path):
    """T2's chain must reach T4 while T1 still executes; a scheduler that works level by level would never end."""
    result = run(f"""
tasks:
  T1: {{node: trial.meet, params: {{folder: "{tmp_path}", name: long, others: [last]}}}}
  T2: {{node: trial.add, inputs: {{x: {{value: 1}}}}}}
  T3: {{node: trial.add, inputs: {{x: T2.sum}}}}
  T4: {{node: trial.meet, inputs: {{x: T3.sum}}, params: {{folder: "{tmp_path}", name: last, others: [long]}}}}
outputs: {{long: T1.value, last: T4.value}}
""")
    assert completed(result) == {"long": 0, "last": 1}


@pytest.mark.parametrize("count", [1, 25])
def test_runs_of_one_project_do_not_mix_their_values(run, count):
    runs = [run.start(DIAMOND, {"n": number}) for number in range(count)]
    sums = [completed(run.wait(run_id))["sum"] for run_id in runs]
    assert sums == [110 + 2 * number for number in range(count)]


def test_a_project_parameter_reaches_the_tasks_that_name_it(run):
    text = """
params: {more: {type: number, default: 1}}
tasks:
  T1: {node: trial.add, inputs: {x: {value: 1}}, params: {plus: $param.more}}
outputs: {sum: T1.sum}
"""
    assert completed(run(text)) == {"sum": 2}
    assert completed(run(text, more=41)) == {"sum": 42}


def test_an_input_that_is_not_written_binds_to_the_predecessors_output_of_its_name(run):
    result = run("""
tasks:
  T1: {node: trial.picture, inputs: {x: {value: 7}}, successor: [T2]}
  T2: {node: trial.look, successor: [T3]}
  T3: {node: trial.look}
outputs: {mean: T3.mean, writeable: T3.writeable}
""")
    assert completed(result) == {"mean": 7, "writeable": False}


def test_an_optional_input_that_nothing_feeds_takes_its_default_or_null(run):
    outputs = completed(
        run("""
tasks:
  T1: {node: trial.pair, inputs: {a: null}}
  T2: {node: trial.add, inputs: {x: {value: 4}}}
outputs: {pair: T1.both, sum: T2.sum}
""")
    )
    assert outputs == {"pair": [None, None], "sum": 4}


def test_a_run_output_may_be_a_run_input_of_its_own(run):
    result = run(
        f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.add, inputs: {{x: $input.n}}}}
outputs: {{sum: T1.sum}}
""",
        {"n": 2.5},
    )
    assert completed(result) == {"sum": 2.5}
    assert executed(result) == subjects(result, "task.completed") == ["T1"]
