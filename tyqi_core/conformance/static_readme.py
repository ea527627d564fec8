"""D01 and D02: what people read before they use a node."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tyqi_core.conformance.checks import Warned, check
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.subject import Declared, Examined

_FENCE: Final = re.compile(r"^ {0,3}(```+|~~~+)")
_HEADING: Final = re.compile(r"^(#{1,6})\s+(.*)$")
_USAGE: Final = re.compile(r"(?i)\b(?:usage|use|using|quick ?start|getting started|how to|examples?|trying)\b")
_ACTIVE: Final = re.compile(r"(?i)<\s*(?:script|iframe|object|embed|form)\b|\bjavascript:|<[^>]+\son[a-z]+\s*=")
_UNIT_WORDS: Final = """px2? pixels? mm2? cm metres? nm um ms seconds? milliseconds? minutes? hours? k?hz fps frames?
    degrees? radians? grey.levels? levels? [kmg]ib [kmg]b bytes? bits? percent celsius kelvin lux db kg newtons? bar
    number.of count times factor ratio share fraction probability odds score index seed rank version id exponent
    iterations? steps? epochs? items? images? pictures? tiles? points? cores? threads? standard.deviations? sigma"""
_UNITS: Final = re.compile(rf"\([^)]+\)|%|(?i:\b(?:{'|'.join(_UNIT_WORDS.split())})\b)")
"""A unit, or what is counted; a remark in brackets is taken for one."""
_NUMBERS: Final = frozenset(("number", "integer"))


@check(
    "D01",
    "static",
    "bronze",
    title="The README renders and shows a use; each node has an example that runs",
    reason="Nobody takes a node that they cannot try. An example of the manifest is a project of one task: the site"
    " shows it, 'tyqi nodes run' runs it, and the checks of the mode run are fed by it.",
    remedy='Write README.md (readme = "README.md" under [project]) with a section "Usage" that holds a command or a'
    " project to copy; add examples: [{inputs: {...}}] to each manifest and ship the files that they name.",
)
def uses_are_shown(wheel: Examined) -> Iterator[Finding | Warned]:
    """The long description, and the examples of the manifests."""
    yield from _readme(wheel)
    for one in wheel.declared:
        if one.document is not None:
            yield from _examples(wheel, one)


@check(
    "D02",
    "static",
    "silver",
    title="Every port and parameter is described, numbers with their unit",
    reason="A number without a unit is guessed at: pixels or millimetres, 0 to 1 or per cent.",
    remedy='Give it a description that says what it means, and for a number its unit: "Least width of a crack (px)".',
)
def all_is_described(wheel: Examined) -> Iterator[Finding]:
    """Ports, parameters and outcomes of every manifest."""
    for one in wheel.declared:
        for field in ("inputs", "outputs", "params"):
            for name, declaration in one.mapping(field).items():
                if (fault := _fault_of(field, declaration)) is not None:
                    yield one.finding(f"'{name}' ({field}) {fault}.", field, name)


def _readme(wheel: Examined) -> Iterator[Finding | Warned]:
    kind = str(wheel.metadata.get("Description-Content-Type") or "").partition(";")[0].strip()
    place = wheel.header("Description-Content-Type")
    text = wheel.text(place[0]).replace("\r\n", "\n").partition("\n\n")[2] if place[0] in wheel.files else ""
    if not text.strip():
        yield Finding("There is no README.", *place, remedy='Write one, and readme = "README.md" under [project].')
    elif kind != "text/markdown":
        message = f"The README is of type '{kind or 'unknown'}'; the registry renders text/markdown."
        yield Finding(message, *place, remedy='Write it as README.md, and readme = "README.md" under [project].')
    elif not _shows_usage(text):
        remedy = 'Add a heading "Usage" with a command or a project in a fenced block below it.'
        yield Finding("The README has no section on its use with a block to copy.", *place, remedy=remedy)
    if _ACTIVE.search(text):
        remedy = "Leave it out; the registry removes it when it renders the README."
        yield Warned(Finding("The README holds active HTML.", *place, remedy=remedy))


def _shows_usage(text: str) -> bool:
    """Whether a block of code stands below a heading about the use."""
    fence = ""
    sections: list[tuple[int, bool]] = []
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif mark:
            if any(usage for _, usage in sections):
                return True
            fence = mark[1]
        elif (heading := _HEADING.match(line)) is not None:
            level = len(heading[1])
            sections = [one for one in sections if one[0] < level] + [(level, bool(_USAGE.search(heading[2])))]
    return False


def _examples(wheel: Examined, one: Declared) -> Iterator[Finding]:
    examples = one.body.get("examples")
    if not examples or not isinstance(examples, list):
        remedy = "Add examples: [{inputs: {...}}] to its manifest."
        yield one.finding(f"'{one.node.origin.id}' has no example.", "examples", remedy=remedy)
        return
    ports = one.mapping("inputs")
    for index, example in enumerate(examples):
        inputs = example.get("inputs", {}) if isinstance(example, dict) else {}
        for name, value in inputs.items() if isinstance(inputs, dict) else ():
            for file in _files(ports.get(name, {}), value):
                if not _is_member(wheel, one.file, file):
                    message = f"The example's file '{file}' is not in the wheel, beside the manifest."
                    remedy = "Ship the file as package data."
                    yield one.finding(message, "examples", index, "inputs", name, remedy=remedy)


def _files(port: Mapping[str, Any], value: Any) -> Iterator[str]:
    """The files that an example's value names; the text of a json port is a value of its own."""
    if isinstance(value, list) and port.get("list"):
        for element in value:
            yield from _files({**port, "list": False}, element)
    elif isinstance(value, str) and port.get("type") != "json":
        yield value


def _is_member(wheel: Examined, manifest: str, file: str) -> bool:
    return posixpath.normpath(posixpath.join(posixpath.dirname(manifest), file)) in wheel.files


def _fault_of(field: str, declaration: Mapping[str, Any]) -> str | None:
    text = declaration.get("description")
    if not isinstance(text, str) or not text.strip():
        return "has no description"
    schema = declaration if field == "params" else declaration.get("schema", {})
    if _is_number(schema) and not _UNITS.search(text):
        return "is a number whose description names no unit"
    return None


def _is_number(schema: Any) -> bool:
    """Whether a value of the schema is a number, or a list of numbers."""
    if not isinstance(schema, dict) or "enum" in schema:
        return False
    if schema.get("type") == "array":
        return _is_number(schema.get("items"))
    kinds = schema.get("type")
    return bool(_NUMBERS & set(kinds if isinstance(kinds, list) else [kinds]))
