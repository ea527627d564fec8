"""What the scripts of the Redis store do, told a second time: the memory store with leases and an outbox around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tyqi_core.scheduler import Effects, Ready
from tyqi_core.stores.base import TERMINAL, Beat, Claim, Claimed, Due, Onward, Refusal, RunStatus, Settled
from tyqi_core.stores.memory import MemoryStore, RunState, TaskState, _end_if_over, _hold

ITEM = re.compile(r"(.*)\[(\d+)\]/([^/]+)")
RUN = "run"


@dataclass
class Entry:
    """A task or a range of items that waits to be claimed."""

    due: int
    items: int | None = None
    times: int = 0
    claimed: set[int] = field(default_factory=set)

    @property
    def left(self) -> int:
        return 1 if self.items is None else self.items - len(self.claimed)

    def holds(self, index: int) -> bool:
        return self.items is not None and index < self.items and index not in self.claimed

    def first(self) -> int:
        return next(index for index in range(self.items or 0) if index not in self.claimed)


class LeasedRun:
    """One run as :class:`~tyqi_core.stores.base.SharedRunStore` promises it. Times are milliseconds."""

    def __init__(self, clock: Callable[[], int], effects: Effects, *, lease: int, grace: int, deaths: int) -> None:
        self.memory = MemoryStore()
        self.clock, self.lease, self.grace, self.most = clock, lease, grace, deaths
        self.outbox: dict[str, Entry] = {}
        self.held_ranges: dict[str, Entry] = {}
        self.leases: dict[str, int] = {}
        self.after: dict[str, int] = {}
        self.deaths: dict[str, int] = {}
        self.nonces: dict[str, str] = {}
        self.answers: dict[str, tuple[int, str, Any]] = {}
        self.quarantined: set[str] = set()
        self.cancelled = False
        self.memory.accept(RUN, {}, effects, {})
        self._enter(effects.ready)

    @property
    def run(self) -> RunState:
        return self.memory.state(RUN)

    def _enter(self, ready: Sequence[Ready]) -> None:
        for entry in ready:
            self.outbox[entry.path] = Entry(self.clock() + self.grace, entry.items)

    def claim(self, instance: str, nonce: str = "") -> Claim | Refusal:  # noqa: PLR0911 - one a reason
        task, now = self.run.tasks.get(instance), self.clock()
        if task is not None and task.status == "executing":
            return Refusal("HELD", max(0, self.leases[instance] - now) / 1000)
        if task is not None and task.status == "settled":
            return Refusal("DONE")
        if task is not None and task.status == "held":
            return Refusal("QUARANTINED" if instance in self.quarantined else "CANCELLED")
        match = ITEM.fullmatch(instance)
        path, index = (f"{match[1]}[*]/{match[3]}", int(match[2])) if match else ("", 0)
        if instance in self.outbox:
            path = instance
        elif task is None and path in self.held_ranges and self.held_ranges[path].holds(index):
            return Refusal("CANCELLED")
        elif task is not None or path not in self.outbox or not self.outbox[path].holds(index):
            return Refusal("UNKNOWN")
        if self.run.status == "running" and self.after.get(instance, 0) > now:
            return Refusal("HELD", (self.after[instance] - now) / 1000)
        entry = self.outbox[path]
        entry.claimed.add(index)
        if path == instance or not entry.left:
            del self.outbox[path]
        claim = self.memory.claim(RUN, instance, ())
        if claim is None:
            return Refusal("CANCELLED")
        self.answers.pop(instance, None)
        self.leases[instance], self.nonces[instance] = now + self.lease, nonce
        return Claim(claim.token, claim.tries, [], skip=False, deaths=self.deaths.get(instance, 0))

    def _finished(self, instance: str, token: int, call: str, answer: Any) -> Any:
        """Keep the answer of a call that ended an attempt; of one that did not, tell what an earlier one was told."""
        if answer is None:
            kept = self.answers.get(instance, (0, "", None))
            return kept[2] if kept[:2] == (token, call) else None
        del self.leases[instance]
        self.answers[instance] = token, call, answer
        return answer

    def commit(self, instance: str, token: int, effects: Effects, slots: Any, onward: Sequence[Onward]) -> Any:
        again = f"{instance}:{token}"
        new = self.memory.commit(
            RUN, instance, token, kind="task.completed", slots=slots, outputs=slots, effects=effects
        )
        settled: Settled | None = self._finished(instance, token, "commit", new)
        if new is not None:
            self._enter(new.ready)
            self._know_held()
        if settled is None:
            return None
        for task in onward:
            claimed = self._again(task.instance, again) if new is None else self._onward(task.instance, again)
            if isinstance(claimed, Claim):
                return Settled(settled.ready, settled.status, Claimed(task.instance, claimed))
        return settled

    def _onward(self, instance: str, nonce: str) -> Claim | Refusal | None:
        return self.claim(instance, nonce) if self.run.status == "running" else None

    def _again(self, instance: str, nonce: str) -> Claim | None:
        task = self.run.tasks.get(instance)
        if task is None or task.status != "executing" or self.nonces[instance] != nonce:
            return None
        return Claim(task.token, task.tries, [], skip=False, deaths=self.deaths.get(instance, 0))

    def retry(self, instance: str, token: int, delay: int) -> bool:
        done = self.memory.retry(RUN, instance, token, {}) or None
        if done:
            self.after[instance] = self.clock() + delay
            self.outbox[instance] = Entry(self.clock() + delay)
        return bool(self._finished(instance, token, "retry", done))

    def fail(self, instance: str, token: int) -> RunStatus | None:
        answer: RunStatus | None = self._finished(
            instance, token, "fail", self.memory.fail(RUN, instance, token, {"code": "X"})
        )
        return answer

    def release(self, instance: str, token: int) -> RunStatus | None:
        """With ``again``."""
        task = self.run.tasks.get(instance)
        current = task is not None and task.status == "executing" and task.token == token
        if current and task is not None and self.run.status == "running":
            task.status, task.tries = "waiting", task.tries - 1
            self.after[instance] = 0
            self.outbox[instance] = Entry(self.clock())
            answer: RunStatus | None = "running"
        else:
            answer = self.memory.release(RUN, instance, token)
        told: RunStatus | None = self._finished(instance, token, "release", answer)
        return told

    def beat(self, instance: str, token: int) -> Beat:
        task = self.run.tasks.get(instance)
        if task is None or task.status != "executing" or task.token != token:
            return Beat.FENCED
        self.leases[instance] = self.clock() + self.lease
        return Beat.CANCEL if self.cancelled else Beat.OK

    def cancel(self) -> RunStatus:
        self.cancelled = True
        return self.memory.cancel(RUN)

    def take_due(self) -> list[Due]:
        if self.run.status not in {"running", *TERMINAL}:
            self._hold_all()
        found = []
        for path, entry in self.outbox.items():
            if entry.due <= self.clock():
                found.append(Due(RUN, path, entry.first() if entry.items else 0, entry.items))
                entry.due = self.clock() + self.grace * 2 ** min(entry.times, 6)
                entry.times += 1
        return found

    def _hold_all(self) -> None:
        for path, entry in self.outbox.items():
            if entry.items is not None:
                self.held_ranges[path] = entry
                self.run.held.append(Ready(path, entry.items))
                self.run.live -= entry.left
            else:
                task = self.run.tasks.get(path)
                if task is not None:
                    task.status = "held"
                self.run.held.append(Ready(path))
                self.run.live -= 1
        self.outbox.clear()
        self._know_held()
        _end_if_over(self.run)

    def _know_held(self) -> None:
        """What is held without ever having been claimed is known, so that a claim of it is told why it is refused."""
        for path, items in self.run.held:
            if items is None:
                self.run.tasks.setdefault(path, TaskState("held"))
            else:
                self.held_ranges.setdefault(path, Entry(0, items))

    def reap(self) -> int:
        dead = sorted((ends, instance) for instance, ends in self.leases.items() if ends <= self.clock())
        for _, instance in dead:
            del self.leases[instance]
            run, task = self.run, self.run.tasks[instance]
            self.deaths[instance] = self.deaths.get(instance, 0) + 1
            task.tries -= 1
            if run.status != "running":
                _hold(run, instance, task)
            elif self.deaths[instance] >= self.most:
                self.quarantined.add(instance)
                run.record("task.quarantined", instance)
                run.status, run.error = "failing", {"code": "QUARANTINED"}
                _hold(run, instance, task)
            else:
                task.status = "waiting"
                self.after[instance] = 0
                self.outbox[instance] = Entry(self.clock())
                run.record("task.retried", instance)
        return len(dead)

    def resume(self) -> list[Ready]:
        run = self.run
        held, run.held = run.held, []
        self.cancelled = False
        run.status, run.error = "running", None
        run.record("run.resumed", "")
        for path, items in held:
            task = run.tasks.get(path)
            if task is not None:
                task.status, task.tries = "waiting", 0
                self.answers.pop(path, None)
            self.quarantined.discard(path)
            self.deaths[path], self.after[path] = 0, 0
            entry = self.held_ranges.pop(path, Entry(0, items))
            entry.due, entry.times = self.clock() + self.grace, 0
            self.outbox[path] = entry
            run.live += entry.left
            run.record("task.ready", path)
        _end_if_over(run)
        return held
