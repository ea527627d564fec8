"""The runtime of one process on the Redis store: the same outputs, errors and events as on its own memory store."""

from __future__ import annotations

import json

import pytest
from trial_runs import HEAD, LONGEST_S, NUMBER, trial_catalog, trial_folder

from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.stores.redis import RedisStore
from tyqi_core.workflow.compiler import compile_text

__all__ = ["trial_catalog", "trial_folder"]

DIAMOND = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.add, inputs: {{x: $input.n}}}}
  T2: {{node: trial.add, inputs: {{x: T1.sum}}, params: {{plus: 10}}}}
  T3: {{node: trial.add, inputs: {{x: T1.sum}}, params: {{plus: 100}}}}
  T4: {{node: trial.add, inputs: {{x: T2.sum, y: T3.sum}}}}
outputs: {{sum: T4.sum}}
"""
DECISION = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1:
    node: trial.decide
    inputs: {{x: $input.n}}
    condition: true
    branches: {{a: A, b: B, none: null}}
    successor: [J]
  A: {{node: trial.add, subchain: true, inputs: {{x: T1.value}}, params: {{plus: 10}}}}
  B: {{node: trial.add, subchain: true, inputs: {{x: T1.value}}, params: {{plus: 100}}}}
  J: {{node: trial.pair, inputs: {{a: T1.value, b: T1.branch.sum}}}}
outputs: {{both: J.both}}
"""
ITEMS = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1:
    node: trial.items
    inputs: {{n: $input.n}}
    foreach: {{over: items, as: one, body: B, collect: {{sums: C.sum}}}}
    successor: [J]
  B: {{node: trial.add, subchain: true, inputs: {{x: $item.one}}, params: {{plus: 10}}}}
  C: {{node: trial.add, inputs: {{x: B.sum, y: $item.one}}}}
  J: {{node: trial.total, inputs: {{values: T1.each.sums}}}}
outputs: {{sums: T1.each.sums, items: T1.items, total: J.total}}
"""
FAILURE = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.misbehave, params: {{how: raises}}, retries: 1, backoff: 0, on_error: MODE, successor: [T2]}}
  T2: {{node: trial.pair, inputs: {{a: T1.value, b: $input.n}}}}
outputs: {{out: T2.both}}
"""


def story_on(store, plan, catalog, inputs):
    """How a run ended and what happened in it, without order and times, which differ with the threads."""
    with InProcessRuntime(plan, catalog, threads=4, store=store) as runtime:
        result = runtime.start(inputs, run_id="trial").wait(LONGEST_S)
    told = sorted(json.dumps([event.kind, event.subject, event.data]) for event in result.events)
    return result.status, result.outputs, result.error, told


@pytest.mark.parametrize(
    ("project", "n"),
    [
        pytest.param(DIAMOND, 1, id="diamond"),
        pytest.param(DECISION, 1, id="branch"),
        pytest.param(DECISION, 0, id="null branch"),
        pytest.param(ITEMS, 0, id="no items"),
        pytest.param(ITEMS, 7, id="items"),
        pytest.param(ITEMS, 300, id="many items"),
        pytest.param(FAILURE.replace("MODE", "fail"), 1, id="failure"),
        pytest.param(FAILURE.replace("MODE", "skip"), 1, id="skip"),
    ],
)
def test_a_run_is_the_same_on_both_stores(redis_server, redis_client, trial_catalog, project, n):
    plan = compile_text(HEAD + project, "p.yaml", trial_catalog, {})
    store = RedisStore.connect(redis_server.url)
    on_redis = story_on(store, plan, trial_catalog, {"n": n})
    store.close()
    assert on_redis == story_on(None, plan, trial_catalog, {"n": n})
    assert redis_client.dbsize() == 0
