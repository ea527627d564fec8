"""Strict reading of JSON and the refusal of values that are none (B36)."""

from __future__ import annotations

import enum
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.errors import InputError
from tyqi_core.protocol.json_values import MAX_DEPTH, canonical_json, echo, json_fault, json_path
from tyqi_core.protocol.validation import read_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not (x == 0 and math.copysign(1, x) < 0))
    | st.text(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=5),
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "JSON_INVALID"),
        ("{", "JSON_INVALID"),
        ("[1] 2", "JSON_INVALID"),
        (b"\xff\xfe", "JSON_INVALID"),
        ("NaN", "JSON_NUMBER"),
        ("[Infinity]", "JSON_NUMBER"),
        ('{"a": -Infinity}', "JSON_NUMBER"),
        ("1e999", "JSON_NUMBER"),
        ("-0", "JSON_NUMBER"),
        ("-0.0", "JSON_NUMBER"),
        ("9223372036854775808", "JSON_NUMBER"),
        ("-9223372036854775809", "JSON_NUMBER"),
        ("1" * 5000, "JSON_NUMBER"),
        ('{"a": 1, "a": 2}', "JSON_DUPLICATE_KEY"),
        ('[{"b": {"a": 1, "a": 1}}]', "JSON_DUPLICATE_KEY"),
        (r'"\ud800"', "JSON_SURROGATE"),
        (r'{"\udc00": 1}', "JSON_SURROGATE"),
        ('"' + "x" * 10_000_000 + '"', "JSON_TOO_LARGE"),
        ("[" * 200_000 + "]" * 200_000, "JSON_TOO_DEEP"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "JSON_TOO_DEEP"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "JSON_TOO_DEEP"),
    ],
)
def test_a_document_that_is_no_strict_json_is_refused_with_its_code(text: str | bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        read_json(text)
    assert caught.value.code == code
    assert len(str(caught.value).encode()) < 400


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("0", 0),
        ("1e3", 1000.0),
        (r'"\ud83d\ude00"', "😀"),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
    ],
)
def test_the_edges_of_what_is_allowed_are_read(text: str | bytes, value: Any) -> None:
    result = read_json(text)
    assert value is None or (result == value and type(result) is type(value))


@given(JSON)
def test_every_value_without_a_fault_reads_back_as_it_was_written(value: Any) -> None:
    assert json_fault(value) is None
    assert read_json(canonical_json(value)) == value


class Colour(str, enum.Enum):  # noqa: UP042  (the older way, which authors still use)
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "$: expected a finite number, found nan"),
        ({"a": [1.0, math.inf]}, "$.a[1]: expected a finite number, found inf"),
        ([0.5] * 1000 + [math.nan], "$[1000]: expected a finite number"),
        ({"a": (1, 2)}, "found tuple; return list(x)"),
        (np.float64(0.5), "found numpy.float64; return float(x)"),
        (
            {"area": np.float32(0.5)},
            "found numpy.float32; return float(x)",
        ),
        (
            [np.int64(3)],
            "$[0]: expected plain JSON (dict, list, str, int, float, bool, None), found numpy.int64",
        ),
        (np.bool_(True), "; return bool(x)"),
        (np.zeros(3), "found numpy.ndarray; return x.tolist()"),
        ({1: "a"}, "$: expected string keys, found the key 1 of type int"),
        ({"a": {None: 1}}, "$.a: expected string keys"),
        (2**63, "expected an integer of at most 64 bits, found one of 64 bits"),
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        (["é"] * 20 + ["\ud800"], "$[20]: the text"),
        (Colour.RED, "return str(x)"),
        ((i for i in range(3)), "found generator; return list(x)"),
        (object(), "found object"),
        (Fraction(1, 2), "found fractions.Fraction"),
        (b"abc", "found bytes"),
    ],
)
def test_what_is_no_plain_json_is_told_with_place_and_remedy(value: Any, expected: str) -> None:
    assert expected in (json_fault(value) or "no fault")


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "deeper" in (json_fault(endless) or "")


@given(st.one_of(JSON, st.text(st.characters(), min_size=100)))
def test_an_echo_is_never_longer_than_its_limit(value: Any) -> None:
    assert len(echo(value).encode()) <= 200
    assert len(echo(value, 40).encode()) <= 40


def test_a_path_puts_odd_names_in_brackets() -> None:
    assert json_path(["tasks", "T1", 0, "a b"]) == '$.tasks.T1[0]["a b"]'
