"""Servers that are killed and come back, or are full, in the middle of runs."""

from __future__ import annotations

import pytest
from rabbit_servers import RabbitServer
from redis_servers import RedisServer
from workforce import Crew, Work, Workforce, eventually, lost_workers, mix

RUNS = 10


def begin(workforce, work):
    """Have runs under way."""
    for x in range(RUNS):
        work.submit(workforce, {"x": x % 6})
    eventually(lambda: any(workforce.held().values()), workforce.log)


@pytest.mark.parametrize("make", [RedisServer, RabbitServer], ids=["redis", "rabbit"])
def test_the_broker_is_killed_and_comes_back(employ, trial_catalog, tmp_path, make):
    (tmp_path / "broker").mkdir()
    broker = make(tmp_path / "broker")
    work = Work(mix(60), trial_catalog)
    try:
        with employ(broker, Crew("w1"), Crew("w2", pool="prefork")) as workforce:
            workforce.wait(work.submit(workforce, {"x": 1}))  # queues are there
            if isinstance(broker, RabbitServer):
                broker.keep_queues()
            begin(workforce, work)
            broker.kill()
            broker.start()
            work.check(workforce)
    finally:
        broker.close()


@pytest.mark.parametrize("alone", [True, False], ids=["of runs", "of everything"])
def test_the_redis_server_is_killed_and_comes_back(redis_broker, trial_catalog, tmp_path, alone):
    (tmp_path / "state").mkdir()
    state = RedisServer(tmp_path / "state", "--appendonly", "yes")
    work = Work(mix(60), trial_catalog)
    try:
        with Workforce(
            tmp_path / "workforce", state, redis_broker if alone else state, Crew("w1"), Crew("w2", pool="prefork")
        ) as workforce:
            begin(workforce, work)
            state.kill()
            state.start()
            work.check(workforce)
    finally:
        state.close()


def test_the_redis_server_is_full_for_a_while(employ, redis_broker, state, trial_catalog):
    work = Work(mix(60), trial_catalog)
    with employ(redis_broker, Crew("w1"), Crew("w2", pool="prefork")) as workforce:
        begin(workforce, work)
        with state.short_of_memory():
            eventually(lambda: "does not take a result, which is kept meanwhile: STORE_FULL" in workforce.log())
        workforce.wait(*work.runs)
        assert [task for run_id in work.runs for task in lost_workers(workforce, run_id)] == []
        work.check(workforce)
