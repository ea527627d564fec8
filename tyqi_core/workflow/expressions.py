"""The language of ``when``: a small, closed subset of CEL, parsed here and evaluated without Python's ``eval``.

::

    T1.score > 0.8 && T2.measurements.max_width.unit == "mm"
    has(T5.branch.finding) and size(T3.detections) >= $param.at_least

There are numbers, texts, ``true``, ``false``, ``null``, lists, references with fields and constant indices,
comparisons, ``in``, ``&& || !`` (also ``and or not``), ``+ - * / %``, parentheses, ``has(...)`` and ``size(...)``;
nothing else, so there is nothing to escape from. Length, depth and the number of operations are bounded, and so is the
time of an evaluation. What an expression cannot decide raises :class:`ConditionError`: it never guesses, and a replay
decides the same. The reference for people stands in ``docs/projects.md``; why an own parser, in
``docs/decisions/0020-own-expressions.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from tyqi_core.errors import ConditionError, InvalidProject, Problem
from tyqi_core.protocol.json_values import INT_MAX, canonical_json
from tyqi_core.workflow.evaluation import (
    Arithmetic,
    Compare,
    Has,
    ListOf,
    Literal,
    Logic,
    Negative,
    Node,
    Not,
    Path,
    Size,
    Steps,
    walk,
)
from tyqi_core.workflow.references import RESERVED, reference_length

MAX_LENGTH = 4096
MAX_DEPTH = 64
MAX_OPERATIONS = 200

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<reference>(?:\$[A-Za-z]+|[A-Za-z][A-Za-z0-9_-]*(?=\.))(?:\.[A-Za-z][A-Za-z0-9_]*)*)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<foreign>\*\*|//|===|<<|>>|=>|->)
    |(?P<sign>\|\||&&|==|!=|<=|>=|[-<>!+*/%()\[\],.])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SYNONYMS = {"and": "&&", "or": "||"}
_STRENGTH = {
    "||": 1, "&&": 2, "in": 4, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
}  # fmt: skip
_NOT, _COMPARISON, _UNARY = 3, 4, 7
_WORDS = {"true": True, "false": False, "null": None}


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class ParamUse(NamedTuple):
    """A ``$param.NAME`` in the text: where it stands, and the steps into its value."""

    name: str
    steps: Steps
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    Attributes:
        text: as it was written.
        references: what it reads, without fields (``T1.score``, ``$item.tile``), each once, in order; no ``$param``.
        guarded: those references that it asks ``has(...)`` about, so that it copes with their absence.
        paths: each use of a reference with the steps into its value.
        compared: those paths that are compared or calculated with.
        params: each use of a project parameter.
    """

    text: str
    root: Node = field(repr=False)
    references: tuple[str, ...] = ()
    guarded: frozenset[str] = frozenset()
    paths: tuple[Path, ...] = ()
    compared: frozenset[Path] = frozenset()
    params: tuple[ParamUse, ...] = ()

    def evaluate(self, lookup: Callable[[str], Any]) -> bool:
        """Decide it.

        Args:
            lookup: reference -> its value, ``None`` where it is absent.

        Raises:
            ConditionError: a key is missing, kinds do not go together, a division by zero, no finite number, ...
        """
        value = self.root.value(lookup)
        if isinstance(value, bool):
            return value
        raise ConditionError(f"'{self.text}' is neither true nor false.")

    def with_params(self, values: Mapping[str, Any]) -> str:
        """The text with each project parameter written out as a constant.

        Raises:
            KeyError: ``values`` lacks a parameter.
            ConditionError: a step into a parameter's value leads nowhere, or the value is no constant of the language.
        """
        text = self.text
        for use in reversed(self.params):
            path = Path(f"$param.{use.name}", use.steps)
            constant = _constant(path.value(lambda reference: values[reference.removeprefix("$param.")]), path)
            text = text[: use.start] + constant + text[use.end :]
        return text


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Expression:
    """Parse an expression.

    Raises:
        InvalidProject: one problem, ``EXPR_SYNTAX``, ``EXPR_NOT_ALLOWED`` or ``EXPR_TYPE``; its column counts from the
            beginning of ``text``.
    """
    if len(text) > MAX_LENGTH:
        _refuse(
            "EXPR_NOT_ALLOWED", f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed.", 0
        )
    parser = _Parser(text)
    root = parser.whole()
    paths = tuple(node for node in walk(root) if isinstance(node, Path) and not node.reference.startswith("$param."))
    return Expression(
        text=text,
        root=root,
        references=tuple(dict.fromkeys(path.reference for path in paths)),
        guarded=frozenset(node.path.reference for node in walk(root) if isinstance(node, Has)),
        paths=paths,
        compared=frozenset(_compared(root)),
        params=tuple(parser.params),
    )


def _compared(root: Node) -> Iterator[Path]:
    for node in walk(root):
        if isinstance(node, Arithmetic) or (isinstance(node, Compare) and node.sign != "in"):
            sides = (node.left, node.right)
            if not any(isinstance(side, Literal) and side.constant is None for side in sides):
                yield from (side for side in sides if isinstance(side, Path))


def _refuse(code: str, message: str, offset: int, nearest: str | None = None) -> NoReturn:
    raise InvalidProject([Problem(code, message, line=1, column=offset + 1, nearest=nearest)])


def _constant(value: Any, path: Path) -> str:
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return "[" + ", ".join(_constant(item, path) for item in value) + "]"
    if isinstance(value, list | dict):
        raise ConditionError(f"'{path}' is no single value and no list of single values; name one of its fields.")
    text = canonical_json(value)
    return f"({text})" if text.startswith("-") else text


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of ``text``; what the language has no word for is refused here, before anything is parsed."""
    offset = 0
    before = ("", "")
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            _refuse_character(text, offset)
        token = _Token(str(match.lastgroup), match.group(), offset, match.end())
        offset = match.end()
        if token.kind == "space":
            continue
        if token.kind == "foreign":
            _refuse("EXPR_NOT_ALLOWED", f"there is no operator '{token.text}'.", token.start)
        if token.kind == "word" and token.text not in RESERVED and before != ("]", "."):
            _refuse_word(text, token)
        yield token
        before = (before[1], token.text)
    yield _Token("end", "", len(text), len(text))


def _refuse_character(text: str, offset: int) -> NoReturn:
    character = text[offset]
    if character in "\"'":
        _refuse("EXPR_SYNTAX", "a text has no closing quote.", offset)
    hint = {"=": " Two values are compared with '=='.", "&": " Write '&&'.", "|": " Write '||'."}.get(character, "")
    _refuse("EXPR_NOT_ALLOWED", f"the character {character!r} means nothing here.{hint}", offset)


def _refuse_word(text: str, token: _Token) -> NoReturn:
    if text[token.end :].lstrip().startswith("("):
        _refuse(
            "EXPR_NOT_ALLOWED",
            f"there is no function '{token.text[:60]}'; there are has(...) and size(...).",
            token.start,
        )
    message = f"'{token.text[:60]}' is no value: write TASK.PORT, or a text in quotes."
    _refuse("EXPR_NOT_ALLOWED", message, token.start)


class _Parser:
    """Precedence climbing: three Python frames per nesting, so that the depth limit is far from the stack's."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.position = 0
        self.depth = 0
        self.operations = 0
        self.params: list[ParamUse] = []

    @property
    def next(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def accept(self, sign: str) -> bool:
        if self.next.text == sign and self.next.kind != "text":
            self.position += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            self.unexpected(f"'{sign}'")

    def unexpected(self, wanted: str) -> NoReturn:
        found = f"'{self.next.text[:60]}'" if self.next.text else "the end"
        _refuse("EXPR_SYNTAX", f"expected {wanted}, found {found}.", self.next.start)

    def whole(self) -> Node:
        root = self.expression(0)
        if self.next.kind != "end":
            self.unexpected("an operator or the end")
        self.want(root, "boolean", 0, "a condition is true or false")
        return root

    def expression(self, strength: int) -> Node:
        self.deeper()
        left = self.unary()
        while (found := self.operator()) is not None and _STRENGTH[found] > strength:
            token = self.take()
            self.count(token)
            right = self.expression(_STRENGTH[found])
            left = self.binary(found, left, right, token.start)
            if _STRENGTH[found] == _COMPARISON and _STRENGTH.get(self.operator() or "") == _COMPARISON:
                _refuse("EXPR_SYNTAX", "comparisons are not chained; join two with '&&'.", self.next.start)
        self.depth -= 1
        return left

    def operator(self) -> str | None:
        token = self.next
        if token.kind not in ("sign", "word"):
            return None
        sign = _SYNONYMS.get(token.text, token.text)
        return sign if sign in _STRENGTH else None

    def unary(self) -> Node:
        token = self.next
        if token.kind in ("sign", "word") and token.text in ("!", "not", "-"):
            self.count(self.take())
            operand = self.expression(_NOT if token.text == "not" else _UNARY)
            kind = "number" if token.text == "-" else "boolean"
            self.want(
                operand,
                kind,
                token.start,
                f"'{token.text}' takes {'a number' if kind == 'number' else 'true or false'}",
            )
            return Negative(operand) if kind == "number" else Not(operand)
        return self.primary()

    def primary(self) -> Node:
        token = self.next
        if token.kind == "reference":
            return self.path()
        if token.kind in ("number", "text") or (token.kind == "word" and token.text in _WORDS):
            return Literal(self.constant())
        if token.kind == "word" and token.text in ("has", "size"):
            return self.call(self.take().text)
        if self.accept("("):
            inner = self.expression(0)
            self.expect(")")
            return inner
        if self.accept("["):
            return ListOf(tuple(self.items()))
        return self.unexpected("a value")

    def constant(self) -> Any:
        token = self.take()
        if token.kind == "number":
            return _number(token)
        return _text(token) if token.kind == "text" else _WORDS[token.text]

    def items(self) -> Iterator[Node]:
        while not self.accept("]"):
            yield self.expression(0)
            self.count(self.next)
            if self.next.text != "]":
                self.expect(",")

    def call(self, name: str) -> Node:
        self.expect("(")
        if name == "size":
            operand = self.expression(0)
            node: Node = Size(operand)
            if operand.kind in ("boolean", "number", "null"):
                _refuse("EXPR_TYPE", "size(...) takes a list, an object or a text.", self.next.start)
        else:
            if self.next.kind != "reference":
                self.unexpected("a reference")
            path = self.path()
            if path.reference.startswith("$param."):
                _refuse(
                    "EXPR_NOT_ALLOWED",
                    "a project parameter always has a value; has(...) asks about data.",
                    self.next.start,
                )
            node = Has(path)
        self.expect(")")
        return node

    def path(self) -> Path:
        """A reference and the constant steps into its value: ``T1.detections[0].score``."""
        token = self.take()
        parts = token.text.split(".")
        length, fault = reference_length(parts)
        if fault:
            _refuse("EXPR_NOT_ALLOWED", fault, token.start)
        steps: list[str | int] = [*parts[length:]]
        while True:
            if self.accept("["):
                steps.append(self.index())
                self.expect("]")
            elif steps and self.accept("."):
                if self.next.kind not in ("word", "reference"):
                    self.unexpected("a field's name")
                steps += self.take().text.split(".")
            else:
                break
        path = Path(".".join(parts[:length]), tuple(steps))
        if parts[0] == "$param":
            self.params.append(ParamUse(parts[1], path.steps, token.start, self.tokens[self.position - 1].end))
        return path

    def index(self) -> str | int:
        token = self.take()
        if token.kind == "text":
            return _text(token)
        if token.kind == "number" and token.text.isdigit():
            return int(_number(token))
        _refuse("EXPR_NOT_ALLOWED", "an index is a whole number or a text in quotes.", token.start)

    def binary(self, sign: str, left: Node, right: Node, offset: int) -> Node:
        if sign in ("&&", "||"):
            for operand in (left, right):
                self.want(operand, "boolean", offset, f"'{sign}' joins what is true or false")
            return Logic(sign, left, right)
        if sign in ("+", "-", "*", "/", "%"):
            for operand in (left, right):
                self.want(operand, "number", offset, f"'{sign}' takes numbers")
            return Arithmetic(sign, left, right)
        comparison = Compare(sign, left, right)
        if fault := comparison.fault():
            _refuse("EXPR_TYPE", fault, offset)
        return comparison

    def want(self, node: Node, kind: str, offset: int, sentence: str) -> None:
        if node.kind not in (None, kind):
            _refuse("EXPR_TYPE", f"{sentence}; here it is {node.kind}.", offset)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            _refuse("EXPR_NOT_ALLOWED", f"the expression is nested more than {MAX_DEPTH} deep.", self.next.start)

    def count(self, token: _Token) -> None:
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            _refuse("EXPR_NOT_ALLOWED", f"the expression has more than {MAX_OPERATIONS} operations.", token.start)


def _number(token: _Token) -> float:
    if token.text.isdigit():
        if len(token.text) > 19 or int(token.text) > INT_MAX:  # noqa: PLR2004 - digits of 2**63
            _refuse("EXPR_NOT_ALLOWED", "the number does not fit into 64 bits.", token.start)
        return int(token.text)
    number = float(token.text)
    if number == float("inf"):
        _refuse("EXPR_NOT_ALLOWED", "the number is too large.", token.start)
    return number


def _text(token: _Token) -> str:
    def replaced(match: re.Match[str]) -> str:
        code, letter = match.groups()
        character = chr(int(code, 16)) if code else _ESCAPES.get(letter)
        if character is None or "\ud800" <= character <= "\udfff":
            _refuse("EXPR_SYNTAX", f"there is no escape '{match.group()}'.", token.start + match.start() + 1)
        return character

    return _ESCAPE.sub(replaced, token.text[1:-1])
