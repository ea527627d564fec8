"""What nodes return that cannot be kept, and what they raise: typed failures, and the worker goes on."""

from __future__ import annotations

from workforce import Crew, Work, leftovers, mix, story_faults

MISBEHAVES = """
tyqi: 1
project: misbehaves
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: trial.misbehave, inputs: {x: $input.x, data: {value: 1}}, params: {how: HOW}}
outputs: {value: T1.value}
"""
LARGE = """
tyqi: 1
project: large
tasks:
  T1: {node: trial.large}
  T2: {node: trial.look, inputs: {image: T1.image}, queue: io}
outputs: {mean: T2.mean}
"""
CASES = {
    "raises": (MISBEHAVES.replace("HOW", "raises"), {"x": 1}, "NODE_ERROR"),
    "ill-typed": (MISBEHAVES.replace("HOW", "wrong_dtype"), {"x": 1}, "CONTRACT_VIOLATION"),
    "four GiB": (MISBEHAVES.replace("HOW", "huge_map"), {"x": 1}, "CONTRACT_VIOLATION"),
    "too large for Redis": (LARGE, {}, "VALUE_TOO_LARGE"),
}


def test_runs_fail_by_what_their_nodes_did_and_the_worker_lives(employ, redis_broker, trial_catalog):
    failing = {name: Work(text, trial_catalog) for name, (text, _, _) in CASES.items()}
    work = Work(mix(20), trial_catalog)
    with employ(redis_broker, Crew()) as workforce:
        first = workforce.pid()
        begun = {name: failing[name].submit(workforce, inputs) for name, (_, inputs, _) in CASES.items()}
        work.submit(workforce, {"x": 1})
        workforce.wait(*begun.values(), *work.runs)
        results = {name: workforce.client.result(run_id) for name, run_id in begun.items()}
        codes = {name: code for name, (_, _, code) in CASES.items()}
        assert {name: (result.error or {}).get("code") for name, result in results.items()} == codes
        assert [fault for result in results.values() for fault in story_faults(result)] == []
        assert leftovers(workforce, dict.fromkeys([*begun.values(), *work.runs])) == []
        assert workforce.pid() == first
