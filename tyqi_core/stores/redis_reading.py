"""The part of the Redis store that looks: at runs, their values and events, plans and histories."""

from __future__ import annotations

import json
import os
import threading
from binascii import crc32
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from tyqi_core.errors import UsageError
from tyqi_core.protocol.message import Event, parse_event_line
from tyqi_core.scheduler import Place
from tyqi_core.stores.base import RunStatus, Summary
from tyqi_core.stores.payloads import PayloadPlane, RedisPayloads
from tyqi_core.stores.redis_scripts import Argument, Scripts, translated
from tyqi_core.stores.redis_values import Reader, fields_of
from tyqi_core.stores.shared_memory import Shards, SharedMemory, SharedMemoryPayloads

if TYPE_CHECKING:
    import redis

_DAY: Final = 86_400.0


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


class RedisReading:
    """What can be asked of the store without changing a run.

    Args:
        client: of the server.
        options: how the store behaves.
        scripts: of the server.
        shared_memory: where large values lie on this host; ``None``: in Redis, as all others.

    Attributes:
        payloads: where large values lie. A supervisor calls its ``sweep`` and ``serve_requests``.
    """

    def __init__(
        self, client: redis.Redis, options: Options, scripts: Scripts, shared_memory: SharedMemory | None = None
    ) -> None:
        self.options = options
        self.scripts = scripts
        self._client = client
        self._ears = threading.local()
        self.payloads: PayloadPlane = RedisPayloads(client)
        if shared_memory:
            self.payloads = SharedMemoryPayloads(client, scripts, self._shards(), shared_memory)

    def server_version(self) -> str:
        """The version of the server."""
        with translated():
            info = cast("dict[str, Any]", self._client.info("server"))
        return str(info.get("valkey_version") or info.get("redis_version", "?"))

    def status(self, run_id: str) -> RunStatus | None:
        """The run's status; ``None`` for a run that is not held here."""
        with translated():
            found = self._client.hget(self.key(run_id), "status")
        return None if found is None else status_of(cast("bytes", found))

    def statuses(self, run_ids: Sequence[str]) -> dict[str, RunStatus | None]:
        """The status of each run."""
        with translated():
            pipeline = self._client.pipeline(transaction=False)
            for run_id in run_ids:
                pipeline.hget(self.key(run_id), "status")
            found = pipeline.execute()
        return {
            run_id: None if status is None else status_of(status) for run_id, status in zip(run_ids, found, strict=True)
        }

    def look(self, run_id: str) -> tuple[RunStatus, Mapping[str, Any] | None, str]:
        """A run's status, its error, the digest of its plan."""
        with translated():
            found = cast("list[bytes | None]", self._client.hmget(self.key(run_id), ["status", "error", "plan"]))
        status, error, plan = found
        if status is None:
            raise unknown_run(run_id)
        return status_of(status), None if error is None else json.loads(error), (plan or b"").decode()

    def error(self, run_id: str) -> Mapping[str, Any] | None:
        """The first failure that stopped the run."""
        with translated():
            status, error = cast("list[bytes | None]", self._client.hmget(self.key(run_id), ["status", "error"]))
        if status is None:
            raise unknown_run(run_id)
        return None if error is None else cast("Mapping[str, Any]", json.loads(error))

    def read(self, run_id: str, place: Place) -> Any:
        """The value held at a place, or :data:`~tyqi_core.stores.base.ABSENT`."""
        fields = fields_of(place)
        raw, used = self.known("read", run_id, place.instance, len(fields), *fields)
        return self.reader(run_id).value(place, raw, used)

    def read_many(self, run_id: str, places: Sequence[Place]) -> list[Any]:
        """The values held at several places of one run, in one round trip unless they are large."""
        calls: list[tuple[str, Sequence[Argument]]] = []
        for place in places:
            fields = fields_of(place)
            shared = (self.prefix(run_id), run_id, self.now())
            calls.append((self.key(run_id), (*shared, place.instance, len(fields), *fields)))
        answers = self.scripts.call_many("read", calls) if calls else []
        if b"NORUN" in answers:
            raise unknown_run(run_id)
        reader = self.reader(run_id)
        return [reader.value(place, *answer) for place, answer in zip(places, answers, strict=True)]

    def runs(self, limit: int = 100) -> list[Summary]:
        """The runs that are held here, newest first."""
        found: list[Summary] = []
        for shard in range(self.options.shards):
            found += self._runs_of(self.shard_prefix(shard), limit)
        return sorted(found, key=lambda run: -run.accepted_ms)[:limit]

    def _runs_of(self, prefix: str, limit: int) -> Iterator[Summary]:
        with translated():
            newest: Any = self._client.zrange(f"{prefix}runs", 0, limit - 1, desc=True, withscores=True)
            pipeline = self._client.pipeline(transaction=False)
            for run_id, _ in newest:
                pipeline.hmget(f"{prefix}run:{run_id.decode()}", ["status", "plan", "error"])
            states = pipeline.execute()
        for (run_id, accepted), (status, plan, error) in zip(newest, states, strict=True):
            if status is not None:
                failure = None if error is None else json.loads(error)
                yield Summary(run_id.decode(), status_of(status), (plan or b"").decode(), int(accepted), failure)

    def plan_of(self, run_id: str) -> str:
        """The digest of a run's plan."""
        with translated():
            found = self._client.hget(self.key(run_id), "plan")
        if found is None:
            raise unknown_run(run_id)
        return cast("bytes", found).decode()

    def keep_plan(self, digest: str, body: Mapping[str, str]) -> None:
        """Keep a plan's texts for as long as a run of it that is accepted within the next day may be held."""
        key = self._plan_key(digest)
        lasting = round(self.options.deadline_s + self.options.retention_s + _DAY)
        with translated():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.hset(key, mapping=dict(body))
            pipeline.expire(key, lasting)
            pipeline.execute()

    def kept_plan(self, digest: str) -> dict[str, str] | None:
        """The texts that :meth:`keep_plan` kept."""
        with translated():
            found = cast("dict[bytes, bytes]", self._client.hgetall(self._plan_key(digest)))
        return {name.decode(): text.decode() for name, text in found.items()} or None

    def _plan_key(self, digest: str) -> str:
        return f"{self.options.namespace}:plan:{digest}"

    def history(self) -> Iterator[tuple[str, Mapping[bytes, bytes]]]:
        """Node and major version, and the summary of its executions as a shard holds it; see ``runtime/history.py``."""
        for shard in range(self.options.shards):
            prefix = self.shard_prefix(shard)
            with translated():
                nodes = sorted(cast("set[bytes]", self._client.smembers(f"{prefix}hist")))
                pipeline = self._client.pipeline(transaction=False)
                for node in nodes:
                    pipeline.hgetall(f"{prefix}hist:{node.decode()}")
                summaries = pipeline.execute()
            yield from zip((node.decode() for node in nodes), summaries, strict=True)

    def note(self, run_id: str, instance: str, text: str) -> None:
        """Say something about a task that waits: why nobody takes it. Kept until the run is forgotten."""
        key = f"{self.key(run_id)}:n"
        with translated():
            if self._client.exists(self.key(run_id)):
                self._client.hset(key, instance, text)
                self._client.expire(key, round(self.options.deadline_s + self.options.retention_s))

    def notes(self, run_id: str) -> dict[str, str]:
        """Task -> what was said of it."""
        with translated():
            found = cast("dict[bytes, bytes]", self._client.hgetall(f"{self.key(run_id)}:n"))
        return {instance.decode(): text.decode() for instance, text in found.items()}

    @contextmanager
    def ends(self, *run_ids: str) -> Iterator[Callable[[float], str | None]]:
        """Hear of ends of runs while within: call what is given, with seconds to wait, for the id of a run that ended.

        Only ends from now on are heard, and one may be lost when the connection breaks: ask for the status as well.
        """
        channels = {f"{self.key(run_id)}:done": run_id for run_id in run_ids}
        with translated(), self._listening() as ear:
            ear.subscribe(*channels)
            try:
                yield lambda seconds: _heard(ear, channels, seconds)
            finally:
                ear.unsubscribe(*channels)

    @contextmanager
    def _listening(self) -> Iterator[Any]:
        """A subscription of this thread, kept for the next time: connecting costs as much as a short run."""
        mine = self._ears
        ear = getattr(mine, "ear", None) if getattr(mine, "pid", None) == os.getpid() else None
        client: Any = self._client  # its stubs leave this untyped
        ear = ear or client.pubsub(ignore_subscribe_messages=True)
        mine.ear = None  # who listens again within gets another one
        try:
            yield ear
        except BaseException:
            ear.close()
            raise
        mine.ear, mine.pid = ear, os.getpid()

    def events(self, run_id: str, start: int = 0) -> Sequence[Event]:
        """The run's events from number ``start`` on."""
        key = self.key(run_id)
        with translated():
            known = self._client.exists(key)
            first = self._entry_with(key, start) if start else "-"
            entries: Any = self._client.xrange(f"{key}:e", first, "+")
        if not known:
            raise unknown_run(run_id)
        lines = [line for _, fields in entries for line in fields[b"e"].decode().split("\n")]
        number = int(entries[0][0].partition(b"-")[0]) - 1 if entries else start
        return [parse_event_line(line) for line in lines[max(0, start - number) :]]

    def _entry_with(self, key: str, number: int) -> str:
        """The stream entry that holds event ``number``, if there is one already: entries hold one or several."""
        found: Any = self._client.xrevrange(f"{key}:e", f"{number + 1}-0", "-", count=1)
        return found[0][0].decode() if found else "-"

    # -- calls ----------------------------------------------------------------------------------------------------

    def prefix(self, run_id: str) -> str:
        """What the keys of a run's shard begin with."""
        return self.shard_prefix(crc32(run_id.encode()) % self.options.shards)

    def shard_prefix(self, shard: int) -> str:
        """What the keys of a shard begin with."""
        return f"{self.options.namespace}:{{s{shard}}}:"

    def _shards(self) -> Shards:
        options = self.options
        prefixes = [self.shard_prefix(shard) for shard in range(options.shards)]
        return Shards(options.namespace, prefixes, round((options.deadline_s + options.retention_s) * 1000))

    def key(self, run_id: str) -> str:
        """The key of a run; its other keys continue it."""
        return f"{self.prefix(run_id)}run:{run_id}"

    def reader(self, run_id: str) -> Reader:
        """What makes values of a script's answers."""
        return Reader(self._client, self.payloads, self.prefix(run_id), run_id)

    def now(self) -> str:
        """The time that a test injects."""
        return "" if self.options.clock is None else str(self.options.clock())

    def call(self, script: str, run_id: str, *given: Argument) -> Any:
        """A script's answer about a run."""
        shared = (self.prefix(run_id), run_id, self.now())
        return self.scripts.call(script, self.key(run_id), (*shared, *given))

    def sweep(self, script: str, shard: int, *given: Argument) -> Any:
        """A script's answer about what the runs of a shard share."""
        prefix = self.shard_prefix(shard)
        return self.scripts.call(script, f"{prefix}outbox", (prefix, "", self.now(), *given))

    def known(self, script: str, run_id: str, *given: Argument) -> Any:
        """As :meth:`call`; a run that is not there is an error."""
        answer = self.call(script, run_id, *given)
        if answer in (b"NORUN", [b"NORUN"]):
            raise unknown_run(run_id)
        return answer


def _status(answer: bytes) -> RunStatus:
    return cast("RunStatus", answer.decode())


def _unknown(run_id: str) -> UsageError:
    return UsageError(f"there is no run {run_id}", code="UNKNOWN_RUN")


def _heard(ear: Any, channels: Mapping[str, str], seconds: float) -> str | None:
    with translated():
        message = ear.get_message(timeout=seconds)
    return channels.get(message["channel"].decode()) if message else None


def status_of(answer: bytes) -> RunStatus:
    """A run's status as a script answers it."""
    return cast("RunStatus", answer.decode())


def unknown_run(run_id: str) -> UsageError:
    """The error for a run that is not held here."""
    return UsageError(f"there is no run {run_id}", code="UNKNOWN_RUN", remedy="'tyqi runs' lists them.")
