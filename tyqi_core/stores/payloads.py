"""Where the payloads of the Redis store lie: in Redis, or beside it in memory that the processes of a host share.

A field of a payload holds the value's bytes or, behind ``>``, a note where on which host they lie (:class:`Spot`). Who
stands elsewhere asks that host for them: a courier there writes them in the note's place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, cast

from tyqi_core.errors import StoreError
from tyqi_core.failpoints import hit
from tyqi_core.protocol.pieces import Buffer
from tyqi_core.stores.redis_scripts import translated

if TYPE_CHECKING:
    import redis

STAGED_MS: Final = 3_600_000
"""How long a payload lives that no call took over."""
FIELDS_AT_ONCE: Final = 500
_REQUESTS: Final = 10_000
_REQUEST_MS: Final = 60_000
_ASK_AGAIN_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 0.02

Fields = dict[str, Sequence[Buffer]]
"""The values of a payload, in pieces, by field."""
Raw = bytes | memoryview


class Staged(Protocol):
    """What a call is going to refer to; see :class:`~tyqi_core.stores.redis_values.Packing`."""

    payloads: dict[str, Fields]


class Spot(NamedTuple):
    """Where a value lies that is not in Redis."""

    host: str
    file: str
    field: str
    offset: int
    length: int
    checksum: str

    @property
    def payload(self) -> str:
        """The payload that the value belongs to."""
        return self.file.partition(".")[0]

    def note(self) -> bytes:
        """As it stands in a field."""
        return (">" + " ".join(map(str, self))).encode()

    @classmethod
    def of(cls, note: bytes) -> Self:
        """What :meth:`note` wrote."""
        host, file, field, offset, length, checksum = note[1:].decode().split(" ")
        return cls(host, file, field, int(offset), int(length), checksum)


class PayloadPlane(Protocol):
    """Writes payloads, fetches and drops them. ``prefix`` is that of the shard's keys."""

    def write(self, prefix: str, packing: Staged) -> None:
        """Write what a call will refer to. Until a call takes it over it has a short life of its own."""

    def fetch(self, prefix: str, payload: str, fields: Sequence[str]) -> list[Raw | None]:
        """Fields of a payload; ``None`` for those that there are not."""

    def resolve(self, prefix: str, raw: bytes) -> Raw:
        """The bytes that a field stands for: its own, or those that it notes the place of."""

    def drop(self, prefix: str, packing: Staged) -> None:
        """Remove what no call took over."""

    def serve_requests(self, wait_s: float = 0.0) -> int:
        """Give other hosts what they asked this one for, waiting for the first request. Returns how many."""

    def sweep(self, idle_s: float = 60.0) -> int:
        """Remove what nobody needs any more, and what crashes left. Returns how much."""

    def close(self) -> None:
        """Let go of what is open."""


class RedisPayloads:
    """All payloads in Redis.

    Args:
        client: of the server.
        patience_s: how long to wait for another host's courier.
    """

    def __init__(self, client: redis.Redis, patience_s: float = 10.0) -> None:
        self._client: Any = client  # its stubs say that any answer may be awaitable
        self._patience_s = patience_s

    def write(self, prefix: str, packing: Staged) -> None:
        """Write what a call will refer to; see :class:`PayloadPlane`."""
        for payload, fields in packing.payloads.items():
            self._write(prefix, payload, fields)

    def _write(self, prefix: str, payload: str, fields: Fields) -> None:
        self._put(f"{prefix}p:{payload}", fields, {})

    def _put(self, key: str, fields: Fields, head: Mapping[str, Any]) -> None:
        names = list(fields)
        for start in range(0, max(1, len(names)), FIELDS_AT_ONCE):
            mapping = {name: b"".join(fields[name]) for name in names[start : start + FIELDS_AT_ONCE]}
            with translated():
                pipeline = self._client.pipeline()  # both or neither: a writer may die between them
                pipeline.hset(key, mapping={"n": 0, **head, **mapping})
                pipeline.pexpire(key, STAGED_MS)
                pipeline.execute()
            hit("CP7")

    def fetch(self, prefix: str, payload: str, fields: Sequence[str]) -> list[Raw | None]:
        """Fields of a payload; see :class:`PayloadPlane`."""
        found: list[bytes | None] = []
        for start in range(0, len(fields), FIELDS_AT_ONCE):
            with translated():
                found += self._client.hmget(f"{prefix}p:{payload}", list(fields[start : start + FIELDS_AT_ONCE]))
        return [None if raw is None else self.resolve(prefix, raw) for raw in found]

    def resolve(self, prefix: str, raw: bytes) -> Raw:
        """The bytes that a field stands for; see :class:`PayloadPlane`."""
        return self._at(prefix, Spot.of(raw)) if raw[:1] == b">" else raw

    def _at(self, prefix: str, spot: Spot) -> Raw:
        """What lies on a host, which is another one as far as is known here."""
        until = time.monotonic() + self._patience_s
        while time.monotonic() < until:
            self._ask(prefix, spot)
            supplied = self._supplied(prefix, spot, min(until, time.monotonic() + _ASK_AGAIN_S))
            if supplied is not None:
                return supplied
        raise gone(spot.payload, f"host {spot.host}, where it lies, did not send it within {self._patience_s:g} s")

    def _ask(self, prefix: str, spot: Spot) -> None:
        key = f"{prefix}wanted:{spot.host}"
        with translated():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.rpush(key, f"{spot.payload} {spot.field}")
            pipeline.ltrim(key, -_REQUESTS, -1)
            pipeline.pexpire(key, _REQUEST_MS)
            pipeline.execute()

    def _supplied(self, prefix: str, spot: Spot, until: float) -> bytes | None:
        pause = 0.001
        while True:
            with translated():
                raw = cast("bytes | None", self._client.hget(f"{prefix}p:{spot.payload}", spot.field))
            if raw is None:
                raise gone(spot.payload)
            if raw[:1] != b">":
                return raw
            if time.monotonic() >= until:
                return None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def drop(self, prefix: str, packing: Staged) -> None:
        """Remove what no call took over."""
        if packing.payloads:
            with translated():
                self._client.unlink(*(f"{prefix}p:{payload}" for payload in packing.payloads))

    def serve_requests(self, wait_s: float = 0.0) -> int:
        """Nothing lies here that others could ask for."""
        return 0

    def sweep(self, idle_s: float = 60.0) -> int:
        """Redis itself removes what has expired."""
        return 0

    def close(self) -> None:
        """Nothing is open."""


def gone(payload: str, why: str = "it is not in the store any more") -> StoreError:
    """A payload is not where it should be."""
    return StoreError(f"payload {payload} is missing: {why}", code="PAYLOAD_MISSING")


def new_payload_id() -> str:
    """An id that nobody can guess."""
    return os.urandom(12).hex()
