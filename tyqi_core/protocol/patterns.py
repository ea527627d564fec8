r"""Regular expressions on which Python, Rust and ECMA 262 agree, and which no engine needs long for.

Grammar::

    pattern   ^ sequence $
    sequence  { atom [ ? | * | + | {n} | {n,} | {n,m} ] }
    atom      printable ASCII character | \ punctuation | [ ranges ] | [^ ranges ] | ( choice ) | (?: choice )
    choice    sequence { | sequence }

Left out, because engines differ: ``.``, ``\d \w \s`` (ASCII or Unicode), flags, lookaround, back references, anchors
within, set operations in classes. Left out, because backtracking engines may need exponential time: a repeat
within a repeated group, unless the group begins with a character that can stand nowhere else in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_PATTERN_LENGTH = 256
MAX_UNBOUNDED = 8
MAX_EXPANDED = 2000
"""Atoms after counted repeats are written out."""

_SPECIAL = frozenset("\\^$.|?*+()[]{}")
_ESCAPABLE = _SPECIAL | {"/"}
_CLASS_ESCAPABLE = _ESCAPABLE | {"-"}
_CLASS_RAW_REFUSED = frozenset("[]\\^-")
_ALL = (1 << 129) - 1
"""A set of characters as bits: 0 to 127 for ASCII, bit 128 for everything else."""


class _RefusedError(ValueError):
    """The pattern leaves the grammar; its text says where and why."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a piece of a pattern is made of."""

    chars: int
    size: int
    repeats: bool = False
    unbounded: int = 0
    opener: int = 0
    """Characters of a leading unrepeated atom; 0 if there is none."""
    rest: int = 0
    """Characters of everything after that atom."""


def pattern_fault(pattern: str) -> str | None:
    """Why ``pattern`` is outside the grammar; ``None`` if it is inside."""
    if (fault := _surface_fault(pattern)) is not None:
        return fault
    try:
        part = _Parser(pattern).whole()
    except _RefusedError as error:
        return str(error)
    if part.unbounded > MAX_UNBOUNDED:
        return f"the pattern holds {part.unbounded} unbounded repeats; at most {MAX_UNBOUNDED} are allowed"
    if part.size > MAX_EXPANDED:
        return f"the pattern's counted repeats amount to {part.size} characters; at most {MAX_EXPANDED} are allowed"
    return None


def _surface_fault(pattern: str) -> str | None:
    if len(pattern) > MAX_PATTERN_LENGTH:
        return f"the pattern has {len(pattern)} characters; at most {MAX_PATTERN_LENGTH} are allowed"
    if not all(" " <= char <= "~" for char in pattern):
        return "the pattern holds characters that are not printable ASCII"
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return "the pattern is not anchored at both ends; write ^...$"
    return None


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 1
        self.end = len(pattern) - 1

    def whole(self) -> _Part:
        part = self.sequence()
        if self.at < self.end:
            raise self.refused("'|' and ')' belong to a group" if self.peek() in "|)" else "misplaced character")
        return part

    def refused(self, why: str) -> _RefusedError:
        return _RefusedError(f"{why} (at character {self.at + 1} of the pattern)")

    def peek(self) -> str:
        return self.text[self.at] if self.at < self.end else ""

    def take(self) -> str:
        char = self.peek()
        if not char:
            raise self.refused("the pattern ends too early")
        self.at += 1
        return char

    def choice(self) -> _Part:
        options = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            options.append(self.sequence())
        if len(options) == 1:
            return options[0]
        # Alternatives count as a repeat: both let an engine try again.
        return _Part(
            _union(option.chars for option in options),
            sum(option.size for option in options),
            repeats=True,
            unbounded=sum(option.unbounded for option in options),
        )

    def sequence(self) -> _Part:
        parts: list[_Part] = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.quantified())
        first = parts[0] if parts else None
        return _Part(
            _union(part.chars for part in parts),
            sum(part.size for part in parts),
            repeats=any(part.repeats for part in parts),
            unbounded=sum(part.unbounded for part in parts),
            opener=first.chars if first and first.size == 1 and not first.repeats else 0,
            rest=_union(part.chars for part in parts[1:]),
        )

    def quantified(self) -> _Part:
        atom = self.atom()
        low, high = self.quantifier()
        if (low, high) == (1, 1):
            return atom
        if atom.repeats and (not atom.opener or atom.opener & atom.rest):
            raise self.refused(
                "a repeated group holds a repeat or a choice; begin it with a character that stands nowhere else in it"
            )
        times = max(low, 1) if high is None else max(high, 1)
        return _Part(
            atom.chars, atom.size * times, atom.repeats or low != high, unbounded=atom.unbounded + (high is None)
        )

    def quantifier(self) -> tuple[int, int | None]:
        char = self.peek()
        if char not in {"?", "*", "+", "{"}:
            return 1, 1
        self.at += 1
        bounds = self.braces() if char == "{" else {"?": (0, 1), "*": (0, None), "+": (1, None)}[char]
        if self.peek() in {"?", "*", "+", "{"}:
            raise self.refused("a repeat is followed by another one")
        return bounds

    def braces(self) -> tuple[int, int | None]:
        close = self.text.find("}", self.at, self.end)
        low, comma, high = self.text[self.at : max(close, self.at)].partition(",")
        if close < 0 or not low.isdigit() or (high and not high.isdigit()) or len(low + high) > 8:  # noqa: PLR2004
            raise self.refused("a repeat is written {n}, {n,} or {n,m}")
        self.at = close + 1
        top = int(high) if high else None if comma else int(low)
        if top is not None and top < max(int(low), 1):
            raise self.refused("a repeat {n,m} needs n <= m and m >= 1")
        return int(low), top

    def atom(self) -> _Part:
        char = self.take()
        if char == "(":
            return self.group()
        if char == "[":
            return self.char_class()
        if char == "\\":
            char = self.take()
            if char not in _ESCAPABLE:
                raise self.refused(
                    f"\\{char} is read differently by different engines; write out a class such as [0-9]"
                )
        elif char == ".":
            raise self.refused("'.' is read differently by different engines; write a class such as [ -~]")
        elif char in _SPECIAL:
            raise self.refused(f"'{char}' stands where a character is expected; write \\{char}")
        return _Part(1 << ord(char), 1)

    def group(self) -> _Part:
        if self.peek() == "?":
            self.at += 1
            if self.take() != ":":
                raise self.refused("lookaround, named groups and flags are not allowed; only ( ) and (?: ) are")
        part = self.choice()
        if self.peek() != ")":
            raise self.refused("')' is missing")
        self.at += 1
        return part

    def char_class(self) -> _Part:
        negated = self.peek() == "^"
        self.at += negated
        chars = 0
        while self.peek() != "]":
            low = self.class_char()
            high = low
            if self.peek() == "-" and self.text[self.at + 1] != "]":
                self.at += 1
                high = self.class_char()
            if high < low:
                raise self.refused(f"the range {low}-{high} is empty")
            chars |= (1 << (ord(high) + 1)) - (1 << ord(low))
        self.at += 1
        if not chars:
            raise self.refused("a class is empty")
        return _Part(_ALL & ~chars if negated else chars, 1)

    def class_char(self) -> str:
        char = self.take()
        if char == "\\":
            char = self.take()
            if char not in _CLASS_ESCAPABLE:
                raise self.refused(
                    f"\\{char} in a class is read differently by different engines; write its characters"
                )
        elif char in _CLASS_RAW_REFUSED and not (char == "-" and self.peek() == "]"):
            raise self.refused(f"'{char}' in a class needs a backslash")
        elif char in "&~|" and self.peek() == char:
            raise self.refused(f"'{char}{char}' in a class is a set operation for some engines")
        return char


def _union(sets: Iterable[int]) -> int:
    result = 0
    for chars in sets:
        result |= chars
    return result
