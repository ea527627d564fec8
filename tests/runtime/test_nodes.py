"""How nodes live in a runtime: setup, teardown, threads, batches, what they are told."""

from __future__ import annotations

import pytest
from trial_runs import NUMBER, completed, entries, subjects


def test_an_instance_is_set_up_once_however_many_tasks_and_runs_it_serves(run, ledger):
    text = f"""
tasks:
  T1: {{node: trial.items, inputs: {{n: {{value: 5}}}}, foreach: {{over: items, body: B, collect: {{all: B.model}}}}}}
  B: {{node: trial.setup, subchain: true, inputs: {{x: $item.item}}, params: {{file: "{ledger}"}}}}
outputs: {{all: T1.each.all}}
"""
    for run_id in [run.start(text) for _ in range(3)]:
        assert completed(run.wait(run_id)) == {"all": ["plain"] * 5}
    assert entries(ledger) == ["setup plain"]


def test_each_value_of_a_setup_parameter_has_an_instance_of_its_own(run, ledger):
    text = f"""
tasks:
  T1: {{node: trial.setup, params: {{file: "{ledger}", model: red}}}}
  T2: {{node: trial.setup, params: {{file: "{ledger}", model: blue}}}}
  T3: {{node: trial.setup, params: {{file: "{ledger}", model: red}}}}
outputs: {{one: T1.model, two: T2.model, three: T3.model}}
"""
    assert completed(run(text)) == {"one": "red", "two": "blue", "three": "red"}
    assert sorted(entries(ledger)) == ["setup blue", "setup red"]


def test_instances_are_torn_down_at_an_orderly_end(run, ledger):
    completed(
        run(f"""
tasks:
  T1: {{node: trial.setup, params: {{file: "{ledger}", model: red}}}}
outputs: {{one: T1.model}}
""")
    )
    assert entries(ledger) == ["setup red"]
    run.runtime.close()
    assert entries(ledger) == ["setup red", "teardown red"]


def test_a_teardown_that_exits_keeps_no_other_from_being_torn_down(run, ledger):
    completed(
        run(f"""
tasks:
  T1: {{node: trial.setup, params: {{file: "{ledger}", model: one, fail: teardown}}}}
  T2: {{node: trial.setup, params: {{file: "{ledger}", model: two, fail: teardown}}}}
outputs: {{one: T1.model, two: T2.model}}
""")
    )
    run.runtime.close()
    assert sorted(entries(ledger)) == ["setup one", "setup two", "teardown one", "teardown two"]


def test_a_setup_that_fails_fails_its_task_with_its_code_and_is_tried_again(run, ledger):
    result = run(f"""
tasks:
  T1: {{node: trial.setup, params: {{file: "{ledger}", fail: setup}}, retries: 1}}
outputs: {{one: T1.model}}
""")
    assert [result.error[key] for key in ("code", "task", "node")] == ["SETUP_FAILED", "T1", "trial.setup"]
    assert "RuntimeError: no such model" in result.error["message"]
    assert entries(ledger) == ["setup plain"] * 2


def test_an_instance_that_is_not_thread_safe_is_never_entered_twice_at_once(run):
    text = """
tasks:
  T1: {node: trial.items, inputs: {n: {value: 12}}, foreach: {over: items, body: B, collect: {all: B.value}}}
  B: {node: trial.alone, subchain: true, inputs: {x: $item.item}}
outputs: {all: T1.each.all}
"""
    for run_id in [run.start(text) for _ in range(4)]:
        assert completed(run.wait(run_id)) == {"all": list(range(12))}


def test_a_busy_instance_holds_up_no_other_node(run, tmp_path):
    """Tasks of one busy instance outnumber the threads; were they to wait within them, the two could never meet."""
    tasks = "\n".join(f"  A{number}: {{node: trial.alone, inputs: {{x: {{value: {number}}}}}}}" for number in range(8))
    outputs = ", ".join(f"a{number}: A{number}.value" for number in range(8))
    result = run(f"""
tasks:
{tasks}
  M: {{node: trial.meet, params: {{folder: "{tmp_path}", name: one, others: [two]}}}}
  N: {{node: trial.meet, params: {{folder: "{tmp_path}", name: two, others: [one]}}}}
outputs: {{m: M.value, n: N.value, {outputs}}}
""")
    assert completed(result) == {"m": 0, "n": 0} | {f"a{number}": number for number in range(8)}


def test_a_node_that_knows_only_batches_serves_single_tasks(run):
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.batch, inputs: {{x: $input.n}}}}
outputs: {{out: T1.value}}
"""
    assert completed(run(text, {"n": 4})) == {"out": 40}
    refused = run(text, {"n": -4})
    assert refused.error["code"] == "NODE_ERROR"
    assert "ValueError: -4 is negative" in refused.error["message"]


def test_a_node_is_told_its_parameters_with_defaults_and_its_inputs(run):
    text = f"""
inputs: {{n: {NUMBER}}}
params: {{word: {{type: string, default: given}}}}
tasks:
  T1: {{node: trial.context, inputs: {{x: $input.n}}, params: {{word: $param.word}}}}
outputs: {{told: T1.told}}
"""
    told = completed(run(text, {"n": 2}))["told"]
    assert told["params"] == {"level": 3, "word": "given"}
    assert told["inputs"] == {"x": 2}
    assert told["device"] == "cpu"
    assert told["cancelled"] is False


def test_the_effect_key_is_the_same_in_every_attempt(run, ledger):
    run_id = run.start(f"""
tasks:
  T1: {{node: trial.misbehave, params: {{how: fails_first, times: 3, file: "{ledger}"}}, retries: 1}}
outputs: {{out: T1.value}}
""")
    run.wait(run_id)
    completed(run.resume(run_id))
    keys = entries(ledger.with_name(f"{ledger.name}.keys"))
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_the_effect_key_is_another_in_every_task_item_and_run(run):
    text = """
tasks:
  T1: {node: trial.items, inputs: {n: {value: 2}}, foreach: {over: items, body: B, collect: {all: B.told}}}
  B: {node: trial.context, subchain: true, inputs: {x: $item.item}}
  T2: {node: trial.context}
  J: {node: trial.gather, inputs: {values: T1.each.all}}
outputs: {all: J.found, one: T2.told}
"""
    keys = []
    for _ in range(2):
        outputs = completed(run(text))
        keys += [told["effect_key"] for told in (*outputs["all"], outputs["one"])]
    assert len(set(keys)) == 6


@pytest.mark.parametrize(("reference", "out"), [("trial.scale@1", 10), ("trial.scale@2", 15), ("trial.scale", 15)])
def test_two_majors_of_a_node_live_side_by_side_and_the_highest_is_meant_without_a_pin(run, reference, out):
    text = f"""
tasks:
  T1: {{node: {reference}, inputs: {{x: {{value: 5}}}}}}
outputs: {{out: T1.value}}
"""
    assert completed(run(text)) == {"out": out}


def test_both_majors_serve_one_run(run):
    result = run("""
tasks:
  T1: {node: trial.scale@1, inputs: {x: {value: 5}}}
  T2: {node: trial.scale@2, inputs: {x: T1.value}}
outputs: {out: T2.value}
""")
    assert completed(result) == {"out": 30}
    assert subjects(result, "task.completed") == ["T1", "T2"]
