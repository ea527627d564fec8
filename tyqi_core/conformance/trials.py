"""Having nodes tried in a child process, whatever becomes of it.

A trial that ends the process, takes all its memory or never returns is a failed one; the others go on in a new child.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tyqi_core.conformance.children import Talk
from tyqi_core.conformance.evidence import Finding

Item = tuple[str, str]
"""A check's id and a node: id and major version."""
CHILD: Final = "tyqi_core.conformance.running_child"
TRIED: Final = ("R04", "T01", "T02", "T03", "T04", "T05", "T06", "T07", "T08", "R01", "R02", "R03", "R05")
"""The checks that are trials, in the order in which a child does them: memory is measured before anything is there."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one check said of one node.

    Attributes:
        findings: why it failed.
        warnings: what else there is to say.
        measured: figures by name.
        skipped: why it does not concern the node; empty if it does.
    """

    findings: Sequence[Finding] = ()
    warnings: Sequence[Finding] = ()
    measured: dict[str, float] = field(default_factory=dict)
    skipped: str = ""


@dataclass(slots=True)
class Reports:
    """What all trials said, and what an audit hook saw meanwhile (as JSON of ``auditing.Seen``)."""

    of: dict[Item, Report] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)


def tried(start: Callable[[bytes], Talk], items: Sequence[Item]) -> Reports:
    """Have all of these tried.

    Args:
        start: starts a child (:data:`CHILD`) with this standard input.
        items: what to try, in this order.
    """
    reports = Reports()
    remaining = list(items)
    while remaining:
        with start(json.dumps(remaining).encode()) as talk:
            _listen(talk, reports, remaining)
        remaining = [item for item in remaining if item not in reports.of]
    return reports


def _listen(talk: Talk, reports: Reports, asked: Sequence[Item]) -> None:
    """Take in what one child says; what it died of is the fault of what it was at."""
    current: Item | None = None
    case = ""
    for said in talk:
        if "begin" in said:
            current, case = _item(said["begin"]), ""
        elif "case" in said:
            case = said["case"]
        elif "end" in said:
            reports.of[_item(said["end"])] = _report(said["report"])
            reports.seen += said["seen"]
            current = None
    ended = talk.ended()
    if current is not None:
        reports.of[current] = Report([Finding(f"{case}: {ended.reason}" if case else ended.reason)])
    elif not all(item in reports.of for item in asked):  # it did not even begin
        reports.of |= {item: Report([Finding(ended.reason)]) for item in asked if item not in reports.of}


def _item(pair: Sequence[str]) -> Item:
    check, node = pair
    return check, node


def _report(body: dict[str, Any]) -> Report:
    findings = [Finding(**one) for one in body["findings"]]
    return Report(findings, [Finding(**one) for one in body["warnings"]], body["measured"], body["skipped"])
