"""Values as bytes and back; damaged and lying payloads are refused without allocating (B46)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tyqi_core.errors import ContractViolation, InputError
from tyqi_core.protocol.codecs import Encoded, decode, decode_any, digest, encode, encode_any, encode_image
from tyqi_core.protocol.ports import PortType

ARRAY, BUNDLE = "application/vnd.tyqi.array", "application/vnd.tyqi.bundle"


def port(name: str, **rest: Any) -> PortType:
    return PortType.parse({"type": name, **rest})


def header(dtype: int = 1, shape: tuple[int, ...] = (), *, rank: int | None = None, version: int = 1) -> bytes:
    head = struct.pack("<4sBBBB", b"TPAR", version, dtype, len(shape) if rank is None else rank, 0)
    head += struct.pack(f"<{len(shape)}Q", *shape)
    return head + bytes(-len(head) % 64)


def bundle(index: Any, tail: bytes = b"") -> bytes:
    text = json.dumps(index).encode()
    head = struct.pack("<4sB3xI", b"TPBU", 1, len(text)) + text
    return head + bytes(-len(head) % 64) + tail


RGB = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
FRAME = {"timestamp_s": 0.5, "image": RGB, "index": 3}
DTYPES = st.sampled_from(["|b1", "|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"])


@settings(deadline=None)
@given(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)))
def test_an_array_of_any_shape_comes_back_as_it_was(array: Any) -> None:
    back = decode_any(encode_any(array))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("kind", "value", "media_type"),
    [
        (port("image"), RGB, ARRAY),
        (port("image", list=True, null_items=True), [RGB, None], BUNDLE),
        (port("video_frame"), FRAME, BUNDLE),
        (port("video_frame", list=True), [FRAME, FRAME], BUNDLE),
        (port("bytes"), b"\0\xff", "application/octet-stream"),
        (port("bytes", list=True), [b"", b"a"], BUNDLE),
        (port("measurements"), {"b": {"value": 1, "unit": "mm"}, "a": {"value": 0.5, "unit": "é"}}, "application/json"),
        (port("json"), None, "application/json"),
        (port("image", list=True), [], "application/json"),
    ],
)
def test_a_value_of_each_kind_comes_back_as_it_was(kind: PortType, value: Any, media_type: str) -> None:
    encoded = encode(kind, value)
    assert encoded.media_type == media_type
    back = decode(kind, encoded)
    assert repr(back) == repr(value)  # also the order of keys, and ints as ints
    assert encode(kind, back) == encoded
    assert digest(kind, back) == digest(kind, value)


def test_a_decoded_array_is_a_read_only_view_of_the_payload() -> None:
    data = bytearray(encode_any(RGB).data)
    view = decode_any(Encoded(ARRAY, data))  # type: ignore[arg-type]  (buffers serve as well as bytes)
    assert not view.flags.writeable
    data[-1] = 77
    assert view[-1, -1, -1] == 77
    parts = decode_any(encode_any([RGB, RGB]))
    assert not parts[1].flags.writeable
    assert parts[1].base is not None


def test_strided_arrays_are_stored_row_by_row() -> None:
    assert np.array_equal(decode_any(encode_any(RGB[:, ::2])), RGB[:, ::2])


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.array(["text"]),
        np.zeros(2, ">f4"),
        np.zeros(2, np.complex64),
        np.ma.masked_array([1.0]),
        np.zeros(2, [("a", "<f4")]),
        object(),
        (RGB, RGB),
        {1: RGB},
        {"a": object()},
        float("nan"),
        [[[[[RGB]]]]],
    ],
)
def test_what_no_port_can_hold_is_not_encoded(value: Any) -> None:
    with pytest.raises(ContractViolation):
        encode_any(value)
    with pytest.raises(ContractViolation):
        digest(port("json"), value)


def test_a_value_is_checked_against_its_port_in_both_directions() -> None:
    with pytest.raises(ContractViolation, match="expected a mask"):
        encode(port("mask"), RGB)
    with pytest.raises(InputError, match="expected a mask") as caught:
        decode(port("mask"), encode(port("image"), RGB))
    assert caught.value.code == "PAYLOAD_MISMATCH"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"TPAR",
        b"NOPE" + header()[4:] + b"\0",
        header(version=2) + b"\0",
        header(dtype=99) + b"\0",
        header(rank=33) + b"\0",
        header(rank=32)[:40],
        header(shape=(5,)) + bytes(4),
        header(shape=(5,)) + bytes(6),
        header(dtype=10, shape=(2,)) + bytes(2),
        header(shape=(100 * 2**30,)) + bytes(10),
        header(shape=(2**63, 2)),
        header(shape=(2**64 - 1,)) + bytes(1),
        header(shape=(2**32, 2**32)) + bytes(1),
        header(shape=(0, 2**63)),
        header(shape=(0, 2**62, 2**62)),
        header(dtype=12, shape=(2,)) + bytes(4),
    ],
)
def test_an_array_header_that_lies_is_refused_without_allocating(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            decode_any(Encoded(ARRAY, data))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.code == "PAYLOAD_DAMAGED"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"TPBU\1\0\0\0\xff\xff\xff\xff",
        b"NOPE" + bundle({"parts": []})[4:],
        bundle([]),
        bundle({}),
        bundle({"parts": [["application/json"]]}),
        bundle({"parts": [["application/json", -1]]}, b"1"),
        bundle({"parts": [["application/json", 1.0]]}, b"1"),
        bundle({"parts": [["application/json", True]]}, b"1"),
        bundle({"parts": [[1, 1]]}, b"1"),
        bundle({"parts": [["application/json", 2**62]]}, b"1"),
        bundle({"parts": [["application/json", 1]]}, b"12"),
        bundle({"parts": [["application/json", 1]], "keys": []}, b"1"),
        bundle({"parts": [["application/json", 1]], "keys": [1]}, b"1"),
        bundle({"parts": [["application/json", 1], ["application/json", 0]], "keys": ["a", "a"]}, b"1"),
        bundle({"parts": [["application/x-python-pickle", 1]]}, b"1"),
        bundle({"parts": [["application/json", 3]]}, b"NaN"),
    ],
)
def test_a_bundle_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        decode_any(Encoded(BUNDLE, data))
    assert caught.value.code == "PAYLOAD_DAMAGED"


def test_bundles_within_bundles_end_somewhere() -> None:
    data = b"1"
    media_type = "application/json"
    for _ in range(20):
        data, media_type = bundle({"parts": [[media_type, len(data)]]}, data), BUNDLE
    with pytest.raises(InputError, match="nothing decodes"):
        decode_any(Encoded(BUNDLE, data))


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([ARRAY, BUNDLE, "application/json", "application/vnd.tyqi.tensor"]))
def test_random_bytes_are_refused_or_decoded_but_never_crash(data: bytes, media_type: str) -> None:
    for payload in (data, b"TPAR\1" + data, b"TPBU\1\0\0\0" + data):
        with contextlib.suppress(InputError):  # anything else would be a crash
            decode_any(Encoded(media_type, payload))


class Trap:
    """What a pickle can do: run anything when it is read."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return print, ("the trap was sprung",)


@pytest.mark.parametrize("media_type", [ARRAY, BUNDLE, "application/json", "application/x-python-pickle", "image/png"])
def test_a_pickle_is_never_read(media_type: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError):
        decode_any(Encoded(media_type, pickle.dumps(Trap())))
    assert capsys.readouterr().out == ""


def test_the_digest_of_json_does_not_depend_on_the_order_of_keys() -> None:
    kind = port("measurements")
    one, other = {"value": 1.5, "unit": "mm"}, {"unit": "mm", "value": 1.5}
    assert digest(kind, {"a": one, "b": one}) == digest(kind, {"b": other, "a": other})
    assert digest(kind, {"a": one}) != digest(kind, {"b": one})


def test_the_digest_of_a_frame_does_not_depend_on_the_order_of_keys() -> None:
    turned = {key: FRAME[key] for key in reversed(FRAME)}
    assert digest(port("video_frame"), FRAME) == digest(port("video_frame"), turned)
    assert digest(port("video_frame", list=True), [FRAME]) == digest(port("video_frame", list=True), [turned])


def test_the_digest_of_an_array_tells_shape_and_dtype_apart() -> None:
    kinds = [np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), np.zeros(6, np.uint8), np.zeros((2, 3), np.int8)]
    assert len({digest(port("tensor"), array) for array in kinds}) == 4


def test_a_digest_can_be_worked_out_from_the_documented_encoding_alone() -> None:
    text = '{"a":"é","b":[1,2.5,null]}'.encode()
    assert digest(port("json"), {"b": [1, 2.5, None], "a": "é"}) == hashlib.sha256(text).hexdigest()
    assert digest(port("image"), RGB) == hashlib.sha256(header(1, (2, 4, 3)) + RGB.tobytes()).hexdigest()


def test_an_encoded_picture_is_decoded_to_what_the_port_lists() -> None:
    payload = Encoded("image/png", encode_image(RGB))
    assert np.array_equal(decode(port("image"), payload), RGB)
    assert decode(port("image", colour=["grey"]), payload).shape == (2, 4)
    with pytest.raises(InputError):
        decode(port("mask"), payload)
