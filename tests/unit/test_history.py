"""What is remembered of a node's executions: exact enough, of constant size, and fading."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.runtime.history import (
    ENOUGH,
    PERIOD,
    Expectations,
    Sample,
    apply,
    fields_of,
    from_fields,
    merge,
    parsed,
    summed,
)

durations = st.floats(min_value=1e-6, max_value=1e5)
memories = st.none() | st.floats(min_value=0, max_value=1e6)
samples = st.builds(Sample, st.just("a.b@1"), durations, memories, memories, st.booleans())


def history_of(*seconds):
    fields = {}
    for one in seconds:
        apply(fields, fields_of(Sample("a.b@1", one)))
    return from_fields(fields)


@given(st.lists(durations, min_size=1, max_size=PERIOD - 1))
def test_durations_are_told_to_within_a_tenth(seconds):
    history, ordered = history_of(*seconds), sorted(seconds)
    assert history.count == history.recent == len(seconds)
    assert history.mean_s == pytest.approx(sum(seconds) / len(seconds), rel=1e-6, abs=1.1e-6)
    assert history.max_s == pytest.approx(ordered[-1], abs=1.1e-6)
    for share, told in ((0.5, history.p50_s), (0.95, history.p95_s)):
        true = ordered[math.ceil(share * len(ordered)) - 1]
        assert told == pytest.approx(true, rel=0.095, abs=1.1e-6)


@given(st.lists(samples, max_size=PERIOD - 1))
def test_summing_samples_up_is_the_same_as_applying_them_one_by_one(given_samples):
    fields = {}
    for sample in given_samples:
        apply(fields, fields_of(sample))
    assert summed(given_samples) == fields


@given(st.lists(samples, max_size=100), st.lists(samples, max_size=100))
def test_two_summaries_make_the_summary_of_all_their_samples(first, second):
    assert merge(summed(first), summed(second)) == summed(first + second)


def test_a_summary_keeps_its_size_however_much_it_has_seen():
    fields = {}
    for number in range(20 * PERIOD):
        apply(fields, fields_of(Sample("a.b@1", 10 ** ((number * 7919) % 1000 / 100 - 6), number, number)))
    assert from_fields(fields).count == 20 * PERIOD
    assert len(fields) <= 160 + 9
    assert parsed(fields) == fields


def test_a_node_that_became_faster_is_believed_after_three_periods():
    slow, fast = [8.0] * (4 * PERIOD), [0.02] * (3 * PERIOD)
    history = history_of(*slow, *fast)
    assert history.p50_s == pytest.approx(0.02, rel=0.1)
    assert history.mean_s < 1.5
    assert history.recent <= 2 * PERIOD


def test_fading_leaves_the_mean_where_it_was():
    before, after = history_of(*[0.3] * (PERIOD - 1)), history_of(*[0.3] * PERIOD)
    assert after.recent < before.recent
    assert after.mean_s == pytest.approx(before.mean_s, rel=1e-5)


@pytest.mark.parametrize(("later", "kept"), [(PERIOD, 900), (2 * PERIOD, 40)])
def test_a_peak_that_does_not_recur_is_forgotten_after_two_periods(later, kept):
    fields = summed([Sample("a.b@1", 0.1, 900)])
    for _ in range(later):
        apply(fields, fields_of(Sample("a.b@1", 0.1, 40)))
    assert from_fields(fields).memory_mb == kept


def test_a_peak_is_kept_while_nothing_newer_is_measured():
    fields = summed([Sample("a.b@1", 0.1, 900)])
    for _ in range(8 * PERIOD):
        apply(fields, fields_of(Sample("a.b@1", 0.1)))
    assert from_fields(fields).memory_mb == 900
    assert merge(fields, summed([Sample("a.b@1", 0.1)] * 8 * PERIOD))["mem1"] == 900


def test_what_was_never_measured_is_not_taken_for_zero():
    history = history_of(0.1)
    assert history.memory_mb is None
    assert history.gpu_memory_mb is None


def test_failures_are_counted_apart_and_leave_the_durations_alone():
    fields = summed([Sample("a.b@1", 0.1), Sample("a.b@1", 99.0, failed=True)])
    history = from_fields(fields)
    assert (history.count, history.failures) == (1, 1)
    assert history.max_s == pytest.approx(0.1)


def test_an_empty_summary_says_nothing_and_breaks_nothing():
    history = from_fields({})
    assert (history.count, history.p95_s, history.believed) == (0, 0.0, False)
    assert merge({}, {}) == {}


@given(st.floats(min_value=-1e9, max_value=1e12))
def test_any_duration_finds_a_bucket(seconds):
    fields = summed([Sample("a.b@1", seconds)])
    assert parsed(fields) == fields
    assert from_fields(fields).recent == 1


def test_a_summary_as_a_store_holds_it_is_read():
    assert parsed({b"n": b"12", b"b3": b"12"}) == {"n": 12, "b3": 12}


@pytest.mark.parametrize("raw", [{"n": -1}, {"x": 1}, {"b160": 1}, {"n": True}, {"n": 1.5}, {"n": 2**60}, {"n": "z"}])
def test_what_is_no_summary_is_refused(raw):
    with pytest.raises(ValueError, match=r".+"):
        parsed(raw)


def test_a_duration_is_expected_once_it_was_seen_often_enough():
    expectations = Expectations({"a.b@1": history_of(*[0.2] * ENOUGH), "a.c@1": history_of(*[0.2] * (ENOUGH - 1))})
    assert expectations.expected_s("a.b@1") == pytest.approx(0.2, rel=1e-4)
    assert expectations.expected_s("a.c@1") is None
    assert expectations.expected_s("a.d@1") is None
    expectations.learn("a.c@1", 0.2)
    assert expectations.expected_s("a.c@1") == pytest.approx(0.2, rel=1e-4)


def test_expectations_follow_a_node_that_becomes_slower():
    expectations = Expectations({"a.b@1": history_of(*[0.001] * PERIOD)})
    for _ in range(300):
        expectations.learn("a.b@1", 0.5)
    assert expectations.expected_s("a.b@1") == pytest.approx(0.5, rel=0.02)
