"""A node that breaks its contract fails its own task, by the right code, and takes nothing else along (B45)."""

from __future__ import annotations

import numpy as np
import pytest
from trial_runs import completed, subjects, wait_for

PROJECT = """
params: {{how: {{type: string, default: nothing_wrong}}}}
inputs: {{image: {{type: image, required: false}}, data: {{type: json, required: false}}}}
tasks:
  T1:
    node: trial.misbehave
    inputs: {{x: {{value: 1}}, image: $input.image, data: $input.data}}
    params: {{how: $param.how}}
    {policy}
  T2: {{node: trial.pair, inputs: {{a: T1.value, b: T1.data}}}}
outputs: {{out: T2.both, map: T1.map}}
"""
PLAIN = PROJECT.format(policy="retries: 0")

VIOLATIONS = {
    "undeclared_port": "outputs ['extra'] are not declared",
    "missing_port": "outputs ['data', 'map'] are missing",
    "none": "NoneType",
    "text": "str",
    "list_of_pairs": "list",
    "generator": "generator",
    "exception_returned": "ValueError",
    "undeclared_outcome": "outcome 'surprise' is not declared",
    "value_none": "output 'value'",
    "value_text": "output 'value'",
    "value_nan": "output 'value'",
    "value_numpy": "output 'value'",
    "data_nan_inside": "output 'data'",
    "data_lock": "output 'data'",
    "data_generator": "output 'data'",
    "data_cycle": "output 'data'",
    "data_number_keys": "output 'data'",
    "wrong_dtype": "output 'map'",
    "wrong_shape": "output 'map'",
    "empty_map": "output 'map'",
    "nan_map": "output 'map'",
    "negative_map": "output 'map'",
    "list_for_map": "output 'map'",
    "huge_map": "output 'map'",
    "strided_map": "output 'map'",
    "object_map": "output 'map'",
}
"""What a node returns -> what the message must name, so that its author finds the fault."""

ERRORS = {
    "raises": ("NODE_ERROR", "ValueError: this cannot be done"),
    "exits": ("NODE_ERROR", "SystemExit"),
    "interrupts": ("NODE_ERROR", "KeyboardInterrupt"),
    "out_of_memory": ("OUT_OF_MEMORY", "MemoryError"),
    "speaks_in_tongues": ("NODE_ERROR", "Unspeakable"),
    "mutates_array": ("NODE_ERROR", "read-only"),
}
PICTURE = np.full((4, 4, 3), 9, np.uint8)


def test_the_node_used_here_does_nothing_wrong_by_itself(run):
    assert completed(run(PLAIN))["out"] == [1, None]


@pytest.mark.parametrize("how", VIOLATIONS)
def test_what_does_not_fit_the_ports_is_a_contract_violation(run, how):
    result = run(PLAIN, {"data": {"list": [1]}}, how=how)
    assert result.status == "failed"
    assert [result.error[key] for key in ("code", "task", "node")] == ["CONTRACT_VIOLATION", "T1", "trial.misbehave"]
    assert VIOLATIONS[how] in result.error["message"]


@pytest.mark.parametrize("how", VIOLATIONS)
def test_nothing_of_a_contract_violation_is_committed(run, how):
    result = run(PLAIN, {"data": {"list": [1]}}, how=how)
    assert result.outputs == {"out": None, "map": None}
    assert subjects(result, "task.completed") == []
    assert subjects(result, "task.started") == ["T1"]


@pytest.mark.parametrize("how", ERRORS)
def test_what_a_node_raises_is_a_node_error_that_says_what_and_where(run, how):
    code, text = ERRORS[how]
    result = run(PLAIN, {"image": PICTURE}, how=how)
    assert result.status == "failed"
    assert [result.error[key] for key in ("code", "task", "node")] == [code, "T1", "trial.misbehave"]
    assert text in result.error["message"]
    assert result.outputs == {"out": None, "map": None}


@pytest.mark.parametrize("how", ["undeclared_outcome", *ERRORS])
def test_on_error_decides_about_misbehaviour_too(run, how):
    result = run(PROJECT.format(policy="on_error: skip"), {"image": PICTURE}, how=how)
    assert completed(result) == {"out": [None, None], "map": None}


def test_an_endless_message_is_cut(run):
    result = run(PLAIN, how="long_message")
    assert len(result.error["message"]) < 10_000


@pytest.mark.parametrize("how", ["exits", "interrupts", "out_of_memory", "raises", "speaks_in_tongues", "trap"])
def test_the_worker_lives_and_other_runs_are_unaffected(run, how):
    """Good runs and bad ones share the workers: more bad ones than there are threads, good ones before and after."""
    text = f"""
inputs: {{bad: {{type: json, schema: {{type: boolean}}}}, n: {{type: json, schema: {{type: number}}}}}}
tasks:
  T1:
    node: trial.add
    inputs: {{x: $input.n}}
    condition: true
    branches: [{{when: "$input.bad == true", to: B}}, {{default: G}}]
  B: {{node: trial.misbehave, subchain: true, params: {{how: {how}}}}}
  G: {{node: trial.ledger, subchain: true, inputs: {{x: T1.sum}}}}
outputs: {{out: T1.branch.value}}
"""
    runs = [run.start(text, {"bad": number % 3 != 0, "n": number}) for number in range(18)]
    for number, run_id in enumerate(runs):
        result = run.wait(run_id)
        if number % 3:
            assert (result.status, result.error["task"]) == ("failed", "T1/B")
        else:
            assert completed(result) == {"out": number}


def test_an_input_array_cannot_be_written_to_and_is_what_it_was(run):
    picture = PICTURE.copy()
    text = """
inputs: {image: {type: image}}
tasks:
  T1: {node: trial.misbehave, inputs: {image: $input.image}, params: {how: mutates_array}, on_error: skip, successor: [T2]}
  T2: {node: trial.look, inputs: {image: $input.image}}
outputs: {mean: T2.mean, writeable: T2.writeable}
"""
    assert completed(run(text, {"image": picture})) == {"mean": 9, "writeable": False}
    assert (picture == 9).all()
    assert picture.flags.writeable, "the caller's own array is the caller's"


def test_an_output_array_cannot_be_written_to_by_those_who_get_it(run):
    text = """
tasks:
  T1: {node: trial.picture, inputs: {x: {value: 9}}}
  T2: {node: trial.misbehave, inputs: {image: T1.image}, params: {how: mutates_array}, on_error: skip, successor: [T3]}
  T3: {node: trial.look, inputs: {image: T1.image}}
outputs: {mean: T3.mean}
"""
    assert completed(run(text)) == {"mean": 9}


def test_what_a_node_changes_in_a_json_input_nobody_else_sees(run):
    given = {"list": [1, {"deep": 2}]}
    text = """
inputs: {data: {type: json}}
tasks:
  T0: {node: trial.pair, inputs: {a: $input.data}}
  T1: {node: trial.misbehave, inputs: {data: $input.data}, params: {how: mutates_json}, successor: [T2]}
  T2: {node: trial.pair, inputs: {a: $input.data, b: T0.both}}
outputs: {out: T2.both, changed: T1.data}
"""
    outputs = completed(run(text, {"data": given}))
    clean = {"list": [1, {"deep": 2}]}
    assert outputs["out"] == [clean, [clean, None]]
    assert outputs["changed"] == {"list": [1, {"deep": 2}, "spoilt"], "spoilt": True}
    assert given == clean


def test_a_constant_of_the_project_is_the_same_in_every_run_whatever_a_node_does_to_it(run):
    text = """
tasks:
  T1: {node: trial.misbehave, inputs: {data: {value: {list: [1]}}}, params: {how: mutates_json}}
outputs: {changed: T1.data}
"""
    changed = {"changed": {"list": [1, "spoilt"], "spoilt": True}}
    assert completed(run(text)) == changed
    assert completed(run(text)) == changed


def test_what_a_node_keeps_of_its_outputs_and_changes_later_changes_no_run(run):
    """The node returns one and the same dictionary twice; the second item must not see the first one's marks."""
    text = """
tasks:
  T1: {node: trial.items, inputs: {n: {value: 2}}, foreach: {over: items, body: B, collect: {all: C.data}}}
  B: {node: trial.misbehave, subchain: true, inputs: {data: {value: {list: []}}}}
  C: {node: trial.misbehave, inputs: {data: B.data}, params: {how: mutates_json}}
  J: {node: trial.gather, inputs: {values: T1.each.all}}
outputs: {all: J.found}
"""
    assert completed(run(text)) == {"all": [{"list": ["spoilt"], "spoilt": True}] * 2}


def test_a_result_returned_after_a_timeout_is_dropped(run, ledger):
    result = run(f"""
tasks:
  T1: {{node: trial.misbehave, params: {{how: late, file: "{ledger}"}}, timeout: 0.05, on_error: skip}}
  T2: {{node: trial.pair, inputs: {{a: T1.value}}}}
outputs: {{out: T2.both}}
""")
    assert completed(result) == {"out": [None, None]}
    wait_for(ledger, "returned")


def test_an_outcome_from_a_node_that_declares_none_is_a_contract_violation(run):
    result = run(PLAIN, how="undeclared_outcome")
    assert "[]" in result.error["message"], "what is declared is told: nothing"
