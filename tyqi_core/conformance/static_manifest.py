"""M01 to M07: what a wheel announces, and whether its manifests are to be believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

import tyqi_core
from tyqi_core.catalog.discovery import ENTRY_POINT, GROUP, LOCAL_ID, PREFIX, normalised
from tyqi_core.catalog.rules import MAX_ID
from tyqi_core.conformance.checks import NotApplicable, Warned, check
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.subject import Declared, Examined, of_problem
from tyqi_core.errors import Problem

PYTHONS: Final = ("3.11", "3.12", "3.13")
"""The Python versions that tyqi-core supports; a node supports one of them at least."""

_IDENTITY: Final = frozenset(("NAME_MISMATCH", "MAJOR_MISMATCH", "DUPLICATE_ID"))
_CORE: Final = frozenset(("BAD_SPECIFIER", "INCOMPATIBLE_CORE"))
_QUEUE: Final = frozenset(("GPU_MEMORY", "POOL"))
_QUEUE_FIELDS: Final = re.compile(r"\$\.resources\.(device|duration|pool|gpu_memory_mb)\b")
_ABSENT: Final = frozenset(("NO_MANIFEST",))
_NEWER: Final = "MANIFEST_FORMAT"


@check(
    "M01",
    "static",
    "bronze",
    title="Each announced node has its manifest in the wheel, found without an import",
    reason="Nodes are listed, searched and compiled from manifests alone. One that is missing from the wheel works in"
    " the author's checkout and nowhere else.",
    remedy='Announce nodes in [project.entry-points."tyqi.nodes"] and ship LOCAL_ID.node.yaml as package data beside'
    " the module that the entry point names.",
)
def manifests_are_there(wheel: Examined) -> Iterator[Finding]:
    """Entry points are of the right form and lead to a module and a manifest."""
    if not wheel.dist_info:
        yield Finding("The wheel has no METADATA.", remedy="Build it with 'python -m build --wheel'.")
    elif not wheel.nodes:
        yield Finding(f"No node is announced: there is no readable group '{GROUP}'.", wheel.entry_points_file)
    for one in wheel.declared:
        line = _announced_at(wheel, one)
        target = ENTRY_POINT.fullmatch(one.node.origin.entry_point)
        if target is None:
            message = f"'{one.node.origin.entry_point}' is not of the form module:Class."
            yield Finding(message, wheel.entry_points_file, line)
            continue
        if not _has_module(wheel, target["module"]):
            message = f"The module '{target['module']}' of the node '{one.node.origin.id}' is not in the wheel."
            yield Finding(message, wheel.entry_points_file, line, "Add it to the package, or correct the entry point.")
        for problem in one.node.problems:
            if problem.code in _ABSENT:
                yield Finding(problem.message, wheel.entry_points_file, line)


@check(
    "M02",
    "static",
    "bronze",
    title="Manifests are valid against the schema of the version that they declare",
    reason="The compiler, the workers and the site believe a manifest. What it holds must mean one thing; a key that"
    " nobody knows is a misspelt one.",
    remedy="Mend the manifest; docs/nodes.md tells its fields, and an editor checks it that names the schema in its"
    " first line.",
)
def manifests_are_valid(wheel: Examined) -> Iterator[Finding | Warned]:
    """All that the schema and the rules find, but for what has a check of its own."""
    for _, problem in _problems(wheel):
        if problem.code == _NEWER:
            yield Warned(of_problem(problem))
        elif _theme(problem) == "M02":
            yield of_problem(problem)


@check(
    "M03",
    "static",
    "bronze",
    title="Node ids lie in the distribution's namespace",
    reason="An id says who owns it: whoever owns the distribution's name owns the namespace, so two packages cannot"
    " claim one id.",
    remedy="Call the distribution tyqi-node-NAME and write ids in lower case, with at most 100 characters; give the"
    " manifest the entry point's name and a version.",
)
def ids_are_owned(wheel: Examined) -> Iterator[Finding]:
    """The distribution's name, the entry points' names and the manifests agree."""
    if not wheel.name.startswith(PREFIX) or wheel.name == PREFIX:
        message = f"The distribution is called '{wheel.name}'; nodes come in distributions called {PREFIX}NAME."
        yield Finding(message, *wheel.header("Name"))
    if (own := normalised(str(wheel.metadata.get("Name") or ""))) != wheel.name:
        yield Finding(f"METADATA is of '{own}', the file's name says '{wheel.name}'.", *wheel.header("Name"))
    for one in wheel.declared:
        yield from _identity(wheel, one)
    yield from _claimed_twice(wheel)


@check(
    "M04",
    "static",
    "bronze",
    title="No other distribution publishes these ids, and none has nearly the same name",
    reason="Two owners of one id make projects mean different things on different machines. A name that is one letter"
    " off a published one is how malware gets installed by a slip of the finger.",
    remedy="Choose another name for the distribution.",
)
def ids_are_free(wheel: Examined) -> Iterator[Finding | Warned]:
    """Compared with what is known to be published."""
    if wheel.known is None:
        raise NotApplicable("No catalogue was given to compare names with; publishing gives one.")
    yield from _taken(wheel, wheel.known)
    place = wheel.header("Name")
    for other in sorted(set(map(normalised, wheel.known.values()))):
        if other != wheel.name and one_edit_apart(other, wheel.name):
            message = f"'{wheel.name}' is one edit away from '{other}', which is published."
            yield Warned(Finding(message, *place, remedy="If that is no accident of names, choose another one."))


@check(
    "M05",
    "static",
    "bronze",
    title="Nothing is left of the scaffold's placeholders",
    reason="A description that says what to write there helps nobody who searches for a node.",
    remedy="Replace it by what is true of this node.",
)
def nothing_is_left_over(wheel: Examined) -> Iterator[Finding]:
    """Placeholders in manifests and headers of the metadata; template marks in any text."""
    for file, text in wheel.texts(".node.yaml", "/METADATA"):
        head = text.partition("\n\n")[0] if file.endswith("/METADATA") else text
        yield from _matches(file, head, _PLACEHOLDERS)
    for file, text in wheel.texts(".py", ".yaml", ".yml", ".toml", ".md", ".json", ".cfg", "/METADATA"):
        yield from _matches(file, text, _TEMPLATE_MARKS)


@check(
    "M06",
    "static",
    "bronze",
    title="Its demands on tyqi-core, Python and TP can be read and met",
    reason="A node that asks for a release that does not exist can be published and never be used.",
    remedy='Write ranges that admit a release that exists, such as requires_tyqi: ">=0.1,<1".',
)
def demands_can_be_met(wheel: Examined) -> Iterator[Finding | Warned]:
    """``requires_tyqi``, ``Requires-Dist`` of the core, ``Requires-Python`` and the manifests' format."""
    for _, problem in _problems(wheel):
        if problem.code in _CORE or problem.code == _NEWER:
            yield of_problem(problem)
    yield from _python(wheel)
    yield from _core(wheel)


@check(
    "M07",
    "static",
    "bronze",
    title="The queue class is known, and a GPU node says how much memory it takes",
    reason="Workers are started for the known queues only, and GPUs are shared by adding up what nodes declare.",
    remedy="Set resources: device, duration and pool to words that docs/nodes.md lists; add gpu_memory_mb.",
)
def queues_are_known(wheel: Examined) -> Iterator[Finding]:
    """What of the resources decides where a task may run."""
    for _, problem in _problems(wheel):
        if _theme(problem) == "M07":
            yield of_problem(problem)


_PLACEHOLDERS: Final = re.compile(
    r"\b(?:TODO|TBD|FIXME|CHANGE[ _-]?ME|REPLACE[ _-]?ME)\b"
    r"|(?i:lorem ipsum|<(?:your|my|insert)[ _-][^>\n]{1,60}>)"
    r"|(?i:\byour[ _-](?:name|org|organi[sz]ation|company|user(?:name)?)\b)"
    r"|(?i:@example\.(?:com|org|net)\b|//(?:www\.)?example\.(?:com|org|net)\b)"
)
_TEMPLATE_MARKS: Final = re.compile(
    r"\{\{-?\s*cookiecutter\b|\{%-?[^%\n]{0,200}\bcookiecutter\.|\bcookiecutter\.[a-z_]+\s*\}\}"
)


def _matches(file: str, text: str, pattern: re.Pattern[str]) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        if (found := pattern.search(line[:2000])) is not None:
            yield Finding(f"'{found.group()[:80]}' is a placeholder.", file, number)


def _problems(wheel: Examined) -> Iterator[tuple[Declared, Problem]]:
    for one in wheel.declared:
        for problem in one.node.problems:
            yield one, problem


def _theme(problem: Problem) -> str:
    """The one check that tells of a manifest's problem."""
    if problem.code in _ABSENT:
        return "M01"
    if problem.code in _CORE or problem.code == _NEWER:
        return "M06"
    if problem.code in _IDENTITY or (problem.code == "BAD_NAME" and problem.path == "$.name"):
        return "M03"
    if problem.code in _QUEUE or _QUEUE_FIELDS.match(problem.path):
        return "M07"
    return "M02"


def _announced_at(wheel: Examined, one: Declared) -> int:
    return wheel.line_of(wheel.entry_points_file, rf"^\s*{re.escape(one.node.origin.local_id)}\s*=")


def _has_module(wheel: Examined, module: str) -> bool:
    path = module.replace(".", "/")
    whole = (f"{path}.py", f"{path}/__init__.py")
    native = re.compile(re.escape(path) + r"(\.[\w-]+)?\.(so|pyd)")
    return any(name in whole or native.fullmatch(name) for name in wheel.files)


def _identity(wheel: Examined, one: Declared) -> Iterator[Finding]:
    origin = one.node.origin
    if not LOCAL_ID.fullmatch(origin.local_id):
        message = f"'{origin.local_id}' is no node's name: lower-case ASCII letters, digits and '_', a letter first."
        yield Finding(message, wheel.entry_points_file, _announced_at(wheel, one))
    if len(origin.id) > MAX_ID and one.document is None:
        yield Finding(f"The id '{origin.id[:40]}...' is longer than {MAX_ID} characters.", wheel.entry_points_file)
    if one.document is not None and "version" not in one.body:
        yield one.finding("The manifest has no version.", remedy="Add version: 1.0.0.")
    yield from (of_problem(problem) for problem in one.node.problems if _theme(problem) == "M03")


def _claimed_twice(wheel: Examined) -> Iterator[Finding]:
    claims: dict[tuple[str, int | None], list[Declared]] = {}
    for one in wheel.declared:
        claims.setdefault((one.node.origin.id, _major(one)), []).append(one)
    for (node, major), claimants in claims.items():
        if len(claimants) > 1:
            message = f"'{node}' is announced {len(claimants)} times with the major version {major}."
            remedy = "Remove one entry point, or give it another major."
            yield Finding(message, wheel.entry_points_file, _announced_at(wheel, claimants[-1]), remedy)


def _major(one: Declared) -> int | None:
    manifest = one.node.manifest
    return manifest.major if manifest else one.node.origin.major


def _taken(wheel: Examined, known: Mapping[str, str]) -> Iterator[Finding]:
    for one in wheel.declared:
        owner = known.get(one.node.origin.id)
        if owner is not None and normalised(owner) != wheel.name:
            yield one.finding(f"'{one.node.origin.id}' is published by {owner}.", "name")


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one character more, less, other, or two neighbours exchanged make one text of the other."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    start = next((at for at, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start : start + 2] == long[start : start + 2][::-1]
    return short[start + 1 :] == long[start + 1 :] or (swapped and short[start + 2 :] == long[start + 2 :])


def _python(wheel: Examined) -> Iterator[Finding]:
    wanted = str(wheel.metadata.get("Requires-Python") or "")
    place = wheel.header("Requires-Python")
    try:
        admitted = SpecifierSet(wanted)
    except InvalidSpecifier:
        yield Finding(f"'{wanted}' is no version specifier.", *place, remedy='Write requires-python = ">=3.11".')
        return
    if not any(admitted.contains(version) for version in PYTHONS):
        message = f"Python {wanted} is none of those that tyqi-core runs on: {', '.join(PYTHONS)}."
        yield Finding(message, *place, remedy='Write requires-python = ">=3.11".')


def _core(wheel: Examined) -> Iterator[Finding | Warned]:
    """That the distribution asks for the core, and for one that there is."""
    asked = {text: _requirement(text) for text in map(str, wheel.metadata.get_all("Requires-Dist", []))}
    core = {text: one for text, one in asked.items() if one is not None and normalised(one.name) == "tyqi-core"}
    if not core:
        message, remedy = "It does not say which tyqi-core it needs.", 'Add "tyqi-core>=0.1,<1" to the dependencies.'
        yield Warned(Finding(message, *wheel.header("Requires-Dist"), remedy=remedy))
    for text, one in core.items():
        if not one.specifier.contains(tyqi_core.__version__, prereleases=True):
            message = f"It needs tyqi-core {one.specifier}; this is {tyqi_core.__version__}."
            remedy = 'Depend on a release that exists, such as "tyqi-core>=0.1,<1".'
            yield Finding(message, *wheel.requirement(text), remedy=remedy)


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None  # P04 tells it
