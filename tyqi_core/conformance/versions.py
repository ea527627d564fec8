"""V01 and V02: what a new release may change against the last one.

They compare two wheels, so they run where the last release is at hand: a registry runs them when a wheel is published
(:func:`version_results`). Anywhere else they are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packaging.version import Version

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.changes import BUMPS, Bump, Change, changes, demanded, largest
from tyqi_core.conformance.checks import CHECKS, NotApplicable, Warned, check
from tyqi_core.conformance.evidence import Finding, Outcome, Result
from tyqi_core.errors import InvalidFile, InvalidProject, UsageError
from tyqi_core.protocol.document import Document, read_document

IDS: Final = ("V01", "V02")
_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_ORDINAL: Final = {"patch": "third", "minor": "second", "major": "first"}


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A wheel and the last release before it."""

    wheel: Wheel
    previous: Wheel


def version_results(wheel: Wheel, previous: Wheel | None) -> list[Result]:
    """The results of V01 and V02 for a wheel and the last release before it, if there is one."""
    subject = wheel if previous is None else Upgrade(wheel, previous)
    return [_result(id_, subject) for id_ in IDS]


def bump_between(before: str, after: str) -> Bump:
    """The bump from one version of a distribution to a later one.

    Below 1.0 the second number counts as the first and the third as the second, as authors of 0.x mean them.
    """
    old, new = Version(before), Version(after)
    steps = [n != o for o, n in zip((*old.release, 0, 0)[:3], (*new.release, 0, 0)[:3], strict=True)]
    if old.epoch != new.epoch or steps[0]:
        return "major"
    if old.major == 0:
        return "major" if steps[1] else "minor"
    return "minor" if steps[1] else "patch"


@check(
    "V01",
    "static",
    "bronze",
    title="The new version says how much has changed since the last release",
    reason="Projects pin a major version of a node and trust that what they use of it stays.",
    remedy="Raise the version in the manifest, and that of the distribution, as far as the changes demand.",
)
def schema_diff(subject: Wheel | Upgrade) -> Iterator[Finding]:
    """V01."""
    upgrade = _upgrade(subject)
    found = changes(upgrade.previous.manifests, upgrade.wheel.manifests)
    for reference, before, after in _kept(upgrade):
        mine = [change for change in found if change.node == reference]
        yield from _node_findings(upgrade.wheel, before, after, mine)
    yield from _distribution_findings(upgrade, found)


@check(
    "V02",
    "static",
    "silver",
    title="Projects of the last release still compile",
    reason="What worked with the last release should work with this one, until a new major says otherwise.",
    remedy="Keep what the projects use, or publish as a new major.",
)
def earlier_projects(subject: Wheel | Upgrade) -> Iterator[Finding | Warned]:
    """V02."""
    upgrade = _upgrade(subject)
    if bump_between(upgrade.previous.version, upgrade.wheel.version) == "major":
        raise NotApplicable("a new major promises nothing to earlier projects")
    before, after = Catalog(upgrade.previous.nodes), Catalog(upgrade.wheel.nodes)
    for file, text in _projects(upgrade.previous):
        if not _problems(text, file, before):
            yield from (_of_project(upgrade.previous, file, problem) for problem in _problems(text, file, after))


def _upgrade(subject: Wheel | Upgrade) -> Upgrade:
    if not isinstance(subject, Upgrade):
        raise NotApplicable("there is no earlier release to compare with")
    return subject


def _kept(upgrade: Upgrade) -> list[tuple[str, Manifest, Manifest]]:
    """The nodes that both releases hold, by reference."""
    old = {manifest.reference: manifest for manifest in upgrade.previous.manifests}
    new = {manifest.reference: manifest for manifest in upgrade.wheel.manifests}
    return [(name, old[name], new[name]) for name in old if name in new]


def _node_findings(wheel: Wheel, before: Manifest, after: Manifest, found: Sequence[Change]) -> Iterator[Finding]:
    """The changes of one node that its new version does not cover."""
    document = _document(wheel, after)
    old, new = _numbers(before.version), _numbers(after.version)
    if new < old:
        message = f"{after.id}: version {after.version} is below {before.version} of the last release."
        yield _finding(after, document, ("version",), message, f"Write version: {_next(before.version, 'patch')}.")
        return
    given = _given(old, new, same=before.version == after.version)
    for change in found:
        if given is None or BUMPS.index(change.bump) > BUMPS.index(given):
            message = f"{change}. That is a {change.bump} change; the version went from {before.version} to"
            remedy = _remedy(before, largest(found))
            yield _finding(after, document, change.part, f"{message} {after.version}.", remedy)


def _remedy(before: Manifest, bump: Bump) -> str:
    version = _next(before.version, bump)
    if bump != "major":
        return f"Write version: {version} in the manifest."
    name = f"{before.name}.v{version.split('.', 1)[0]}"
    beside = f"(beside the old one: as entry point '{name}' with a manifest of its own)"
    return f"Keep it as it was, or publish the node as version {version} {beside}."


def _distribution_findings(upgrade: Upgrade, found: Sequence[Change]) -> Iterator[Finding]:
    wheel, previous = upgrade.wheel, upgrade.previous
    needed, given = demanded(found), bump_between(previous.version, wheel.version)
    if BUMPS.index(given) >= BUMPS.index(needed):
        return
    why = "; ".join(str(change) for change in found if demanded([change]) == needed)
    message = f"{wheel.name} went from {previous.version} to {wheel.version}, and {why}."
    remedy = f"Raise the {_ORDINAL[_shifted(previous.version, needed)]} number of the distribution's version."
    yield Finding(message, f"{wheel.dist_info}/METADATA", remedy=remedy)


def _shifted(version: str, bump: Bump) -> Bump:
    """The number to raise: below 1.0 the second one stands for the first."""
    return BUMPS[max(0, BUMPS.index(bump) - 1)] if Version(version).major == 0 else bump


def _numbers(version: str) -> tuple[int, ...]:
    found = _NUMBERS.match(version)
    return tuple(map(int, found.groups())) if found else (0, 0, 0)


def _given(old: tuple[int, ...], new: tuple[int, ...], *, same: bool) -> Bump | None:
    """The bump of a node within its major; ``None`` if its version is the same."""
    if same:
        return None
    return "minor" if old[:2] != new[:2] else "patch"


def _next(version: str, bump: Bump) -> str:
    major, minor, patch = _numbers(version)
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0", "patch": f"{major}.{minor}.{patch + 1}"}[
        bump
    ]


def _document(wheel: Wheel, manifest: Manifest) -> Document:
    return read_document(wheel.read(str(manifest.path)), str(manifest.path))


def _finding(manifest: Manifest, document: Document, part: tuple[str, ...], message: str, remedy: str) -> Finding:
    return Finding(message, str(manifest.path), document.at(part)[0], remedy)


def _projects(wheel: Wheel) -> Iterator[tuple[str, str]]:
    """File and text of the projects in a wheel, and of one for each example of its nodes."""
    for file in wheel.files:
        if file.endswith((".yaml", ".yml")) and (text := _project_text(wheel, file)):
            yield file, text
    from tyqi_core.workflow.single import single_node_project  # noqa: PLC0415 - only of wheels that are compared

    for manifest in wheel.manifests:
        for example in manifest.examples:
            yield str(manifest.path), single_node_project(manifest, example.get("params", {}))


def _project_text(wheel: Wheel, file: str) -> str:
    """The file's text if it is a project, else nothing."""
    try:
        text = wheel.text(file)
        body = read_document(text, file).value
    except (InvalidFile, UsageError):
        return ""
    return text if isinstance(body, dict) and "tyqi" in body and "tasks" in body else ""


def _problems(text: str, file: str, catalog: Catalog) -> list[str]:
    from tyqi_core.workflow.compiler import compile_text  # noqa: PLC0415 - networkx, only where it is needed

    try:
        compile_text(text, file, catalog)
    except InvalidProject as error:
        return [problem.message for problem in error.problems]
    return []


def _of_project(previous: Wheel, file: str, problem: str) -> Finding:
    return Finding(f"a project that {previous.name} {previous.version} came with compiles no more: {problem}", file)


def _result(id_: str, subject: Any) -> Result:
    """How one check ends for ``subject``."""
    made = CHECKS[id_]
    try:
        findings = list(made.body(subject))
    except NotApplicable as reason:
        return Result(id_, made.tier, "skipped", [Finding(str(reason))])
    told = [one.finding if isinstance(one, Warned) else one for one in findings if not isinstance(one, tuple)]
    outcome: Outcome = "failed" if any(isinstance(one, Finding) for one in findings) else "passed"
    return Result(id_, made.tier, outcome, told)
