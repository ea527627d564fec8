"""The Redis store and its server: what it refuses, what it survives, what it costs in calls."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import redis
from redis_servers import RedisServer

from tyqi_core.errors import StoreError, UsageError
from tyqi_core.failpoints import arm
from tyqi_core.protocol.message import event_line
from tyqi_core.scheduler import Change, Effects, Place, Ready
from tyqi_core.stores.base import Onward
from tyqi_core.stores.redis import Options, RedisStore
from tyqi_core.stores.redis_scripts import FLAGS, Scripts, check_server

END = Change("end", 1, -1)
ONE = Effects(ready=(Ready("T1"),))


@pytest.fixture
def own_server(tmp_path):
    """Starts servers with options of their own."""
    started = []

    def start(*options):
        started.append(RedisServer(tmp_path, *options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


def commit(store, instance, token, effects, run_id="run", **more):
    slots = more.pop("slots", None)
    kind, outputs = "task.completed", slots or {}
    return store.commit(run_id, instance, token, kind=kind, slots=slots, outputs=outputs, effects=effects, **more)


# -- what is refused at the start -------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_keys_is_refused_with_the_name_of_the_setting(own_server, policy):
    server = own_server("--maxmemory-policy", policy)
    with pytest.raises(UsageError, match=f"EVICTING_STORE.*maxmemory-policy is {policy}.*noeviction"):
        RedisStore.connect(server.url)


def test_an_evicting_server_is_known_where_config_is_forbidden(own_server):
    server = own_server("--maxmemory-policy", "allkeys-lru", "--rename-command", "CONFIG", "")
    with pytest.raises(UsageError, match="EVICTING_STORE"):
        RedisStore.connect(server.url)


class OldServer(redis.Redis):
    """A client of a server that says it is older than it is."""

    def info(self, *sections, **options):
        return {**super().info(*sections, **options), "redis_version": "6.2.14"}


def test_an_old_server_is_refused_unless_it_is_meant(redis_server, redis_client):
    with OldServer(port=redis_server.port) as client:
        with pytest.raises(UsageError, match=r"OLD_STORE.*7\.0 or newer"):
            RedisStore(client)
        assert check_server(client, old_server=True) is False


def test_a_server_that_is_away_is_told_in_one_line_with_a_remedy():
    with redis.Redis(port=1, retry=None) as client, pytest.raises(StoreError, match=r"STORE_UNAVAILABLE.*Check that"):
        RedisStore(client)


# -- scripts ----------------------------------------------------------------------------------------------------------


def test_scripts_run_without_their_first_line_on_an_old_server(redis_store, redis_client):
    redis_store.scripts = Scripts(redis_client, shebang=False)
    redis_store.accept("run", {}, ONE, {})
    settled = commit(redis_store, "T1", redis_store.claim("run", "T1", ()).token, Effects((END,)))
    assert settled.status == "completed"


def test_a_server_that_lost_its_scripts_is_given_them_again(redis_store, redis_client):
    redis_store.accept("run", {}, ONE, {})
    redis_client.script_flush()
    claim = redis_store.claim("run", "T1", ())
    redis_client.script_flush()
    assert commit(redis_store, "T1", claim.token, Effects((END,))).status == "completed"


def test_all_scripts_can_be_loaded_ahead(redis_store, redis_client):
    redis_client.script_flush()
    redis_store.scripts.load()
    assert redis_client.info("memory")["number_of_cached_scripts"] == len(FLAGS)


def test_a_published_task_costs_two_calls_and_one_that_is_continued_one(redis_store, redis_client):
    redis_store.accept("run", {}, ONE, {})
    redis_client.config_resetstat()
    claim = redis_store.claim_for("w", "run", "T1", ())
    opened = Effects((), (Ready("T2"),))
    settled = commit(redis_store, "T1", claim.token, opened, slots={"x": 1}, worker="w", onward=[Onward("T2", ())])
    commit(redis_store, "T2", settled.claimed.claim.token, Effects((END,)))
    stats = redis_client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 3


# -- what is stored ---------------------------------------------------------------------------------------------------


def test_values_of_every_kind_come_back_as_they_were(redis_store):
    picture = np.arange(60_000, dtype=np.uint8).reshape(100, 200, 3)
    values = {
        "json": {"a": [1, 2.5, None, "ä", True]},
        "bytes": b"\x00\xff",
        "small": np.float32([[1.5]]),
        "image": picture,
        "frame": {"image": picture, "index": 3, "timestamp_s": 0.5},
        "frames": [picture[:10], picture[10:]],
        "empty": [],
        "null": None,
    }
    redis_store.accept("run", values, ONE, {})
    for name, value in values.items():
        np.testing.assert_equal(redis_store.read("run", Place("", name)), value)


def test_events_are_kept_in_the_form_of_event_line(redis_store, redis_client):
    redis_store.accept("run", {}, ONE, {"plan": "ä", "inputs": {}})
    token = redis_store.claim("run", "T1", ()).token
    redis_store.retry("run", "T1", token, {"error": {"code": "X", "message": 'a "b" \n'}, "try": 1, "delay_s": 0.5})
    token = redis_store.claim_for("w1", "run", "T1", ()).token
    commit(redis_store, "T1", token, Effects((), (Ready("T1[*]/B", 2),)), data={"count": 2})
    redis_store.fail("run", "T1[0]/B", redis_store.claim("run", "T1[0]/B", ()).token, {"code": "E", "message": "/"})
    redis_store.take_due()
    redis_store.resume("run")
    entries = [fields[b"e"].decode() for _, fields in redis_client.xrange("tyqi:{s0}:run:run:e")]
    events = redis_store.events("run")
    assert "\n".join(entries).split("\n") == [event_line(event) for event in events]
    assert [redis_store.events("run", first) for first in range(20)] == [events[first:] for first in range(20)]
    assert [event.time_ns for event in events] == sorted(event.time_ns for event in events)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_full_server_refuses_before_anything_is_written_and_lets_runs_end(own_server):
    server = own_server()
    store = RedisStore.connect(server.url)
    store.accept("run", {}, ONE, {})
    token = store.claim("run", "T1", ()).token
    with server.client() as client:
        client.config_set("maxmemory", 1)
        before = {key: client.dump(key) for key in client.scan_iter()}
        with pytest.raises(StoreError, match="STORE_FULL"):
            commit(store, "T1", token, Effects((END,)))
        with pytest.raises(StoreError, match="STORE_FULL"):
            store.accept("other", {}, ONE, {})
        assert {key: client.dump(key) for key in client.scan_iter()} == before
        assert store.cancel("run") == "cancelling"
        assert store.release("run", "T1", token) == "cancelled"
        store.forget("run")
        assert client.dbsize() == 0
    store.close()


@pytest.mark.parametrize("damage", [("SET", ":e", "x"), ("SET", "", "x"), ("HSET", "", "live", "many")])
def test_a_damaged_run_is_told_before_anything_is_written_and_others_go_on(redis_store, redis_client, damage):
    redis_store.accept("run", {}, ONE, {})
    redis_store.accept("other", {}, ONE, {})
    command, suffix, *rest = damage
    redis_client.execute_command(command, f"tyqi:{{s0}}:run:run{suffix}", *rest)
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    with pytest.raises(StoreError, match="STATE_CORRUPT"):
        redis_store.claim("run", "T1", ())
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before
    assert redis_store.claim("other", "T1", ()) is not None


def test_a_payload_that_is_gone_is_told_and_not_taken_for_an_absent_value(redis_store, redis_client):
    redis_store.accept("run", {"image": b"x" * 50_000}, ONE, {})
    redis_client.unlink(*redis_client.keys("*:p:*"))
    with pytest.raises(StoreError, match="PAYLOAD_MISSING"):
        redis_store.read("run", Place("", "image"))


def test_a_server_that_crashed_goes_on_from_its_log(own_server):
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    store = RedisStore.connect(server.url)
    store.accept("run", {"x": 1}, ONE, {})
    token = store.claim_for("w", "run", "T1", ()).token
    server.kill()
    server.start()
    settled = commit(store, "T1", token, Effects((), (Ready("T2"),)), slots={"y": [1, 2]})
    server.kill()
    server.start()
    assert list(settled.ready) == [Ready("T2")]
    assert store.read("run", Place("T1", "y")) == [1, 2]
    assert commit(store, "T2", store.claim("run", "T2", ()).token, Effects((END,))).status == "completed"
    store.close()


CHILD = """
import sys
from tyqi_core.scheduler import Effects, Ready
from tyqi_core.stores.redis import RedisStore
store = RedisStore.connect(sys.argv[1])
claim = store.claim_for("child", "run", "T1", ())
store.commit("run", "T1", claim.token, kind="task.completed", slots={"x": b"x" * 50_000}, outputs={},
             effects=Effects((), (Ready("T2"),)))
"""


@pytest.mark.parametrize(
    ("point", "started", "settled"),
    [("CP4", False, False), ("CP5", True, False), ("CP7", True, False), ("CP8", True, False), ("CP9", True, True)],
)
def test_a_worker_killed_at_a_crash_point_loses_and_doubles_nothing(
    redis_server, redis_client, point, started, settled
):
    clock = [10**12]
    store = RedisStore.connect(redis_server.url, Options(clock=lambda: clock[0]))
    store.accept("run", {}, ONE, {})
    environment = {"TYQI_FAILPOINT": f"{point}:kill9", "PYTHONPATH": ":".join(sys.path)}
    child = subprocess.run([sys.executable, "-c", CHILD, redis_server.url], env=environment, check=False)
    assert child.returncode == -signal.SIGKILL
    clock[0] = 10**14  # beyond every lease
    assert store.reap() == int(started and not settled)
    waiting = [due.path for due in store.take_due()]
    assert waiting == (["T2"] if settled else ["T1"])
    claim = store.claim_for("next", "run", waiting[0], ())
    assert commit(store, waiting[0], claim.token, Effects((END,))).status == "completed"
    kinds = [(event.kind, event.subject) for event in store.events("run")]
    assert kinds.count(("task.completed", "T1")) == 1
    store.close()


@pytest.mark.parametrize("text", ["CP1", "CP1:burn", "CP1:stop", "CP1:raise:x", "CP1:kill9;CP2:exit"])
def test_a_failpoint_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="FAILPOINT_FORM"):
        arm(text)


def test_a_failpoint_stops_a_process_for_a_while_or_ends_it():
    code = """
import time
from tyqi_core.failpoints import hit
begun = time.monotonic()
hit('a')
print(time.monotonic() - begun, flush=True)
hit('a')
hit('b')
hit('b')
"""
    environment = {"TYQI_FAILPOINT": "a:stop(300),b:exit:2", "PYTHONPATH": ":".join(sys.path)}
    child = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    assert float(child.stdout) > 0.2
    assert child.returncode == 70


# -- a writer that dies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [30_000, 300_000])
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_a_value_of_which_only_some_parts_were_sent_leaves_nothing_that_lives_for_ever(
    redis_server, redis_client, monkeypatch, size, parts
):
    store = RedisStore.connect(redis_server.url, shared_memory=False)
    send = redis.Connection.send_packed_command

    def cut_off(self, command, check_health=True):
        command = list(command)
        if sum(map(len, command)) < size:
            return send(self, command, check_health)
        send(self, command[:parts], check_health)
        self.disconnect()
        raise KeyboardInterrupt

    monkeypatch.setattr(redis.Connection, "send_packed_command", cut_off)
    with pytest.raises(KeyboardInterrupt):
        store.accept("run", {"image": np.zeros(size, np.uint8)}, ONE, {})
    store.close()
    assert [key for key in redis_client.scan_iter("*:p:*") if redis_client.ttl(key) == -1] == []
