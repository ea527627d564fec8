"""JSON as TP has it: narrower than what Python's ``json`` reads and writes.

A JSON value is built of exactly ``dict`` (string keys), ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None``.
Subclasses, tuples and numpy scalars are refused: they would come back as something else on another worker.
Numbers are finite, integers fit in 64 bits, strings hold no lone surrogates, nesting is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from math import isfinite
from typing import Any, NoReturn

from tyqi_core.errors import InputError

MAX_DEPTH = 64
"""Lists and objects within each other. Deeper values overflow the stacks of parsers in other languages."""
MAX_DOCUMENT_BYTES = 1 << 20
"""A JSON document from outside, unless its reader allows more."""
MAX_ECHO_BYTES = 200
"""How much of somebody's input an error message repeats."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_FEW = 12
"""Up to so many items a plain loop is quicker than looking at all of them in C."""
_FREE = frozenset({bool, type(None)})
_REMEDIES = {
    "tuple": "return list(x)",
    "set": "return sorted(x)",
    "generator": "return list(x)",
    "ndarray": "return x.tolist()",
    "Tensor": "return x.tolist()",
    "dict_keys": "return list(x)",
    "dict_values": "return list(x)",
}
_Place = tuple[list[str | int], str]


def json_fault(value: Any) -> str | None:
    """Say what in ``value`` is no JSON, with its JSON path, expected and found; ``None`` if all is well."""
    found = locate_fault(value)
    return None if found is None else f"{found[0]}: {found[1]}"


def locate_fault(value: Any) -> tuple[str, str] | None:
    """:func:`json_fault` in two parts: the JSON path and the sentence."""
    found = _find(value, 0)
    return None if found is None else (json_path(reversed(found[0])), found[1])


def json_path(parts: Iterable[str | int]) -> str:
    """``$.tasks.T1[0]``; names that are no identifiers stand in brackets and quotes, long ones are cut."""
    path = "$"
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and len(part) <= MAX_ECHO_BYTES:
            path += f".{part}"
        else:
            path += f"[{echo(part)}]"
    return path


def echo(value: Any, limit: int = MAX_ECHO_BYTES) -> str:
    """``value`` as JSON where possible, cut so that at most ``limit`` bytes (UTF-8) of it are repeated."""
    text = _shallow(value)
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    return raw[: limit - 3].decode("utf-8", "ignore") + "..."


def canonical_json(value: Any) -> str:
    """One text for one JSON value: keys sorted, no spaces, not escaped beyond need.

    Raises:
        ValueError: the value holds NaN or an infinity.
        TypeError: the value holds something that is no JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def read_json(text: str | bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """Read one JSON document strictly.

    Beside what is no JSON, these are refused: NaN and infinities (also ``1e999``), negative zero, integers beyond 64
    bits, duplicate keys, lone surrogates, more than ``max_bytes`` bytes, nesting deeper than :data:`MAX_DEPTH`.

    Raises:
        InputError: with one of the codes ``JSON_INVALID``, ``JSON_NUMBER``, ``JSON_DUPLICATE_KEY``,
            ``JSON_SURROGATE``, ``JSON_TOO_LARGE``, ``JSON_TOO_DEEP``.
    """
    source = _text_of(text, max_bytes)
    try:
        value = json.loads(
            source,
            object_pairs_hook=_unique_pairs,
            parse_constant=_no_constant,
            parse_int=_small_int,
            parse_float=_finite_float,
        )
    except RecursionError as error:
        raise _too_deep() from error
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error}", code="JSON_INVALID") from error
    return checked_json(value)


def checked_json(value: Any) -> Any:
    """Return ``value`` if it is JSON in TP's sense.

    Raises:
        InputError: it is not; same codes as :func:`read_json`.
    """
    fault = json_fault(value)
    if fault is None:
        return value
    if "deeper" in fault:
        raise _too_deep()
    code = "JSON_SURROGATE" if "surrogate" in fault else "JSON_INVALID"
    raise InputError(fault, code=code)


def _text_of(text: str | bytes, max_bytes: int) -> str:
    if len(text) > max_bytes:
        raise InputError(
            f"the JSON document has {len(text)} bytes; at most {max_bytes} are allowed", code="JSON_TOO_LARGE"
        )
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the JSON document is not UTF-8: {error.reason} at byte {error.start}", code="JSON_INVALID"
        ) from error


def _too_deep() -> InputError:
    return InputError(f"the JSON document is nested deeper than {MAX_DEPTH} levels", code="JSON_TOO_DEEP")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError(f"the key {echo(twice)} stands twice in one object", code="JSON_DUPLICATE_KEY")
    return result


def _no_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is no JSON number; write null where there is no value", code="JSON_NUMBER")


def _small_int(digits: str) -> int:
    # 20 characters hold every 64-bit integer; int() of thousands of digits would take long or raise by itself.
    if len(digits) <= 20 and digits != "-0" and INT_MIN <= (number := int(digits)) <= INT_MAX:  # noqa: PLR2004
        return number
    raise InputError(
        f"the number {echo(digits, 40)} is not allowed: integers are between -2^63 and 2^63-1, zero has no sign",
        code="JSON_NUMBER",
    )


def _finite_float(digits: str) -> float:
    number = float(digits)
    if isfinite(number) and not (number == 0 and digits.startswith("-")):
        return number
    raise InputError(
        f"the number {echo(digits, 40)} is not allowed: numbers are finite 64-bit floats, zero has no sign",
        code="JSON_NUMBER",
    )


def _find(value: Any, depth: int) -> _Place | None:
    kind = type(value)
    if kind is dict:
        if (message := _keys_fault(value)) is not None:
            return [], message
        items: Collection[Any] = value.values()
    elif kind is list:
        items = value
    else:
        message = _scalar_fault(value, kind)
        return None if message is None else ([], message)
    if depth == MAX_DEPTH:
        return [], f"nested deeper than {MAX_DEPTH} levels"
    if len(items) > _FEW and _all_clean(items):
        return None
    for at, item in value.items() if kind is dict else enumerate(value):
        inner = type(item)
        if (
            (inner is str and item.isascii())
            or (inner is float and item - item == 0)  # not so for NaN and infinities
            or inner is bool
            or item is None
        ):
            continue
        found = _find(item, depth + 1)
        if found is not None:
            found[0].append(at)
            return found
    return None


def _all_clean(items: Collection[Any]) -> bool:
    """True for items of one simple kind without a fault: the bulk of large values, looked at in C."""
    kinds = set(map(type, items))
    if kinds <= _FREE:
        return True
    if len(kinds) > 1:
        return False
    if float in kinds:
        return all(map(isfinite, items))
    if int in kinds:
        return bool(min(items) >= INT_MIN and max(items) <= INT_MAX)
    return str in kinds and all(map(str.isascii, items))


def _keys_fault(value: dict[Any, Any]) -> str | None:
    for key in value:
        if type(key) is not str:
            return f"expected string keys, found the key {echo(key)} of type {type(key).__name__}"
        if not key.isascii() and _has_surrogate(key):
            return f"the key {echo(key)} holds a lone surrogate, which is no Unicode text"
    return None


def _scalar_fault(value: Any, kind: type) -> str | None:
    if kind is str:
        if value.isascii() or not _has_surrogate(value):
            return None
        return f"the text {echo(value)} holds a lone surrogate, which is no Unicode text"
    if kind is float:
        return None if isfinite(value) else f"expected a finite number, found {value}; use null where there is no value"
    if kind is int:
        if INT_MIN <= value <= INT_MAX:
            return None
        return f"expected an integer of at most 64 bits, found one of {value.bit_length()} bits"
    return None if kind in _FREE else _foreign(value, kind)


def _foreign(value: Any, kind: type) -> str:
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    remedy = _REMEDIES.get(kind.__name__)
    if remedy is None:
        for plain in (bool, int, float, str, dict, list):
            if isinstance(value, plain) or (hasattr(value, "item") and isinstance(_item(value), plain)):
                remedy = f"return {plain.__name__}(x)"
                break
    found = f"expected plain JSON (dict, list, str, int, float, bool, None), found {name}"
    return found + (f"; {remedy}" if remedy else "")


def _item(scalar: Any) -> Any:
    try:
        return scalar.item()
    except (TypeError, ValueError, RuntimeError):
        return None


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _shallow(value: Any) -> str:
    """Text of ``value`` without walking much of it: containers are told by their size."""
    if isinstance(value, str):
        return json.dumps(value[:MAX_ECHO_BYTES], ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"  # noqa: PLR2004
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, (list, dict)):
        return _short_container(value)
    return f"a value of type {type(value).__name__}"


def _short_container(value: list[Any] | dict[str, Any]) -> str:
    if len(value) <= 8 and json_fault(value) is None:  # noqa: PLR2004
        text = json.dumps(value, ensure_ascii=False)
        if len(text) <= MAX_ECHO_BYTES:
            return text
    return f"a list of {len(value)} items" if isinstance(value, list) else f"an object of {len(value)} keys"
