"""From measurements to a level of damage, by a table of steps that people can read and change.

Each rule looks at one figure and has up to four rising steps; reaching the n-th step gives level n. The worst rule
decides. The rules and their default steps:

==================  =====  ====================  ==========================================================
figure              unit   steps                 where they come from
==================  =====  ====================  ==========================================================
``max_width``       mm     0.1, 1, 5, 15         bounds of the lower categories of visible damage to walls in
                                                 BRE Digest 251 (not checked against its text)
``max_width``       px     1, 3, 6, 12           no norm: for pictures without a scale
``area_fraction``   1      0.0005, 0.01, 0.05,   no norm: share of the picture
                           0.15
``count``           1      (none)                off unless steps are given
anomaly score       1      1, 4                  1 is the level that clean surfaces rarely pass; a score alone
                                                 never says more than "moderate"
==================  =====  ====================  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tyqi_core.errors import InputError
from tyqi_node_report.figures import with_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LABELS = ("sound", "slight", "moderate", "serious", "critical")
"""Level -> label."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Steps for one figure in one unit. Figures of other names or units are no business of this rule."""

    figure: str
    unit: str
    steps: tuple[float, ...]
    title: str

    def __post_init__(self) -> None:
        if len(self.steps) > 4 or list(self.steps) != sorted(set(self.steps)):
            raise InputError(
                f"steps for {self.title} must be at most four rising numbers, found {list(self.steps)}.",
                code="BAD_STEPS",
                remedy="Order them, each once; level 4 is the highest.",
            )

    def level(self, value: float) -> int:
        """How many steps the value reaches."""
        return sum(value >= step for step in self.steps)

    def shown(self, value: float) -> str:
        """A value of this rule's figure, for people."""
        return with_unit(value, self.unit, self.figure)


@dataclass(frozen=True, slots=True)
class Graded:
    """One figure under its rule."""

    rule: Rule
    value: float

    @property
    def level(self) -> int:
        """The level this figure alone would give."""
        return self.rule.level(self.value)

    @property
    def reason(self) -> str:
        """One sentence: the figure, and the step that it reaches or stays below."""
        rule = self.rule
        figure = f"{rule.title} {rule.shown(self.value)}"
        if self.level:
            return f"{figure} reaches the step to {LABELS[self.level]} ({rule.shown(rule.steps[self.level - 1])})"
        return f"{figure} stays below the first step ({rule.shown(rule.steps[0])})"

    def to_json(self) -> dict[str, Any]:
        """For the report page, which draws the figure on its steps."""
        rule = self.rule
        return {
            "figure": rule.figure,
            "title": rule.title,
            "value": self.value,
            "unit": rule.unit,
            "steps": list(rule.steps),
            "level": self.level,
        }


def rules(
    width_mm: Sequence[float], width_px: Sequence[float], area: Sequence[float], count: Sequence[float]
) -> tuple[Rule, ...]:
    """The rules for measurements, with the given steps; a rule without steps is off.

    Raises:
        InputError: ``BAD_STEPS``: steps that do not rise, or more than four.
    """
    table = (
        Rule("max_width", "mm", tuple(width_mm), "largest crack width"),
        Rule("max_width", "px", tuple(width_px), "largest crack width"),
        Rule("area_fraction", "1", tuple(area), "damaged share of the surface"),
        Rule("count", "1", tuple(count), "number of defects"),
    )
    return tuple(rule for rule in table if rule.steps)


def grade(
    measurements: Mapping[str, Mapping[str, Any]] | None,
    score: float | None,
    table: Sequence[Rule],
    score_steps: Sequence[float],
) -> dict[str, Any]:
    """Apply the rules; the worst decides.

    Args:
        measurements: name -> value and unit, or None where nothing was measured.
        score: the anomaly score (1 is the calibrated level), or None.
        table: rules for the measurements.
        score_steps: steps for the score.

    Returns:
        ``level`` 0 to 4, ``label``, ``reasons`` (sentences, worst first) and ``graded`` (figures on their steps).

    Raises:
        InputError: ``UNKNOWN_UNIT``: a figure for which there are rules comes in a unit that none of them knows.
    """
    graded = list(_measured(measurements or {}, table))
    if score is not None and score_steps:
        graded.append(Graded(Rule("score", "1", tuple(score_steps), "anomaly score"), float(score)))
    graded.sort(key=lambda one: -one.level)
    level = max((one.level for one in graded), default=0)
    reasons = [one.reason for one in graded] or ["no damage was measured"]
    return {
        "level": level,
        "label": LABELS[level],
        "reasons": [sentence[0].upper() + sentence[1:] for sentence in reasons],
        "graded": [one.to_json() for one in graded],
    }


def _measured(measurements: Mapping[str, Mapping[str, Any]], table: Sequence[Rule]) -> Iterator[Graded]:
    for name in dict.fromkeys(rule.figure for rule in table):
        measured = measurements.get(name)
        if measured is None or measured["value"] is None:
            continue
        value, unit = _normal(float(measured["value"]), measured["unit"])
        fitting = [rule for rule in table if rule.figure == name and rule.unit == unit]
        if not fitting:
            known = ", ".join(rule.unit for rule in table if rule.figure == name)
            raise InputError(
                f"'{name}' comes in '{unit}', for which there are no steps; there are steps for: {known}.",
                code="UNKNOWN_UNIT",
                remedy="Measure in one of these units, or give steps for that one.",
            )
        yield Graded(fitting[0], value)


def _normal(value: float, unit: str) -> tuple[float, str]:
    """Shares in per cent and dimensionless figures without a unit become figures of unit 1."""
    if unit == "%":
        return value / 100, "1"
    return value, unit or "1"
