"""The store that processes share: one Redis server, one script a change. docs/stores.md tells the keys and promises.

Needs the extra ``workers``. Nothing connects on import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import TimeoutError as LateError
from redis.retry import Retry

from tyqi_core.errors import UsageError
from tyqi_core.scheduler import Effects, Ready
from tyqi_core.stores import redis_arguments as arguments
from tyqi_core.stores.base import (
    ABSENT,
    Ask,
    Beat,
    Claim,
    Claimed,
    Due,
    Onward,
    Refusal,
    RunStatus,
    Settled,
    Settlement,
    Wanted,
)
from tyqi_core.stores.redis_reading import Options, RedisReading, status_of, unknown_run
from tyqi_core.stores.redis_scripts import Argument, Scripts, check_server
from tyqi_core.stores.redis_values import Packing
from tyqi_core.stores.shared_memory import SharedMemory, chosen
from tyqi_core.stores.wire import LargePacker

__all__ = ["Options", "RedisStore"]

_FENCED = frozenset({b"FENCED", b"NORUN"})
"""The attempt is not current any more, or its run was forgotten: to whoever executed it that is the same."""
RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
HIDDEN_MS = 100
"""How long others are not told of a task that somebody is about to claim."""


class RedisStore(RedisReading):
    """A :class:`~tyqi_core.stores.base.SharedRunStore` in a Redis server.

    Args:
        client: a client of it, with ``decode_responses`` off; see :meth:`connect`.
        options: how the store behaves.
        old_server: the server is an embedded one older than 7.0, and that is meant.
        shared_memory: where large values lie on this host; ``None``: in Redis, as all others.

    Raises:
        UsageError: the server evicts keys, or is too old.
        StoreError: the server is away.
    """

    def __init__(
        self,
        client: redis.Redis,
        options: Options | None = None,
        *,
        old_server: bool = False,
        shared_memory: SharedMemory | None = None,
    ) -> None:
        scripts = Scripts(client, shebang=check_server(client, old_server=old_server))
        super().__init__(client, options or Options(), scripts, shared_memory)

    @classmethod
    def connect(
        cls,
        url: str,
        options: Options | None = None,
        *,
        old_server: bool = False,
        shared_memory: SharedMemory | bool | None = None,
    ) -> Self:
        """The store at ``redis://HOST:PORT/DATABASE``; calls are repeated for some seconds if the server is away.

        Repeating is safe: every script answers the same call the same again. Large values lie in shared memory if the
        server is on this host; ``shared_memory=False`` turns that off, ``True`` on for any server.
        """
        retry = Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.05), 8)
        client = redis.Redis.from_url(
            url,
            retry=retry,
            retry_on_error=[AwayError, LateError, BusyLoadingError, OSError],
            socket_timeout=15,
            socket_connect_timeout=5,
            socket_keepalive=True,
            health_check_interval=10,
            command_packer=LargePacker(),
        )
        return cls(client, options, old_server=old_server, shared_memory=chosen(shared_memory, url))

    def close(self) -> None:
        """Close the connections; one that is in use ends with its call."""
        self.payloads.close()
        self.scripts.close()
        self._client.close()

    # -- runs --------------------------------------------------------------------------------------------------------

    def accept(
        self,
        run_id: str,
        inputs: Mapping[str, Any],
        effects: Effects,
        data: Mapping[str, Any],
        *,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        """Create a run; see :class:`~tyqi_core.stores.base.RunStore`. ``data["plan"]`` is kept as its plan's digest.

        Args:
            run_id: its id.
            inputs: by name.
            effects: what accepting does.
            data: of its first event.
            groups: of first tasks whose nodes take batches, by path.
        """
        if not RUN_ID.fullmatch(run_id):
            raise UsageError(
                f"{run_id[:100]!r} is no id of a run",
                code="BAD_RUN_ID",
                remedy="Use up to 128 letters, digits, dots, dashes and underscores.",
            )
        packing = Packing()
        for name, value in inputs.items():
            if value is not ABSENT:
                packing.add("", name, value)
        self.payloads.write(self.prefix(run_id), packing)
        options = self.options
        kept = arguments.milliseconds(options.retention_s)
        life = arguments.milliseconds(options.deadline_s) + kept
        head = (arguments.nonce(), life, kept, arguments.milliseconds(options.grace_s), data.get("plan", ""))
        told = arguments.event("run.accepted", "", data)
        ready = (*arguments.ready_entries(effects.ready), *arguments.groups(groups or {}))
        answer = self.call("accept", run_id, *head, told, *packing.arguments(), *ready)
        if answer != b"OK":
            self.payloads.drop(self.prefix(run_id), packing)
            raise UsageError(f"run {run_id} exists already", code="RUN_EXISTS", remedy="Choose another id.")

    def cancel(self, run_id: str, *, give_up: bool = False) -> RunStatus:
        """Stop a run; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        return status_of(self.known("cancel", run_id, int(give_up)))

    def resume(self, run_id: str) -> Sequence[Ready]:
        """Make held tasks ready again; see :class:`~tyqi_core.stores.base.RunStore`."""
        answer = self.known("resume", run_id, arguments.nonce(), arguments.milliseconds(self.options.grace_s))
        if answer[0] == b"REFUSED":
            status = answer[1].decode()
            raise UsageError(
                f"run {run_id} is {status}; only a failed or cancelled run can be resumed", code="NOT_RESUMABLE"
            )
        return [_ready(line.decode()) for line in answer[1:]]

    def forget(self, run_id: str) -> None:
        """Drop all that is held of a run, a bounded part of it a call."""
        self._forget(run_id, over=False)

    def _forget(self, run_id: str, *, over: bool) -> None:
        while self.call("forget", run_id, 200, int(over)):
            pass

    # -- attempts ----------------------------------------------------------------------------------------------------

    def claim(self, run_id: str, instance: str, wanted: Sequence[Wanted]) -> Claim | None:
        """Begin an attempt without a lease; see :class:`~tyqi_core.stores.base.RunStore`."""
        answer = self._claim("", run_id, instance, wanted, 0.0)
        if answer is None:
            raise unknown_run(run_id)
        return answer if isinstance(answer, Claim) else None

    def claim_for(
        self, worker: str, run_id: str, instance: str, wanted: Sequence[Wanted], *, lease_s: float | None = None
    ) -> Claim | Refusal:
        """Begin an attempt; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        if not RUN_ID.fullmatch(run_id) or not arguments.INSTANCE.fullmatch(instance):
            return Refusal("UNKNOWN")
        answer = self._claim(worker, run_id, instance, wanted, self._lease(lease_s))
        return answer or Refusal("UNKNOWN")

    def claim_many(
        self, worker: str, asks: Sequence[Ask], *, lease_s: float | None = None
    ) -> Sequence[Claim | Refusal]:
        """Begin several attempts; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        lease = self._lease(lease_s)
        answers = self.scripts.call_many("claim", [self._claim_call(worker, *ask, lease) for ask in asks])
        return [
            self._granted_or_not(ask.run_id, ask.wanted, answer) or Refusal("UNKNOWN")
            for ask, answer in zip(asks, answers, strict=True)
        ]

    def commit(
        self,
        run_id: str,
        instance: str,
        token: int,
        *,
        kind: str,
        slots: Mapping[str, Any] | None,
        outputs: Mapping[str, Any],
        effects: Effects,
        data: Mapping[str, Any] | None = None,
        worker: str = "",
        onward: Sequence[Onward] = (),
        lease_s: float | None = None,
    ) -> Settled | None:
        """Settle a task and go on; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        settlement = Settlement(run_id, instance, token, kind, slots, outputs, effects, data)
        return self.commit_many([settlement], worker=worker, onward=onward, lease_s=lease_s)[0]

    def commit_many(
        self,
        settlements: Sequence[Settlement],
        *,
        worker: str = "",
        onward: Sequence[Onward] = (),
        lease_s: float | None = None,
    ) -> Sequence[Settled | None]:
        """Settle several tasks and go on; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        lease = self._lease(lease_s) if worker else 0.0
        calls, packings = [], []
        for number, settlement in enumerate(settlements, 1):
            packing, nonce = _packed(settlement), arguments.nonce()
            self.payloads.write(self.prefix(settlement.run_id), packing)
            again = f"{settlement.instance}:{settlement.token}"  # who repeats this call is given the same claim
            asks = onward if number == len(settlements) else ()
            claims = [part for ask in asks for part in arguments.claim(worker, *ask, lease, again)]
            calls.append(self._commit_call(settlement, packing, nonce, worker, len(asks), claims))
            packings.append((packing, nonce))
        answers = self.scripts.call_many("commit", calls)
        return [
            self._settled(settlement, packing, nonce, onward, answer)
            for settlement, (packing, nonce), answer in zip(settlements, packings, answers, strict=True)
        ]

    def _commit_call(
        self, settlement: Settlement, packing: Packing, nonce: str, worker: str, count: int, claims: Sequence[Argument]
    ) -> tuple[str, Sequence[Argument]]:
        run_id, effects = settlement.run_id, settlement.effects
        told = arguments.event(settlement.kind, settlement.instance, settlement.data)
        grace = arguments.milliseconds(self.options.grace_s)
        return self.key(run_id), (
            *(self.prefix(run_id), run_id, self.now()),
            *(settlement.instance, settlement.token, nonce, grace, told),
            *packing.arguments(),
            *arguments.changes(effects.changes),
            *arguments.ready_entries(effects.ready),
            *arguments.groups(settlement.groups),
            *arguments.sample(settlement.node, settlement.counts),
            *arguments.inner(worker, settlement.inner),
            count,
            *claims,
        )

    def _settled(
        self, settlement: Settlement, packing: Packing, nonce: str, onward: Sequence[Onward], answer: Any
    ) -> Settled | None:
        run_id = settlement.run_id
        applied, status, *lines = answer[0].decode().split("\n") if answer[0] not in _FENCED else ("", "")
        if applied != nonce:
            self.payloads.drop(self.prefix(run_id), packing)
        if not applied:
            return None
        claimed = self._claimed(run_id, onward, answer) if len(answer) > 1 else None
        return Settled([_ready(line) for line in lines], cast("RunStatus", status), claimed)

    def retry(self, run_id: str, instance: str, token: int, data: Mapping[str, Any], *, delay_s: float = 0.0) -> bool:
        """End the attempt; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        event = arguments.event("task.retried", instance, data)
        return bool(self.call("retry", run_id, instance, token, arguments.milliseconds(delay_s), event) == b"OK")

    def fail(self, run_id: str, instance: str, token: int, error: Mapping[str, Any]) -> RunStatus | None:
        """Fail the run; see :class:`~tyqi_core.stores.base.RunStore`."""
        event = arguments.event("task.failed", instance, {"error": error})
        return _unless_fenced(self.call("fail", run_id, instance, token, arguments.compact(error), event))

    def release(self, run_id: str, instance: str, token: int, *, again: bool = False) -> RunStatus | None:
        """Give a task back; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        return _unless_fenced(self.call("release", run_id, instance, token, int(again)))

    def beat(self, run_id: str, instance: str, token: int, *, lease_s: float | None = None) -> Beat:
        """Extend the lease of an attempt."""
        lease = arguments.milliseconds(self._lease(lease_s))
        return Beat(self.call("beat", run_id, instance, token, lease).decode())

    def beat_many(self, attempts: Sequence[tuple[str, str, int]], *, lease_s: float | None = None) -> Sequence[Beat]:
        """Extend the leases of several attempts; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        lease = arguments.milliseconds(self._lease(lease_s))
        calls = [
            (self.key(run_id), (self.prefix(run_id), run_id, self.now(), instance, token, lease))
            for run_id, instance, token in attempts
        ]
        return [Beat(answer.decode()) for answer in self.scripts.call_many("beat", calls)] if calls else []

    def waiting(self, group: str, limit: int = 100, *, least: int = 0, most: int = 0) -> Sequence[Due]:
        """Tasks of a group that wait; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        shards = range(self.options.shards)
        hide = (least, most, HIDDEN_MS)
        return [due for shard in shards for due in _due(self.sweep("waiting", shard, group, limit, *hide))][:limit]

    # -- the sweeper -------------------------------------------------------------------------------------------------

    def take_due(self, limit: int = 100, grace_s: float | None = None) -> Sequence[Due]:
        """Entries of the outbox that are due; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        grace = arguments.milliseconds(self.options.grace_s if grace_s is None else grace_s)
        shards = range(self.options.shards)
        return [due for shard in shards for due in _due(self.sweep("take_due", shard, limit, grace))]

    def reap(self, limit: int = 100) -> int:
        """Take tasks from the dead; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        return sum(self.sweep("reap", shard, limit, self.options.deaths) for shard in range(self.options.shards))

    def tidy(self, limit: int = 100) -> int:
        """Forget runs whose retention has passed, free what was left to be freed. Returns how much was done."""
        done = 0
        for shard in range(self.options.shards):
            freed, *runs = self.sweep("tidy", shard, limit)
            for run_id in runs:
                self._forget(run_id.decode(), over=True)
            done += freed + len(runs)
        return done

    # -- calls -------------------------------------------------------------------------------------------------------

    def _lease(self, lease_s: float | None) -> float:
        return self.options.lease_s if lease_s is None else lease_s

    def _claim(
        self, worker: str, run_id: str, instance: str, wanted: Sequence[Wanted], lease_s: float
    ) -> Claim | Refusal | None:
        """``None``: there is no such run."""
        answer = self.scripts.call("claim", *self._claim_call(worker, run_id, instance, wanted, lease_s))
        return self._granted_or_not(run_id, wanted, answer)

    def _claim_call(
        self, worker: str, run_id: str, instance: str, wanted: Sequence[Wanted], lease_s: float
    ) -> tuple[str, Sequence[Argument]]:
        shared = (self.prefix(run_id), run_id, self.now())
        return self.key(run_id), (*shared, *arguments.claim(worker, instance, wanted, lease_s, arguments.nonce()))

    def _granted_or_not(self, run_id: str, wanted: Sequence[Wanted], answer: Any) -> Claim | Refusal | None:
        if answer[0] == b"OK":
            return self._granted(run_id, wanted, answer)
        if answer[0] == b"NORUN":
            return None
        return Refusal(answer[0].decode(), answer[1] / 1000 if len(answer) > 1 else 0.0)

    def _granted(self, run_id: str, wanted: Sequence[Wanted], answer: Sequence[Any]) -> Claim:
        _, token, tries, deaths, skip, *found = answer
        reader = self.reader(run_id)
        values = [
            reader.value(want.place, raw, used) for want, raw, used in zip(wanted, found[::2], found[1::2], strict=True)
        ]
        absent = any(value is ABSENT and want.required for value, want in zip(values, wanted, strict=True))
        return Claim(token, tries, values, bool(skip) or absent, deaths)

    def _claimed(self, run_id: str, onward: Sequence[Onward], answer: Sequence[Any]) -> Claimed:
        instance = answer[1].decode()
        wanted = next(task.wanted for task in onward if task.instance == instance)
        return Claimed(instance, self._granted(run_id, wanted, answer[2]))


def _packed(settlement: Settlement) -> Packing:
    """The values that a settlement writes."""
    effects = settlement.effects
    packing = Packing(frozenset(entry.items for entry in effects.ready if entry.items))
    for name, value in (settlement.slots or {}).items():
        packing.add(settlement.instance, name, value)
    for export in effects.exports:
        packing.export(export, settlement.outputs)
    for inner in settlement.inner:
        for name, value in (inner.slots or {}).items():
            packing.add(inner.instance, name, value)
        for export in inner.exports:
            packing.export(export, inner.outputs)
    return packing


def _due(answer: Sequence[bytes]) -> Iterator[Due]:
    parts = [part.decode() for part in answer]
    for run_id, path, first, stop, plan in zip(*[iter(parts)] * 5, strict=True):
        yield Due(run_id, path, int(first or 0), int(stop) if stop else None, plan)


def _ready(line: str) -> Ready:
    path, _, items = line.partition("|")
    return Ready(path, int(items) if items else None)


def _unless_fenced(answer: bytes) -> RunStatus | None:
    return None if answer in _FENCED else status_of(answer)
