"""Would these tests notice? Bugs are put into segments, engines and the settling script; each must be caught."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
import test_segments
from bench import Bench
from corners import CASES
from workshop import Circumstances, hold, hold_stopped

from tyqi_core.errors import InternalError, StoreError
from tyqi_core.runtime.distributed import segments
from tyqi_core.runtime.distributed.segments import Segment
from tyqi_core.runtime.distributed.sweeper import Sweeper
from tyqi_core.scheduler import Change
from tyqi_core.stores import redis as redis_store
from tyqi_core.stores import redis_scripts

FOUND = (AssertionError, InternalError, StoreError, LookupError, TypeError, ValueError)
Mutant = Callable[[pytest.MonkeyPatch], None]


# ---- bugs in segments


def waits_are_not_compared(monkeypatch):
    right = Segment._change

    def change(self, change):
        right(self, change)
        path = change.key.removeprefix("ready:")
        now = self._changes[change.key]
        if path != change.key and now.start + now.delta == 0 and path not in self._open:
            self._open.append(path)

    monkeypatch.setattr(Segment, "_change", change)


def tails_are_not_waited_for(monkeypatch):
    right = Segment._change
    monkeypatch.setattr(
        Segment, "_change", lambda self, one: right(self, Change(one.key, one.start, min(one.delta, 0)))
    )


def values_of_others_are_taken_for_private(monkeypatch):
    monkeypatch.setattr(Segment, "_is_private", lambda self, holder: True)


def values_are_taken_for_read_by_the_first_reader(monkeypatch):
    right = Segment.settlement

    def settlement(self):
        merged = right(self)
        read = {holder for holder, times in self._read.items() if times}
        inner = tuple(replace(one, slots=None) if one.instance in read else one for one in merged.inner)
        return replace(merged, inner=inner)

    monkeypatch.setattr(Segment, "settlement", settlement)


def what_is_handed_to_a_freed_task_is_written(monkeypatch):
    monkeypatch.setattr(segments, "_kept", lambda exports, freed: tuple(exports))


def what_tails_hand_outward_is_lost(monkeypatch):
    monkeypatch.setattr(segments, "_trimmed", lambda inner, freed: replace(inner, exports=()))


def an_executed_task_becomes_ready_again(monkeypatch):
    right = Segment.add

    def add(self, settlement, ending):
        counted = self._changes.get(f"ready:{settlement.instance}")
        right(self, settlement, ending)
        if counted:
            self._changes[counted.key] = counted

    monkeypatch.setattr(Segment, "add", add)


def an_executed_head_of_a_scope_becomes_ready_again(monkeypatch):
    right = Segment.add

    def add(self, settlement, ending):
        opened = self._unopened.get(settlement.instance)
        right(self, settlement, ending)
        if opened:
            self._unopened[opened.path] = opened

    monkeypatch.setattr(Segment, "add", add)


def values_of_a_segment_are_mixed_up(monkeypatch):
    right = Segment.values

    def values(self, wanted):
        found = right(self, wanted)
        return found and found[::-1]

    monkeypatch.setattr(Segment, "values", values)


SEGMENT_MUTANTS: dict[str, Mutant] = {
    "waits are not compared": waits_are_not_compared,
    "tails are not waited for": tails_are_not_waited_for,
    "values of others are taken for private": values_of_others_are_taken_for_private,
    "values are taken for read by the first reader": values_are_taken_for_read_by_the_first_reader,
    "what is handed to a freed task is written": what_is_handed_to_a_freed_task_is_written,
    "what tails hand outward is lost": what_tails_hand_outward_is_lost,
    "an executed task becomes ready again": an_executed_task_becomes_ready_again,
    "an executed head of a scope becomes ready again": an_executed_head_of_a_scope_becomes_ready_again,
    "values of a segment are mixed up": values_of_a_segment_are_mixed_up,
}


def hold_segments() -> None:
    for case in CASES:
        for seed in range(20):
            test_segments.hold(case, seed)


def test_without_a_bug_segments_hold():
    hold_segments()


@pytest.mark.parametrize("mutant", SEGMENT_MUTANTS)
def test_a_bug_in_segments_is_found(mutant, monkeypatch):
    SEGMENT_MUTANTS[mutant](monkeypatch)
    with pytest.raises(FOUND):
        hold_segments()


# ---- bugs in engines and scripts


def script(right: str, wrong: str) -> Mutant:
    """A mutant that changes the text of scripts."""

    def apply(monkeypatch: pytest.MonkeyPatch) -> None:
        original = redis_scripts.text_of
        texts = {name: original(name, shebang=True).decode() for name in redis_scripts.FLAGS}
        assert any(right in text for text in texts.values()), "the script says it otherwise now"
        mutated = {name: text.replace(right, wrong).encode() for name, text in texts.items()}
        digests = {name: hashlib.sha1(text, usedforsecurity=False).hexdigest() for name, text in mutated.items()}
        monkeypatch.setattr(redis_scripts, "text_of", lambda name, *, shebang: mutated[name])
        monkeypatch.setattr(redis_scripts, "digest_of", lambda name, *, shebang: digests[name])

    return apply


def values_of_followers_are_not_written(monkeypatch):
    right = redis_store._packed
    monkeypatch.setattr(redis_store, "_packed", lambda settlement: right(replace(settlement, inner=())))


def the_sweeper_tells_nobody(monkeypatch):
    monkeypatch.setattr(Sweeper, "_tell", lambda self, due: None)


def a_follower_that_lacks_a_value_is_given_null(monkeypatch):
    monkeypatch.setattr(Segment, "values", lambda self, wanted: [self._known.get(want.place) for want in wanted])


ENGINE_MUTANTS: dict[str, Mutant] = {
    "a fenced result is settled": script("task.state == 'e' and task.token == token", "task.state == 'e'"),
    "followers are not held for settled": script("  put(run, 't:' .. one[1], 'd 1 1 0 0 - -')\n", ""),
    "nobody is told that a follower was ready": script("  told(run, 'task.ready', one[1])\n", ""),
    "followers settle without an event": script("  record(run, one[2])\n", ""),
    "what is claimed at once enters the outbox": script("if path ~= mine then", "if true then"),
    "what executes is claimed again": script("if task.nonce == ask.nonce then return", "if true then return"),
    "a lease outlives its task": script(
        "redis.call('ZREM', prefix .. 'leases', run.id .. '|' .. instance)\nrun.live", "run.live"
    ),
    "a settled task is settled again": script("task.state, task.nonce, task.worker = 'd', '-', '-'", ""),
    "a stopping run goes on": script("if run.status ~= 'running' then\n    hold_task", "if false then\n    hold_task"),
    "values of followers are not written": values_of_followers_are_not_written,
    "the sweeper tells nobody": the_sweeper_tells_nobody,
    "a follower that lacks a value is given null": a_follower_that_lacks_a_value_is_given_null,
}

TROUBLES = [
    (hold, Circumstances("short")),
    (hold, Circumstances("mixed", dressed=True, loses=0.3, doubles=0.3)),
    (hold, Circumstances("short", freezes=0.3, crashes=1)),
    (hold_stopped, Circumstances("short", doubles=0.1)),
]


def hold_engines(bench: Bench) -> None:
    for seed in range(3):
        for case in CASES:
            for held, what in TROUBLES:
                held(bench, case, seed, what)


@pytest.fixture
def bench(redis_server):
    opened = Bench(redis_server.url)
    yield opened
    opened.close()


def test_without_a_bug_engines_hold(bench):
    hold_engines(bench)


@pytest.mark.parametrize("mutant", ENGINE_MUTANTS)
def test_a_bug_in_engines_is_found(mutant, bench, monkeypatch):
    ENGINE_MUTANTS[mutant](monkeypatch)
    with pytest.raises(FOUND):
        hold_engines(bench)
