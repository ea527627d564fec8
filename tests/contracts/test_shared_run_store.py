"""The contract of a store that processes share: leases, outbox, sweeper, repeated and late calls."""

from __future__ import annotations

import pytest
from shared_stores import END, GRACE_S, LEASE_S, TWO, accept, commit, dump, kinds, left, refused, take

from tyqi_core.errors import UsageError
from tyqi_core.failpoints import FailpointError
from tyqi_core.scheduler import Change, Effects, Export, Place, Ready
from tyqi_core.stores.base import ABSENT, Beat, Claim, Due, Onward, Refusal, Wanted
from tyqi_core.stores.redis import Options, RedisStore

# -- what a claim is answered -----------------------------------------------------------------------------------------


def test_a_task_that_somebody_executes_is_held_until_the_lease_ends(store, clock):
    accept(store)
    take(store, "T1")
    clock.pass_s(10)
    assert store.claim_for("w2", "run", "T1", ()) == Refusal("HELD", 20.0)


def test_a_settled_task_is_done(store):
    accept(store)
    commit(store, "T1", take(store, "T1").token, Effects((END,)))
    assert refused(store, "T1") == "DONE"


def test_a_task_of_a_stopping_run_is_cancelled_and_held(store):
    accept(store, TWO)
    take(store, "A")
    store.cancel("run")
    assert refused(store, "B") == "CANCELLED"
    assert refused(store, "B") == "CANCELLED"


@pytest.mark.parametrize("instance", ["T9", "T1[0]/B", "", "T1|x", "T1 x", 'T1"'])
def test_what_is_not_ready_is_unknown(store, instance):
    accept(store)
    assert refused(store, instance) == "UNKNOWN"


@pytest.mark.parametrize("run_id", ["other", "", "a|b", "x" * 200])
def test_a_task_of_a_run_that_is_not_here_is_unknown(store, run_id):
    assert store.claim_for("w1", run_id, "T1", ()) == Refusal("UNKNOWN")


def test_an_item_beyond_the_range_is_unknown_and_a_claimed_one_held(store):
    accept(store)
    commit(store, "T1", take(store, "T1").token, Effects((), (Ready("T1[*]/B", 2),)))
    take(store, "T1[1]/B")
    assert refused(store, "T1[1]/B") == "HELD"
    assert refused(store, "T1[2]/B") == "UNKNOWN"


def test_a_run_id_that_could_be_mistaken_is_refused(store):
    with pytest.raises(UsageError, match="BAD_RUN_ID"):
        accept(store, run_id="a|b")


# -- leases -----------------------------------------------------------------------------------------------------------


def test_a_beat_extends_the_lease(store, clock):
    accept(store)
    token = take(store, "T1").token
    clock.pass_s(20)
    assert store.beat("run", "T1", token) is Beat.OK
    clock.pass_s(20)
    assert store.reap() == 0
    clock.pass_s(11)
    assert store.reap() == 1


def test_a_claim_without_a_worker_has_no_lease(store, clock):
    accept(store)
    assert store.claim("run", "T1", ()) is not None
    clock.pass_s(1e6)
    assert store.reap() == 0


def test_the_task_of_a_dead_worker_goes_to_another_with_a_death_and_no_try_counted(store, clock):
    accept(store)
    first = take(store, "T1")
    clock.pass_s(31)
    assert store.reap() == 1
    assert store.take_due() == [Due("run", "T1")]
    second = take(store, "T1", "w2")
    assert (second.token, second.tries, second.deaths) == (first.token + 1, 1, 1)
    assert commit(store, "T1", second.token, Effects((END,))).status == "completed"
    lost = next(event for event in store.events("run") if event.kind == "task.retried")
    assert lost.data["error"]["code"] == "WORKER_LOST"
    assert "w1" in lost.data["error"]["message"]


def test_a_zombie_is_fenced_and_changes_no_byte(store, clock, redis_client):
    accept(store)
    zombie = take(store, "T1").token
    clock.pass_s(31)
    store.reap()
    take(store, "T1", "w2")
    before = dump(redis_client)
    big = {"mask": b"x" * 100_000}
    assert store.beat("run", "T1", zombie) is Beat.FENCED
    assert commit(store, "T1", zombie, Effects((END,)), slots=big) is None
    assert store.retry("run", "T1", zombie, {}) is False
    assert store.fail("run", "T1", zombie, {"code": "X"}) is None
    assert store.release("run", "T1", zombie, again=True) is None
    assert dump(redis_client) == before


def test_a_zombie_is_fenced_before_its_task_is_claimed_again(store, clock, redis_client):
    accept(store)
    zombie = take(store, "T1").token
    clock.pass_s(31)
    store.reap()
    before = dump(redis_client)
    assert commit(store, "T1", zombie, Effects((END,))) is None
    assert store.retry("run", "T1", zombie, {}) is False
    assert store.fail("run", "T1", zombie, {"code": "X"}) is None
    assert dump(redis_client) == before


def test_the_third_death_quarantines_the_task_and_fails_the_run(store, clock):
    accept(store)
    for _ in range(3):
        take(store, "T1")
        clock.pass_s(31)
        assert store.reap() == 1
    assert store.status("run") == "failed"
    assert store.error("run")["code"] == "QUARANTINED"
    assert refused(store, "T1") == "QUARANTINED"
    assert kinds(store)[-2:] == ["task.quarantined", "run.failed"]
    assert store.reap() == 0


def test_a_quarantined_task_is_given_a_new_chance_by_a_resume(store, clock):
    accept(store)
    for _ in range(3):
        take(store, "T1")
        clock.pass_s(31)
        store.reap()
    assert list(store.resume("run")) == [Ready("T1")]
    claim = take(store, "T1")
    assert (claim.token, claim.tries, claim.deaths) == (4, 1, 0)


def test_a_beat_in_a_stopping_run_says_so_and_the_dead_there_are_held(store, clock):
    accept(store)
    token = take(store, "T1").token
    store.cancel("run")
    assert store.beat("run", "T1", token) is Beat.CANCEL
    clock.pass_s(31)
    assert store.reap() == 1
    assert store.status("run") == "cancelled"


def test_what_executes_in_a_failing_run_may_finish_until_the_run_is_cancelled(store):
    accept(store, TWO)
    token = take(store, "A").token
    store.fail("run", "B", take(store, "B").token, {"code": "X"})
    assert store.beat("run", "A", token) is Beat.OK
    assert store.cancel("run") == "failing"
    assert store.beat("run", "A", token) is Beat.CANCEL
    assert store.release("run", "A", token) == "failed"
    store.resume("run")
    assert store.beat("run", "A", take(store, "A").token) is Beat.OK


def test_what_a_process_hands_back_counts_neither_as_a_try_nor_as_a_death(store):
    accept(store)
    token = take(store, "T1").token
    assert store.release("run", "T1", token, again=True) == "running"
    assert store.take_due() == [Due("run", "T1")]
    claim = take(store, "T1", "w2")
    assert (claim.token, claim.tries, claim.deaths) == (2, 1, 0)


# -- the outbox -------------------------------------------------------------------------------------------------------


def test_a_ready_task_is_due_after_the_grace_and_then_ever_more_rarely(store, clock):
    accept(store)
    assert store.take_due() == []
    waits = []
    for _ in range(9):
        waited = 0
        while not store.take_due():
            assert waited < 100, "the entry is gone"
            clock.pass_s(GRACE_S)
            waited += 1
        waits.append(waited)
    assert waits == [1, 1, 2, 4, 8, 16, 32, 64, 64]


def test_an_entry_leaves_the_outbox_only_when_it_is_claimed(store, clock):
    accept(store)
    clock.pass_s(GRACE_S)
    assert store.take_due() == [Due("run", "T1")]
    clock.pass_s(GRACE_S)
    assert store.take_due() == [Due("run", "T1")]
    take(store, "T1")
    clock.pass_s(10_000)
    assert store.take_due() == []


def test_a_retry_is_due_and_to_be_had_once_its_delay_is_over(store, clock):
    accept(store)
    assert store.retry("run", "T1", take(store, "T1").token, {"try": 1}, delay_s=60)
    clock.pass_s(59)
    assert store.take_due() == []
    assert store.claim_for("w1", "run", "T1", ()) == Refusal("HELD", 1.0)
    clock.pass_s(1)
    assert store.take_due() == [Due("run", "T1")]
    assert take(store, "T1").tries == 2


def test_items_are_one_entry_which_tells_from_where_on_they_are_unclaimed(store, clock):
    accept(store)
    commit(store, "T1", take(store, "T1").token, Effects((), (Ready("T1[*]/B", 5000),)))
    for item in (0, 1, 2, 4):
        take(store, f"T1[{item}]/B")
    clock.pass_s(GRACE_S)
    assert store.take_due() == [Due("run", "T1[*]/B", 3, 5000)]


def test_a_range_of_which_every_item_was_claimed_is_no_entry_any_more(store, clock, redis_client):
    accept(store)
    opened = Effects((Change("end", 1, 19),), (Ready("T1[*]/B", 20),))
    commit(store, "T1", take(store, "T1").token, opened)
    tokens = {item: take(store, f"T1[{item}]/B").token for item in reversed(range(20))}
    clock.pass_s(GRACE_S)
    assert store.take_due() == []
    for item, token in tokens.items():
        commit(store, f"T1[{item}]/B", token, Effects((END,)))
    assert store.status("run") == "completed"
    assert not redis_client.exists("tyqi:{s0}:run:run:b:T1[*]/B")


def test_an_item_of_a_dead_worker_is_an_entry_of_its_own(store, clock):
    accept(store)
    commit(store, "T1", take(store, "T1").token, Effects((), (Ready("T1[*]/B", 3),)))
    take(store, "T1[0]/B")
    clock.pass_s(31)
    store.reap()
    assert set(store.take_due()) == {Due("run", "T1[*]/B", 1, 3), Due("run", "T1[0]/B")}


def test_a_cancelled_run_ends_without_any_worker(store, clock):
    accept(store, TWO)
    commit(store, "A", take(store, "A").token, Effects((Change("end", 1, 1),), (Ready("A[*]/C", 300),)))
    store.retry("run", "B", take(store, "B").token, {}, delay_s=300)
    store.cancel("run")
    assert store.take_due() == []
    assert store.status("run") == "cancelled"
    assert sorted(store.resume("run")) == [Ready("A[*]/C", 300), Ready("B")]


def test_a_range_that_was_claimed_in_part_when_its_run_stopped_is_resumed_for_the_rest(store):
    accept(store)
    opened = Effects((Change("end", 1, 2),), (Ready("T1[*]/B", 3),))
    commit(store, "T1", take(store, "T1").token, opened)
    token = take(store, "T1[1]/B").token
    store.cancel("run")
    store.take_due()
    commit(store, "T1[1]/B", token, Effects((END,)))
    assert store.status("run") == "cancelled"
    store.resume("run")
    assert refused(store, "T1[1]/B") == "DONE"
    for item in (0, 2):
        commit(store, f"T1[{item}]/B", take(store, f"T1[{item}]/B").token, Effects((END,)))
    assert store.status("run") == "completed"


def test_the_entries_of_a_forgotten_run_are_not_due(store, clock):
    accept(store)
    store.forget("run")
    clock.pass_s(100)
    assert store.take_due() == []


# -- settling and going on in one call --------------------------------------------------------------------------------


def test_the_worker_goes_on_with_a_task_that_never_enters_the_outbox(store, clock):
    accept(store)
    wanted = [Wanted(Place("T1", "score"), required=True)]
    settled = commit(
        store,
        "T1",
        take(store, "T1").token,
        Effects((Change("ready:T2", 1, -1),)),
        slots={"score": 0.5},
        worker="w1",
        onward=[Onward("T9", ()), Onward("T2", wanted)],
    )
    assert list(settled.ready) == [Ready("T2")]
    assert settled.claimed.instance == "T2"
    assert list(settled.claimed.claim.values) == [0.5]
    clock.pass_s(GRACE_S)
    assert store.take_due() == []
    clock.pass_s(LEASE_S)
    assert store.reap() == 1
    assert kinds(store)[2:6] == ["task.started", "task.completed", "task.ready", "task.started"]


def test_a_worker_may_go_on_with_the_first_item(store):
    accept(store)
    wanted = [Wanted(Place("T1", "tiles", (0,)), required=True)]
    settled = commit(
        store,
        "T1",
        take(store, "T1").token,
        Effects((), (Ready("T1[*]/B", 2),)),
        slots={"tiles": ["a", "b"]},
        worker="w1",
        onward=[Onward("T1[0]/B", wanted)],
    )
    assert list(settled.claimed.claim.values) == ["a"]


def test_nothing_is_claimed_when_none_of_it_became_ready(store):
    accept(store)
    settled = commit(
        store,
        "T1",
        take(store, "T1").token,
        Effects((Change("ready:J", 2, -1),), (Ready("T2"),)),
        worker="w1",
        onward=[Onward("J", ())],
    )
    assert settled.claimed is None
    assert list(settled.ready) == [Ready("T2")]


# -- calls that are repeated, because the first answer was lost -------------------------------------------------------


def test_a_commit_whose_answer_was_lost_is_answered_alike_when_it_is_repeated(store, failpoint, redis_client):
    accept(store)
    token = take(store, "T1").token
    effects = Effects((Change("ready:J", 1, -1),), (Ready("T1[*]/B", 2),), (Export("T0", "list", (), None, 2),))
    call = {"slots": {"big": b"x" * 50_000}, "worker": "w1", "onward": [Onward("J", ())]}
    failpoint("CP9:raise")
    with pytest.raises(FailpointError):
        commit(store, "T1", token, effects, **call)
    before = dump(redis_client)
    settled = commit(store, "T1", token, effects, **call)
    assert settled == commit(store, "T1", token, effects, **call)
    assert list(settled.ready) == [Ready("T1[*]/B", 2), Ready("J")]
    assert (settled.claimed.instance, settled.claimed.claim.token) == ("J", 1)
    assert dump(redis_client) == before
    assert store.read("run", Place("T1", "big")) == b"x" * 50_000


@pytest.mark.parametrize("point", ["CP1", "retry.applied", "fail.applied", "release.applied", "cancel.applied"])
def test_other_calls_are_answered_alike_when_they_are_repeated(store, failpoint, redis_client, point):
    def call():
        match point.partition(".")[0]:
            case "retry":
                return store.retry("run", "T1", 1, {}, delay_s=1)
            case "fail":
                return store.fail("run", "T1", 1, {"code": "X"})
            case "release":
                return store.release("run", "T1", 1, again=True)
            case "cancel":
                return store.cancel("run")
            case _:
                return store.status("run")

    failpoint(point + ":raise")
    if point == "CP1":
        with pytest.raises(FailpointError):
            accept(store)
    else:
        accept(store)
        take(store, "T1")
        with pytest.raises(FailpointError):
            call()
    before = dump(redis_client)
    answer = call()
    assert answer
    assert call() == answer
    assert dump(redis_client) == before


def test_a_call_that_was_never_sent_changes_nothing(store, failpoint, redis_client):
    accept(store)
    token = take(store, "T1").token
    before = dump(redis_client)
    failpoint("CP8:raise")
    with pytest.raises(FailpointError):
        commit(store, "T1", token, Effects((END,)))
    assert dump(redis_client) == before


# -- values -----------------------------------------------------------------------------------------------------------


def test_items_fetch_elements_of_small_large_and_many_parts(store):
    accept(store)
    lists = {
        "small": list(range(200)),
        "holes": [None if item % 2 else item for item in range(200)],
        "large": [bytes([item]) * 40_000 for item in range(200)],
    }
    opened = Effects((), (Ready("T1[*]/B", 200),), (Export("T0", "all", (), "large"),))
    commit(store, "T1", take(store, "T1").token, opened, slots=lists)
    wanted = [Wanted(Place("T1", name, (7,)), required=False) for name in lists]
    assert list(take(store, "T1[7]/B", wanted=wanted).values) == [7, ABSENT, bytes([7]) * 40_000]
    assert {name: store.read("run", Place("T1", name)) for name in lists} == lists
    assert store.read("run", Place("T0", "all", (199,))) == bytes([199]) * 40_000


def test_an_item_that_lacks_its_element_is_to_be_skipped(store):
    accept(store)
    opened = Effects((), (Ready("T1[*]/B", 2),))
    commit(store, "T1", take(store, "T1").token, opened, slots={"tiles": ["a", None]})
    claim = take(store, "T1[1]/B", wanted=[Wanted(Place("T1", "tiles", (1,)), required=True)])
    assert claim.skip is True
    assert kinds(store).count("task.started") == 1


def test_a_payload_that_two_slots_hold_goes_with_the_last_of_them(store, redis_client):
    accept(store)
    shared = Effects((), (Ready("T2"), Ready("T3")), (Export("T0", "copy", (), "mask"),))
    commit(store, "T1", take(store, "T1").token, shared, slots={"mask": b"x" * 50_000})
    commit(store, "T2", take(store, "T2").token, Effects((Change("free:T1", 1, -1),)))
    assert store.read("run", Place("T1", "mask")) is ABSENT
    assert store.read("run", Place("T0", "copy")) == b"x" * 50_000
    assert len(redis_client.keys("*:p:*")) == 1
    commit(store, "T3", take(store, "T3").token, Effects((Change("free:T0", 1, -1), Change("end", 2, -1))))
    assert redis_client.keys("*:p:*") == []


# -- nothing stays behind ---------------------------------------------------------------------------------------------


def fill(store):
    """A run that holds something of everything."""
    accept(store, TWO, inputs={"image": b"x" * 50_000})
    opened = Effects((Change("free:Z", 3, -1),), (Ready("A[*]/C", 300),), (Export("", "each.x", (), None, 300),))
    commit(store, "A", take(store, "A").token, opened, slots={"tiles": [b"y" * 300] * 300})
    for item in range(250):
        path = f"A[{item}]/C"
        more = {"outputs": {"x": b"z" * 20_000}}
        commit(store, path, take(store, path).token, Effects((), (), (Export("", "each.x", (item,), "x"),)), **more)
    store.retry("run", "B", take(store, "B").token, {}, delay_s=3)


def test_a_forgotten_run_leaves_nothing(store, redis_client):
    fill(store)
    store.forget("run")
    assert left(store, redis_client) == {}
    accept(store)


def test_freeing_many_payloads_is_left_to_the_sweeper_in_parts(store, redis_client):
    fill(store)
    commit(store, "A[299]/C", take(store, "A[299]/C").token, Effects((Change("free:", 1, -1),)))
    assert len(redis_client.keys("*:p:*")) > 50
    while store.tidy(40):
        pass
    assert len(redis_client.keys("*:p:*")) == 1  # the tiles
    store.forget("run")
    assert left(store, redis_client) == {}


def test_with_retention_0_a_run_that_has_ended_is_gone_at_the_next_tidying(redis_server, redis_client, clock):
    store = RedisStore.connect(redis_server.url, Options(retention_s=0, clock=clock))
    accept(store)
    commit(store, "T1", take(store, "T1").token, Effects((END,)), slots={"x": b"x" * 50_000})
    assert store.tidy() == 1
    assert store.tidy() == 0
    assert redis_client.dbsize() == 0
    store.close()


def test_a_run_is_kept_for_its_retention_and_a_resume_keeps_it_longer(redis_server, redis_client, clock):
    store = RedisStore.connect(redis_server.url, Options(retention_s=60, clock=clock))
    accept(store)
    store.fail("run", "T1", take(store, "T1").token, {"code": "X"})
    clock.pass_s(59)
    assert store.tidy() == 0
    store.resume("run")
    clock.pass_s(100)
    assert store.tidy() == 0
    assert store.status("run") == "running"
    store.close()


def test_a_run_that_was_resumed_while_the_sweeper_looked_is_kept(redis_server, redis_client, clock):
    store = RedisStore.connect(redis_server.url, Options(retention_s=0, clock=clock))
    accept(store)
    store.fail("run", "T1", take(store, "T1").token, {"code": "X"})
    call = store.scripts.call

    def resumed_meanwhile(name, *rest):
        answer = call(name, *rest)
        if name == "tidy" and store.status("run") == "failed":
            store.resume("run")
        return answer

    store.scripts.call = resumed_meanwhile
    store.tidy()
    assert store.status("run") == "running"
    store.close()


def test_every_key_expires(store, redis_client):
    fill(store)
    store.cancel("run")
    store.take_due()
    assert [key for key in redis_client.scan_iter() if redis_client.pttl(key) < 0] == []


def test_an_interrupted_forgetting_is_finished_by_the_sweeper(store, failpoint, redis_client):
    fill(store)
    failpoint("forget.applied:raise")
    with pytest.raises(FailpointError):
        store.forget("run")
    assert store.status("run") is None
    with pytest.raises(UsageError, match="RUN_EXISTS"):
        accept(store)
    while store.tidy():
        pass
    assert left(store, redis_client) == {}


def test_runs_of_all_shards_are_swept(redis_server, redis_client, clock):
    store = RedisStore.connect(redis_server.url, Options(shards=4, retention_s=0, clock=clock))
    runs = [f"run{number}" for number in range(20)]
    for run_id in runs:
        accept(store, run_id=run_id)
    assert len({key.split(b"}")[0] for key in redis_client.scan_iter()}) == 4
    clock.pass_s(GRACE_S)
    assert sorted(due.run_id for due in store.take_due()) == sorted(runs)
    for run_id in runs:
        assert isinstance(store.claim_for("w", run_id, "T1", ()), Claim)
        store.cancel(run_id)
    clock.pass_s(1000)
    assert store.reap() == 20
    while store.tidy():
        pass
    assert redis_client.dbsize() == 0
    store.close()
