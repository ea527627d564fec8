"""The contract of a shared store for calls about several tasks at once, for groups, and for runs that are given up."""

from __future__ import annotations

import pytest
from shared_stores import END, GRACE_S, LEASE_S, NOTHING, TWO, accept, commit, dump, kinds, refused, take

from tyqi_core.failpoints import FailpointError
from tyqi_core.scheduler import Change, Effects, Place, Ready
from tyqi_core.stores.base import ABSENT, Ask, Beat, Claim, Due, Inner, Onward, Refusal, Settlement, Wanted

FOUR = Effects(ready=tuple(Ready(name) for name in "ABCD"))
GROUP, OTHER = "n.one@1:abc", "n.two@1:abc"


def asks(*instances, wanted=(), run_id="run"):
    return [Ask(run_id, instance, wanted) for instance in instances]


def settlement(instance, token, effects=NOTHING, slots=None, run_id="run", **more):
    return Settlement(run_id, instance, token, "task.completed", slots, slots or {}, effects, **more)


def waiting(store, group=GROUP, limit=100):
    return [(due.path, due.first, due.stop) for due in store.waiting(group, limit)]


# -- several claims ---------------------------------------------------------------------------------------------------


def test_several_claims_are_each_answered_in_their_order(store):
    accept(store, TWO, {"image": b"x" * 50_000})
    accept(store, run_id="other")
    take(store, "B")
    wanted = [Wanted(Place("", "image"), required=True)]
    first, held, unknown, none, other = store.claim_many(
        "w2", [*asks("A", wanted=wanted), *asks("B", "Z"), *asks("A", run_id="nobody"), *asks("T1", run_id="other")]
    )
    assert list(first.values) == [b"x" * 50_000]
    assert held == Refusal("HELD", LEASE_S)
    assert unknown == none == Refusal("UNKNOWN")
    assert (other.token, other.tries) == (1, 1)


def test_a_task_that_is_asked_for_twice_in_one_call_is_granted_once(store):
    accept(store)
    granted, refusal = store.claim_many("w1", asks("T1", "T1"))
    assert isinstance(granted, Claim)
    assert refusal == Refusal("HELD", LEASE_S)


def test_no_claims_are_answered_by_nothing(store):
    assert list(store.claim_many("w1", [])) == []
    assert list(store.beat_many([])) == []


def test_each_of_several_claims_has_a_lease_that_one_call_extends(store, clock):
    accept(store, TWO)
    claims = store.claim_many("w1", asks("A", "B"))
    clock.pass_s(20)
    held = [("run", name, claim.token) for name, claim in zip("AB", claims, strict=True)]
    assert list(store.beat_many([*held, ("run", "A", 9), ("nobody", "A", 1)])) == [
        Beat.OK,
        Beat.OK,
        Beat.FENCED,
        Beat.FENCED,
    ]
    clock.pass_s(20)
    assert store.reap() == 0
    clock.pass_s(11)
    assert store.reap() == 2


def test_several_claims_and_settlements_outlive_the_loss_of_all_scripts(store, redis_client):
    accept(store, TWO)
    redis_client.script_flush()
    claims = store.claim_many("w1", asks("A", "B"))
    redis_client.script_flush()
    opened = Effects((Change("end", 2, -1),))
    settled = store.commit_many([settlement(name, claims[0].token, opened) for name in "AB"])
    assert [one.status for one in settled] == ["running", "completed"]


# -- several settlements ----------------------------------------------------------------------------------------------


def test_several_settlements_are_applied_in_their_order_and_the_last_goes_on(store):
    accept(store, TWO)
    store.claim_many("w1", asks("A", "B"))
    join = Change("ready:J", 2, -1)
    wanted = [Wanted(Place("A", "x"), required=True), Wanted(Place("B", "x"), required=True)]
    first, second = store.commit_many(
        [settlement(name, 1, Effects((join,)), {"x": name}) for name in "AB"],
        worker="w1",
        onward=[Onward("J", wanted)],
    )
    assert (list(first.ready), first.claimed) == ([], None)
    assert list(second.ready) == [Ready("J")]
    assert list(second.claimed.claim.values) == ["A", "B"]
    assert kinds(store)[-4:] == ["task.completed", "task.completed", "task.ready", "task.started"]


def test_a_fenced_settlement_changes_nothing_and_leaves_the_others_alone(store, redis_client):
    accept(store, TWO)
    store.claim_many("w1", asks("A", "B"))
    big = {"mask": b"x" * 50_000}
    fenced, settled = store.commit_many([settlement("A", 7, Effects((END,)), big), settlement("B", 1, NOTHING, big)])
    assert fenced is None
    assert settled.status == "running"
    assert store.read("run", Place("A", "mask")) is ABSENT
    assert len(redis_client.keys("*:p:*")) == 1, "what the fenced one would have kept is gone"


def test_several_settlements_of_which_one_was_applied_are_answered_alike_when_all_are_repeated(store, redis_client):
    accept(store, TWO)
    store.claim_many("w1", asks("A", "B"))
    big = {"mask": b"x" * 50_000}
    call = [settlement("A", 1, Effects((), (Ready("C"),)), big), settlement("B", 1, Effects((), (Ready("D"),)), big)]
    one = store.commit_many(call[:1], worker="w1", onward=[Onward("C", ())])
    assert one[0].claimed.instance == "C"
    both = store.commit_many(call, worker="w1", onward=[Onward("D", ())])
    assert [list(settled.ready) for settled in both] == [[Ready("C")], [Ready("D")]]
    before = dump(redis_client)
    assert store.commit_many(call, worker="w1", onward=[Onward("D", ())]) == both
    assert dump(redis_client) == before


def test_settlements_whose_answers_were_lost_are_answered_alike_when_they_are_repeated(store, failpoint, redis_client):
    accept(store, TWO)
    store.claim_many("w1", asks("A", "B"))
    call = [settlement(name, 1, Effects((Change("ready:J", 2, -1),)), {"x": b"x" * 50_000}) for name in "AB"]
    failpoint("CP9:raise")
    with pytest.raises(FailpointError):
        store.commit_many(call, worker="w1", onward=[Onward("J", ())])
    before = dump(redis_client)
    _, second = store.commit_many(call, worker="w1", onward=[Onward("J", ())])
    assert (second.claimed.instance, second.claimed.claim.token) == ("J", 1)
    assert dump(redis_client) == before


def test_whoever_executes_a_task_of_a_forgotten_run_is_fenced_and_the_others_are_not(store, clock, redis_client):
    accept(store, TWO)
    accept(store, run_id="gone")
    store.claim_many("w1", [*asks("A", "B"), *asks("T1", run_id="gone")])
    store.forget("gone")
    big = {"mask": b"x" * 50_000}
    first, gone, last = store.commit_many(
        [settlement("A", 1), settlement("T1", 1, NOTHING, big, run_id="gone"), settlement("B", 1, Effects((END,)))]
    )
    assert (first.status, gone, last.status) == ("running", None, "completed")
    assert store.retry("gone", "T1", 1, {}) is False
    assert store.fail("gone", "T1", 1, {"code": "X"}) is None
    assert store.release("gone", "T1", 1, again=True) is None
    assert list(store.beat_many([("gone", "T1", 1)])) == [Beat.FENCED]
    store.forget("run")
    clock.pass_s(LEASE_S)
    assert store.reap() == 0
    left = {pattern: redis_client.keys(pattern) for pattern in ("*run:*", "*:p:*", "*:leases")}
    assert not any(left.values()), left


# -- segments ---------------------------------------------------------------------------------------------------------


def segment(token):
    """A commits, and with it what its worker executed after it; C is ready by that."""
    inner = Inner("T2", "task.completed", None, {"x": 2}, {"x": 2}, ())
    together = settlement("A", token, Effects((), (Ready("C"),)), {"x": 1}, inner=(inner,))
    return [together]


def test_what_was_executed_after_a_task_is_settled_with_it(store):
    accept(store, TWO)
    (settled,) = store.commit_many(segment(take(store, "A").token), worker="w1")
    assert list(settled.ready) == [Ready("C")]
    assert (refused(store, "A"), refused(store, "T2")) == ("DONE", "DONE")
    assert store.read("run", Place("T2", "x")) == 2
    executed = ["task.started", "task.completed"]
    assert kinds(store)[2:] == ["task.ready", *executed, "task.ready", *executed, "task.ready"]


def test_what_was_executed_after_a_task_while_its_run_failed_is_settled_and_not_executed_again(store):
    accept(store, TWO)
    token = take(store, "A").token
    store.fail("run", "B", take(store, "B").token, {"code": "X"})
    (settled,) = store.commit_many(segment(token), worker="w1")
    assert (settled.status, list(settled.ready)) == ("failed", [])
    assert refused(store, "T2") == "DONE"
    assert sorted(store.resume("run")) == [Ready("B"), Ready("C")]


def test_what_was_executed_after_a_task_before_its_worker_knew_of_a_cancel_is_settled(store):
    accept(store, TWO)
    token = take(store, "A").token
    store.cancel("run")
    (settled,) = store.commit_many(segment(token), worker="w1")
    assert (settled.status, list(settled.ready)) == ("cancelling", [])
    assert refused(store, "T2") == "DONE"
    store.take_due()
    assert sorted(store.resume("run")) == [Ready("B"), Ready("C")]


# -- groups -----------------------------------------------------------------------------------------------------------


def test_what_waits_in_a_group_is_found_across_runs_longest_first(store, clock):
    store.accept("first", {}, TWO, {"plan": "p1"}, groups={"A": GROUP, "B": OTHER})
    clock.pass_s(1)
    store.accept("second", {}, TWO, {"plan": "p2"}, groups={"B": GROUP})
    assert list(store.waiting(GROUP)) == [Due("first", "A", plan="p1"), Due("second", "B", plan="p2")]
    assert list(store.waiting(GROUP, 1)) == [Due("first", "A", plan="p1")]
    assert list(store.waiting(OTHER)) == [Due("first", "B", plan="p1")]
    assert list(store.waiting("n.none@1:abc")) == []


def test_looking_at_a_group_claims_and_puts_off_nothing(store, clock):
    store.accept("run", {}, TWO, {}, groups={"A": GROUP})
    clock.pass_s(GRACE_S)
    assert waiting(store) == waiting(store) == [("A", 0, None)]
    assert {due.path for due in store.take_due()} == {"A", "B"}
    assert waiting(store) == [("A", 0, None)], "telling of a task takes it from no group either"


def test_what_somebody_is_about_to_claim_is_told_to_nobody_else_for_a_moment(store, clock):
    for run in ("one", "two", "three"):
        store.accept(run, {}, TWO, {}, groups={"A": GROUP})
    assert [due.run_id for due in store.waiting(GROUP, 3, least=4, most=2)] == ["one", "three", "two"], (
        "too few to hide"
    )
    assert len(store.waiting(GROUP, 3, least=3, most=2)) == 3
    assert [due.run_id for due in store.waiting(GROUP)] == ["two"]
    assert isinstance(store.claim_for("w", "one", "A", ()), Claim), "hidden is not claimed"
    clock.pass_s(1)
    assert [due.run_id for due in store.waiting(GROUP)] == ["two", "three"]


def test_a_task_that_was_lost_from_its_group_is_found_again_when_it_is_told_of(store, clock, redis_client):
    store.accept("run", {}, TWO, {}, groups={"A": GROUP})
    (index,) = redis_client.scan_iter("*group:*")
    redis_client.delete(index)
    assert waiting(store) == []
    clock.pass_s(GRACE_S)
    store.take_due()
    assert waiting(store) == [("A", 0, None)]


def test_items_of_a_group_are_one_entry_from_the_first_unclaimed_on(store):
    accept(store)
    opened = Effects((), (Ready("T1[*]/B", 5),))
    store.commit_many([settlement("T1", take(store, "T1").token, opened, groups={"T1[*]/B": GROUP})])
    assert waiting(store) == [("T1[*]/B", 0, 5)]
    store.claim_many("w1", asks("T1[0]/B", "T1[1]/B", "T1[3]/B"))
    assert waiting(store) == [("T1[*]/B", 2, 5)]
    store.claim_many("w1", asks("T1[2]/B", "T1[4]/B"))
    assert waiting(store) == []


@pytest.mark.parametrize("way", ["retry", "release", "reap", "resume"])
def test_an_item_that_waits_again_does_so_in_the_group_of_its_range(store, clock, way):
    accept(store)
    opened = Effects((), (Ready("T1[*]/B", 2),))
    store.commit_many([settlement("T1", take(store, "T1").token, opened, groups={"T1[*]/B": GROUP})])
    claims = store.claim_many("w1", asks("T1[0]/B", "T1[1]/B"))
    assert waiting(store) == []
    if way == "retry":
        store.retry("run", "T1[1]/B", claims[1].token, {})
    elif way == "release":
        store.release("run", "T1[1]/B", claims[1].token, again=True)
    elif way == "reap":
        store.beat("run", "T1[0]/B", claims[0].token, lease_s=LEASE_S * 10)
        clock.pass_s(LEASE_S + 1)
        assert store.reap() == 1
    else:
        store.fail("run", "T1[1]/B", claims[1].token, {"code": "NODE_ERROR", "message": "it failed"})
        store.release("run", "T1[0]/B", claims[0].token)
        store.resume("run")
    found = [path for path, _, _ in waiting(store)]
    assert found == (["T1[0]/B", "T1[1]/B"] if way == "resume" else ["T1[1]/B"])


def test_a_task_joins_its_group_when_it_becomes_ready_and_leaves_it_when_it_is_claimed(store):
    accept(store, TWO)
    join = Effects((Change("ready:J", 2, -1),))
    for name in "AB":
        assert waiting(store) == []
        store.commit_many([settlement(name, take(store, name).token, join, groups={"J": GROUP})])
    assert waiting(store) == [("J", 0, None)]
    take(store, "J")
    assert waiting(store) == []


def test_a_task_that_the_settling_worker_goes_on_with_never_waits_in_its_group(store):
    accept(store)
    call = settlement("T1", take(store, "T1").token, Effects((Change("ready:J", 1, -1),)), groups={"J": GROUP})
    store.commit_many([call], worker="w1", onward=[Onward("J", ())])
    assert waiting(store) == []


def test_a_retry_waits_in_its_group_once_its_delay_is_over(store, clock):
    store.accept("run", {}, TWO, {}, groups={"A": GROUP})
    store.retry("run", "A", take(store, "A").token, {}, delay_s=60)
    clock.pass_s(59)
    assert waiting(store) == []
    clock.pass_s(1)
    assert waiting(store) == [("A", 0, None)]


def test_the_task_of_a_dead_worker_and_one_that_was_handed_back_wait_in_their_groups_again(store, clock):
    store.accept("run", {}, TWO, {}, groups={"A": GROUP, "B": GROUP})
    take(store, "A")
    store.release("run", "B", take(store, "B").token, again=True)
    assert waiting(store) == [("B", 0, None)]
    clock.pass_s(LEASE_S)
    store.reap()
    assert sorted(waiting(store)) == [("A", 0, None), ("B", 0, None)]


def test_held_tasks_wait_in_no_group_until_their_run_is_resumed(store):
    store.accept("run", {}, TWO, {}, groups={"A": GROUP, "B": GROUP})
    store.cancel("run")
    store.take_due()
    assert (store.status("run"), waiting(store)) == ("cancelled", [])
    store.resume("run")
    assert sorted(waiting(store)) == [("A", 0, None), ("B", 0, None)]


def test_tasks_of_a_forgotten_run_wait_in_no_group(store, redis_client):
    store.accept("run", {}, TWO, {}, groups={"A": GROUP})
    store.forget("run")
    assert waiting(store) == []
    assert redis_client.dbsize() == 0


# -- runs that are given up -------------------------------------------------------------------------------------------


def test_a_run_that_is_given_up_ends_at_once_and_its_attempts_are_fenced(store, redis_client):
    accept(store, FOUR)
    store.claim_many("w1", asks("A", "B"))
    commit(store, "C", take(store, "C").token)
    assert store.cancel("run") == "cancelling"
    store.take_due()
    assert store.cancel("run", give_up=True) == "cancelled"
    before = dump(redis_client)
    assert commit(store, "A", 1, Effects((END,)), slots={"x": 1}) is None
    assert store.fail("run", "B", 1, {"code": "X"}) is None
    assert store.retry("run", "B", 1, {}) is False
    assert store.release("run", "A", 1) is None
    assert store.beat("run", "A", 1) is Beat.FENCED
    assert dump(redis_client) == before


def test_what_was_given_up_is_resumed_and_what_was_settled_is_not(store):
    accept(store, FOUR)
    store.claim_many("w1", asks("A", "B"))
    commit(store, "C", take(store, "C").token)
    store.cancel("run", give_up=True)
    store.take_due()
    assert sorted(store.resume("run")) == [Ready("A"), Ready("B"), Ready("D")]
    assert refused(store, "C") == "DONE"
    claim = take(store, "A")
    assert (claim.token, claim.tries, claim.deaths) == (2, 1, 0)


def test_what_was_given_up_counts_no_death_when_its_lease_would_have_ended(store, clock):
    accept(store)
    take(store, "T1")
    store.cancel("run", give_up=True)
    clock.pass_s(LEASE_S + 1)
    assert store.reap() == 0
    assert kinds(store)[-1] == "run.cancelled"


def test_giving_up_is_answered_alike_when_it_is_repeated(store, redis_client):
    accept(store, TWO)
    take(store, "A")
    store.cancel("run", give_up=True)
    before = dump(redis_client)
    assert store.cancel("run", give_up=True) == "cancelling", "B has not been held yet"
    assert dump(redis_client) == before
    store.take_due()
    assert store.cancel("run", give_up=True) == "cancelled"


def test_giving_a_failing_run_up_ends_it_as_failed(store):
    accept(store, TWO)
    take(store, "A")
    store.fail("run", "B", take(store, "B").token, {"code": "X"})
    assert store.cancel("run") == "failing"
    assert store.cancel("run", give_up=True) == "failed"


def test_giving_a_run_up_that_has_ended_changes_nothing(store, redis_client):
    accept(store)
    commit(store, "T1", take(store, "T1").token, Effects((END,)))
    before = dump(redis_client)
    assert store.cancel("run", give_up=True) == "completed"
    assert dump(redis_client) == before
