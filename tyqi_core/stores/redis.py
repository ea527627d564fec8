"""The store that processes share: one Redis server, one script a change. docs/stores.md tells the keys and promises.

Needs the extra ``workers``. Nothing connects on import.
"""

from __future__ import annotations

import json
import os
import re
from binascii import crc32
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import TimeoutError as LateError
from redis.retry import Retry

from tyqi_core.errors import InternalError, UsageError
from tyqi_core.protocol.message import Event, event_line, parse_event_line
from tyqi_core.scheduler import Change, Effects, Place, Ready
from tyqi_core.stores.base import (
    ABSENT,
    Beat,
    Claim,
    Claimed,
    Due,
    Onward,
    Refusal,
    RunStatus,
    Settled,
    Wanted,
)
from tyqi_core.stores.payloads import PayloadPlane, RedisPayloads
from tyqi_core.stores.redis_scripts import Argument, Scripts, check_server, translated
from tyqi_core.stores.redis_values import Packing, Reader, fields_of
from tyqi_core.stores.shared_memory import Shards, SharedMemory, SharedMemoryPayloads, chosen
from tyqi_core.stores.wire import LargePacker

_DAY: Final = 86_400.0
_RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_INSTANCE = re.compile(r"[A-Za-z0-9_/\[\]]{1,2000}")
_ITEM = re.compile(r"(.*)\[(\d{1,9})\]/([^/]+)")
_WORKER = re.compile(r"[A-Za-z0-9._@:-]{0,200}")


@dataclass(frozen=True, slots=True)
class Options:
    """How a store behaves. All processes that share it use the same.

    Attributes:
        namespace: what its keys begin with.
        shards: over how many tags runs are spread; only one server needs one.
        lease_s: how long a worker may be silent.
        grace_s: how long a ready task may wait for its first claim before the sweeper tells of it again.
        deaths: at how many lost workers a task is quarantined.
        deadline_s: how long a run may take.
        retention_s: how long what a run holds is kept once it has ended; 0: until the next ``tidy``.
        clock: milliseconds, for tests; by default the server's clock.
    """

    namespace: str = "tyqi"
    shards: int = 1
    lease_s: float = 30.0
    grace_s: float = 5.0
    deaths: int = 3
    deadline_s: float = _DAY
    retention_s: float = 7 * _DAY
    clock: Callable[[], int] | None = None


class RedisStore:
    """A :class:`~tyqi_core.stores.base.SharedRunStore` in a Redis server.

    Args:
        client: a client of it, with ``decode_responses`` off; see :meth:`connect`.
        options: how the store behaves.
        old_server: the server is an embedded one older than 7.0, and that is meant.
        shared_memory: where large values lie on this host; ``None``: in Redis, as all others.

    Attributes:
        payloads: where large values lie. A supervisor calls its ``sweep`` and ``serve_requests``.

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
        self.options = options or Options()
        self._client = client
        self.scripts = Scripts(client, shebang=check_server(client, old_server=old_server))
        self.payloads: PayloadPlane = RedisPayloads(client)
        if shared_memory:
            self.payloads = SharedMemoryPayloads(client, self.scripts, self._shards(), shared_memory)

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
            retry_on_error=[AwayError, LateError, BusyLoadingError],
            socket_timeout=15,
            socket_connect_timeout=5,
            socket_keepalive=True,
            health_check_interval=10,
            command_packer=LargePacker(),
        )
        return cls(client, options, old_server=old_server, shared_memory=chosen(shared_memory, url))

    def close(self) -> None:
        """Close the connections."""
        self.payloads.close()
        self._client.close()

    # -- runs --------------------------------------------------------------------------------------------------------

    def accept(self, run_id: str, inputs: Mapping[str, Any], effects: Effects, data: Mapping[str, Any]) -> None:
        """Create a run; see :class:`~tyqi_core.stores.base.RunStore`."""
        if not _RUN_ID.fullmatch(run_id):
            raise UsageError(
                f"{run_id[:100]!r} is no id of a run",
                code="BAD_RUN_ID",
                remedy="Use up to 128 letters, digits, dots, dashes and underscores.",
            )
        packing = Packing()
        for name, value in inputs.items():
            if value is not ABSENT:
                packing.add("", name, value)
        self.payloads.write(self._prefix(run_id), packing)
        options = self.options
        kept = _milliseconds(options.retention_s)
        life = _milliseconds(options.deadline_s) + kept
        head = (_nonce(), life, kept, _milliseconds(options.grace_s), _event("run.accepted", "", data))
        answer = self._call("accept", run_id, *head, *packing.arguments(), *_ready_arguments(effects.ready))
        if answer != b"OK":
            self.payloads.drop(self._prefix(run_id), packing)
            raise UsageError(f"run {run_id} exists already", code="RUN_EXISTS", remedy="Choose another id.")

    def cancel(self, run_id: str) -> RunStatus:
        """Stop a run; see :class:`~tyqi_core.stores.base.RunStore`."""
        return _status(self._known("cancel", run_id))

    def resume(self, run_id: str) -> Sequence[Ready]:
        """Make held tasks ready again; see :class:`~tyqi_core.stores.base.RunStore`."""
        answer = self._known("resume", run_id, _nonce(), _milliseconds(self.options.grace_s))
        if answer[0] == b"REFUSED":
            status = answer[1].decode()
            raise UsageError(f"run {run_id} is {status}; only a failed or cancelled run can be resumed")
        return [_ready(line.decode()) for line in answer[1:]]

    def status(self, run_id: str) -> RunStatus | None:
        """The run's status; ``None`` for a run that is not held here."""
        with translated():
            found = self._client.hget(self._key(run_id), "status")
        return None if found is None else _status(cast("bytes", found))

    def error(self, run_id: str) -> Mapping[str, Any] | None:
        """The first failure that stopped the run."""
        with translated():
            status, error = cast("list[bytes | None]", self._client.hmget(self._key(run_id), ["status", "error"]))
        if status is None:
            raise _unknown(run_id)
        return None if error is None else cast("Mapping[str, Any]", json.loads(error))

    def read(self, run_id: str, place: Place) -> Any:
        """The value held at a place, or :data:`~tyqi_core.stores.base.ABSENT`."""
        fields = fields_of(place)
        raw, used = self._known("read", run_id, place.instance, len(fields), *fields)
        return self._reader(run_id).value(place, raw, used)

    def events(self, run_id: str, start: int = 0) -> Sequence[Event]:
        """The run's events from number ``start`` on."""
        key = self._key(run_id)
        with translated():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.exists(key)
            pipeline.xrange(f"{key}:e", f"{start + 1}-0", "+")
            known, entries = pipeline.execute()
        if not known:
            raise _unknown(run_id)
        return [parse_event_line(fields[b"e"].decode()) for _, fields in entries]

    def forget(self, run_id: str) -> None:
        """Drop all that is held of a run, a bounded part of it a call."""
        self._forget(run_id, over=False)

    def _forget(self, run_id: str, *, over: bool) -> None:
        while self._call("forget", run_id, 200, int(over)):
            pass

    # -- attempts ----------------------------------------------------------------------------------------------------

    def claim(self, run_id: str, instance: str, wanted: Sequence[Wanted]) -> Claim | None:
        """Begin an attempt without a lease; see :class:`~tyqi_core.stores.base.RunStore`."""
        answer = self._claim("", run_id, instance, wanted, 0.0)
        if answer is None:
            raise _unknown(run_id)
        return answer if isinstance(answer, Claim) else None

    def claim_for(
        self, worker: str, run_id: str, instance: str, wanted: Sequence[Wanted], *, lease_s: float | None = None
    ) -> Claim | Refusal:
        """Begin an attempt; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        if not _RUN_ID.fullmatch(run_id) or not _INSTANCE.fullmatch(instance):
            return Refusal("UNKNOWN")
        answer = self._claim(worker, run_id, instance, wanted, self._lease(lease_s))
        return answer or Refusal("UNKNOWN")

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
        prefix, nonce = self._prefix(run_id), _nonce()
        packing = Packing(frozenset(entry.items for entry in effects.ready if entry.items))
        for name, value in (slots or {}).items():
            packing.add(instance, name, value)
        for export in effects.exports:
            packing.export(export, outputs)
        self.payloads.write(prefix, packing)
        lease = self._lease(lease_s) if worker else 0.0
        head = (instance, token, nonce, _milliseconds(self.options.grace_s), _event(kind, instance, data))
        changes = _change_arguments(effects.changes)
        again = f"{instance}:{token}"  # who repeats this call is given the same claim
        claims = (part for task in onward for part in self._ask(worker, task.instance, task.wanted, lease, again))
        ready = _ready_arguments(effects.ready)
        answer = self._known("commit", run_id, *head, *packing.arguments(), *changes, *ready, len(onward), *claims)
        applied, status, *lines = answer[0].decode().split("\n") if answer[0] != b"FENCED" else ("", "")
        if applied != nonce:
            self.payloads.drop(prefix, packing)
        if not applied:
            return None
        claimed = self._claimed(run_id, onward, answer) if len(answer) > 1 else None
        return Settled([_ready(line) for line in lines], cast("RunStatus", status), claimed)

    def retry(self, run_id: str, instance: str, token: int, data: Mapping[str, Any], *, delay_s: float = 0.0) -> bool:
        """End the attempt; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        event = _event("task.retried", instance, data)
        return bool(self._known("retry", run_id, instance, token, _milliseconds(delay_s), event) == b"OK")

    def fail(self, run_id: str, instance: str, token: int, error: Mapping[str, Any]) -> RunStatus | None:
        """Fail the run; see :class:`~tyqi_core.stores.base.RunStore`."""
        event = _event("task.failed", instance, {"error": error})
        return _unless_fenced(self._known("fail", run_id, instance, token, _json(error), event))

    def release(self, run_id: str, instance: str, token: int, *, again: bool = False) -> RunStatus | None:
        """Give a task back; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        return _unless_fenced(self._known("release", run_id, instance, token, int(again)))

    def beat(self, run_id: str, instance: str, token: int, *, lease_s: float | None = None) -> Beat:
        """Extend the lease of an attempt."""
        lease = _milliseconds(self._lease(lease_s))
        return Beat(self._call("beat", run_id, instance, token, lease).decode())

    # -- the sweeper -------------------------------------------------------------------------------------------------

    def take_due(self, limit: int = 100, grace_s: float | None = None) -> Sequence[Due]:
        """Entries of the outbox that are due; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        grace = _milliseconds(self.options.grace_s if grace_s is None else grace_s)
        found = []
        for shard in range(self.options.shards):
            answer = [part.decode() for part in self._sweep("take_due", shard, limit, grace)]
            for run_id, path, first, stop in zip(*[iter(answer)] * 4, strict=True):
                found.append(Due(run_id, path, int(first or 0), int(stop) if stop else None))
        return found

    def reap(self, limit: int = 100) -> int:
        """Take tasks from the dead; see :class:`~tyqi_core.stores.base.SharedRunStore`."""
        return sum(self._sweep("reap", shard, limit, self.options.deaths) for shard in range(self.options.shards))

    def tidy(self, limit: int = 100) -> int:
        """Forget runs whose retention has passed, free what was left to be freed. Returns how much was done."""
        done = 0
        for shard in range(self.options.shards):
            freed, *runs = self._sweep("tidy", shard, limit)
            for run_id in runs:
                self._forget(run_id.decode(), over=True)
            done += freed + len(runs)
        return done

    # -- calls -------------------------------------------------------------------------------------------------------

    def _prefix(self, run_id: str) -> str:
        return self._shard_prefix(crc32(run_id.encode()) % self.options.shards)

    def _shard_prefix(self, shard: int) -> str:
        return f"{self.options.namespace}:{{s{shard}}}:"

    def _key(self, run_id: str) -> str:
        return f"{self._prefix(run_id)}run:{run_id}"

    def _reader(self, run_id: str) -> Reader:
        return Reader(self._client, self.payloads, self._prefix(run_id), run_id)

    def _shards(self) -> Shards:
        options = self.options
        prefixes = [self._shard_prefix(shard) for shard in range(options.shards)]
        return Shards(options.namespace, prefixes, _milliseconds(options.deadline_s + options.retention_s))

    def _lease(self, lease_s: float | None) -> float:
        return self.options.lease_s if lease_s is None else lease_s

    def _now(self) -> str:
        return "" if self.options.clock is None else str(self.options.clock())

    def _call(self, script: str, run_id: str, *arguments: Argument) -> Any:
        shared = (self._prefix(run_id), run_id, self._now())
        return self.scripts.call(script, self._key(run_id), (*shared, *arguments))

    def _sweep(self, script: str, shard: int, *arguments: Argument) -> Any:
        prefix = self._shard_prefix(shard)
        return self.scripts.call(script, f"{prefix}outbox", (prefix, "", self._now(), *arguments))

    def _known(self, script: str, run_id: str, *arguments: Argument) -> Any:
        answer = self._call(script, run_id, *arguments)
        if answer in (b"NORUN", [b"NORUN"]):
            raise _unknown(run_id)
        return answer

    def _claim(
        self, worker: str, run_id: str, instance: str, wanted: Sequence[Wanted], lease_s: float
    ) -> Claim | Refusal | None:
        """``None``: there is no such run."""
        answer = self._call("claim", run_id, *self._ask(worker, instance, wanted, lease_s, _nonce()))
        if answer[0] == b"OK":
            return self._granted(run_id, wanted, answer)
        if answer[0] == b"NORUN":
            return None
        return Refusal(answer[0].decode(), answer[1] / 1000 if len(answer) > 1 else 0.0)

    def _ask(
        self, worker: str, instance: str, wanted: Sequence[Wanted], lease_s: float, nonce: str
    ) -> Iterator[Argument]:
        """A claim as the scripts read it."""
        if not _WORKER.fullmatch(worker):
            raise UsageError(f"{worker[:100]!r} is no name of a worker", code="BAD_WORKER")
        match = _ITEM.fullmatch(instance)
        yield instance
        yield f"{match[1]}[*]/{match[3]}" if match else ""
        yield match[2] if match else ""
        head: tuple[Argument, ...] = (worker, _milliseconds(lease_s), nonce, len(wanted))
        yield from head
        for place, required in wanted:
            fields = fields_of(place)
            yield int(required)
            yield place.instance
            yield len(fields)
            yield from fields

    def _granted(self, run_id: str, wanted: Sequence[Wanted], answer: Sequence[Any]) -> Claim:
        _, token, tries, deaths, skip, *found = answer
        reader = self._reader(run_id)
        values = [
            reader.value(want.place, raw, used) for want, raw, used in zip(wanted, found[::2], found[1::2], strict=True)
        ]
        absent = any(value is ABSENT and want.required for value, want in zip(values, wanted, strict=True))
        return Claim(token, tries, values, bool(skip) or absent, deaths)

    def _claimed(self, run_id: str, onward: Sequence[Onward], answer: Sequence[Any]) -> Claimed:
        instance = answer[1].decode()
        wanted = next(task.wanted for task in onward if task.instance == instance)
        return Claimed(instance, self._granted(run_id, wanted, answer[2]))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _nonce() -> str:
    return os.urandom(8).hex()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _event(kind: str, subject: str, data: Mapping[str, Any] | None) -> str:
    """An event's line from behind its time on; the script puts the time before it."""
    return event_line(Event(0, kind, subject, data))[2:]


def _ready_arguments(ready: Sequence[Ready]) -> Iterator[Argument]:
    yield len(ready)
    for entry in ready:
        if not _INSTANCE.fullmatch(entry.path.replace("[*]", "")):
            raise InternalError(f"{entry.path[:100]!r} is no path of a task")
        yield from (entry.path, "" if entry.items is None else entry.items)


def _change_arguments(changes: Sequence[Change]) -> Iterator[Argument]:
    yield len(changes)
    for change in changes:
        yield from change


def _ready(line: str) -> Ready:
    path, _, items = line.partition("|")
    return Ready(path, int(items) if items else None)


def _status(answer: bytes) -> RunStatus:
    return cast("RunStatus", answer.decode())


def _unless_fenced(answer: bytes) -> RunStatus | None:
    return None if answer == b"FENCED" else _status(answer)


def _unknown(run_id: str) -> UsageError:
    return UsageError(f"there is no run {run_id}", code="UNKNOWN_RUN")
