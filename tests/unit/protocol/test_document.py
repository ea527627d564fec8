from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.errors import InvalidFile, InvalidManifest, Problem
from tyqi_core.protocol.document import MAX_BYTES, path_parts, read_document, read_file
from tyqi_core.protocol.json_values import json_path


def problems_of(source: str | bytes) -> list[Problem]:
    with pytest.raises(InvalidFile) as caught:
        read_document(source, "some.yaml")
    return list(caught.value.problems)


def codes_and_lines(source: str | bytes) -> list[tuple[str, int]]:
    return [(problem.code, problem.line) for problem in problems_of(source)]


@pytest.mark.parametrize(
    "text", ["yes", "No", "on", "OFF", "12:30:45", "1_000", "2024-05-01", "0b1", "1e", "+", ".", "=", "e5"]
)
def test_what_yaml_1_2_calls_text_stays_text(text: str) -> None:
    assert read_document(f"a: {text}").value == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0o17", 15), ("0x1F", 31), ("017", 17), ("-5", -5), ("+5", 5), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0),
        ("true", True), ("FALSE", False), ("~", None), ("null", None), ("", None),
        (".inf", math.inf), ("-.INF", -math.inf),
        ("'1'", "1"), ('"true"', "true"), ("9223372036854775807", 2**63 - 1),
    ],
)  # fmt: skip
def test_core_scalars_are_resolved(text: str, value: object) -> None:
    found = read_document(f"a: {text}").value["a"]
    assert (found, type(found)) == (value, type(value))


def test_nan_is_kept_for_the_schema_to_refuse() -> None:
    assert math.isnan(read_document("a: .nan").value["a"])


def test_keys_are_the_text_that_was_written() -> None:
    assert read_document("1: a\ntrue: b\nno: c\n'<<': d\n").value == {"1": "a", "true": "b", "no": "c", "<<": "d"}


@pytest.mark.parametrize(
    "number", ["9223372036854775808", "-9223372036854775809", "0xFFFFFFFFFFFFFFFF", "9" * 5000, "1e999"]
)
def test_numbers_beyond_64_bits_are_refused(number: str) -> None:
    assert codes_and_lines(f"ok: 1\na: {number}\n") == [("YAML_NUMBER", 2)]


def test_all_faults_that_the_parser_survives_are_told_at_once() -> None:
    source = "a: &x 1\nb: *x\n<<: {c: 1}\na: 2\nd: !!python/object/apply:os.system [ls]\nf: {g: 1, g: 2}\n"
    assert codes_and_lines(source) == [
        ("YAML_ALIAS", 1),
        ("YAML_ALIAS", 2),
        ("YAML_ALIAS", 3),
        ("DUPLICATE_KEY", 4),
        ("YAML_TAG", 5),
        ("DUPLICATE_KEY", 6),
    ]


def test_an_alias_bomb_is_refused_without_being_expanded() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert {problem.code for problem in problems_of(bomb)} == {"YAML_ALIAS"}


def test_a_file_full_of_faults_is_not_reported_to_its_end() -> None:
    assert len(problems_of("- !t x\n" * 5000)) == 100


@pytest.mark.parametrize(
    "source", ["[" * 20_000, "{a: " * 20_000, "- " * 20_000, "".join(f"{' ' * i}a:\n" for i in range(300))]
)
def test_deep_nesting_is_refused_before_it_is_built(source: str) -> None:
    assert [problem.code for problem in problems_of(source)] == ["YAML_TOO_DEEP"]


def test_32_levels_are_allowed() -> None:
    assert read_document("[" * 32 + "]" * 32).value


@pytest.mark.parametrize("source", ["a: " + "b" * MAX_BYTES, b"a: " + b"b" * MAX_BYTES, "é" * (MAX_BYTES - 1)])
def test_a_large_source_is_refused_before_it_is_parsed(source: str | bytes) -> None:
    assert codes_and_lines(source) == [("YAML_TOO_LARGE", 0)]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"\xff\xfea\x00", 1),
        (b"a\x00:\x00 \x001\x00", 1),
        (b"\xef\xbb\xbfa: 1", 1),
        (b"b: 1\na: \xe9\n", 2),
        ("b: 1\na: x\0y\n", 2),
        ('b: 1\na: "x\\0y"\n', 2),
        ("a: '\ud800'", 1),
        ("\ufeffa: 1", 1),
    ],
)
def test_wrong_encodings_and_control_characters_are_refused(source: str | bytes, line: int) -> None:
    assert codes_and_lines(source) == [("YAML_ENCODING", line)]


@pytest.mark.parametrize(
    ("source", "line"), [("a:\n\tb: 1\n", 2), ("x:\n  - a: 1\n\t  b: 2\n", 3), ("a: 1\n\tb: 2\n", 2)]
)
def test_tabs_as_indentation_are_called_tabs(source: str, line: int) -> None:
    assert codes_and_lines(source) == [("YAML_TAB", line)]


@pytest.mark.parametrize("source", ["", "# only words\n", "---\n", "null\n", b""])
def test_an_empty_document_is_an_error(source: str | bytes) -> None:
    assert [code for code, _ in codes_and_lines(source)] == ["YAML_EMPTY"]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n b: 2\n", 2),
        ("a: @x\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("? [a]\n: 1\n", 1),
        ("a: 1\n'': 2\n", 2),
        ("%YAML 3.0\n---\na: 1\n", 1),
        ("a: 'open\n", 2),
    ],
)
def test_a_syntax_error_names_its_line(source: str, line: int) -> None:
    assert codes_and_lines(source) == [("YAML_SYNTAX", line)]


def test_keys_and_values_know_their_places() -> None:
    document = read_document("top:\n  list: [1, {x: 2}]\n", "f.yaml")
    assert document.at(("top", "list")) == (2, 3)
    assert document.at(("top", "list"), value=True) == (2, 9)
    assert document.at(("top", "list", 1, "x"), value=True) == (2, 17)
    assert document.at(("top", "missing", "deeper")) == (1, 1)
    assert document.at(()) == (1, 1)


def test_a_problem_carries_place_and_json_path() -> None:
    document = read_document("a:\n  'b c': [x]\n", "f.yaml")
    problem = document.problem("CODE", "it is wrong.", ("a", "b c", 0))
    assert str(problem) == "f.yaml:2:11: CODE: it is wrong."
    assert problem.path == '$.a["b c"][0]'


@given(st.lists(st.text(max_size=20) | st.integers(0, 1000)))
def test_a_json_path_leads_back_to_its_parts(parts: list[str | int]) -> None:
    assert path_parts(json_path(parts)) == tuple(parts)


def test_a_folder_and_a_missing_file_have_their_own_codes(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "NOT_A_FILE"), (tmp_path / "no.yaml", "FILE_NOT_FOUND")):
        with pytest.raises(InvalidManifest) as caught:
            read_file(path, error=InvalidManifest)
        assert [(problem.code, problem.file) for problem in caught.value.problems] == [(code, str(path))]


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("a: [ä]\n", encoding="utf-8")
    document = read_file(path)
    assert (document.value, document.file) == ({"a": ["ä"]}, str(path))


_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(_json.filter(lambda value: value is not None))
def test_plain_data_survives_a_round_trip_through_yaml(value: object) -> None:
    text = yaml.safe_dump({"top": value}, allow_unicode=False)
    if "&id" not in text:  # equal empty containers are written once and referred to
        assert read_document(text).value == {"top": value}


@given(st.text() | st.binary())
def test_whatever_comes_in_gives_a_document_or_problems(source: str | bytes) -> None:
    codes = set()
    try:
        assert read_document(source, "f").value is not None
    except InvalidFile as error:
        codes = {problem.code.split("_")[0] for problem in error.problems} or {"an error without a problem"}
    assert codes <= {"YAML", "DUPLICATE"}
