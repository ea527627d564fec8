"""Checks of mode ``run``: the wheel's nodes are executed, in child processes of a fresh environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tyqi_core.conformance.checks import NotApplicable, Warned, check
from tyqi_core.conformance.environment import Installed
from tyqi_core.conformance.evidence import Finding, Tier
from tyqi_core.conformance.probing import probed, require_installed
from tyqi_core.conformance.siblings import write_siblings
from tyqi_core.conformance.trials import CHILD, TRIED, Item, Report, Reports, tried

Findings = Iterator[Finding | Warned | tuple[str, float]]

PATIENCE_S: Final = {"short": 60.0, "long": 300.0, "heavy": 1800.0}
"""How long one execution may take before its process is given up, by the duration class."""
NOWHERE: Final = {"TYQI_REDIS": "redis://127.0.0.1:1/0"}
"""Celery's application needs an address. Nothing connects to it."""


def try_all(installed: Installed, checks: Sequence[str] = TRIED, path: Path | None = None) -> Reports:
    """Have the wheel's nodes tried.

    Args:
        installed: where.
        checks: which checks.
        path: a further folder of modules.
    """
    manifests = installed.wheel.manifests
    items = [(one, manifest.reference) for one in checks for manifest in manifests]
    patience = max((PATIENCE_S[manifest.resources.duration] for manifest in manifests), default=60.0)
    variables = NOWHERE | ({"PYTHONPATH": str(path)} if path else {})
    arguments = ("-m", CHILD, ",".join(installed.modules))
    return tried(lambda given: installed.talk(*arguments, given=given, patience_s=patience, variables=variables), items)


def told(id_: str, installed: Installed) -> Findings:
    """What a trial said of all the wheel's nodes."""
    require_installed(installed)
    reports: Reports = installed.once("trials", lambda: try_all(installed))
    own = {item: report for item, report in reports.of.items() if item[0] == id_}
    reasons = sorted({report.skipped for report in own.values() if report.skipped})
    if not own or all(report.skipped for report in own.values()):
        raise NotApplicable("; ".join(reasons) or "it has no node with a valid manifest")
    for (_, node), report in own.items():
        yield from _named(node, report)


def _named(node: str, report: Report) -> Findings:
    for finding in report.findings:
        yield replace(finding, message=f"{node}: {finding.message}")
    for finding in report.warnings:
        yield Warned(replace(finding, message=f"{node}: {finding.message}"))
    for name, value in report.measured.items():
        yield f"{node} {name}", value


def _trial(id_: str, tier: Tier, title: str, reason: str, remedy: str) -> None:
    """Register a check whose work is done by the trial of the same id."""

    def body(installed: Installed) -> Findings:
        return told(id_, installed)

    check(id_, "run", tier, title=title, reason=reason, remedy=remedy)(body)


_trial(
    "T01",
    "bronze",
    "Every example runs, and what it gives fits the declared outputs.",
    "An example is the first thing that a user tries, and what the registry shows.",
    "Run it yourself: tyqi nodes run ID --input PORT=FILE. JSON holds Python's own numbers: float(x), not numpy's.",
)
_trial(
    "T02",
    "bronze",
    "Missing and wrong inputs and parameters are refused before the node's code runs.",
    "A node's code may rely on what its manifest says, and nonsense is refused in the same words everywhere.",
    "Declare types, bounds and schemas as narrow as the code needs them.",
)
_trial(
    "T03",
    "silver",
    "Whatever its manifest allows, the node survives, and gives what it declares or a structured error.",
    "Pictures of one pixel, empty lists and extreme parameters arrive one day.",
    "Handle the case, narrow the port or the parameter, or raise InputError with a code.",
)
_trial(
    "T04",
    "silver",
    "Declared deterministic, it gives equal outputs for equal inputs, in any order.",
    "Runs are replayed and compared, and attempts are repeated elsewhere.",
    "Seed random numbers from the inputs, keep nothing on self that changes, or declare deterministic: false.",
)
_trial(
    "T05",
    "bronze",
    "Its outputs can be written and read again without pickle; arrays travel by reference.",
    "What a node returns goes to other processes and machines.",
    "Return plain JSON values and C-contiguous arrays; large tables of numbers are tensors.",
)
_trial(
    "T06",
    "bronze",
    "It does not write into its inputs.",
    "Other nodes read the same arrays, at the same time, without a copy.",
    "Work on a copy: x = inputs['image'].copy().",
)
_trial(
    "T07",
    "silver",
    "process_batch gives what process gives for each item, within 0.1%.",
    "Whether tasks are batched depends on what else waits.",
    "Pad and mask so that items of a batch do not meet; return one answer or one exception for each, in order.",
)
_trial(
    "T08",
    "silver",
    "On any device it gives the same, within 0.1%.",
    "device: any means that the scheduler chooses.",
    "Compute in float32 on both, switch TF32 off, or declare the device that is meant.",
)
_trial(
    "R01",
    "bronze",
    "It is the Celery task tyqi.node.<id>, on the queue that its resources lead to.",
    "Workers and clients find nodes by these names.",
    "Declare device, duration and pool as the node is; do not register Celery tasks yourself.",
)
_trial(
    "R02",
    "bronze",
    "An exception in it becomes a structured error, and the next task runs as if nothing had been.",
    "One bad picture must not cost the batch.",
    "Keep nothing half done on self: use local variables, or restore in a finally block.",
)
_trial(
    "R03",
    "silver",
    "It ends when it is cancelled or its time is up.",
    "A task that cannot be stopped costs its worker process.",
    "Call ctx.check_cancelled() in loops that take longer than a second.",
)
_trial(
    "R04",
    "gold",
    "Peak memory and duration lie within 1.5 times what is declared.",
    "Workers are packed by what nodes declare.",
    "Declare what 'tyqi queues' shows after some runs.",
)
_trial(
    "R05",
    "gold",
    "A thousand calls do not make the process grow.",
    "Workers live for days.",
    "Keep no results, no graphs and no growing caches on self or in modules. They get ten minutes.",
)


@check(
    "S02",
    "run",
    "bronze",
    title="What it does beyond computing is declared: network, subprocess, files, native.",
    reason="An operator decides by the declaration what may run where.",
    remedy="Declare it in the manifest: capabilities: [network]. Or do without it.",
)
def capabilities_are_declared(installed: Installed) -> Findings:
    """What an audit hook saw while the nodes were imported and executed. It detects; it is no sandbox."""
    require_installed(installed)
    reports: Reports = installed.once("trials", lambda: try_all(installed))
    declared = {name for manifest in installed.wheel.manifests for name in manifest.capabilities}
    places: dict[tuple[str, str, int], str] = {}
    for seen in [*probed(installed).imported.get("seen", ()), *reports.seen]:
        if seen["capability"] not in declared and _counts(seen):
            places.setdefault((seen["capability"], seen["file"], seen["line"]), f"{seen['event']} {seen['subject']}")
    for (capability, file, line), what in places.items():
        yield Finding(f"it uses '{capability}', which it does not declare ({what})", file, line)


def _counts(seen: dict[str, Any]) -> bool:
    """Temporary files and sockets that connect to nothing are nobody's business; nor how dependencies are imported."""
    return not (seen["temporary"] or seen["importing"] or seen["event"] == "socket.__new__")


@check(
    "U01",
    "run",
    "bronze",
    title="Disabled it is not offered, and uninstalled it leaves nothing behind.",
    reason="People must be able to try a node and be rid of it.",
    remedy="Write nothing beside the package's own files; caches belong into the user's cache folder.",
)
def leaves_nothing(installed: Installed) -> Findings:
    """Disable, uninstall, look, and install again for whatever comes next."""
    require_installed(installed)
    ids = sorted({manifest.id for manifest in installed.wheel.manifests})
    offered = _answer(installed, _OFFERED, json.dumps(ids))
    if offered:
        yield Finding(f"disabled, it is still offered: {', '.join(offered)}")
    removed = installed.pip("uninstall", "--yes", installed.wheel.name)
    if removed.code:
        yield Finding(f"pip cannot uninstall it: {removed.errors[-300:]}")
        return
    left = sorted(installed.files() - installed.before)
    yield from (Finding("uninstalled, it leaves this file behind", name) for name in left[:10])
    listed = _answer(installed, _LISTED, installed.wheel.name)
    if listed:
        yield Finding(f"uninstalled, it is still listed: {', '.join(listed)}")
    at_home = sorted(str(path.relative_to(installed.home)) for path in (installed.home / "home").rglob("*"))
    if at_home:
        yield Warned(Finding(f"it has left {len(at_home)} files and folders in the user's home, {at_home[0]} for one"))
    installed.reinstall()


_OFFERED: Final = """
import json, sys
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import CatalogError
ids = json.loads(sys.argv[1])
catalog = Catalog.load(cache=False, disabled=ids)
offered = []
for node in ids:
    try:
        catalog.find(node)
    except CatalogError as error:
        if error.code == "NODE_DISABLED":
            continue
    offered.append(node)
print(json.dumps(offered))
"""
_LISTED: Final = """
import json, sys
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.discovery import normalised
entries = Catalog.load(cache=False).entries()
print(json.dumps([entry.id for entry in entries if normalised(entry.distribution) == sys.argv[1]]))
"""


def _answer(installed: Installed, program: str, argument: str) -> Any:
    ended = installed.run("-c", program, argument)
    try:
        return json.loads(ended.output)
    except ValueError:
        return [ended.reason]


@check(
    "U02",
    "run",
    "bronze",
    title="It works beside other packages that are broken.",
    reason="One bad neighbour must not take the others along.",
    remedy="Do not look through other packages' entry points, and import none of them.",
)
def works_beside_broken_ones(installed: Installed) -> Findings:
    """Its examples once more, beside packages that cannot be read, imported or survived."""
    require_installed(installed)
    reports: Reports = installed.once("trials", lambda: try_all(installed))
    good = [item for item, report in reports.of.items() if item[0] == "T01" and not report.findings]
    if not good:
        raise NotApplicable("no example of it runs, see T01")
    folder = write_siblings(installed.home.parent / "siblings")
    beside = try_all(installed, ("T01",), folder)
    for item in good:
        for finding in _findings(beside, item):
            yield replace(finding, message=f"{item[1]}: beside broken packages: {finding.message}")


def _findings(reports: Reports, item: Item) -> Sequence[Finding]:
    return reports.of[item].findings
