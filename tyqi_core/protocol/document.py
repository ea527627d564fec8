"""Reading the YAML files that people write: projects and manifests.

A document is plain data: mappings with text keys, lists, and the scalars of YAML's 1.2 core schema, so that ``yes``,
``on``, ``12:30:45`` and ``1_000`` stay text. What YAML offers beyond that (anchors, aliases, merge keys, tags, several
documents in one file) is refused, because each of them lets a small file mean something large or something else.
Size and depth are bounded before anything is built, and each key and value knows its line and column.

Parsing is libyaml's; the tree is put together here, from its events, which is quick and sees what PyYAML's own
composer hides (docs/decisions/0012-yaml-composer.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tyqi_core.errors import InvalidFile, Problem
from tyqi_core.protocol.json_values import json_path
from tyqi_core.protocol.subset import SchemaProblem

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_PROBLEMS = 100
"""After so many problems reading stops; nobody repairs more in one go."""

Key = str | int
Place = tuple[int, int]
"""Line and column, counted from 1."""


class _Marks(NamedTuple):
    """Where a value begins, where its key stands, and the same of what it holds."""

    value: Place
    key: Place
    children: dict[Key, _Marks]


_NO_CHILDREN: dict[Key, _Marks] = {}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_NUMBER_STARTS = frozenset("0123456789+-.")
_LONGEST_INT = 40
"""Digits, signs and prefixes beyond which no 64-bit integer can be written without absurd leading zeros."""

# What YAML calls printable; NUL and other control characters are not.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PATH_PART = re.compile(r'\.([^.\[\]]+)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\]')


def path_parts(path: str) -> tuple[Key, ...]:
    """``$.tasks.T1[0]`` as ``("tasks", "T1", 0)``; the other way round it is ``json_values.json_path``.

    A part that was cut because it was too long ends the result.
    """
    parts: list[Key] = []
    for name, position, quoted in _PATH_PART.findall(path[1:]):
        parts.append(int(position) if position else name or json.loads(quoted))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document: its value, and where each part of it stands."""

    value: Any
    file: str
    marks: _Marks = field(repr=False)

    def at(self, path: Iterable[Key], *, value: bool = False) -> Place:
        """Line and column of the entry at ``path``, or of the deepest part of ``path`` that is there.

        Args:
            path: keys and list positions from the top.
            value: the place where the entry's value begins, instead of the place of its key. An element of a list
                has no key; both are then the same.
        """
        marks = self.marks
        for key in path:
            inner = marks.children.get(key)
            if inner is None:
                break
            marks = inner
        return marks.value if value else marks.key

    def problem(
        self,
        code: str,
        message: str,
        path: Iterable[Key] = (),
        *,
        value: bool = False,
        nearest: str | None = None,
        remedy: str | None = None,
    ) -> Problem:
        """A problem with the place of ``path`` filled in; arguments as of :class:`Problem` and :meth:`at`."""
        path = tuple(path)
        line, column = self.at(path, value=value)
        return Problem(code, message, self.file, line, column, json_path(path), nearest, remedy)

    def schema_problem(self, code: str, found: SchemaProblem, under: Iterable[Key] = ()) -> Problem:
        """What a schema found in the part of this document at ``under``, with its place filled in."""
        path = (*under, *path_parts(found.path))
        if found.message.startswith("unknown key"):  # told of the mapping; the eye looks for the key
            path = (*path, *path_parts(f"$[{found.found}]"))
        return self.problem(code, f"{found.message}.", path, nearest=found.nearest)


def read_file(path: Path | str, *, error: type[InvalidFile] = InvalidFile) -> Document:
    """Read the YAML file at ``path``.

    Raises:
        InvalidFile: (or the subclass given as ``error``) ``FILE_NOT_FOUND``, ``NOT_A_FILE``, ``FILE_UNREADABLE``, or
            what :func:`read_document` finds.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise error([Problem("FILE_NOT_FOUND", "there is no such file.", str(path))])
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no ordinary file"
            raise error([Problem("NOT_A_FILE", f"expected a YAML file, found {kind}.", str(path))])
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as cause:
        raise error([Problem("FILE_UNREADABLE", f"the file cannot be read: {cause}.", str(path))]) from cause
    return read_document(data, str(path), error=error)


def read_document(source: str | bytes, file: str = "", *, error: type[InvalidFile] = InvalidFile) -> Document:
    """Read one YAML document.

    Args:
        source: the text, or its UTF-8 bytes.
        file: the name that problems carry.
        error: the class that is raised.

    Raises:
        InvalidFile: with every problem that was found, codes ``YAML_SYNTAX``, ``YAML_TAG``, ``YAML_ALIAS``,
            ``YAML_TAB``, ``YAML_ENCODING``, ``YAML_NUMBER``, ``YAML_TOO_LARGE``, ``YAML_TOO_DEEP``, ``YAML_EMPTY``,
            ``DUPLICATE_KEY``.
    """
    composer = _Composer(file)
    try:
        value, marks = composer.document(composer.text(source))
    except _Stop:
        value, marks = None, None
    if composer.problems or marks is None:
        raise error(composer.problems)
    return Document(value, file, marks)


class _Stop(Exception):  # noqa: N818 - no error of its own: what was found stands in `problems`
    """Reading cannot go on."""


class _Composer:
    """Puts one document together from parser events and gathers its problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.path: list[Key] = []
        self.next: Any = None

    def report(self, code: str, message: str, place: Place = (0, 0), remedy: str | None = None) -> None:
        line, column = place
        self.problems.append(Problem(code, message, self.file, line, column, json_path(self.path), remedy=remedy))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Stop

    def stop(self, code: str, message: str, place: Place = (0, 0), remedy: str | None = None) -> NoReturn:
        self.report(code, message, place, remedy)
        raise _Stop

    # ---- text

    def text(self, source: str | bytes) -> str:
        """The source as text that holds nothing but characters that YAML allows."""
        if len(source) > MAX_BYTES or (isinstance(source, str) and len(source.encode("utf-8", "replace")) > MAX_BYTES):
            self.stop("YAML_TOO_LARGE", f"the file is larger than {MAX_BYTES:,} bytes.")
        text = self._decoded(source) if isinstance(source, bytes) else source
        if text.startswith("\ufeff"):
            self.stop(
                "YAML_ENCODING", "the file begins with a byte order mark.", (1, 1), "Save it as UTF-8 without BOM."
            )
        if found := _UNPRINTABLE.search(text):
            name = f"U+{ord(found.group()):04X}" + (" (NUL)" if found.group() == "\0" else "")
            place = _place_in(text, found.start())
            self.stop("YAML_ENCODING", f"the character {name} is not allowed in YAML.", place, "Remove it.")
        return text

    def _decoded(self, data: bytes) -> str:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:4].count(0) in (2, 3):
            self.stop("YAML_ENCODING", "the file is UTF-16 or UTF-32.", (1, 1), "Save it as UTF-8.")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as cause:
            place = _place_in(data[: cause.start].decode("utf-8"), cause.start)
            byte = data[cause.start]
            self.stop("YAML_ENCODING", f"the byte 0x{byte:02X} is not UTF-8.", place, "Save the file as UTF-8.")

    # ---- document

    def document(self, text: str) -> tuple[Any, _Marks]:
        import yaml  # noqa: PLC0415 - 15 ms that a command with a warm catalog does not pay

        parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            return self._document(parser)
        except yaml.MarkedYAMLError as cause:
            self._syntax_error(text, cause)
        except yaml.YAMLError as cause:  # a reader error has no mark; `text` lets none through that we know of
            self.stop("YAML_SYNTAX", f"{cause}".strip().replace("\n", " "))
        finally:
            parser.dispose()

    def _document(self, parser: Any) -> tuple[Any, _Marks]:
        import yaml  # noqa: PLC0415 - see above

        self.next = parser.get_event
        self.kinds = (yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent, yaml.AliasEvent)
        self.ends = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
        self.next()  # the start of the stream
        if isinstance(self.next(), yaml.StreamEndEvent):
            self.stop("YAML_EMPTY", "the file holds no document.")
        value, marks = self.value(self.next(), None, 0)
        self.next()  # the end of the document
        after = self.next()
        if not isinstance(after, yaml.StreamEndEvent):
            self.stop("YAML_SYNTAX", "a second document begins here; one file holds one document.", _place(after))
        if value is None and not self.problems:
            self.stop("YAML_EMPTY", "the file holds no document.")
        return value, marks

    def _syntax_error(self, text: str, cause: Any) -> NoReturn:
        mark = cause.problem_mark or cause.context_mark
        row, column = (mark.line, mark.column) if mark else (0, 0)
        place = (row + 1, column + 1)
        line = [*text.split("\n"), "", ""][row]
        if "\t" in line[: len(line) - len(line.lstrip())] or line[column : column + 1] == "\t":
            self.stop("YAML_TAB", "a tab stands where YAML wants blanks.", place, "Indent with blanks.")
        context = f" ({cause.context})" if cause.context else ""
        self.stop("YAML_SYNTAX", f"{cause.problem or cause.context}{context}.", place)

    # ---- values

    def value(self, event: Any, key: Place | None, depth: int) -> tuple[Any, _Marks]:
        """The value that begins with ``event``; ``key`` is the place of its key."""
        scalar, mapping, sequence, _ = self.kinds
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1)
        kind = type(event)
        if kind is scalar:
            if event.tag is not None or event.anchor is not None:
                self._refuse_decoration(event, place)
            text = event.value
            if not event.style:
                text = self._scalar(text, place)
            elif "\0" in text:
                self.report("YAML_ENCODING", "a text holds the character U+0000 (NUL).", place, "Remove it.")
            return text, _Marks(place, key or place, _NO_CHILDREN)
        if kind is mapping or kind is sequence:
            if event.tag is not None or event.anchor is not None:
                self._refuse_decoration(event, place)
            if depth >= MAX_DEPTH:
                self.stop("YAML_TOO_DEEP", f"values are nested more than {MAX_DEPTH} deep.", place)
            marks = _Marks(place, key or place, {})
            fill = self._mapping if kind is mapping else self._sequence
            return fill(marks.children, depth + 1), marks
        self._refuse_alias(f"the alias '*{event.anchor}'", place)
        return None, _Marks(place, key or place, _NO_CHILDREN)

    def _sequence(self, children: dict[Key, _Marks], depth: int) -> list[Any]:
        items: list[Any] = []
        self.path.append(0)
        while not isinstance(event := self.next(), self.ends):
            self.path[-1] = position = len(items)
            item, children[position] = self.value(event, None, depth)
            items.append(item)
        self.path.pop()
        return items

    def _mapping(self, children: dict[Key, _Marks], depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        self.path.append("")
        while not isinstance(event := self.next(), self.ends):
            place = _place(event)
            key = self._key(event, place, depth)
            self.path[-1] = key
            value, marks = self.value(self.next(), place, depth)
            if key in children:
                line = children[key].key[0]
                self.report("DUPLICATE_KEY", f"the key '{key}' stands here again; first in line {line}.", place)
            else:
                entries[key], children[key] = value, marks
        self.path.pop()
        return entries

    def _key(self, event: Any, place: Place, depth: int) -> str:
        """A key as the text that was written, so that ``1:`` and ``true:`` are names as well."""
        if not isinstance(event, self.kinds[0]):
            self.report("YAML_SYNTAX", "a key must be a simple text.", place)
            self.value(event, None, depth)
            return f"(line {place[0]}, column {place[1]})"
        key = str(event.value)
        if event.tag is not None or event.anchor is not None:
            self._refuse_decoration(event, place)
        if key == "<<" and not event.style:
            self._refuse_alias("the merge key '<<'", place)
        elif not key:
            self.report("YAML_SYNTAX", "a key is empty.", place)
        elif "\0" in key:
            self.report("YAML_ENCODING", "a key holds the character U+0000 (NUL).", place, "Remove it.")
        return key

    def _refuse_decoration(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            remedy = "Remove the tag; text that looks like a number is written in quotes."
            self.report("YAML_TAG", f"the tag '{event.tag}' is not allowed.", place, remedy)
        if event.anchor is not None:
            self._refuse_alias(f"the anchor '&{event.anchor}'", place)

    def _refuse_alias(self, what: str, place: Place) -> None:
        self.report("YAML_ALIAS", f"{what} is not allowed.", place, "Write the value out where it is used.")

    def _scalar(self, text: str, place: Place) -> Any:
        """A plain scalar by YAML 1.2's core schema (chapter 10.3.2 of its specification)."""
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in _NUMBER_STARTS:
            return text
        if _INT.fullmatch(text):
            return self._int(text, place)
        if not _FLOAT.fullmatch(text):
            return text
        number = float(text)
        if number in (float("inf"), float("-inf")):
            self.report("YAML_NUMBER", f"the number {text[:40]} is too large.", place)
        return number

    def _int(self, text: str, place: Place) -> int:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        number = int(text, base) if len(text) <= _LONGEST_INT else 2**64
        if not -(2**63) <= number < 2**63:
            self.report("YAML_NUMBER", f"the integer {text[:40]} does not fit into 64 bits.", place)
        return number


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _place_in(text: str, offset: int) -> Place:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
