"""Random projects on engines and a real Redis server, against the naive interpreter."""

import pytest
from bench import Bench
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from long_projects import long_cases
from projects import cases
from workshop import Circumstances, hold, hold_stopped

SEEDS = st.integers(0, 2**32)


@pytest.fixture
def bench(redis_server):
    opened = Bench(redis_server.url)
    yield opened
    opened.close()


@examples(50)
@given(long_cases(), SEEDS)
def test_segments_that_are_as_long_as_they_can_be_change_nothing(bench, case, seed):
    hold(bench, case, seed, Circumstances("short"))


@examples(30)
@given(cases(), SEEDS)
def test_tasks_that_are_claimed_one_by_one_change_nothing(bench, case, seed):
    hold(bench, case, seed, Circumstances("unknown"))


@examples(50)
@given(cases(), SEEDS)
def test_batches_queues_and_nodes_that_must_not_be_repeated_change_nothing(bench, case, seed):
    hold(bench, case, seed, Circumstances("mixed", dressed=True))


@examples(40)
@given(long_cases(), SEEDS, st.sampled_from(["short", "mixed"]))
def test_messages_that_are_lost_or_come_twice_change_nothing(bench, case, seed, pace):
    hold(bench, case, seed, Circumstances(pace, dressed=True, loses=0.3, doubles=0.3))


@examples(30)
@given(long_cases(), SEEDS, st.sampled_from(["short", "mixed"]))
def test_nodes_that_take_longer_than_anyone_expected_change_nothing(bench, case, seed, pace):
    hold(bench, case, seed, Circumstances(pace, dressed=True, slow=True, doubles=0.1))


@examples(40)
@given(long_cases(), SEEDS, st.sampled_from(["short", "mixed"]))
def test_workers_that_freeze_or_crash_only_cost_repetitions(bench, case, seed, pace):
    hold(bench, case, seed, Circumstances(pace, dressed=True, doubles=0.1, freezes=0.1, crashes=2))


@examples(50)
@given(cases(), SEEDS, st.sampled_from(["short", "unknown", "mixed"]))
def test_a_run_that_was_stopped_and_is_resumed_ends_like_one_that_was_not(bench, case, seed, pace):
    hold_stopped(bench, case, seed, Circumstances(pace, dressed=seed % 2 == 0, doubles=0.1))
