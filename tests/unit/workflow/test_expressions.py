"""The language of ``when``: what it decides, what it refuses, and that it always comes to an end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.errors import ConditionError, InvalidProject
from tyqi_core.workflow.expressions import compile_expression

DATA: dict[str, Any] = {
    "T1.score": 0.9,
    "T1.count": 7,
    "T1.name": "crack",
    "T1.flag": True,
    "T1.nothing": None,
    "T1.nan": float("nan"),
    "T1.measurements": {"width": {"value": 0.4, "unit": "mm"}, "odd key": {"value": 1, "unit": ""}},
    "T1.detections": [{"label": "spall", "score": 0.5}, {"label": "crack", "score": 0.7}],
    "T1.branch.area": 12,
    "T4.each.scores": [0.1, None, 0.3],
    "a-b.x": 2,
    "$item.tile": {"row": 3},
    "$error": {"code": "TIMEOUT", "message": "too slow", "task": "T1"},
    "$input.config": {"limit": 0.5},
}


def decide(text: str) -> bool:
    return compile_expression(text).evaluate(DATA.get)


@pytest.mark.parametrize(
    "text",
    [
        "T1.score > 0.8",
        "T1.score >= 0.9 && T1.count < 8",
        "T1.score > 1 || T1.name == 'crack'",
        "not T1.score > 1",
        "!(T1.score > 1)",
        'T1.flag and not (T1.count == 8 or T1.name != "crack")',
        "T1.measurements.width.value * 2 == 0.8",
        'T1.measurements["odd key"].value == 1',
        "T1.detections[1].label in ['crack', 'seam']",
        "size(T1.detections) == 2 && size(T1.name) == 5 && size(T1.measurements) == 2",
        "'width' in T1.measurements",
        "0.3 in T4.each.scores && null in T4.each.scores",
        "has(T1.measurements.width) && !has(T1.measurements.depth.value) && !has(T1.nothing)",
        "has(T9.unknown) == false",
        "T1.branch.area - 2 == 10",
        "a-b.x - T1.count == -5",
        "$item.tile.row == 3 && $error.code == 'TIMEOUT' && $input.config.limit < 1",
        "1 / 2 == 0.5 && 7 % 3 == 1 && -7 % 3 == -1 && 7.5 % 2 == 1.5",
        "1 + 2 * 3 - 4 / 2 == 5",
        "3 == 3.0",
        "T1.nothing == null && T1.score != null",
        "'a\\u00e4\\n\\'' == \"aä\\n'\"",
        "T1.score > 1 && T1.nothing > 1 || true",
        "[] != null",
    ],
)
def test_what_is_true(text: str) -> None:
    assert decide(text) is True


@pytest.mark.parametrize("text", ["T1.score < 0.8", "!T1.flag", "T1.name in []", "'depth' in T1.measurements", "false"])
def test_what_is_false(text: str) -> None:
    assert decide(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "T1.score > T1.name",
        "T1.flag > false",
        "T1.count == T1.name",
        "T1.nothing > 1",
        "T1.detections == T1.detections",
        "T1.count / 0 > 1",
        "T1.count % 0 > 1",
        "T1.score % 0.0 > 1",
        "T1.nan > 1",
        "T1.measurements.depth.value > 1",
        "T1.detections[2].score > 1",
        "T1.score.value > 1",
        "T1.name[0] == 'c'",
        "T1.score",
        "T1.count && true",
        "-T1.name > 1",
        "T1.name + 1 > 0",
        "9223372036854775807 + T1.count > 0",
        "1e308 * 1e10 > T1.score",
        "size(T1.count) > 1",
        "T1.detections in T4.each.scores",
        "1 in T1.measurements",
        "1 in T1.score",
    ],
)
def test_what_cannot_be_decided_is_a_condition_error_each_time_anew(text: str) -> None:
    expression = compile_expression(text)
    messages = []
    for _ in range(2):
        with pytest.raises(ConditionError) as raised:
            expression.evaluate(DATA.get)
        assert raised.value.code == "CONDITION_ERROR"
        messages.append(raised.value.message)
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')",
        "().__class__.__bases__",
        '"{0.__class__}".format(x)',
        "T1.__class__ == 1",
        "lambda: true",
        "[x for x in T1.detections]",
        "9**9**9 > 1",
        "'a'*10**9 == ''",
        "raise SystemExit",
        "open('x')",
        "T1.detections.map(d, d.score)",
        "T1.score = 1",
        "T1.score; true",
        "T1.score ? true : false",
        "{} == {}",
        "T1.name =~ '^(a+)+$'",
        "$env.HOME == ''",
        "$inputs.x == 1",
        "score > 1",
        "T1 > 1",
        "T1.branch > 1",
        "T1.detections[T1.count].score > 1",
        "has($param.limit)",
        "12345678901234567890 > 1",
        "1e999 > 1",
        "`id` == 1",
    ],
)
def test_what_the_language_does_not_have_is_refused_when_compiled(text: str) -> None:
    assert refusal(text) == "EXPR_NOT_ALLOWED"


MALFORMED = """
T1.score >
> 1
(T1.score > 1
T1.score > 1)
1 < 2 < 3
T1.score T1.count
'open
[1, 2
has(
has(1)
size()
1 2
T1.detections[0
T1.detections[0].
true &&
'\\q' == ''
'\\ud800' == ''
""".splitlines()


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_expressions_are_told_with_their_column(text: str) -> None:
    assert refusal(text) == "EXPR_SYNTAX"


@pytest.mark.parametrize(
    "text", ["1", "1 + 1", "'a'", "[true]", "true && 1", "1 > 'a'", "true < false", "not 3", "-'a' > 1", "1 in 2"]
)
def test_what_can_never_be_decided_is_refused_when_compiled(text: str) -> None:
    assert refusal(text) == "EXPR_TYPE"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "(" * 2_000 + "true" + ")" * 2_000,
        "(" * 10_000 + "true" + ")" * 10_000,
        "!" * 4_000 + "true",
        "not " * 1_000 + "true",
        "[" * 2_000 + "]" * 2_000 + " == 1",
        "-" * 4_000 + "1 > 0",
        "1+" * 2_000 + "1 > 0",
        "true && " * 500 + "true",
        "has(" * 1_000,
        "x" * 100_000,
        "'" + "\\\\" * 2_000,
        "T1.a" + ".b" * 2_000 + " > 1" + " ||" * 5,
        "[" + "1," * 2_000 + "1] == 1",
    ],
)
def test_large_and_deep_expressions_are_refused_at_once(text: str) -> None:
    assert refusal(text) in {"EXPR_NOT_ALLOWED", "EXPR_SYNTAX", "EXPR_TYPE"}


def refusal(text: str) -> str:
    with pytest.raises(InvalidProject) as raised:
        compile_expression(text)
    (problem,) = raised.value.problems
    assert 1 <= problem.column <= len(text) + 1
    return problem.code


def test_an_expression_tells_what_it_reads_and_what_it_asks_for_first() -> None:
    expression = compile_expression("has(T5.branch.finding) && T5.branch.finding.score > T1.score + $param.margin.high")
    assert expression.references == ("T5.branch.finding", "T1.score")
    assert expression.guarded == {"T5.branch.finding"}
    assert [use.name for use in expression.params] == ["margin"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "T1.score > 0.5"),
        (-0.5, "T1.score > (-0.5)"),
        (3, "T1.score > 3"),
    ],
)
def test_project_parameters_become_constants_of_the_text(value: Any, text: str) -> None:
    assert compile_expression("T1.score > $param.limit").with_params({"limit": value}) == text


def test_fields_of_parameters_and_lists_become_constants_too() -> None:
    text = "T1.name in $param.names && T1.count > $param.limits.low[1]"
    written = compile_expression(text).with_params({"names": ["crack", 'a"\n'], "limits": {"low": [1, -2]}})
    assert compile_expression(written).evaluate(DATA.get) is True


@pytest.mark.parametrize("value", [{"a": 1}, [[1]], [{"a": 1}]])
def test_a_parameter_that_is_no_constant_of_the_language_is_refused(value: Any) -> None:
    with pytest.raises(ConditionError, match=r"\$param\.x"):
        compile_expression("T1.name == $param.x").with_params({"x": value})


NUMBERS = st.integers(-1000, 1000) | st.floats(-1000, 1000, allow_nan=False)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_arithmetic_and_precedence_agree_with_python(a: float, b: float, c: float) -> None:
    values = {"A.x": a, "B.x": b, "C.x": c}
    for text, expected in (
        ("A.x + B.x * C.x <= A.x - B.x", a + b * c <= a - b),
        ("A.x < B.x and B.x < C.x or not A.x == C.x", a < b < c or a != c),
        ("-A.x - -B.x > C.x", -a - -b > c),
    ):
        assert compile_expression(text).evaluate(values.get) is expected


PIECES = [
    "T1.score",
    "T1.name",
    "T1.detections",
    "1",
    "'a'",
    "true",
    "null",
    "(",
    ")",
    "[",
    "]",
    ",",
    "&&",
    "||",
    "!",
    "not",
    "-",
    "+",
    "/",
    "%",
    ">",
    "==",
    "in",
    "has(",
    "size(",
    ".",
    "[0]",
    "$item.tile",
    "$param.x",
    "**",
    "x",
    "__a__",
    "\\",
    '"',
    "é",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join) | st.text(max_size=60))
def test_any_text_is_either_decided_or_refused_with_a_code(text: str) -> None:
    assert outcome(text) in {True, False, "EXPR_SYNTAX", "EXPR_NOT_ALLOWED", "EXPR_TYPE", "CONDITION_ERROR"}


def outcome(text: str) -> bool | str:
    try:
        return compile_expression(text).evaluate(DATA.get)
    except InvalidProject as error:
        (problem,) = error.problems
        return problem.code
    except ConditionError as error:
        return error.code
