"""Publishing a wheel, and withdrawing a release.

A wheel is taken if its evidence is about this very file and proves at least bronze. What only the registry can judge
is judged here and added to the evidence: names (M04), and the changes against the last release (V01, V02).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_version
from packaging.version import Version

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.checks import CHECKS, Check
from tyqi_core.conformance.evidence import TIERS, Evidence, Finding, Result
from tyqi_core.conformance.run import checks_of, conform
from tyqi_core.conformance.versions import version_results
from tyqi_core.errors import Problem, PublishRefused, RegistryError
from tyqi_core.registry.building import rebuild
from tyqi_core.registry.catalogue import Release
from tyqi_core.registry.folder import Published, RegistryFolder
from tyqi_core.registry.listings import listed
from tyqi_core.registry.names import name_findings

NAMES_CHECK: Final = "M04"
_LEAST: Final = TIERS.index("bronze")


def publish(
    root: Path,
    wheel: Path,
    evidence: Evidence | None = None,
    *,
    key: str = "",
    constraints: Path | None = None,
    similar_name: bool = False,
    progress: Callable[[Check], None] = lambda _: None,
) -> Release:
    """Publish a wheel in the registry of a folder; an empty folder becomes a registry.

    Args:
        root: the registry's folder.
        wheel: the file.
        evidence: what the conformance kit found; without it the kit is run now.
        key: who publishes, as the registry's records name them.
        constraints: the host's constraints, for the kit.
        similar_name: take a name although it is one edit away from a published one: the operator knows better.
        progress: told of each check before the kit runs it.

    Raises:
        UsageError: it is no wheel.
        PublishRefused: it is not taken, with everything that speaks against it.
        RegistryError: the registry cannot be used, or the version is published already (``VERSION_EXISTS``).
    """
    folder, opened = RegistryFolder.create(root), Wheel(wheel)
    own = _judged(folder, opened, similar_name)
    _refuse_if(own, opened)
    given = conform(wheel, constraints=constraints, progress=progress) if evidence is None else evidence
    _refuse_strange(given, opened)
    with folder.locked():
        own = _judged(folder, opened, similar_name)
        whole = _completed(given, own)
        _refuse_if(whole.results, opened)
        added = folder.add(opened, whole, key)
        rebuild(folder)
    return listed(added).release


def yank(root: Path, name: str, version: str, reason: str) -> None:
    """Keep pip from choosing a release unless it is asked for by its version; an empty reason undoes it.

    Raises:
        RegistryError: there is no such release.
    """
    _withdraw(root, name, version, "yanked", reason)


def quarantine(root: Path, name: str, version: str, reason: str) -> None:
    """Keep a release from being installed any more, deleting nothing; an empty reason undoes it.

    Raises:
        RegistryError: there is no such release.
    """
    _withdraw(root, name, version, "quarantined", reason)


def last_release(folder: RegistryFolder, name: str, version: str) -> Published | None:
    """What a version is compared with: the highest final release below it that was not withdrawn."""
    wanted = Version(version)
    earlier = (one for one in folder.releases_of(name) if Version(one.version) < wanted)
    return next((one for one in earlier if not Version(one.version).is_prerelease and not one.state), None)


def registry_results(folder: RegistryFolder, wheel: Wheel, *, similar_name: bool = False) -> list[Result]:
    """What only the registry can judge: M04, V01, V02; and what it cannot take, whatever the evidence says."""
    previous = last_release(folder, wheel.name, wheel.version)
    names = name_findings(wheel.name, [one.name for one in _newest(folder)], similar_name=similar_name)
    named = Result(NAMES_CHECK, "bronze", "failed" if names else "passed", names)
    return [*_unusable(wheel), named, *version_results(wheel, None if previous is None else Wheel(previous.wheel_path))]


def _unusable(wheel: Wheel) -> Iterator[Result]:
    """What no evidence can make good: pip or the catalogue could do nothing with such a wheel."""
    if not wheel.manifests:
        finding = Finding("it announces no node that has a valid manifest.", f"{wheel.dist_info}/entry_points.txt")
        yield Result("M01", "bronze", "failed", [finding])
    told = str(wheel.metadata["Version"])
    if not told or canonicalize_version(told) != canonicalize_version(wheel.version):
        message = f"its metadata says version {told}, its name {wheel.version}; pip refuses such a wheel."
        yield Result(
            "M03", "bronze", "failed", [Finding(message, f"{wheel.dist_info}/METADATA", remedy="Build it anew.")]
        )


def _judged(folder: RegistryFolder, wheel: Wheel, similar_name: bool) -> list[Result]:
    """The registry's own results for a version that is not there yet."""
    for one in folder.releases_of(wheel.name):
        if Version(one.version) == Version(wheel.version):
            same = one.record["sha256"] == wheel.sha256
            message = f"{one} is published already{'' if same else ', with other content'}"
            raise RegistryError(message, code="VERSION_EXISTS", remedy="What is published stays: raise the version.")
    return registry_results(folder, wheel, similar_name=similar_name)


def _newest(folder: RegistryFolder) -> list[Published]:
    """One release of each distribution."""
    return list({one.name: one for one in reversed(folder.published())}.values())


def _refuse_strange(evidence: Evidence, wheel: Wheel) -> None:
    """The evidence must be about this file."""
    for what, found, wanted in (
        ("SHA-256", evidence.sha256, wheel.sha256),
        ("distribution", evidence.distribution, wheel.name),
        ("version", evidence.version, wheel.version),
    ):
        if found != wanted:
            message = f"the evidence is about another file: its {what} is {found}, that of {wheel.path.name} {wanted}."
            problem = Problem("EVIDENCE", message, remedy=f"Run 'tyqi conform {wheel.path.name}' again.")
            raise PublishRefused(f"{wheel.path.name} is not published", [problem])


def _completed(evidence: Evidence, own: Sequence[Result]) -> Evidence:
    """The evidence with the registry's own results; a check that was not run counts as failed."""
    results = {result.check: result for result in evidence.results} | {result.check: result for result in own}
    for made in checks_of():
        if made.id not in results:
            missing = Finding("the check was not run.", remedy="Run all checks: tyqi conform.")
            results[made.id] = Result(made.id, made.tier, "failed", [missing])
    return replace(evidence, results=list(results.values()))


def _refuse_if(results: Iterable[Result], wheel: Wheel) -> None:
    """Refuse what does not reach bronze, with every reason."""
    failed = [one for one in results if one.outcome == "failed" and TIERS.index(one.tier) <= _LEAST]
    problems = [_problem(result, finding) for result in failed for finding in result.findings or [Finding("failed")]]
    if problems:
        remedy = "Each line names the check, the place and what to do; 'tyqi conform WHEEL' shows the same."
        raise PublishRefused(f"{wheel.path.name} is not published: it is below bronze", problems, remedy=remedy)


def _problem(result: Result, finding: Finding) -> Problem:
    known = CHECKS.get(result.check)
    remedy = finding.remedy or (known.remedy if known else None)
    return Problem(result.check, finding.message, finding.file, finding.line, 1 if finding.line else 0, remedy=remedy)


def _withdraw(root: Path, name: str, version: str, how: str, reason: str) -> None:
    folder = RegistryFolder.open(root)
    with folder.locked():
        folder.withdraw(folder.find(name, version), how, reason)
        rebuild(folder)
