"""Random schemas of the subset: three validators agree on them, and what is proved of two of them holds."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import fastjsonschema
import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tyqi_core.protocol.json_values import INT_MAX, INT_MIN
from tyqi_core.protocol.patterns import pattern_fault
from tyqi_core.protocol.subset import DRAFT_07, outside_subset
from tyqi_core.protocol.subsumption import schema_subsumes
from tyqi_core.protocol.validation import compiled

NAMES = st.sampled_from(["a", "b", "c", "a b", 'q"', "{x}", "é", "$ref", "items", ""])
TEXTS = st.one_of(
    st.text(max_size=6),
    st.text(st.sampled_from("abz-_19 .\n"), max_size=8),
    st.sampled_from(["", "a", "a\n", "é", "e\u0301", "😀", "٣", "\u2028", "a" * 40]),
)
NUMBERS = st.one_of(
    st.integers(-3, 5),
    st.sampled_from([0.0, 1.0, -0.0, 0.5, 1.5, 2.0, 1e300, -1e-300, 2.0**53, 0.1]),
    st.sampled_from([2**53, 2**53 + 1, INT_MAX, INT_MIN, -(2**53) - 1]),
    st.floats(allow_nan=False, allow_infinity=False),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
PATTERNS = st.sampled_from(
    [
        "^[a-z]+$",
        "^a?b*$",
        "^$",
        "^[^0-9]{1,3}$",
        "^(?:a|b-)+$",
        "^[a-z]+(?:-[a-z0-9]+)*$",
        r"^[\-a]\.[ -~]*$",
        "^(a|bc){2,3}$",
    ]
)
COUNTS = st.integers(0, 4)
BOUNDS = NUMBERS.filter(lambda number: abs(number) < 2**62)


@st.composite
def schemas(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """A schema of the subset; keywords of several types may stand side by side."""
    inner = schemas(depth=depth - 1) if depth else st.just({})
    types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
    parts: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(types, st.lists(types, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(VALUES, min_size=1, max_size=4, unique_by=lambda value: json.dumps(value, sort_keys=True)),
        "const": VALUES,
        "minimum": BOUNDS,
        "maximum": BOUNDS,
        "exclusiveMinimum": BOUNDS,
        "exclusiveMaximum": BOUNDS,
        "minLength": COUNTS,
        "maxLength": COUNTS,
        "pattern": PATTERNS,
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "uniqueItems": st.booleans(),
        "items": inner,
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.one_of(st.booleans(), inner),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=1),
        "propertyNames": st.fixed_dictionaries({}, optional={"maxLength": COUNTS, "pattern": PATTERNS}),
        "minProperties": COUNTS,
        "maxProperties": COUNTS,
        "anyOf": st.lists(inner, min_size=1, max_size=3),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(parts)), max_size=4, unique=True))
    return {keyword: draw(parts[keyword]) for keyword in chosen}


@st.composite
def values_near(draw: st.DrawFn, schema: Any) -> Any:
    """A value that tries to follow the schema, so that both verdicts are common."""
    if not isinstance(schema, dict) or not schema or draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    if "const" in schema or "enum" in schema:
        return draw(st.one_of(st.sampled_from([*schema.get("enum", ()), schema.get("const")]), VALUES))
    if "anyOf" in schema and draw(st.booleans()):
        return draw(values_near(draw(st.sampled_from(schema["anyOf"]))))
    kind = schema.get("type") or draw(st.sampled_from(["string", "array", "object", "number"]))
    kind = kind if isinstance(kind, str) else draw(st.sampled_from(kind))
    return draw(_NEAR[kind](schema))


@st.composite
def arrays_near(draw: st.DrawFn, schema: Any) -> Any:
    least = schema.get("minItems", 0)
    most = min(5, max(schema.get("maxItems", 3), least))
    return draw(st.lists(values_near(schema.get("items", {})), min_size=least, max_size=most))


@st.composite
def objects_near(draw: st.DrawFn, schema: Any) -> Any:
    required, properties = schema.get("required", ()), schema.get("properties", {})
    keys = [*required, *properties, *draw(st.lists(NAMES, max_size=1))]
    chosen = [key for key in keys if key in required or draw(st.booleans())]
    return {key: draw(values_near(properties.get(key, schema.get("additionalProperties")))) for key in chosen}


def numbers_near(schema: Any) -> st.SearchStrategy[Any]:
    keywords = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    near = [schema[keyword] + step for keyword in keywords if keyword in schema for step in (-1, 0, 1)]
    return st.one_of(st.sampled_from(near), NUMBERS) if near else NUMBERS


def texts_near(schema: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.from_regex(schema["pattern"]), TEXTS) if "pattern" in schema else TEXTS


_NEAR = {
    "array": arrays_near,
    "object": objects_near,
    "number": numbers_near,
    "integer": numbers_near,
    "string": texts_near,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


def whole_text(validator: Any, pattern: str, instance: Any, schema: Any) -> Any:
    """ECMA 262's `$`, which is the text's end; Python's also stands before a last newline."""
    if isinstance(instance, str) and not re.search(pattern.removesuffix("$") + r"\Z", instance):
        yield jsonschema.ValidationError("does not match")


def whole_names(validator: Any, patterns: Any, instance: Any, schema: Any) -> Any:
    """`patternProperties` with ECMA 262's `$`."""
    for pattern, inner in patterns.items():
        for name in instance if isinstance(instance, dict) else ():
            if re.search(pattern.removesuffix("$") + r"\Z", name):
                yield from validator.descend(instance[name], inner, path=name, schema_path=pattern)


def other_names(validator: Any, inner: Any, instance: Any, schema: Any) -> Any:
    """`additionalProperties` beside `patternProperties` with ECMA 262's `$`."""
    named = schema.get("properties", {})
    patterns = [pattern.removesuffix("$") + r"\Z" for pattern in schema.get("patternProperties", {})]
    for name in instance if isinstance(instance, dict) else ():
        if name in named or any(re.search(pattern, name) for pattern in patterns):
            continue
        if inner is False:
            yield jsonschema.ValidationError("not allowed")
        elif isinstance(inner, dict):
            yield from validator.descend(instance[name], inner, path=name)


Reference = jsonschema.validators.extend(
    jsonschema.Draft7Validator,
    {"pattern": whole_text, "patternProperties": whole_names, "additionalProperties": other_names},
)


def third_verdict(schema: dict[str, Any], value: Any) -> bool:
    try:
        fastjsonschema.compile({"$schema": DRAFT_07, **schema}, use_default=False, use_formats=False)(value)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


RELAXED = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@RELAXED
@given(st.data())
def test_jsonschema_and_jsonschema_rs_and_fastjsonschema_agree_on_the_subset(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    assume(not outside_subset(schema))
    value = data.draw(st.one_of(values_near(schema), VALUES))
    verdicts = (
        Reference(schema).is_valid(value),
        compiled(schema).is_valid(value),
        third_verdict(schema, value),
    )
    assert verdicts[0] == verdicts[1] == verdicts[2]


@RELAXED
@given(st.data())
def test_problems_are_told_exactly_when_a_value_is_invalid(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    assume(not outside_subset(schema))
    value = data.draw(values_near(schema))
    validator = compiled(schema)
    problems = validator.problems(value)
    assert bool(problems) != validator.is_valid(value)
    for problem in problems:
        assert problem.path.startswith("$")
        assert len(problem.found.encode()) <= 200 + len("the keys ") * 30


@st.composite
def looser(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema made of ``schema`` that often, not always, allows more."""
    result = {keyword: argument for keyword, argument in schema.items() if draw(st.integers(0, 4))}
    for keyword, argument in list(result.items()):
        if isinstance(argument, bool) or not draw(st.booleans()):
            continue
        if keyword in {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}:
            result[keyword] = (
                max(0, argument - 1) if keyword.startswith("min") and keyword != "minimum" else argument - 1
            )
        elif keyword in {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}:
            result[keyword] = argument + 1
        elif keyword in {"items", "additionalProperties", "propertyNames"}:
            result[keyword] = draw(looser(argument))
        elif keyword == "properties":
            result[keyword] = {name: draw(looser(inner)) for name, inner in argument.items() if draw(st.integers(0, 3))}
        elif keyword == "anyOf":
            result[keyword] = [draw(looser(inner)) for inner in argument]
        elif keyword == "type":
            result[keyword] = "number" if argument == "integer" else argument
    return {"anyOf": [{"type": "null"}, result]} if draw(st.integers(0, 5)) == 0 else result


NUMBER, INTEGER, TEXT = {"type": "number"}, {"type": "integer"}, {"type": "string"}
ARGUMENTS: dict[str, list[tuple[str, Any]]] = {
    "number": [
        *(("minimum", 0), ("minimum", 1), ("maximum", 1), ("maximum", 2)),
        *(("exclusiveMinimum", 0), ("exclusiveMaximum", 2), ("type", ["number", "null"]), ("enum", [0, 1.5])),
    ],
    "integer": [("minimum", 0), ("maximum", 2), ("type", ["integer", "string"])],
    "string": [
        *(("minLength", 1), ("minLength", 2), ("maxLength", 1), ("maxLength", 2), ("pattern", "^a*$")),
        *(("pattern", "^[ab]*$"), ("enum", ["a"]), ("const", "ab"), ("type", ["string", "boolean"])),
    ],
    "array": [
        *(("minItems", 1), ("minItems", 2), ("maxItems", 0), ("maxItems", 1), ("maxItems", 2), ("uniqueItems", True)),
        *(("items", NUMBER), ("items", INTEGER), ("items", {"anyOf": [INTEGER, {"type": "null"}]})),
    ],
    "object": [
        *(("required", ["a"]), ("required", ["a", "b"]), ("minProperties", 1), ("maxProperties", 1)),
        *(("properties", {"a": NUMBER}), ("properties", {"a": INTEGER, "b": TEXT})),
        *(("additionalProperties", False), ("additionalProperties", NUMBER), ("additionalProperties", INTEGER)),
        *(("patternProperties", {"^a$": INTEGER}), ("patternProperties", {"^[bc]$": TEXT})),
        *(("propertyNames", {"enum": ["a"]}), ("propertyNames", {"pattern": "^[ab]*$"})),
    ],
}
SMALL_ITEMS: list[Any] = [None, 0, 0.5, 2, "a"]
SMALL_VALUES: list[Any] = [
    *(None, True, False, -1, 0, 0.5, 1, 1.5, 2, 3, 4, "", "a", "b", "ab", "aa", "aab", "ba"),
    *(list(items) for size in range(4) for items in itertools.product(SMALL_ITEMS, repeat=size)),
    *(
        dict(zip(keys, items, strict=True))
        for keys in ["", "a", "b", "c", "ab", "bc"]
        for items in itertools.product(SMALL_ITEMS, repeat=len(keys))
    ),
]


def small_schemas(kind: str) -> list[dict[str, Any]]:
    """All schemas of one type with up to two (objects: three) of its arguments, and some alternatives of them."""
    most = 3 if kind == "object" else 2
    chosen = [group for size in range(most + 1) for group in itertools.combinations(ARGUMENTS[kind], size)]
    plain = [{"type": kind, **dict(group)} for group in chosen if len(dict(group)) == len(group)]
    few = [schema for schema in plain if len(schema) < 3]
    paired = [{"anyOf": [one, other]} for one, other in itertools.combinations(few[:8], 2)]
    beside = [{**few[1], "anyOf": [one, {"type": "null"}]} for one in few[2:]]
    every = [{}, *plain, *paired, *beside, {"enum": [None, 0, "a"]}, {"type": ["null", kind]}, {"type": "boolean"}]
    return [schema for schema in every if not outside_subset(schema)]


@pytest.mark.parametrize("kind", sorted(ARGUMENTS))
def test_no_small_schema_is_proved_to_be_within_another_that_refuses_one_of_its_values(kind: str) -> None:
    found = small_schemas(kind)
    allowed = [{at for at, value in enumerate(SMALL_VALUES) if compiled(schema).matches(value)} for schema in found]
    step = 1 + len(found) // 150  # objects: a part of the pairs, always the same
    proved = 0
    for (inner, within), (outer, accepted) in itertools.product(
        zip(found, allowed, strict=True), list(zip(found, allowed, strict=True))[::step]
    ):
        if schema_subsumes(inner, outer):
            proved += 1
            assert within <= accepted, (inner, outer)
    assert proved > len(found)  # each is within itself and within {}


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ({"type": "integer"}, {"type": "number"}),
        ({"type": "integer"}, {"type": ["string", "number"]}),
        ({"type": "number", "minimum": 0, "maximum": 1}, {"type": "number", "minimum": -1}),
        ({"type": "number", "exclusiveMinimum": 0}, {"minimum": 0}),
        ({"enum": ["a", "b"]}, {"type": "string", "maxLength": 1}),
        ({"type": "boolean"}, {"enum": [True, False, None]}),
        ({"type": "string", "pattern": "^a$", "minLength": 1}, {"type": "string", "pattern": "^a$"}),
        (
            {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
            {"type": "array", "items": {"type": "number"}},
        ),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": ["number", "null"]}),
        ({"type": ["integer", "null"]}, {"anyOf": [{"type": "null"}, {"type": "number"}]}),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "number"}}},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
            {"type": "object", "additionalProperties": {"type": "number"}, "maxProperties": 1},
        ),
        ({"$ref": "#/definitions/n", "definitions": {"n": {"type": "integer"}}}, {"type": "number", "title": "any"}),
    ],
)
def test_everyday_cases_are_proved(inner: dict[str, Any], outer: dict[str, Any]) -> None:
    assert schema_subsumes(inner, outer)
    assert not schema_subsumes({}, outer)


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ({"type": "number"}, {"type": "integer"}),
        ({"type": "number", "minimum": 0}, {"type": "number", "exclusiveMinimum": 0}),
        ({"enum": [1, True]}, {"type": "integer"}),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}),
        ({"type": "object", "properties": {"a": {}}}, {"type": "object", "required": ["a"]}),
        ({"type": "object", "properties": {"b": {}}}, {"properties": {"a": {"type": "string"}}}),
        ({"type": "array"}, {"type": "array", "maxItems": 5}),
        ({"type": "string"}, {"type": "string", "pattern": "^a$"}),
        (
            {
                "type": "object",
                "properties": {"a": {}},
                "additionalProperties": False,
                "anyOf": [{"properties": {"b": {}}}],
            },
            {"propertyNames": {"enum": ["b"]}},
        ),
    ],
)
def test_what_does_not_hold_is_not_proved(inner: dict[str, Any], outer: dict[str, Any]) -> None:
    assert not schema_subsumes(inner, outer)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    atoms = st.sampled_from(
        ["a", "b", "-", r"\.", "[a-c]", "[^a]", "[0-9_]", r"[\]x]", "[a-]", "(a|b)", "(?:-a)", "( )"]
    )
    repeats = st.sampled_from(["", "", "?", "*", "+", "{2}", "{1,}", "{0,2}"])
    return "^" + "".join(atom + repeat for atom, repeat in draw(st.lists(st.tuples(atoms, repeats), max_size=5))) + "$"


@settings(RELAXED, max_examples=300)
@given(patterns(), st.lists(st.text("ab-.x]c_ 09\né", max_size=6), min_size=1, max_size=6))
def test_engines_agree_on_every_pattern_of_the_grammar(pattern: str, texts: list[str]) -> None:
    assume(pattern_fault(pattern) is None)
    schema = {"type": "string", "pattern": pattern}
    for text in texts:
        by_python = re.search(pattern.removesuffix("$") + r"\Z", text) is not None
        assert compiled(schema).is_valid(text) == third_verdict(schema, text) == by_python


def test_the_one_place_where_the_reference_reads_a_pattern_differently_is_a_last_newline() -> None:
    schema = {"pattern": "^a$"}
    assert jsonschema.Draft7Validator(schema).is_valid(
        "a\n"
    )  # Python's `$`; ECMA 262, which JSON Schema names, says no
    assert not compiled(schema).is_valid("a\n")
    assert not third_verdict(schema, "a\n")
