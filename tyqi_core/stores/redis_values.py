"""Values of the Redis store: bytes behind a letter that tells how to read them. Nothing is ever unpickled.

==================  ====================================================================================
begins with         holds
==================  ====================================================================================
``j o a t b``       JSON, bytes, an array, a tensor, a bundle, as :mod:`tyqi_core.protocol.codecs` encodes them
``@ID``             the value stands in field ``d`` of the payload ID
``*N``              a list of N elements, each in a field of its own, ``slot[0]`` ...; a missing one is null
``@*N:ID``          the same, with the elements in the fields ``0`` ... of the payload ID
==================  ====================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tyqi_core.errors import ContractViolation, StoreError
from tyqi_core.failpoints import hit
from tyqi_core.protocol.codecs import ARRAY, BUNDLE, JSON, OCTETS, TENSOR, Encoded, decode_any, encode_any
from tyqi_core.scheduler import Export, Place
from tyqi_core.stores.base import ABSENT
from tyqi_core.stores.redis_scripts import translated

INLINE: Final = 16_384
"""Bytes up to which a value travels within the call; larger ones are written before it, as a payload."""
INLINE_ELEMENTS: Final = 64
LARGEST: Final = 512 * 1024 * 1024
"""Bytes that Redis keeps in one place; it would end the connection of whoever sends more."""
STAGED_MS: Final = 3_600_000
"""How long a payload lives that no call took over."""
_CHUNK: Final = 500
_LETTERS: Final = {JSON: b"j", OCTETS: b"o", ARRAY: b"a", TENSOR: b"t", BUNDLE: b"b"}
_TYPES: Final = {letter: media_type for media_type, letter in _LETTERS.items()}

if TYPE_CHECKING:
    import redis

Parts = list[tuple[str, bytes]]


def encoded(value: Any) -> bytes:
    """A value as the store keeps it.

    Raises:
        ContractViolation: no port can hold it, or it is larger than the store keeps (``VALUE_TOO_LARGE``).
    """
    media_type, data = encode_any(value)
    _check_size(len(data))
    return _LETTERS[media_type] + data


def _check_size(size: int) -> None:
    if size >= LARGEST:
        raise ContractViolation(
            f"a value of {size} bytes is larger than what the store keeps, {LARGEST} bytes",
            code="VALUE_TOO_LARGE",
            remedy="Return it in parts, or smaller: cropped, of a narrower type, as a list.",
        )


def decoded(raw: bytes) -> Any:
    """The value that :func:`encoded` made bytes of.

    Raises:
        InputError: the bytes are damaged (``PAYLOAD_DAMAGED``).
    """
    return decode_any(Encoded(_TYPES.get(raw[:1], ""), memoryview(raw)[1:]))  # type: ignore[arg-type]


def fields_of(place: Place) -> list[str]:
    """The fields that lead to a place, from its slot inwards."""
    fields = [place.slot]
    for index in place.at:
        fields.append(f"{fields[-1]}[{index}]")
    return fields


class Put(NamedTuple):
    """A field to be set in the hash of the instance that holds it."""

    holder: str
    field: str
    raw: bytes


class Packing:
    """The values of one call, encoded once each, and the payloads that must be written before it.

    Args:
        counts: how many items the call opens: lists of that length are kept element by element, since each item will
            fetch its own alone.
    """

    def __init__(self, counts: frozenset[int] = frozenset()) -> None:
        self.puts: list[Put] = []
        self.payloads: dict[str, dict[str, bytes]] = {}
        self._counts = counts
        self._known: dict[int, Parts] = {}

    def add(self, holder: str, field: str, value: Any) -> None:
        """Hold ``value`` in a field."""
        parts = self._known.get(id(value))
        if parts is None:
            parts = self._known[id(value)] = self._parts(value)
        self.puts += [Put(holder, field + suffix, raw) for suffix, raw in parts]

    def export(self, export: Export, outputs: Mapping[str, Any]) -> None:
        """Hold what an export says; a port that has no value exports none."""
        field = fields_of(Place(export.instance, export.slot, export.at))[-1]
        if export.port is None:
            self.puts.append(Put(export.instance, field, b"*%d" % export.length))
        elif export.port in outputs and not (export.at and outputs[export.port] is None):
            self.add(export.instance, field, outputs[export.port])

    def arguments(self) -> Iterator[str | bytes | int]:
        """As the scripts read them."""
        yield len(self.puts)
        for put in self.puts:
            yield from put

    def _parts(self, value: Any) -> Parts:
        if type(value) is list and len(value) in self._counts:
            return self._elements(value)
        raw = encoded(value)
        return [("", raw)] if len(raw) <= INLINE else [("", b"@" + self._payload({"d": raw}))]

    def _elements(self, values: Sequence[Any]) -> Parts:
        raws = {str(index): encoded(value) for index, value in enumerate(values) if value is not None}
        if len(values) <= INLINE_ELEMENTS and sum(map(len, raws.values())) <= INLINE:
            return [("", b"*%d" % len(values)), *((f"[{index}]", raw) for index, raw in raws.items())]
        return [("", b"@*%d:%s" % (len(values), self._payload(raws)))]

    def _payload(self, fields: dict[str, bytes]) -> bytes:
        payload = os.urandom(12).hex()
        self.payloads[payload] = fields
        return payload.encode()


def write_payloads(client: redis.Redis, prefix: str, packing: Packing) -> None:
    """Write what a call will refer to. Until a call takes it over it has a short life of its own."""
    for payload, fields in packing.payloads.items():
        key, names = f"{prefix}p:{payload}", list(fields)
        for start in range(0, max(1, len(names)), _CHUNK):
            mapping: dict[str | bytes, Any] = {name: fields[name] for name in names[start : start + _CHUNK]}
            with translated():
                pipeline = client.pipeline(transaction=False)
                pipeline.hset(key, mapping={"n": 0, **mapping})
                pipeline.pexpire(key, STAGED_MS)
                pipeline.execute()
            hit("CP7")


def drop_payloads(client: redis.Redis, prefix: str, packing: Packing) -> None:
    """Remove what no call took over."""
    if packing.payloads:
        with translated():
            client.unlink(*(f"{prefix}p:{payload}" for payload in packing.payloads))


class Reader:
    """Makes values of what a script answered."""

    def __init__(self, client: redis.Redis, prefix: str, run_id: str) -> None:
        self._client = client
        self._prefix = prefix
        self._run = f"{prefix}run:{run_id}"

    def value(self, place: Place, raw: bytes | None, used: int) -> Any:
        """The value at a place, or :data:`ABSENT`. ``raw`` was found behind the first ``used`` fields of its way."""
        if raw is None:
            return ABSENT
        value = self._whole(place.instance, fields_of(place)[used - 1], raw)
        for index in place.at[used - 1 :]:
            if value is None:
                return ABSENT
            value = value[index]
        return ABSENT if value is None and place.at else value

    def _whole(self, holder: str, field: str, raw: bytes) -> Any:
        if raw[:2] == b"@*":
            length, _, payload = raw[2:].decode().partition(":")
            count, *found = self._fetched(f"{self._prefix}p:{payload}", ["n", *map(str, range(int(length)))])
            if count is None:
                raise _gone(payload)
            return [None if part is None else decoded(part) for part in found]
        if raw[:1] == b"*":
            fields = [f"{field}[{index}]" for index in range(int(raw[1:]))]
            found = self._fetched(f"{self._run}:v:{holder}", fields)
            pairs = zip(fields, found, strict=True)
            return [None if part is None else self._whole(holder, inner, part) for inner, part in pairs]
        if raw[:1] == b"@":
            payload, _, inner = raw[1:].decode().partition("#")
            (data,) = self._fetched(f"{self._prefix}p:{payload}", [inner or "d"])
            if data is None:
                raise _gone(payload)
            return decoded(data)
        return decoded(raw)

    def _fetched(self, key: str, fields: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(fields), _CHUNK):
            with translated():
                found += self._client.hmget(key, list(fields[start : start + _CHUNK]))  # type: ignore[arg-type]
        return found


def _gone(payload: str) -> StoreError:
    return StoreError(f"payload {payload} is not in the store any more", code="PAYLOAD_MISSING")
