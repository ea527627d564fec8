"""Every pool of Celery performs plans: heartbeats, cancels, timeouts and orderly ends work in each."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec

import pytest
from redis_servers import RedisServer
from trial_runs import NUMBER, entries, wait_for
from worker_processes import Site

POOLS = {
    "prefork": ("-P", "prefork", "-c", "2"),
    "threads": ("-P", "threads", "-c", "2"),
    "solo": ("-P", "solo"),
    "gevent": ("-P", "gevent", "-c", "8"),
    "eventlet": ("-P", "eventlet", "-c", "8"),
}

DECISION_FOREACH_JOIN = f"""
inputs: {{n: {NUMBER}}}
tasks:
  D:
    node: trial.decide
    inputs: {{x: $input.n}}
    condition: true
    branches: {{a: A, b: B, none: null}}
    successor: [J]
  A: {{node: trial.add, subchain: true, inputs: {{x: D.value}}, params: {{plus: 10}}}}
  B: {{node: trial.add, subchain: true, inputs: {{x: D.value}}, params: {{plus: 100}}}}
  L:
    node: trial.items
    inputs: {{n: $input.n}}
    foreach: {{over: items, as: one, body: I, collect: {{sums: I.sum}}}}
    successor: [J]
  I: {{node: trial.add, subchain: true, inputs: {{x: $item.one}}, params: {{plus: 1}}}}
  J: {{node: trial.pair, inputs: {{a: D.branch.sum, b: L.items}}, successor: [T]}}
  T: {{node: trial.total, inputs: {{values: L.each.sums}}}}
outputs: {{both: J.both, total: T.total}}
"""
LONG = """
tasks:
  S: {{node: trial.setup, params: {{file: "{file}"}}}}
  T: {{node: trial.sleep, predecessor: [S], timeout: {timeout}, params: {{until: "{until}", file: "{file}"}}}}
outputs: {{out: T.value}}
"""

MEETING = """
tasks:
  A: {{node: trial.meet, params: {{folder: "{folder}", name: one, others: [two]}}}}
  B: {{node: trial.meet, params: {{folder: "{folder}", name: two, others: [one]}}}}
outputs: {{a: A.value, b: B.value}}
"""


@pytest.fixture(scope="module", params=list(POOLS))
def pool(request):
    if request.param in ("gevent", "eventlet") and find_spec(request.param) is None:  # to import one changes a process
        pytest.skip(f"{request.param} is not installed")
    return POOLS[request.param]


@pytest.fixture(scope="module")
def serving(pool, trial_catalog, tmp_path_factory):
    """A site with a worker of the pool, which the tests share."""
    folder = tmp_path_factory.mktemp("serving")
    with ExitStack() as stack:
        server = RedisServer(folder)
        stack.callback(server.kill)
        site = Site(server.url, trial_catalog, folder)
        stack.callback(site.close)
        site.worker(*pool)
        yield site


def long_task(ledger, timeout=60):
    return LONG.format(file=ledger, until=ledger.with_name("until"), timeout=timeout)


def test_decisions_loops_and_joins_end_with_the_right_outputs(serving):
    runs = [serving.submit(DECISION_FOREACH_JOIN, n=n) for n in range(6)]
    branch = [None, 11, 102, None, 14, 105]
    expected = [{"both": [branch[n], list(range(n))], "total": sum(range(1, n + 1))} for n in range(6)]
    assert serving.outputs(*runs) == expected


def test_a_task_that_takes_longer_than_its_lease_is_kept_by_heartbeats(serving, ledger):
    run_id = serving.submit(long_task(ledger))
    serving.until_leases_were_renewed((run_id, "T"))
    ledger.with_name("until").touch()
    assert serving.outputs(run_id) == [{"out": 0}]
    assert entries(ledger) == ["setup plain", "begun", "done"]


def test_a_cancel_reaches_the_node(serving, ledger):
    run_id = serving.submit(long_task(ledger))
    wait_for(ledger, "begun")
    serving.client.cancel(run_id, 20)
    assert serving.wait(run_id).status == "cancelled"
    wait_for(ledger, "stopped")


def test_a_timeout_ends_a_node_that_asks(serving, ledger):
    run_id = serving.submit(long_task(ledger, 0.3))
    assert serving.wait(run_id).error["code"] == "TIMEOUT"
    wait_for(ledger, "stopped")


def test_tasks_of_one_worker_overlap_unless_it_can_do_one_at_a_time(serving, pool, tmp_path):
    if "solo" in pool:
        pytest.skip("solo does one task at a time")
    run_id = serving.submit(MEETING.format(folder=tmp_path))
    assert serving.outputs(run_id) == [{"a": 0, "b": 0}]


def test_runs_need_no_new_connections(serving):
    serving.outputs(*[serving.submit(DECISION_FOREACH_JOIN, n=4) for _ in range(20)])
    with serving.store_client() as redis:
        before = redis.info()["total_connections_received"]
        serving.outputs(*[serving.submit(DECISION_FOREACH_JOIN, n=4) for _ in range(20)])
        assert redis.info()["total_connections_received"] - before < 20


def test_an_orderly_end_finishes_what_executes_tears_down_and_loses_no_run(site, pool, ledger):
    leaving = site.worker(*pool)
    first = site.submit(long_task(ledger))
    wait_for(ledger, "begun")
    leaving.ask_to_end()
    later = site.submit(DECISION_FOREACH_JOIN, n=4)
    ledger.with_name("until").touch()
    assert leaving.ended() == 0
    assert entries(ledger) == ["setup plain", "begun", "done", "teardown plain"]
    site.worker(*pool)
    assert site.outputs(first, later) == [{"out": 0}, {"both": [14, [0, 1, 2, 3]], "total": 10}]
    assert entries(ledger).count("begun") == 1
