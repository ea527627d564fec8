"""What a conformance run found, as a document that is bound to one wheel by its SHA-256."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Tier = Literal["none", "bronze", "silver", "gold"]
Outcome = Literal["passed", "warned", "failed", "skipped"]
TIERS: Final[tuple[Tier, ...]] = ("none", "bronze", "silver", "gold")
ALL_MODES: Final = ("static", "probe", "run")
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has to say.

    Attributes:
        message: what was found.
        file, line: where in the wheel; line 0 is the whole file.
        remedy: what the author does about it.
    """

    message: str
    file: str = ""
    line: int = 0
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.message} {self.remedy}".rstrip()


@dataclass(frozen=True, slots=True)
class Result:
    """How one check ended.

    Attributes:
        check: its id, ``M01``.
        tier: the tier that needs it.
        outcome: a ``failed`` check keeps the wheel below its tier; ``skipped`` does not apply to this wheel.
        findings: what it has to say; of a failed check the reasons.
        measured: figures that it recorded, by name, with the unit in the name (``import_s``).
    """

    check: str
    tier: Tier
    outcome: Outcome
    findings: Sequence[Finding] = ()
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All results for one wheel. ``to_json`` and ``from_json`` are each other's inverse.

    Attributes:
        wheel: the file's name.
        sha256: of the file.
        distribution, version: the wheel's.
        kit: the version of tyqi-core whose checks these are.
        python: the interpreter's version.
        results: one for each check, in the order of the checks.
        modes: of the checks that were run; only with all three the tier says what it says.
    """

    wheel: str
    sha256: str
    distribution: str
    version: str
    kit: str
    python: str
    results: Sequence[Result]
    modes: Sequence[str] = ALL_MODES

    @property
    def complete(self) -> bool:
        """Whether the checks of every mode were run."""
        return set(self.modes) >= set(ALL_MODES)

    @property
    def tier(self) -> Tier:
        """Computed, never declared: the highest tier none of whose checks, nor of those below it, has failed."""
        return tier_of(self.results)

    def to_json(self) -> dict[str, Any]:
        """As it is published."""
        return {
            "tyqi_evidence": FORMAT,
            "wheel": self.wheel,
            "sha256": self.sha256,
            "distribution": self.distribution,
            "version": self.version,
            "kit": self.kit,
            "python": self.python,
            "modes": list(self.modes),
            "tier": self.tier,
            "results": [_result_json(result) for result in self.results],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Evidence:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: it is nothing of that form.
        """
        try:
            if body["tyqi_evidence"] != FORMAT:
                raise ValueError(f"evidence of format {body['tyqi_evidence']!r} is not known here")
            results = [_result(part) for part in body["results"]]
            names = ("wheel", "sha256", "distribution", "version", "kit", "python")
            modes = [str(mode) for mode in body.get("modes", ALL_MODES)]
            return cls(**{name: str(body[name]) for name in names}, results=results, modes=modes)
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no evidence: {error!r}") from error


def tier_of(results: Iterable[Result]) -> Tier:
    """The tier that these results allow."""
    failed = [TIERS.index(result.tier) for result in results if result.outcome == "failed"]
    return TIERS[min(failed) - 1] if failed else TIERS[-1]


def _result_json(result: Result) -> dict[str, Any]:
    body: dict[str, Any] = {"check": result.check, "tier": result.tier, "outcome": result.outcome}
    if result.findings:
        body["findings"] = [
            {"message": one.message, "file": one.file, "line": one.line, "remedy": one.remedy}
            for one in result.findings
        ]
    if result.measured:
        body["measured"] = dict(result.measured)
    return body


def _result(body: Mapping[str, Any]) -> Result:
    findings = [Finding(**one) for one in body.get("findings", ())]
    return Result(body["check"], body["tier"], body["outcome"], findings, body.get("measured", {}))
