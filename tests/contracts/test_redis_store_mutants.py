"""Bugs put into the scripts on purpose; the comparison with the model must notice each.

Those that it meets too rarely have a test of their own in ``test_shared_run_store.py``: the doubling grace, deaths that
are no tries, a resumed range.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from redis_machine import Machine

from tyqi_core.stores import redis_scripts

MUTANTS = {
    "no fencing": ("task.state == 'e' and task.token == token", "task.state == 'e'"),
    "an entry leaves when it is told": (
        "redis.call('ZADD', outbox, now + grace * 2 ^",
        "redis.call('ZREM', outbox, '', 2 ^",
    ),
    "no answer is kept": ("get(run, 'a:' .. instance)", "nil"),
    "a lease outlives its attempt": (
        "redis.call('ZREM', prefix .. 'leases', run.id .. '|' .. instance)\n  hold(",
        "hold(",
    ),
    "a join counts twice": ("+ change[3]", "+ 2 * change[3]"),
    "a delay is not waited for": ("task.after > now", "false"),
    "slots are not freed": ("      free_slots(run, target)\n", ""),
    "a stopping run goes on": ("if run.status ~= 'running' then\n    hold_task", "if false then\n    hold_task"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_the_model_notices(redis_server, monkeypatch, name):
    right, wrong = MUTANTS[name]
    original = redis_scripts.text_of
    texts = {script: original(script, shebang=True).decode() for script in redis_scripts.FLAGS}
    assert any(right in text for text in texts.values()), "the script says it otherwise now"
    mutated = {script: text.replace(right, wrong).encode() for script, text in texts.items()}
    digests = {script: hashlib.sha1(text, usedforsecurity=False).hexdigest() for script, text in mutated.items()}
    monkeypatch.setattr(redis_scripts, "text_of", lambda script, *, shebang: mutated[script])
    monkeypatch.setattr(redis_scripts, "digest_of", lambda script, *, shebang: digests[script])
    profile = settings(
        max_examples=200,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    bound = type("Bound", (Machine,), {"server": redis_server})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(bound, settings=profile)
