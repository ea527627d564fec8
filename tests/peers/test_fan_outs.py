"""Threads about fan-out: nested, empty, and thousands of tiny tasks.

The texts of dagster 4364 (comments only) and 31143 and of prefect 18883 were read. Triton 4198 and prefect 5977 are rebuilt from a
one-line account of each.
"""

from __future__ import annotations

import pytest
from trial_runs import NUMBER, completed, executed, subjects


def test_dagster_4364_a_task_may_be_downstream_of_a_fan_out_within_a_fan_out(run):
    # There, what was already mapped over a list could not be fanned out again.
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 3}}, params: {first: 1}, foreach: {over: items, as: outer, body: P, collect: {all: T2.each.all}}}
  P: {node: trial.add, subchain: true, inputs: {x: $item.outer}, params: {plus: 1}}
  T2: {node: trial.items, inputs: {n: P.sum}, foreach: {over: items, as: inner, body: T3, collect: {all: T4.sum}}}
  T3: {node: trial.add, subchain: true, inputs: {x: $item.inner}}
  T4: {node: trial.add, inputs: {x: T3.sum, y: P.sum}}
outputs: {all: T1.each.all}
""")
    assert completed(result) == {"all": [[inner + size for inner in range(size)] for size in (2, 3, 4)]}


def test_dagster_31143_a_nested_fan_out_that_is_joined_on_both_levels_starts_and_completes(run):
    # There, a job whose mapped part maps and joins again could not start, or left its inner tasks out.
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 4}}, foreach: {over: items, as: outer, body: T2, collect: {totals: I.total}}}
  T2: {node: trial.items, subchain: true, inputs: {n: {value: 5}}, foreach: {over: items, as: inner, body: T3, collect: {all: T3.sum}}}
  T3: {node: trial.add, subchain: true, inputs: {x: $item.inner, y: $item.outer}}
  I: {node: trial.total, inputs: {values: T2.each.all}}
  O: {node: trial.total, inputs: {values: T1.each.totals}}
outputs: {total: O.total}
""")
    assert completed(result) == {"total": sum(inner + outer for inner in range(5) for outer in range(4))}
    assert len([task for task in executed(result) if task.endswith("/T3")]) == 20
    assert not subjects(result, "task.skipped")


@pytest.mark.parametrize(("crops", "means"), [(0, []), (2, [0, 1])])
def test_triton_4198_a_detector_that_finds_nothing_does_not_break_the_classifier_behind_it(run, crops, means):
    # There, a detector's empty list of crops reached the classifier as an empty batch, which it could not take.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  DETECT: {{node: trial.items, inputs: {{n: $input.n}}, foreach: {{over: items, as: box, body: CROP, collect: {{crops: CROP.image, means: CLASSIFY.mean}}}}}}
  CROP: {{node: trial.picture, subchain: true, inputs: {{x: $item.box}}}}
  CLASSIFY: {{node: trial.look, inputs: {{image: CROP.image}}}}
  REPORT: {{node: trial.gather, inputs: {{values: DETECT.each.means}}}}
outputs: {{means: REPORT.found, crops: DETECT.each.crops}}
"""
    outputs = completed(run(text, {"n": crops}))
    assert (outputs["means"], len(outputs["crops"])) == (means, crops)


def test_prefect_18883_two_thousand_tiny_items_are_one_entry_of_the_story_when_they_become_ready(run):
    # There, a list of two thousand items registered as many tasks with the server, which became unstable.
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 2000}}, foreach: {over: items, body: B, collect: {all: B.sum}}}
  B: {node: trial.add, subchain: true, inputs: {x: $item.item}}
  J: {node: trial.total, inputs: {values: T1.each.all}}
outputs: {total: J.total}
""")
    assert completed(result) == {"total": sum(range(2000))}
    ready = [event for event in result.events if event.kind == "task.ready"]
    assert [event.subject for event in ready] == ["T1", "T1[*]/B", "J"]
    assert ready[1].data == {"count": 2000}


def test_prefect_5977_many_runs_of_tiny_tasks_all_end(run):
    # There, large numbers of tiny tasks at once overwhelmed what had to keep track of them.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.add, inputs: {{x: $input.n}}}}
  T2: {{node: trial.add, inputs: {{x: T1.sum}}}}
outputs: {{out: T2.sum}}
"""
    runs = [run.start(text, {"n": number}) for number in range(300)]
    assert [completed(run.wait(run_id))["out"] for run_id in runs] == list(range(300))
