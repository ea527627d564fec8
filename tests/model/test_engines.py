"""Random projects on engines and a real Redis server, against the naive interpreter."""

import random

import pytest
from compare import assert_as_told
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from projects import cases
from reference import Reference
from telling import tell
from workshop import RUN, Bench, Circumstances, workshop

SEEDS = st.integers(0, 2**32)


@pytest.fixture
def bench(redis_server):
    opened = Bench(redis_server.url)
    yield opened
    opened.close()


def assert_ends_as_told(shop):
    told = tell(Reference(shop.case.project, shop.case.nodes), shop.case.inputs, shop.table)
    result = shop.client.result(RUN)
    assert_as_told(told, result.status, result.outputs, result.events, repeated=shop.what.repeats)
    shop.assert_tidy()
    assert not {key for key in shop.forget() if RUN in key or key.startswith("p:")}


def hold(bench, case, seed, what):
    with workshop(bench, case, seed, what) as shop:
        shop.submit()
        shop.drive()
        assert_ends_as_told(shop)


@examples(60)
@given(cases(), SEEDS)
def test_segments_that_are_as_long_as_they_can_be_change_nothing(bench, case, seed):
    hold(bench, case, seed, Circumstances("short"))


@examples(40)
@given(cases(), SEEDS)
def test_tasks_that_are_claimed_one_by_one_change_nothing(bench, case, seed):
    hold(bench, case, seed, Circumstances("unknown"))


@examples(60)
@given(cases(), SEEDS)
def test_batches_queues_and_nodes_that_must_not_be_repeated_change_nothing(bench, case, seed):
    hold(bench, case, seed, Circumstances("mixed", dressed=True))


@examples(50)
@given(cases(), SEEDS, st.sampled_from(["short", "mixed"]))
def test_messages_that_are_lost_or_come_twice_change_nothing(bench, case, seed, pace):
    hold(bench, case, seed, Circumstances(pace, dressed=True, loses=0.3, doubles=0.3))


@examples(40)
@given(cases(), SEEDS, st.sampled_from(["short", "mixed"]))
def test_nodes_that_take_longer_than_anyone_expected_change_nothing(bench, case, seed, pace):
    hold(bench, case, seed, Circumstances(pace, dressed=True, slow=True, doubles=0.1))


@examples(50)
@given(cases(), SEEDS, st.sampled_from(["short", "mixed"]))
def test_workers_that_freeze_or_crash_only_cost_repetitions(bench, case, seed, pace):
    hold(bench, case, seed, Circumstances(pace, dressed=True, doubles=0.1, freezes=0.03, crashes=2))


@examples(70)
@given(cases(), SEEDS, st.sampled_from(["short", "unknown", "mixed"]))
def test_a_run_that_was_stopped_and_is_resumed_ends_like_one_that_was_not(bench, case, seed, pace):
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    with workshop(bench, case, seed, Circumstances(pace, dressed=chance.random() < 0.5, doubles=0.1)) as shop:
        shop.submit()
        shop.drive(chance.randrange(60))
        shop.store.cancel(RUN, give_up=chance.random() < 0.3)
        shop.drive()
        while shop.status != "completed":
            shop.assert_tidy()
            shop.repair()
            shop.resume()
            shop.drive()
        assert_ends_as_told(shop)
