"""What can be asked of the Redis store without changing a run: lists of runs, plans, histories, notes, ends, values."""

from __future__ import annotations

import numpy as np
import pytest
from shared_stores import END, NOTHING, ONE, TWO, accept, commit, take

from tyqi_core.errors import UsageError
from tyqi_core.scheduler import Change, Effects, Export, Place, Ready
from tyqi_core.stores.base import ABSENT, Count, Settlement
from tyqi_core.stores.redis import Options, RedisStore


def complete(store, run_id="run"):
    token = store.claim_for("w1", run_id, "T1", ()).token
    store.commit(run_id, "T1", token, kind="task.completed", slots=None, outputs={}, effects=Effects((END,)))


# -- runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_with_what_became_of_them(redis_store):
    for run_id in ("one", "two", "three"):
        redis_store.accept(run_id, {}, ONE, {"plan": f"plan of {run_id}"})
    complete(redis_store, "one")
    redis_store.fail("two", "T1", redis_store.claim_for("w1", "two", "T1", ()).token, {"code": "X", "message": "why"})
    runs = {run.run_id: run for run in redis_store.runs()}
    assert {run.run_id: run.status for run in runs.values()} == {
        "one": "completed",
        "two": "failed",
        "three": "running",
    }
    assert runs["two"].error == {"code": "X", "message": "why"}
    assert runs["one"].error is None
    assert {run.plan for run in runs.values()} == {"plan of one", "plan of two", "plan of three"}
    times = [run.accepted_ms for run in redis_store.runs()]
    assert times == sorted(times, reverse=True)


def test_the_list_of_runs_is_cut_and_has_no_forgotten_ones(redis_store):
    for number in range(5):
        redis_store.accept(f"run{number}", {}, ONE, {})
    redis_store.forget("run3")
    assert sorted(run.run_id for run in redis_store.runs()) == ["run0", "run1", "run2", "run4"]
    assert len(redis_store.runs(2)) == 2
    assert set(redis_store.runs(2)) <= set(redis_store.runs())


def test_the_runs_of_all_shards_are_one_list(redis_server, redis_client):
    with_shards = RedisStore.connect(redis_server.url, Options(shards=4))
    for number in range(12):
        with_shards.accept(f"run{number}", {}, ONE, {})
    assert len(with_shards.runs()) == 12
    assert len(with_shards.runs(5)) == 5
    with_shards.close()


def test_a_look_at_a_run_tells_status_error_and_plan(redis_store):
    redis_store.accept("run", {}, ONE, {"plan": "abc"})
    assert redis_store.look("run") == ("running", None, "abc")
    assert redis_store.plan_of("run") == "abc"
    token = redis_store.claim_for("w1", "run", "T1", ()).token
    redis_store.fail("run", "T1", token, {"code": "X"})
    assert redis_store.look("run") == ("failed", {"code": "X"}, "abc")


def test_the_statuses_of_several_runs_are_told_at_once(redis_store):
    accept(redis_store)
    accept(redis_store, run_id="two")
    complete(redis_store)
    assert redis_store.statuses(["run", "nobody", "two"]) == {"run": "completed", "nobody": None, "two": "running"}
    assert redis_store.statuses([]) == {}


@pytest.mark.parametrize("question", ["look", "plan_of", "error", "events"])
def test_who_asks_about_a_run_that_is_not_here_is_told_so(redis_store, question):
    with pytest.raises(UsageError, match="UNKNOWN_RUN"):
        getattr(redis_store, question)("nobody")


# -- values -----------------------------------------------------------------------------------------------------------


def test_many_values_are_read_at_once_small_and_large_and_absent(redis_store):
    picture = np.arange(120_000, dtype=np.uint8).reshape(200, 200, 3)
    accept(redis_store, TWO, {"image": picture})
    slots = {"number": 7, "text": "x" * 40_000, "list": list(range(300))}
    opened = Effects((), (Ready("A[*]/C", 300),), (Export("A", "each", (), None, 300),))
    commit(redis_store, "A", take(redis_store, "A").token, opened, slots=slots)
    places = [Place("A", "list", (299,)), Place("A", "none"), Place("A", "number"), Place("A", "text")]
    places += [Place("", "image"), Place("A", "each"), Place("nowhere", "x")]
    *found, image, each, nowhere = redis_store.read_many("run", places)
    assert found == [299, ABSENT, 7, "x" * 40_000]
    assert (image == picture).all()
    assert (each, nowhere) == ([None] * 300, ABSENT)
    assert redis_store.read_many("run", []) == []
    assert redis_store.read_many("run", places)[2] == redis_store.read("run", places[2])


def test_reading_many_values_of_a_run_that_is_not_here_is_refused(redis_store):
    with pytest.raises(UsageError, match="UNKNOWN_RUN"):
        redis_store.read_many("nobody", [Place("A", "x"), Place("B", "x")])


# -- plans, histories, notes ------------------------------------------------------------------------------------------


def test_a_plan_is_kept_until_after_the_last_run_that_could_need_it(redis_store, redis_client):
    assert redis_store.kept_plan("abc") is None
    redis_store.keep_plan("abc", {"plan": '{"tasks": []}', "source": "tyqi: 1\nproject: ä"})
    redis_store.keep_plan("def", {"plan": "{}", "source": ""})
    assert redis_store.kept_plan("abc") == {"plan": '{"tasks": []}', "source": "tyqi: 1\nproject: ä"}
    options = redis_store.options
    assert redis_client.ttl("tyqi:plan:abc") > options.deadline_s + options.retention_s


def test_executions_add_up_to_the_history_of_their_node(redis_store, redis_client):
    accept(redis_store, Effects(ready=tuple(Ready(name) for name in "ABCD")))
    for name, node, took in (("A", "n.one@1", 5), ("B", "n.one@1", 9), ("C", "n.one@1", 7), ("D", "n.two@3", 4)):
        counts = (Count("n", "add", 1), Count("us", "add", took), Count("max", "max", took))
        token = take(redis_store, name).token
        call = Settlement("run", name, token, "task.completed", None, {}, NOTHING, node=node, counts=counts)
        redis_store.commit_many([call])
        redis_store.commit_many([call])  # repeated, it adds nothing
    assert dict(redis_store.history()).keys() == {"n.one@1", "n.two@3"}
    held = redis_client.hmget("tyqi:{s0}:hist:n.one@1", ["n", "us", "max"])
    assert [int(number) for number in held] == [3, 21, 9]


def test_a_fenced_settlement_is_no_part_of_a_history(redis_store):
    accept(redis_store)
    take(redis_store, "T1")
    counts = (Count("n", "add", 1),)
    call = Settlement("run", "T1", 5, "task.completed", None, {}, NOTHING, node="n.one@1", counts=counts)
    assert list(redis_store.commit_many([call])) == [None]
    assert dict(redis_store.history()) == {}


def test_a_note_is_kept_with_its_run_and_the_last_one_counts(redis_store, redis_client):
    accept(redis_store)
    assert redis_store.notes("run") == {}
    redis_store.note("run", "T1", "nobody is able")
    redis_store.note("run", "T1", "still nobody")
    redis_store.note("run", "T1[3]/B", "nor here")
    assert redis_store.notes("run") == {"T1": "still nobody", "T1[3]/B": "nor here"}
    assert [key for key in redis_client.scan_iter() if redis_client.pttl(key) < 0] == []
    redis_store.forget("run")
    redis_store.note("run", "T1", "too late")
    assert redis_client.dbsize() == 0


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_who_listens_hears_of_every_kind_of_end_and_of_no_other_run(redis_store, end):
    accept(redis_store)
    accept(redis_store, run_id="other")
    accept(redis_store, run_id="unasked")
    with redis_store.ends("run", "other") as next_end:
        complete(redis_store, "unasked")
        token = redis_store.claim_for("w1", "run", "T1", ()).token
        match end:
            case "completed":
                commit(redis_store, "T1", token, Effects((Change("end", 1, -1),)))
            case "failed":
                redis_store.fail("run", "T1", token, {"code": "X"})
            case _:
                redis_store.cancel("run", give_up=True)
        heard = [one for one in (next_end(0.2) for _ in range(4)) if one is not None]
    assert heard == ["run"]
    assert redis_store.status("run") == end


def test_who_listens_hears_nothing_of_what_ended_before(redis_store):
    accept(redis_store)
    complete(redis_store)
    with redis_store.ends("run") as next_end:
        assert next_end(0.05) is None
        assert next_end(0.05) is None
    assert redis_store.statuses(["run"]) == {"run": "completed"}, "so it has to be asked for"
