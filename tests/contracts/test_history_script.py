"""Histories in Redis: the script that a commit calls does what the Python of ``runtime/history.py`` does."""

from __future__ import annotations

import random
from importlib.resources import files

import pytest
from redis_servers import RedisServer

from tyqi_core.runtime.history import PERIOD, Sample, apply, fields_of, from_fields, parsed

KEY = "{s0}:history:a.b@1"


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server.client()
    server.kill()


@pytest.fixture
def remember(redis):
    """Sends a sample to the script, as a commit does."""
    redis.flushall()
    folder = files("tyqi_core.stores") / "scripts"
    text = "".join((folder / part).read_text(encoding="utf-8") for part in ("common.lua", "history.lua"))
    script = redis.register_script(f"#!lua\n{text}\nremember(KEYS[1], history_of_call())")

    def send(sample):
        changes = fields_of(sample)
        flat = [word for change in changes for word in change]
        script(keys=[KEY], args=["{s0}:", "", "", len(changes), *flat])

    return send


@pytest.mark.parametrize("seed", range(3))
def test_the_script_keeps_the_same_summary_as_python(redis, remember, seed):
    chance, expected = random.Random(seed), {}  # noqa: S311  # the same samples at every run
    for number in range(3 * PERIOD + 17):
        speed = 5.0 if number < PERIOD else 0.003
        memory = chance.choice([None, None, chance.uniform(0, 4000)]) if number < 2 * PERIOD else None
        sample = Sample("a.b@1", chance.expovariate(1 / speed), memory, memory, chance.random() < 0.05)
        remember(sample)
        apply(expected, fields_of(sample))
    assert parsed(redis.hgetall(KEY)) == expected
    assert from_fields(expected).recent <= 2 * PERIOD


def test_the_longest_durations_survive_fading(redis, remember):
    expected = {}
    for _ in range(PERIOD):
        remember(Sample("a.b@1", 1e9, 16_000_000))
        apply(expected, fields_of(Sample("a.b@1", 1e9, 16_000_000)))
    assert parsed(redis.hgetall(KEY)) == expected
    assert from_fields(expected).max_s > 1e6


@pytest.mark.parametrize("spoilt", ["text", "hash"])
def test_what_is_no_history_is_thrown_away_and_begins_anew(redis, remember, spoilt):
    if spoilt == "text":
        redis.set(KEY, "no hash")
    else:
        redis.hset(KEY, mapping={"us": "many", "n": 3})
    remember(Sample("a.b@1", 0.1))
    assert not redis.exists(KEY)
    remember(Sample("a.b@1", 0.1))
    assert from_fields(parsed(redis.hgetall(KEY))).count == 1
