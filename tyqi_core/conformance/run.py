"""Checking a wheel: the checks of the modes asked for, in their order, give one document of evidence."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import tyqi_core
from tyqi_core.conformance.checks import CHECKS, Check, Mode, NotApplicable, Warned
from tyqi_core.conformance.evidence import Evidence, Finding, Outcome, Result
from tyqi_core.conformance.subject import Examined
from tyqi_core.errors import TyqiError

MODES: Final[tuple[Mode, ...]] = ("static", "probe", "run")
MODULES: Final[Mapping[Mode, Sequence[str]]] = {
    "static": ("static_manifest", "static_package", "static_readme", "static_code", "versions"),
    "probe": ("probing",),
    "run": ("running",),
}
"""Mode -> the modules whose import adds its checks."""
MOST_FINDINGS: Final = 50
"""Findings of one check that are kept; nobody mends more in one go."""
_ORDER: Final = "MPITRVDSU"
"""Themes, in the order in which results are told."""
_BEFORE_INSTALLING: Final = "P03"
"""Who fails it is not installed: its files would land outside its place."""
_RANK: Final[Mapping[Outcome, int]] = {"failed": 3, "warned": 2, "passed": 1, "skipped": 0}


def conform(
    wheel: Path,
    *,
    modes: Iterable[Mode] = MODES,
    constraints: Path | None = None,
    known: Mapping[str, str] | None = None,
    progress: Callable[[Check], None] = lambda _: None,
) -> Evidence:
    """Run the checks of ``modes`` on a built wheel.

    Args:
        wheel: the file. It is neither changed nor installed into this environment.
        modes: ``static`` runs no code of it, ``probe`` imports it and ``run`` executes its nodes, both elsewhere.
        constraints: what pip holds the wheel's dependencies to; the host's own if not given.
        known: node id -> the distribution that publishes it; without it no names are compared.
        progress: told of each check before it begins.

    Raises:
        UsageError: the file is no wheel. Nothing that a wheel holds raises: a check that fails to decide has failed.
    """
    asked = tuple(mode for mode in MODES if mode in set(modes))
    subject = Examined(wheel, known)
    results = [_judged(check, subject, progress) for check in checks_of(asked) if check.mode == "static"]
    results += _dynamic(
        [check for check in checks_of(asked) if check.mode != "static"], subject, constraints, results, progress
    )
    return Evidence(
        wheel=wheel.name,
        sha256=subject.sha256,
        distribution=subject.name,
        version=subject.version,
        kit=tyqi_core.__version__,
        python=platform.python_version(),
        results=_merged(results),
        modes=asked,
    )


def checks_of(modes: Iterable[Mode] = MODES) -> list[Check]:
    """The checks of these modes, in their order."""
    wanted = [mode for mode in MODES if mode in set(modes)]
    for mode in wanted:
        for module in MODULES[mode]:
            import_module(f"tyqi_core.conformance.{module}")
    return in_order(check for check in CHECKS.values() if check.mode in wanted)


def in_order(checks: Iterable[Check]) -> list[Check]:
    """Mode after mode, within one by theme and number."""
    return sorted(checks, key=_place)


def _place(check: Check) -> tuple[int, int, str]:
    return MODES.index(check.mode), _ORDER.find(check.id[0]), check.id


def _dynamic(
    checks: Sequence[Check],
    subject: Examined,
    constraints: Path | None,
    before: Sequence[Result],
    progress: Callable[[Check], None],
) -> list[Result]:
    if not checks:
        return []
    if any(result.check == _BEFORE_INSTALLING and result.outcome == "failed" for result in before):
        reason = Finding(f"Not tried: the wheel is not installed, since it fails {_BEFORE_INSTALLING}.")
        return [Result(check.id, check.tier, "skipped", [reason]) for check in checks]
    from tyqi_core.conformance.environment import installed  # noqa: PLC0415 - environments are made for these modes only

    done: list[Result] = []
    try:
        with installed(subject, constraints) as place:
            done.extend(_judged(check, place, progress) for check in checks)
    except Exception as error:  # noqa: BLE001 - whatever keeps a wheel from being installed is its evidence
        finding = _broken_off("The wheel cannot be tried", error)
        done += [_failed(check, [finding]) for check in checks[len(done) :]]
    return done


def _judged(check: Check, subject: Any, progress: Callable[[Check], None]) -> Result:
    """How one check ends; whatever it raises is a failure that says so."""
    progress(check)
    findings: list[Finding | Warned] = []
    measured: dict[str, float] = {}
    try:
        for told in check.body(subject):
            if isinstance(told, tuple):
                measured[told[0]] = told[1]
            else:
                findings.append(told)
    except NotApplicable as reason:
        return Result(check.id, check.tier, "skipped", [Finding(str(reason))])
    except Exception as error:  # noqa: BLE001 - see above
        findings.append(_broken_off("The check could not be carried out", error))
    return Result(check.id, check.tier, _outcome(findings), _told(check, findings), measured)


def _outcome(findings: Sequence[Finding | Warned]) -> Outcome:
    if any(isinstance(one, Finding) for one in findings):
        return "failed"
    return "warned" if findings else "passed"


def _told(check: Check, findings: Sequence[Finding | Warned]) -> list[Finding]:
    """The findings, each with a remedy: faults first, warnings after them."""
    faults = [one for one in findings if isinstance(one, Finding)]
    warnings = [one.finding for one in findings if isinstance(one, Warned)]
    told = [replace(one, remedy=one.remedy or check.remedy) for one in (*faults, *warnings)]
    if (more := len(told) - MOST_FINDINGS) > 0:
        told[MOST_FINDINGS:] = [Finding(f"And {more} more like these.", remedy=check.remedy)]
    return told


def _broken_off(what: str, error: Exception) -> Finding:
    if isinstance(error, TyqiError):
        return Finding(f"{what}: {error.code}: {error.message}", remedy=error.remedy or "")
    return Finding(f"{what}: {type(error).__name__}: {error}")


def _failed(check: Check, findings: Sequence[Finding]) -> Result:
    return Result(check.id, check.tier, "failed", _told(check, findings))


def _merged(results: Iterable[Result]) -> list[Result]:
    """One result an id: a check that has a half in two modes is as good as the worse of them."""
    by_id: dict[str, list[Result]] = {}
    for result in results:
        by_id.setdefault(result.check, []).append(result)
    return [_one(halves) for halves in by_id.values()]


def _one(halves: Sequence[Result]) -> Result:
    worst = max(halves, key=lambda half: _RANK[half.outcome])
    findings = list(_findings(halves))
    measured = {name: value for half in halves for name, value in half.measured.items()}
    return replace(worst, findings=findings, measured=measured)


def _findings(halves: Sequence[Result]) -> Iterator[Finding]:
    for half in halves:
        yield from half.findings
