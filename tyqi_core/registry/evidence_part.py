"""The part of a node's page that tells how its release fared in the conformance checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from tyqi_core.conformance.checks import CHECKS, Check
from tyqi_core.conformance.evidence import Evidence, Outcome, Result, Tier
from tyqi_core.registry.catalogue import Release
from tyqi_core.registry.frame import tier_badge
from tyqi_core.registry.layout import EVIDENCE
from tyqi_core.registry.markup import Html, joined, tag

CHECK_PAGES: Final = "https://github.com/tyq-i/tyqi-core/blob/main/docs/checks/"
_KIT: Final = "tyqi_core.conformance.run"
_ORDER: Final = ("failed", "warned", "passed", "skipped")
_WORDS: Final = {"failed": "failed", "warned": "warned", "passed": "passed", "skipped": "not applicable"}


def evidence_part(release: Release, body: Mapping[str, Any] | None, address: Callable[[Release, str], str]) -> Html:
    """What was found, check by check.

    Args:
        release: whose wheel was checked.
        body: the evidence as it was read; ``None`` if there is none.
        address: gives the address of a file of the release.
    """
    try:
        evidence = Evidence.from_json(body) if body else None
    except ValueError:
        evidence = None
    if evidence is None or evidence.sha256 != release.sha256:
        return tag("p", "There is no evidence for this very wheel.", class_="soft")
    return joined(_summary(evidence, address(release, EVIDENCE)), _told(evidence.results), _all(evidence.results))


@cache
def known_checks() -> Mapping[str, Check]:
    """The kit's checks by id, for their titles; of one with a half in two modes always the first."""
    found = import_module(_KIT).checks_of() if find_spec(_KIT) else CHECKS.values()
    return {check.id: check for check in reversed(list(found))}


def _summary(evidence: Evidence, address: str) -> Html:
    counts = Counter(result.outcome for result in evidence.results)
    parts = [
        tag("li", tag("b", str(counts[outcome])), f" {_WORDS[outcome]}", class_=f"outcome {outcome}")
        for outcome in _ORDER
        if counts[outcome]
    ]
    made = joined(
        f"Checked by tyqi-core {evidence.kit} on Python {evidence.python}; ", tag("a", "evidence", href=address)
    )
    again = joined("; repeat it with ", tag("code", f"tyqi conform {evidence.wheel}"), ".")
    digest = joined("The wheel's SHA-256 is ", tag("code", evidence.sha256, class_="digest"), ".")
    return joined(tag("ul", *parts, class_="outcomes"), tag("p", made, again, " ", digest, class_="soft"))


def _told(results: Sequence[Result]) -> Html:
    """Failures and warnings stand open; what passed is folded."""
    found = [result for outcome in _ORDER[:2] for result in results if result.outcome == outcome]
    return tag("ul", *map(_line, found), class_="checks") if found else Html("")


def _all(results: Sequence[Result]) -> Html:
    quiet = [result for result in results if result.outcome not in _ORDER[:2]]
    summary = tag("summary", f"{len(quiet)} checks that passed or do not apply")
    return tag("details", summary, tag("ul", *map(_line, quiet), class_="checks")) if quiet else Html("")


def _line(result: Result) -> Html:
    if not (result.findings or result.measured):
        return _quiet_line(result.check, result.tier, result.outcome)
    findings = [tag("li", str(finding)) for finding in result.findings]
    figures = ", ".join(f"{key} {value:.3g}" for key, value in result.measured.items())
    return tag(
        "li",
        *_told_of(result.check, result.tier, result.outcome),
        tag("span", figures, class_="soft") if figures else None,
        tag("ul", *findings) if findings else None,
    )


@lru_cache(maxsize=1024)
def _quiet_line(check: str, tier: Tier, outcome: Outcome) -> Html:
    """Most checks of most wheels have nothing more to say."""
    return tag("li", *_told_of(check, tier, outcome))


def _told_of(check: str, tier: Tier, outcome: Outcome) -> tuple[Html, Html]:
    known = known_checks().get(check)
    name = tag("a", check, href=CHECK_PAGES + check + ".md", rel="noreferrer")
    sign = tag("span", outcome, class_=f"outcome {outcome}")
    return sign, joined(name, " ", known.title if known else "", " ", tier_badge(tier))
