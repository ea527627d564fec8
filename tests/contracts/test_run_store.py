"""The contract of a run store. Every implementation runs all of it."""

import threading

import pytest

from tyqi_core.errors import UsageError
from tyqi_core.scheduler import Change, Effects, Export, Place, Ready
from tyqi_core.stores.base import ABSENT, Wanted
from tyqi_core.stores.memory import MemoryStore
from tyqi_core.stores.redis import RedisStore
from tyqi_core.stores.shared_memory import SharedMemory

END = Change("end", 1, -1)
NOTHING = Effects()
ONE = Effects(ready=(Ready("T1"),))


@pytest.fixture(params=["memory", "redis", "redis and shared memory"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "redis":
        yield request.getfixturevalue("redis_store")
    else:
        server = request.getfixturevalue("redis_server")
        request.getfixturevalue("redis_client")  # which empties it
        opened = RedisStore.connect(server.url, shared_memory=SharedMemory(tmp_path, smallest_bytes=1))
        yield opened
        opened.close()


def commit(store, instance, token, effects=NOTHING, *, slots=None, outputs=None, kind="task.completed"):
    return store.commit("run", instance, token, kind=kind, slots=slots, outputs=outputs or slots or {}, effects=effects)


def claimed(store, instance, wanted=()):
    claim = store.claim("run", instance, wanted)
    assert claim is not None
    return claim


def accept(store, effects=ONE, inputs=None):
    store.accept("run", inputs or {}, effects, {})


def kinds(store):
    return [event.kind for event in store.events("run")]


def test_a_run_of_one_task_completes(store):
    accept(store)
    settled = commit(store, "T1", claimed(store, "T1").token, Effects((END,)))
    assert settled.status == store.status("run") == "completed"
    assert kinds(store) == ["run.accepted", "task.ready", "task.started", "task.completed", "run.completed"]


def test_an_id_is_taken_once(store):
    accept(store)
    with pytest.raises(UsageError, match="exists"):
        accept(store)


def test_a_task_is_claimed_by_one_worker_only(store):
    accept(store)
    assert store.claim("run", "T1", ()) is not None
    assert store.claim("run", "T1", ()) is None


def test_of_many_claims_at_once_exactly_one_succeeds(store):
    accept(store)
    barrier = threading.Barrier(8)
    claims = []

    def claim():
        barrier.wait()
        claims.append(store.claim("run", "T1", ()))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in claims if claim is not None]) == 1


def test_a_stale_attempt_is_fenced_and_changes_nothing(store):
    accept(store)
    first = claimed(store, "T1")
    assert store.retry("run", "T1", first.token, {})
    second = claimed(store, "T1")
    assert (second.token, second.tries) == (first.token + 1, 2)
    before = list(store.events("run"))
    assert commit(store, "T1", first.token, Effects((END,))) is None
    assert store.retry("run", "T1", first.token, {}) is False
    assert store.fail("run", "T1", first.token, {"code": "X"}) is None
    assert list(store.events("run")) == before
    assert store.status("run") == "running"
    assert commit(store, "T1", second.token, Effects((END,))).status == "completed"


def test_a_counter_starts_at_its_value_and_fires_at_zero(store):
    accept(store, Effects(ready=(Ready("A"), Ready("B"))))
    join = Change("ready:J", 2, -1)
    assert not commit(store, "A", claimed(store, "A").token, Effects((join,))).ready
    assert list(commit(store, "B", claimed(store, "B").token, Effects((join,))).ready) == [Ready("J")]
    assert commit(store, "J", claimed(store, "J").token, Effects((END,))).status == "completed"


def test_a_counter_that_was_raised_fires_later(store):
    accept(store)
    settled = commit(
        store, "T1", claimed(store, "T1").token, Effects((Change("ready:J", 1, 1),), (Ready("T1[*]/B", 2),))
    )
    assert list(settled.ready) == [Ready("T1[*]/B", 2)]
    minus = Effects((Change("ready:J", 1, -1),))
    assert not commit(store, "T1[0]/B", claimed(store, "T1[0]/B").token, minus).ready
    assert list(commit(store, "T1[1]/B", claimed(store, "T1[1]/B").token, minus).ready) == [Ready("J")]


def test_a_counter_that_one_settlement_changes_twice_is_changed_twice(store):
    accept(store, Effects(ready=(Ready("A"), Ready("B"))))
    minus = Change("ready:J", 3, -1)
    assert not commit(store, "A", claimed(store, "A").token, Effects((minus, minus))).ready
    assert list(commit(store, "B", claimed(store, "B").token, Effects((minus,))).ready) == [Ready("J")]


def test_values_are_read_from_slots_inputs_and_list_elements(store):
    accept(store, inputs={"image": "picture"})
    slots = {"score": 0.5, "tiles": ["a", None, "c"]}
    commit(store, "T1", claimed(store, "T1").token, Effects((), (Ready("T2"),)), slots=slots)
    wanted = [
        Wanted(Place("", "image"), required=True),
        Wanted(Place("T1", "score"), required=True),
        Wanted(Place("T1", "tiles", (2,)), required=True),
        Wanted(Place("T1", "tiles", (1,)), required=False),
        Wanted(Place("T1", "nothing"), required=False),
    ]
    claim = claimed(store, "T2", wanted)
    assert list(claim.values) == ["picture", 0.5, "c", ABSENT, ABSENT]
    assert claim.skip is False


def test_a_task_whose_required_value_is_absent_is_to_be_skipped_and_is_not_recorded_as_started(store):
    accept(store)
    claim = claimed(store, "T1", [Wanted(Place("T0", "mask"), required=True)])
    assert claim.skip is True
    commit(store, "T1", claim.token, Effects((END,)), kind="task.skipped")
    assert kinds(store) == ["run.accepted", "task.ready", "task.skipped", "run.completed"]


def test_null_is_a_value_and_not_an_absence(store):
    accept(store)
    commit(store, "T1", claimed(store, "T1").token, Effects((), (Ready("T2"),)), slots={"value": None})
    claim = claimed(store, "T2", [Wanted(Place("T1", "value"), required=True)])
    assert list(claim.values) == [None]
    assert claim.skip is False


def test_exports_fill_lists_and_lists_of_lists(store):
    accept(store)
    lists = Effects((), (Ready("A"),), (Export("T1", "each.rows", (), None, 2),))
    commit(store, "T1", claimed(store, "T1").token, lists)
    inner = Effects((), (Ready("B"),), (Export("T1", "each.rows", (1,), None, 3),))
    commit(store, "A", claimed(store, "A").token, inner)
    leaf = Effects((), (), (Export("T1", "each.rows", (1, 2), "score"),))
    commit(store, "B", claimed(store, "B").token, leaf, outputs={"score": 7})
    assert store.read("run", Place("T1", "each.rows")) == [None, [None, None, 7]]


def test_freed_slots_are_gone(store):
    accept(store)
    commit(store, "T1", claimed(store, "T1").token, Effects((), (Ready("T2"),)), slots={"mask": "big"})
    commit(store, "T2", claimed(store, "T2").token, Effects((Change("free:T1", 1, -1), END)))
    assert store.read("run", Place("T1", "mask")) is ABSENT


def test_a_failing_run_lets_what_executes_finish_and_starts_nothing_new(store):
    accept(store, Effects(ready=(Ready("A"), Ready("B"), Ready("C"))))
    a, b = claimed(store, "A"), claimed(store, "B")
    assert store.fail("run", "A", a.token, {"code": "BOOM"}) == "failing"
    assert store.claim("run", "C", ()) is None
    settled = commit(store, "B", b.token, Effects((Change("ready:D", 1, -1),)))
    assert not settled.ready
    assert settled.status == "failed"
    assert store.error("run") == {"code": "BOOM"}


def test_a_resumed_run_goes_on_from_the_failed_and_the_held_tasks(store):
    accept(store, Effects(ready=(Ready("A"), Ready("B"))))
    a, b = claimed(store, "A"), claimed(store, "B")
    store.fail("run", "A", a.token, {"code": "BOOM"})
    commit(store, "B", b.token, Effects((Change("ready:J", 2, -1), Change("ready:D", 1, -1))))
    assert sorted(entry.path for entry in store.resume("run")) == ["A", "D"]
    assert store.status("run") == "running"
    again = claimed(store, "A")
    assert (again.token, again.tries) == (2, 1)
    assert list(commit(store, "A", again.token, Effects((Change("ready:J", 2, -1),))).ready) == [Ready("J")]
    commit(store, "D", claimed(store, "D").token)
    assert commit(store, "J", claimed(store, "J").token, Effects((END,))).status == "completed"


def test_a_range_of_items_that_was_held_back_is_resumed_whole(store):
    accept(store)
    claim = claimed(store, "T1")
    store.cancel("run")
    opened = Effects((Change("end", 1, 1),), (Ready("T1[*]/B", 2),))
    assert commit(store, "T1", claim.token, opened).status == "cancelled"
    assert list(store.resume("run")) == [Ready("T1[*]/B", 2)]
    for item in range(2):
        commit(store, f"T1[{item}]/B", claimed(store, f"T1[{item}]/B").token, Effects((END,)))
    assert store.status("run") == "completed"


def test_a_cancelled_run_waits_for_what_executes_or_is_released(store):
    accept(store, Effects(ready=(Ready("A"), Ready("B"))))
    a, b = claimed(store, "A"), claimed(store, "B")
    assert store.cancel("run") == "cancelling"
    commit(store, "A", a.token)
    assert store.release("run", "B", b.token) == "cancelled"
    assert sorted(entry.path for entry in store.resume("run")) == ["B"]


def test_a_running_run_gives_no_task_back(store):
    accept(store)
    assert store.release("run", "T1", claimed(store, "T1").token) is None


def test_a_completed_run_is_neither_cancelled_nor_resumed(store):
    accept(store)
    commit(store, "T1", claimed(store, "T1").token, Effects((END,)))
    assert store.cancel("run") == "completed"
    with pytest.raises(UsageError, match="only a failed or cancelled run"):
        store.resume("run")


def test_a_run_that_comes_to_a_standstill_fails_and_says_so(store):
    accept(store)
    commit(store, "T1", claimed(store, "T1").token)
    assert store.status("run") == "failed"
    assert store.error("run")["code"] == "STALLED"


def test_what_was_forgotten_is_unknown(store):
    accept(store)
    store.forget("run")
    assert store.status("run") is None
    with pytest.raises(UsageError, match="no run"):
        store.claim("run", "T1", ())
