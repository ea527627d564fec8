"""Threads that ask for conditions: each wish as a project.

The texts of these threads could not be had: each wish is rebuilt from a one-line account of it.
"""

from __future__ import annotations

import pytest
from trial_runs import NUMBER, completed, executed


def test_triton_3459_a_model_runs_only_if_the_one_before_found_something(run):
    # The wish: leave out a step of an ensemble, depending on what the step before it gave.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  DETECT: {{node: trial.items, inputs: {{n: $input.n}}}}
  COUNT:
    node: trial.total
    inputs: {{values: DETECT.items}}
    condition: true
    branches: [{{when: "size(DETECT.items) > 0", to: RECOGNISE}}, {{default: null}}]
  RECOGNISE: {{node: trial.gather, subchain: true, inputs: {{values: DETECT.items}}}}
  ANSWER: {{node: trial.pair, predecessor: [COUNT], inputs: {{a: COUNT.branch.found}}}}
outputs: {{answer: ANSWER.both}}
"""
    nothing, something = run(text, {"n": 0}), run(text, {"n": 2})
    assert completed(nothing) == {"answer": [None, None]}
    assert "COUNT/RECOGNISE" not in executed(nothing)
    assert completed(something) == {"answer": [[0, 1], None]}


@pytest.mark.parametrize(("n", "model"), [(1, "T1/SMALL"), (2, "T1/LARGE")])
def test_triton_3483_one_of_two_models_is_chosen_by_the_first_ones_result(run, n, model):
    # The wish: route a request to one of several models.
    result = run(
        f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: SMALL, b: LARGE, none: null}}}}
  SMALL: {{node: trial.scale@1, subchain: true, inputs: {{x: T1.value}}}}
  LARGE: {{node: trial.scale@2, subchain: true, inputs: {{x: T1.value}}}}
outputs: {{out: T1.branch.value}}
""",
        {"n": n},
    )
    assert completed(result) == {"out": 2 if n == 1 else 6}
    assert executed(result) == sorted(["T1", model])


def test_triton_3896_a_chain_is_left_early_when_its_first_step_is_sure(run):
    # The wish: stop an ensemble early, and answer with what there is.
    text = f"""
inputs: {{n: {NUMBER}}}
params: {{sure: {{type: number, default: 0.9}}}}
tasks:
  QUICK:
    node: trial.add
    inputs: {{x: $input.n}}
    condition: true
    branches: [{{when: "QUICK.sum >= $param.sure", to: null}}, {{default: SLOW}}]
  SLOW: {{node: trial.add, subchain: true, inputs: {{x: QUICK.sum}}, params: {{plus: 100}}}}
  SLOWER: {{node: trial.add, inputs: {{x: SLOW.sum}}, params: {{plus: 100}}}}
  ANSWER: {{node: trial.pair, predecessor: [QUICK], inputs: {{a: QUICK.sum, b: QUICK.branch.sum}}}}
outputs: {{answer: ANSWER.both}}
"""
    assert completed(run(text, {"n": 0.95})) == {"answer": [0.95, None]}
    assert completed(run(text, {"n": 0.5})) == {"answer": [0.5, 200.5]}
    assert completed(run(text, {"n": 0.5}, sure=0.4)) == {"answer": [0.5, None]}


def test_triton_6391_a_step_may_be_optional_and_the_steps_behind_it_still_run(run):
    # The wish: an optional step in an ensemble, whose absence does not take the later ones along.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: ENHANCE, b: null, none: null}}}}
  ENHANCE: {{node: trial.add, subchain: true, inputs: {{x: T1.value}}, params: {{plus: 50}}}}
  NEXT: {{node: trial.pair, predecessor: [T1], inputs: {{a: T1.value, b: T1.branch.sum}}}}
  LAST: {{node: trial.pair, inputs: {{a: NEXT.both}}}}
outputs: {{out: LAST.both}}
"""
    assert completed(run(text, {"n": 1})) == {"out": [[1, 51], None]}
    assert completed(run(text, {"n": 2})) == {"out": [[2, None], None]}


def test_triton_7589_each_element_of_a_batch_takes_its_own_way(run):
    # The wish: decide for each element of a batch, not for the batch as a whole.
    result = run("""
tasks:
  T1: {node: trial.items, inputs: {n: {value: 5}}, foreach: {over: items, body: D, collect: {all: D.branch.value}}}
  D: {node: trial.decide, subchain: true, inputs: {x: $item.item}, condition: true, branches: {a: A, b: B, none: null}}
  A: {node: trial.scale@1, subchain: true, inputs: {x: $item.item}}
  B: {node: trial.scale@2, subchain: true, inputs: {x: $item.item}}
outputs: {all: T1.each.all}
""")
    assert completed(result) == {"all": [None, 2, 6, None, 8]}


def test_celery_3550_a_chain_may_end_early_without_counting_as_failed(run):
    # The wish: a task in a chain that ends the rest of it, on purpose.
    result = run("""
tasks:
  T1: {node: trial.add, inputs: {x: {value: 1}}}
  T2:
    node: trial.add
    inputs: {x: T1.sum}
    condition: true
    branches: [{when: "T2.sum > 5", to: T3}, {default: null}]
  T3: {node: trial.misbehave, subchain: true, params: {how: raises}}
  T4: {node: trial.misbehave, inputs: {x: T3.value}, params: {how: raises}}
outputs: {out: T2.sum, rest: T2.branch.value}
""")
    assert completed(result) == {"out": 1, "rest": None}
    assert executed(result) == ["T1", "T2"]


def test_celery_4650_what_runs_next_is_chosen_when_the_result_is_known(run):
    # The wish: decide at run time, by a result, how a workflow goes on, with a join behind it.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: A, b: B, none: N}}, successor: [J]}}
  A: {{node: trial.add, subchain: true, inputs: {{x: {{value: 1}}}}}}
  B: {{node: trial.add, subchain: true, inputs: {{x: {{value: 2}}}}}}
  B2: {{node: trial.add, inputs: {{x: B.sum}}, params: {{plus: 20}}}}
  N: {{node: trial.add, subchain: true, inputs: {{x: {{value: 3}}}}}}
  J: {{node: trial.add, inputs: {{x: T1.branch.sum}}, params: {{plus: 100}}}}
outputs: {{out: J.sum}}
"""
    assert [completed(run(text, {"n": n}))["out"] for n in (0, 1, 2)] == [103, 101, 122]


def test_kedro_2410_a_pipeline_decides_by_its_own_data_without_being_built_twice(run):
    # The wish: conditional nodes in a pipeline, instead of choosing between pipelines before they run.
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.scale@1, inputs: {{x: $input.n}}}}
  T2:
    node: trial.add
    inputs: {{x: T1.value}}
    condition: true
    branches:
      - {{when: "T2.sum > 10", to: BIG}}
      - {{when: "T2.sum > 0", to: LITTLE}}
      - {{default: null}}
  BIG: {{node: trial.add, subchain: true, inputs: {{x: T2.sum}}, params: {{plus: 1000}}}}
  LITTLE: {{node: trial.add, subchain: true, inputs: {{x: T2.sum}}, params: {{plus: 1}}}}
outputs: {{out: T2.branch.sum}}
"""
    runs = [run.start(text, {"n": n}) for n in (-1, 3, 6)]
    results = [run.wait(run_id) for run_id in runs]
    assert [completed(result)["out"] for result in results] == [None, 7, 1012]
    assert len({result.events[0].data["plan"] for result in results}) == 1, "one plan for all of them"
