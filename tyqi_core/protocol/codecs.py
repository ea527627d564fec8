"""Values as bytes and back: raw buffers with a small header, JSON, files as they are. Nothing is ever unpickled.

=================================  ==========================================================================
media type                         content
=================================  ==========================================================================
``application/json``               JSON, UTF-8, keys in their own order
``application/octet-stream``       a ``bytes`` value
``application/vnd.tyqi.array``     a numpy array: header, then its buffer
``application/vnd.tyqi.tensor``    the same bytes, made from a torch tensor; decoded to one where torch is installed
``application/vnd.tyqi.bundle``    a list or an object whose parts are not all JSON: header, then encoded parts
``image/png``, ``image/jpeg``      a picture file, see ``encode_image`` and ``read_image``
=================================  ==========================================================================

Array header, little-endian: ``TPAR``, version (u8, 1), dtype (u8, position in ``TENSOR_DTYPES``), rank (u8), a zero,
then each length (u64), then zeros up to a multiple of 64 bytes. The buffer that follows is row-major and has exactly
the length that shape and dtype demand. Bundle header: ``TPBU``, version (u8, 1), three zeros, length of an index (u32),
the index (JSON), then the parts without gaps, each preceded by zeros up to a multiple of 64 bytes from the beginning.

Everything a header says is compared with the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from math import prod
from typing import TYPE_CHECKING, Any

from tyqi_core.errors import ContractViolation, InputError
from tyqi_core.protocol.checks import TENSOR_DTYPES, TORCH_DTYPES
from tyqi_core.protocol.foreign import imported
from tyqi_core.protocol.images import ImageLimits, encode_image, read_image
from tyqi_core.protocol.json_values import canonical_json, checked_json, json_fault
from tyqi_core.protocol.pieces import Buffer, Encoded, Pieces
from tyqi_core.protocol.ports import PortType, checker

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Encoded",
    "ImageLimits",
    "Pieces",
    "decode",
    "decode_any",
    "digest",
    "encode",
    "encode_any",
    "encode_image",
    "encode_pieces",
    "read_image",
    "sha256",
]

JSON = "application/json"
OCTETS = "application/octet-stream"
ARRAY = "application/vnd.tyqi.array"
TENSOR = "application/vnd.tyqi.tensor"
BUNDLE = "application/vnd.tyqi.bundle"

MAX_RANK = 32
MAX_PARTS = 100_000
MAX_BUNDLE_DEPTH = 4
"""A list of video frames is three deep: list, frame, array."""

_PICTURES = frozenset({"image/png", "image/jpeg"})
_VERSION = 1
_ALIGNMENT = 64
_ARRAY_HEAD = struct.Struct("<4sBBBB")
_BUNDLE_HEAD = struct.Struct("<4sB3xI")
_DTYPES = tuple(TENSOR_DTYPES)
_ITEM_SIZES = {name: int(code[2:]) if code else 2 for name, code in TENSOR_DTYPES.items()}
_NAME_OF_CODE = {code: name for name, code in TENSOR_DTYPES.items() if code}


def encode(port_type: PortType, value: Any) -> Encoded:
    """The bytes of a value that fits ``port_type``.

    Raises:
        ContractViolation: it does not fit.
    """
    fault = checker(port_type)(value)
    if fault is not None:
        raise ContractViolation(fault)
    return encode_any(value)


def decode(port_type: PortType, encoded: Encoded) -> Any:
    """The value of ``encoded``, which must be one that ``port_type`` allows. Arrays are read-only views, not copies.

    Raises:
        InputError: the bytes are damaged (``PAYLOAD_DAMAGED``) or hold something else (``PAYLOAD_MISMATCH``).
    """
    if encoded.media_type in _PICTURES:
        return read_image(encoded.data, port_type)
    value = decode_any(encoded)
    fault = checker(port_type)(value)
    if fault is not None:
        raise InputError(f"the payload does not fit {port_type}: {fault}", code="PAYLOAD_MISMATCH")
    return value


def encode_any(value: Any) -> Encoded:
    """The bytes of any value that a port can hold, told by what it is.

    Raises:
        ContractViolation: no port can hold it.
    """
    return encode_pieces(value).joined()


def encode_pieces(value: Any) -> Pieces:
    """What :func:`encode_any` makes, for who can write it piece by piece.

    Raises:
        ContractViolation: no port can hold it.
    """
    if type(value) is bytes:
        return Pieces(OCTETS, (value,))
    if _is_tensor(value):
        return Pieces(TENSOR, _tensor_pieces(value))
    if _is_array(value):
        return Pieces(ARRAY, _array_pieces(value))
    fault = json_fault(value)
    if fault is None:
        return Pieces(JSON, (json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(),))
    if type(value) in {list, dict}:
        return Pieces(BUNDLE, _bundle_pieces(value, encode_pieces, MAX_BUNDLE_DEPTH))
    raise ContractViolation(fault)


def decode_any(encoded: Encoded) -> Any:
    """The value that :func:`encode_any` encoded.

    Raises:
        InputError: the bytes are damaged (``PAYLOAD_DAMAGED``).
    """
    return _decode(encoded.media_type, encoded.data, MAX_BUNDLE_DEPTH)


def digest(port_type: PortType, value: Any) -> str:
    """SHA-256 (hexadecimal) of a value's canonical encoding: JSON with sorted keys, arrays with their header.

    A torch tensor and a numpy array of the same content have the same digest. The value is not checked again.

    Raises:
        ContractViolation: nothing of this kind can be a value of any port.
    """
    try:
        return sha256(*_canonical(value).pieces)
    except ContractViolation as error:
        raise ContractViolation(f"no digest of {port_type}: {error.message}") from error


def sha256(*data: Buffer) -> str:
    """SHA-256 of the pieces, one behind the other, in hexadecimal."""
    found = hashlib.sha256()
    for piece in data:
        found.update(piece)
    return found.hexdigest()


def _canonical(value: Any) -> Pieces:
    """As :func:`encode_any`, but the same bytes for values that are equal."""
    if type(value) is dict:
        value = dict(sorted(value.items(), key=lambda entry: str(entry[0])))
    if type(value) in {list, dict}:
        if json_fault(value) is None:
            return Pieces(JSON, (canonical_json(value).encode(),))
        return Pieces(BUNDLE, _bundle_pieces(value, _canonical, MAX_BUNDLE_DEPTH))
    encoded = encode_pieces(value)
    return Pieces(ARRAY, encoded.pieces) if encoded.media_type == TENSOR else encoded


def _damaged(why: str) -> InputError:
    return InputError(f"the payload is damaged: {why}", code="PAYLOAD_DAMAGED")


def _decode(media_type: str, data: Buffer, depth: int) -> Any:
    if media_type == JSON:
        return _decode_json(data)
    if media_type == OCTETS:
        return bytes(data)
    if media_type == ARRAY:
        return _array_of(data)
    if media_type == TENSOR:
        return _tensor_of(data)
    if media_type == BUNDLE and depth > 0:
        return _bundle_of(data, depth)
    if media_type in _PICTURES:
        return read_image(bytes(data))
    raise _damaged(f"nothing decodes {media_type[:100]!r} here")


def _decode_json(data: Buffer) -> Any:
    try:
        return checked_json(json.loads(bytes(data)))
    except (ValueError, RecursionError, InputError) as error:
        raise _damaged(f"no JSON: {error}") from error


# -- arrays -----------------------------------------------------------------------------------------------------------


def _is_array(value: Any) -> bool:
    numpy = imported("numpy")  # whoever holds an array has imported numpy
    return numpy is not None and isinstance(value, numpy.ndarray)


def _is_tensor(value: Any) -> bool:
    torch = imported("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _padding(length: int) -> int:
    return -length % _ALIGNMENT


def _array_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    if len(shape) > MAX_RANK:
        raise ContractViolation(f"expected at most {MAX_RANK} dimensions, found {len(shape)}")
    head = _ARRAY_HEAD.pack(b"TPAR", _VERSION, _DTYPES.index(dtype), len(shape), 0)
    head += struct.pack(f"<{len(shape)}Q", *shape)
    return head + bytes(_padding(len(head)))


def _array_pieces(value: np.ndarray[Any, Any]) -> Sequence[Buffer]:
    import numpy as np  # noqa: PLC0415  (loaded already: the value is an array)

    name = _NAME_OF_CODE.get(value.dtype.str)
    if name is None or type(value) not in {np.ndarray, np.memmap}:
        raise ContractViolation(
            f"expected an array of one of {', '.join(_NAME_OF_CODE.values())}, little-endian, found {value.dtype.str}"
        )
    header = _array_header(name, value.shape)
    return (header, np.ascontiguousarray(value).data.cast("B")) if value.size else (header,)


def _read_array_header(data: Buffer) -> tuple[str, tuple[int, ...], int]:
    """Dtype, shape and where the buffer begins; all compared with the length of ``data``."""
    if len(data) < _ARRAY_HEAD.size:
        raise _damaged("shorter than an array's header")
    magic, version, code, rank, zero = _ARRAY_HEAD.unpack_from(data)
    if magic != b"TPAR" or version != _VERSION or zero or code >= len(_DTYPES) or rank > MAX_RANK:
        raise _damaged("no array header of version 1")
    end = _ARRAY_HEAD.size + 8 * rank
    if len(data) < end:
        raise _damaged("an array's header is cut off")
    shape: tuple[int, ...] = struct.unpack_from(f"<{rank}Q", data, _ARRAY_HEAD.size)
    start = end + _padding(end)
    wanted = prod(shape) * _ITEM_SIZES[_DTYPES[code]]  # Python's integers do not overflow
    if len(data) - start != wanted:
        raise _damaged(f"an array of {wanted} bytes is announced, {max(0, len(data) - start)} are there")
    if any(length > sys.maxsize for length in shape):
        raise _damaged("a dimension is longer than memory can be")
    return _DTYPES[code], shape, start


def _array_of(data: Buffer) -> np.ndarray[Any, Any]:
    import numpy as np  # noqa: PLC0415  (heavy; only who decodes arrays pays for it)

    dtype, shape, start = _read_array_header(data)
    code = TENSOR_DTYPES[dtype]
    if code is None:
        raise _damaged(f"numpy has no {dtype}; install torch to read it")
    try:
        array = np.frombuffer(data, dtype=code, offset=start) if len(data) > start else np.empty(0, dtype=code)
        array = array.reshape(shape)
    except ValueError as error:  # zero-size shapes with lengths beyond what numpy can index
        raise _damaged(str(error)) from error
    array.flags.writeable = False
    return array


# -- torch ------------------------------------------------------------------------------------------------------------


def _tensor_pieces(value: Any) -> Sequence[Buffer]:
    import torch  # noqa: PLC0415  (loaded already: the value is a tensor)

    name = TORCH_DTYPES.get(str(value.dtype))
    if name is None or value.layout != torch.strided:
        raise ContractViolation(f"expected a dense tensor of one of {', '.join(_DTYPES)}, found {value.dtype}")
    flat = value.detach().cpu().contiguous().reshape(-1)
    header = _array_header(name, tuple(value.shape))
    return (header, memoryview(flat.view(torch.uint8).numpy())) if flat.numel() else (header,)


@cache
def _torch_installed() -> bool:
    return find_spec("torch") is not None


def _tensor_of(data: Buffer) -> Any:
    """A torch tensor; a read-only numpy array where torch is not installed, which a tensor port takes as well."""
    if not _torch_installed():
        return _array_of(data)
    import torch  # noqa: PLC0415  (heavy; only who decodes tensors pays for it)

    dtype, shape, start = _read_array_header(data)
    of_torch = next(name for name, tp_name in TORCH_DTYPES.items() if tp_name == dtype)
    kind = getattr(torch, of_torch.removeprefix("torch."))
    if len(data) == start:
        return torch.empty(shape, dtype=kind)
    # torch has no read-only tensors, so it gets memory of its own.
    return torch.frombuffer(bytearray(memoryview(data)[start:]), dtype=kind).reshape(shape)


# -- bundles ----------------------------------------------------------------------------------------------------------


def _bundle_pieces(
    value: list[Any] | dict[str, Any], encode_part: Callable[[Any], Pieces], depth: int
) -> Sequence[Buffer]:
    if depth == 0:
        raise ContractViolation(f"expected values nested at most {MAX_BUNDLE_DEPTH} deep around arrays or bytes")
    keys = list(value) if isinstance(value, dict) else None
    if keys is not None and not all(type(key) is str for key in keys):
        raise ContractViolation("expected string keys around arrays or bytes")
    values = list(value.values()) if isinstance(value, dict) else value
    if len(values) > MAX_PARTS:
        raise ContractViolation(f"expected at most {MAX_PARTS} parts, found {len(values)}")
    parts = [_part(part, encode_part, depth - 1) for part in values]
    index: dict[str, Any] = {"parts": [[part.media_type, part.size] for part in parts]}
    if keys is not None:
        index["keys"] = keys
    text = json.dumps(index, separators=(",", ":")).encode()
    pieces: list[Buffer] = [_BUNDLE_HEAD.pack(b"TPBU", _VERSION, len(text)), text]
    length = _BUNDLE_HEAD.size + len(text)
    for part in parts:
        gap = _padding(length)
        pieces += (bytes(gap), *part.pieces)
        length += gap + part.size
    return pieces


def _part(value: Any, encode_part: Callable[[Any], Pieces], depth: int) -> Pieces:
    if type(value) in {list, dict} and json_fault(value) is not None:
        ordered = dict(sorted(value.items())) if encode_part is _canonical and type(value) is dict else value
        return Pieces(BUNDLE, _bundle_pieces(ordered, encode_part, depth))
    return encode_part(value)


def _bundle_of(data: Buffer, depth: int) -> Any:
    view = memoryview(data)
    if len(view) < _BUNDLE_HEAD.size:
        raise _damaged("shorter than a bundle's header")
    magic, version, size = _BUNDLE_HEAD.unpack_from(view)
    start = _BUNDLE_HEAD.size + size
    if magic != b"TPBU" or version != _VERSION or start > len(view):
        raise _damaged("no bundle header of version 1")
    index = _decode_json(view[_BUNDLE_HEAD.size : start])
    values = [_decode(media_type, part, depth - 1) for media_type, part in _parts(view, index, start)]
    keys = index.get("keys")
    return values if keys is None else dict(zip(keys, values, strict=True))


def _parts(view: memoryview, index: Any, at: int) -> Iterator[tuple[str, memoryview]]:
    entries = _bundle_entries(index)
    for media_type, size in entries:
        at += _padding(at)
        if at + size > len(view):
            raise _damaged("a part is announced beyond the end")
        yield media_type, view[at : at + size]
        at += size
    if at != len(view):
        raise _damaged(f"{len(view) - at} bytes follow the last part")


def _bundle_entries(index: Any) -> list[tuple[str, int]]:
    """The index's parts, if it is well-formed."""
    parts = index.get("parts") if isinstance(index, Mapping) else None
    if not isinstance(parts, list) or len(parts) > MAX_PARTS:
        raise _damaged("a bundle's index names no parts")
    for part in parts:
        well_formed = isinstance(part, list) and len(part) == 2 and isinstance(part[0], str)  # noqa: PLR2004
        if not well_formed or type(part[1]) is not int or part[1] < 0:
            raise _damaged("a part of a bundle has no media type and size")
    keys = index.get("keys")
    if keys is not None and (
        not isinstance(keys, list)
        or len(keys) != len(parts)
        or not all(isinstance(key, str) for key in keys)
        or len(set(keys)) != len(keys)
    ):
        raise _damaged("a bundle's keys do not fit its parts")
    return [(part[0], part[1]) for part in parts]
