"""Values of the Redis store: bytes behind a letter that tells how to read them. Nothing is ever unpickled.

==================  ====================================================================================
begins with         holds
==================  ====================================================================================
``j o a t b``       JSON, bytes, an array, a tensor, a bundle, as :mod:`tyqi_core.protocol.codecs` encodes them
``@ID``             the value stands in field ``d`` of the payload ID
``*N``              a list of N elements, each in a field of its own, ``slot[0]`` ...; a missing one is null
``@*N:ID``          the same, with the elements in the fields ``0`` ... of the payload ID
``>...``            in a field of a payload: where the value lies, see :mod:`tyqi_core.stores.payloads`
==================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tyqi_core.errors import ContractViolation
from tyqi_core.protocol.codecs import ARRAY, BUNDLE, JSON, OCTETS, TENSOR, Encoded, decode_any, encode_pieces
from tyqi_core.protocol.pieces import Buffer
from tyqi_core.scheduler import Export, Place
from tyqi_core.stores.base import ABSENT
from tyqi_core.stores.payloads import FIELDS_AT_ONCE, Fields, PayloadPlane, Raw, gone, new_payload_id
from tyqi_core.stores.redis_scripts import translated

INLINE: Final = 16_384
"""Bytes up to which a value travels within the call; larger ones are written before it, as a payload."""
INLINE_ELEMENTS: Final = 64
LARGEST: Final = 512 * 1024 * 1024
"""Bytes that Redis keeps in one place; it would end the connection of whoever sends more."""
_LETTERS: Final = {JSON: b"j", OCTETS: b"o", ARRAY: b"a", TENSOR: b"t", BUNDLE: b"b"}
_TYPES: Final = {letter: media_type for media_type, letter in _LETTERS.items()}

if TYPE_CHECKING:
    import redis

Parts = list[tuple[str, bytes]]


def encoded(value: Any) -> Sequence[Buffer]:
    """A value as the store keeps it, in pieces.

    Raises:
        ContractViolation: no port can hold it, or it is larger than the store keeps (``VALUE_TOO_LARGE``).
    """
    media_type, pieces = encode_pieces(value)
    _check_size(sum(map(len, pieces)))
    return (_LETTERS[media_type], *pieces)


def _check_size(size: int) -> None:
    if size >= LARGEST:
        raise ContractViolation(
            f"a value of {size} bytes is larger than what the store keeps, {LARGEST} bytes",
            code="VALUE_TOO_LARGE",
            remedy="Return it in parts, or smaller: cropped, of a narrower type, as a list.",
        )


def decoded(raw: Raw) -> Any:
    """The value that :func:`encoded` made bytes of.

    Raises:
        InputError: the bytes are damaged (``PAYLOAD_DAMAGED``).
    """
    return decode_any(Encoded(_TYPES.get(bytes(raw[:1]), ""), memoryview(raw)[1:]))  # type: ignore[arg-type]


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
        self.payloads: dict[str, Fields] = {}
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
        pieces = encoded(value)
        if _size(pieces) <= INLINE:
            return [("", b"".join(pieces))]
        return [("", b"@" + self._payload({"d": pieces}))]

    def _elements(self, values: Sequence[Any]) -> Parts:
        fields = {str(index): encoded(value) for index, value in enumerate(values) if value is not None}
        if len(values) <= INLINE_ELEMENTS and sum(map(_size, fields.values())) <= INLINE:
            return [("", b"*%d" % len(values)), *((f"[{index}]", b"".join(part)) for index, part in fields.items())]
        return [("", b"@*%d:%s" % (len(values), self._payload(fields)))]

    def _payload(self, fields: Fields) -> bytes:
        payload = new_payload_id()
        self.payloads[payload] = fields
        return payload.encode()


def _size(pieces: Sequence[Buffer]) -> int:
    return sum(map(len, pieces))


class Reader:
    """Makes values of what a script answered."""

    def __init__(self, client: redis.Redis, payloads: PayloadPlane, prefix: str, run_id: str) -> None:
        self._client = client
        self._payloads = payloads
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
            count, *found = self._payloads.fetch(self._prefix, payload, ["n", *map(str, range(int(length)))])
            if count is None:
                raise gone(payload)
            return [None if part is None else decoded(part) for part in found]
        if raw[:1] == b"*":
            fields = [f"{field}[{index}]" for index in range(int(raw[1:]))]
            pairs = zip(fields, self._slots(holder, fields), strict=True)
            return [None if part is None else self._whole(holder, inner, part) for inner, part in pairs]
        if raw[:1] == b"@":
            payload, _, inner = raw[1:].decode().partition("#")
            (data,) = self._payloads.fetch(self._prefix, payload, [inner or "d"])
            if data is None:
                raise gone(payload)
            return decoded(data)
        return decoded(self._payloads.resolve(self._prefix, raw))

    def _slots(self, holder: str, fields: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(fields), FIELDS_AT_ONCE):
            with translated():
                found += self._client.hmget(f"{self._run}:v:{holder}", list(fields[start : start + FIELDS_AT_ONCE]))  # type: ignore[arg-type]
        return found
