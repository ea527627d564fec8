"""Problems told in words, the subset's borders (B34, B35), defaults."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tyqi_core.protocol.patterns import pattern_fault
from tyqi_core.protocol.validation import compiled, fill_defaults, nearest_name, outside_subset

PERSON = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "colour": {"enum": ["red", "green", "blue"]},
        "size": {"$ref": "#/definitions/size"},
        "where": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"x": {"type": "number"}}}]},
    },
    "definitions": {"size": {"type": "integer", "minimum": 3}},
}


@pytest.mark.parametrize(
    ("value", "path", "found", "allowed", "nearest"),
    [
        ({"name": "n", "colour": "gren"}, "$.colour", '"gren"', 'one of "red", "green", "blue"', "green"),
        ({"name": "n", "sise": 4}, "$", '"sise"', "the keys colour, name, size, where", "size"),
        ({}, "$", "no keys", "the key 'name'", None),
        ({"name": 5}, "$.name", "5", "type string", None),
        ({"name": "n", "size": 1}, "$.size", "1", "at least 3", None),
        ({"name": "n", "where": {"x": "far"}}, "$.where.x", '"far"', "type number", None),
        ({"name": "n", "where": 3}, "$.where", "3", "one of 2 alternatives", None),
        (7, "$", "7", "type object", None),
    ],
)
def test_a_problem_tells_path_found_allowed_and_the_nearest_name(
    value: Any, path: str, found: str, allowed: str, nearest: str | None
) -> None:
    (problem,) = compiled(PERSON).problems(value)
    assert (problem.path, problem.found, problem.allowed, problem.nearest) == (path, found, allowed, nearest)
    if nearest:
        assert f"Did you mean '{nearest}'?" in str(problem)


def test_all_problems_are_told_at_once_but_not_millions() -> None:
    problems = compiled(PERSON).problems({"name": "", "colour": 1, "size": 0, "other": 1})
    assert len(problems) == 4
    assert len(compiled({"items": {"type": "string"}}).problems([1] * 10_000)) == 50


def test_nan_is_refused_although_the_validator_below_would_read_it_as_null() -> None:
    validator = compiled({"type": ["number", "null"]})
    assert not validator.is_valid(float("nan"))
    assert validator.problems([float("nan")])[0].path == "$[0]"


def test_long_input_is_cut_in_problems() -> None:
    (problem,) = compiled({"type": "integer"}).problems("x" * 100_000)
    assert len(problem.message.encode()) < 300


def test_equal_schemas_share_one_compiled_validator() -> None:
    assert compiled({"minimum": 1, "type": "integer"}) is compiled({"type": "integer", "minimum": 1})


def test_a_schema_that_is_none_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="unusable JSON schema"):
        compiled({"type": "int"})


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x.json", "file:///etc/hostname", "other.json#/a"])
def test_a_reference_outside_the_schema_is_refused_and_nothing_is_fetched(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_network)
    assert outside_subset({"$ref": reference})
    with pytest.raises(ValueError, match="unusable JSON schema"):
        compiled({"$ref": reference})


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ([], "expected a schema"),
        ({"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}}, "form a cycle"),
        (
            {"$ref": "#/definitions/a", "definitions": {"a": {"items": {"$ref": "#/definitions/a"}}}},
            "form a cycle",
        ),
        ({"$ref": "#/definitions/b", "definitions": {"a": {}}}, "only definitions of the schema itself"),
        ({"$ref": "#/definitions/a", "type": "string", "definitions": {"a": {}}}, "ignores what stands beside $ref"),
        ({"anyOf": [{}] * 10_000}, "1 to 16 schemas, found 10000"),
        ({"$dynamicRef": "#a"}, "not in TP's subset"),
        ({"oneOf": [{}]}, "use 'anyOf'"),
        ({"format": "date"}, "use 'pattern'"),
        ({"minimun": 3}, "Did you mean 'minimum'?"),
        ({"type": "integer", "multipleOf": 2}, "not in TP's subset"),
        ({"type": "strin"}, "did you mean string"),
        ({"type": []}, "at least one"),
        ({"type": ["string", "string"]}, "each type once"),
        ({"enum": []}, "1 to 256 values"),
        ({"enum": [1, 1]}, "each value once"),
        ({"required": ["a", "a"]}, "each name once"),
        ({"required": "a"}, "a list of names"),
        (
            {"required": ["widht"], "properties": {"width": {}}, "additionalProperties": False},
            "required but not among the properties. Did you mean 'width'?",
        ),
        ({"minLength": -1}, "an integer of at least 0"),
        ({"maxItems": 2.0}, "an integer of at least 0"),
        ({"maxItems": True}, "an integer of at least 0"),
        ({"minimum": "0"}, "expected a number"),
        ({"minimum": float("nan")}, "finite number"),
        ({"maximum": 2**64}, "at most 64 bits"),
        ({"pattern": "a"}, "not anchored"),
        ({"pattern": "^(a+)+$"}, "a repeated group holds a repeat"),
        ({"patternProperties": {"x": {}}}, "not anchored"),
        ({"properties": {"a": {"definitions": {}}}}, "only allowed at the schema's root"),
        ({"properties": {"a": {"$id": "x"}}}, "only allowed at the schema's root"),
        ({"properties": {"$ref": {}}}, "names that begin with $ are reserved"),
        ({"const": {"a": [{"$ref": "http://x"}]}}, "names that begin with $ are reserved"),
        ({"default": {"$id": "x"}}, "names that begin with $ are reserved"),
        ({"properties": ["a"]}, "names with schemas"),
        ({"properties": {"a": True}}, "expected a schema"),
        (
            {"$schema": "https://json-schema.org/draft/2020-12/schema"},
            "expected http://json-schema.org/draft-07/schema#",
        ),
        ({"description": "x" * 70_000}, "at most 65536"),
        ({"setup": "yes"}, "true or false"),
    ],
)
def test_a_schema_that_leaves_the_subset_is_told_where_and_why(schema: Any, expected: str) -> None:
    problems = outside_subset(schema)
    assert expected in " | ".join(map(str, problems))


def test_deeply_nested_schemas_are_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(40):
        schema = {"items": schema}
    assert "deeper" in str(outside_subset(schema)[0])


def test_references_that_multiply_are_refused() -> None:
    doubling = {f"d{n}": {"anyOf": [{"$ref": f"#/definitions/d{n + 1}"}] * 4} for n in range(12)}
    schema = {"$ref": "#/definitions/d0", "definitions": {**doubling, "d12": {"type": "null"}}}
    assert "references written out" in str(outside_subset(schema)[0])


def test_annotations_of_parameters_are_allowed_everywhere() -> None:
    schema = {
        "type": "object",
        "properties": {
            "model": {"type": "string", "default": "", "setup": True, "title": "Model", "description": "A path."},
            "width": {"type": "number", "unit": "mm", "examples": [1.5], "$comment": "as measured"},
        },
    }
    assert outside_subset(schema) == []
    compiled(schema)


@pytest.mark.parametrize(
    "pattern",
    [
        "^$",
        "^[a-z][a-z0-9_]*$",
        r"^[0-9]+\.[0-9]+\.[0-9]+$",
        "^[a-z]+(?:-[a-z]+)*$",
        "^(cpu|gpu)$",
        "^(?:[ab]{2}){1,3}$",
        r"^[\]\-a]$",
    ],
)
def test_ordinary_patterns_are_allowed(pattern: str) -> None:
    assert pattern_fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a", "anchored"),
        ("^a|b$", "belong to a group"),
        ("^a)b$", "belong to a group"),
        (r"^\d+$", "write out a class"),
        (r"^[\w]$", "write its characters"),
        ("^.*$", "'.' is read differently"),
        ("^(?=a)$", "only ( ) and (?: )"),
        ("^(?i)a$", "only ( ) and (?: )"),
        (r"^(a)\1$", "read differently"),
        ("^(a$", "')' is missing"),
        ("^[a$", "the pattern ends too early"),
        ("^[]$", "a class is empty"),
        ("^[z-a]$", "is empty"),
        ("^[[:alpha:]]$", "needs a backslash"),
        ("^[a&&b]$", "set operation"),
        ("^a**$", "followed by another"),
        ("^a+?$", "followed by another"),
        ("^a{2,1}$", "n <= m"),
        ("^a{,2}$", "is written {n}"),
        ("^a{99999999999}$", "is written {n}"),
        ("^*a$", "stands where a character is expected"),
        ("^(a|a)*$", "a repeated group holds"),
        ("^(a*)*$", "a repeated group holds"),
        ("^(?:-?a)*$", "a repeated group holds"),
        ("^(?:-[a-z-]+)*$", "a repeated group holds"),
        ("^a{2000}b$", "amount to 2001"),
        ("^" + "[a-z]*" * 9 + "$", "9 unbounded repeats"),
        ("^é$", "ASCII"),
        ("^a\n$", "ASCII"),
        ("^" + "a" * 300 + "$", "at most 256"),
        ("^\\$", "ends too early"),
    ],
)
def test_a_pattern_outside_the_grammar_is_told_why(pattern: str, expected: str) -> None:
    assert expected in (pattern_fault(pattern) or "allowed")


def test_defaults_are_filled_without_touching_what_is_given() -> None:
    schema = {
        "properties": {
            "a": {"default": 1},
            "b": {"type": "object", "properties": {"c": {"default": [1]}, "d": {}}},
            "e": {"default": {"x": 1}, "properties": {"y": {"default": 2}}},
            "f": {},
        }
    }
    given = {"b": {}, "a": None}
    filled = fill_defaults(schema, given)
    assert filled == {"a": None, "b": {"c": [1]}, "e": {"x": 1, "y": 2}}
    assert given == {"b": {}, "a": None}
    filled["b"]["c"].append(2)
    assert fill_defaults(schema, given)["b"] == {"c": [1]}


def test_the_nearest_name_ignores_case_and_gives_up_on_strangers() -> None:
    assert nearest_name("Treshold", ["threshold", "model"]) == "threshold"
    assert nearest_name("IMAGE", ["image"]) == "image"
    assert nearest_name("zzz", ["threshold", "model"]) is None
    assert nearest_name(3, ["threshold"]) is None
