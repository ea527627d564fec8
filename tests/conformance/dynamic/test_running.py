"""Nodes are executed in child processes, and each way to break a contract comes under the id of its check."""

from __future__ import annotations

import numpy as np
import pytest

from tyqi_core.conformance.checks import CHECKS, NotApplicable, Warned
from tyqi_core.conformance.contract_trials import distance
from tyqi_core.conformance.environment import Installed, installed
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.running import CHILD, NOWHERE, try_all
from tyqi_core.conformance.trials import TRIED, Report, Reports, tried

pytestmark = pytest.mark.slow

FAILING = {
    ("T01", "raises"): "IndexError",
    ("T01", "too_bright"): "CONTRACT_VIOLATION",
    ("T01", "numpy_number"): "CONTRACT_VIOLATION",
    ("T03", "ends_on_lines"): "ended with exit code 9",
    ("T03", "exits_on_black"): "it would end its process",
    ("T03", "no_number"): "CONTRACT_VIOLATION",
    ("T04", "counts"): "other outputs when it is run again",
    ("T06", "writes_input"): "it writes into its input 'image'",
    ("T07", "swaps"): "process_batch gives other outputs than process",
    ("R01", "shy"): "as a Celery task it fails: CallError: NODE_ERROR: RuntimeError: not on workers",
    ("R02", "half_done"): "after an exception the next task fails",
    ("R03", "deaf"): "goes on when it is cancelled",
    ("R04", "hungry"): "more than 1.5 times what it declares (40 MiB)",
    ("R05", "leaks"): "that were not given back",
}
PASSING = [
    ("T03", "refuses"),
    ("T04", "good"),
    ("T06", "good"),
    ("R01", "good"),
    ("R02", "good"),
    ("R03", "hears"),
    ("R04", "good"),
    ("R05", "good"),
]
OTHERS = [("T03", "breaks_on_lines"), ("T07", "good"), ("T08", "good")]
USING = [("T01", name) for name in ("connects", "spawns", "saves", "saves_for_a_moment", "loads")]


@pytest.fixture(scope="module")
def reports(spoilt: Installed) -> Reports:
    """All trials of this file, in one go: a child for all of them, and a new one after each that died."""
    items = [(check, f"spoilt.{node}@1") for check, node in [*FAILING, *PASSING, *OTHERS, *USING]]
    items.sort(key=lambda item: (item[1] != "spoilt.shy@1", TRIED.index(item[0])))  # before a worker's module is there
    arguments = ("-m", CHILD, "tyqi_node_spoilt")
    return tried(
        lambda given: spoilt.talk(*arguments, given=given, patience_s=60, variables=NOWHERE),
        items,
    )


def report(reports: Reports, check: str, node: str) -> Report:
    return reports.of[check, f"spoilt.{node}@1"]


@pytest.mark.parametrize(("check", "node"), FAILING)
def test_a_broken_contract_fails_its_check(reports, check, node):
    found = report(reports, check, node).findings
    assert found
    assert FAILING[check, node] in str(found[0])


@pytest.mark.parametrize(("check", "node"), PASSING)
def test_a_kept_contract_passes(reports, check, node):
    assert report(reports, check, node).findings == []


def test_the_line_that_raised_is_named(reports):
    (finding,) = report(reports, "T01", "raises").findings
    assert finding.file == "tyqi_node_spoilt/nodes.py"
    assert finding.line > 1


def test_the_input_that_a_node_did_not_survive_is_named(reports):
    assert "made up, 1 x 1" in report(reports, "T03", "ends_on_lines").findings[0].message


def test_an_exception_on_an_allowed_input_is_a_warning(reports):
    judged = report(reports, "T03", "breaks_on_lines")
    assert judged.findings == []
    assert "refuse it by an InputError" in judged.warnings[0].message


def test_checks_that_do_not_concern_a_node_say_why(reports):
    assert report(reports, "T07", "good").skipped == "it does not define both process and process_batch"
    assert report(reports, "T08", "good").skipped == "it does not declare device: any"


def test_memory_and_duration_are_measured(reports):
    measured = report(reports, "R04", "hungry").measured
    assert measured["peak_mb"] > 150
    assert measured.keys() == {"peak_mb", "duration_s"}


def test_what_nodes_do_beyond_computing_is_undeclared(spoilt, reports):
    spoilt.reports.update(trials=reports)
    found = [str(told) for told in CHECKS["S02"].body(spoilt)]
    used = {text.split("'")[1] for text in found}
    assert used == {"network", "subprocess", "files", "native"}
    assert all(text.startswith("tyqi_node_spoilt/nodes.py:") for text in found)
    files = [text for text in found if "'files'" in text]
    assert len(files) == 1  # what is written among the temporary files is nobody's business
    assert "cache.txt" in files[0]


def test_a_good_wheel_passes_every_check(good):
    for check in CHECKS.values():
        if check.mode in {"probe", "run"}:
            assert told(check.id, good) == [], check.id


@pytest.mark.needs_plugins
def test_a_first_party_plugin_passes_every_check(crack_wheel):
    quick = [
        check for check in TRIED if check != "R05"
    ]  # a thousand calls of four nodes: the good wheel stands for them
    with installed(crack_wheel) as place:
        place.once("trials", lambda: try_all(place, quick))
        found = {check.id: told(check.id, place) for check in CHECKS.values() if check.mode in {"probe", "run"}}
    assert not [(check, texts) for check, texts in found.items() if texts]


def told(check: str, place: Installed) -> list[str]:
    """Findings and warnings, in words."""
    try:
        all_told = list(CHECKS[check].body(place))
    except NotApplicable:
        return []
    return [str(one) for one in all_told if isinstance(one, (Finding, Warned))]


def test_a_process_that_does_not_even_begin_fails_all_that_was_asked_of_it(good):
    items = [("T01", "good.brighten@1"), ("T02", "good.brighten@1")]
    lost = tried(lambda given: good.talk("-c", "import os; os._exit(5)", given=given, patience_s=20), items)
    assert lost.of.keys() == set(items)
    assert all("ended with exit code 5" in report.findings[0].message for report in lost.of.values())


def test_a_file_that_stays_after_uninstalling_is_found_and_the_wheel_is_installed_again(good):
    left = good.site_packages / "tyqi_node_good" / "cache.bin"
    left.write_bytes(b"x")
    assert any("tyqi_node_good/cache.bin" in text for text in told("U01", good))
    assert good.run("-c", "import tyqi_node_good.nodes").code == 0
    left.unlink()


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (1.0, 1.0005, False),
        (1.0, 1.5, True),
        ("a", "b", True),
        ({"a": [1.0]}, {"a": [1.0]}, False),
        ({"a": 1.0}, {"b": 1.0}, True),
        (np.ones((2, 2)), np.ones((2, 3)), True),
        (np.ones((2, 2), np.float32), np.ones((2, 2), np.float32) + 1e-4, False),
    ],
)
def test_values_are_the_same_within_a_tolerance(one, other, apart):
    assert bool(distance(one, other)) is apart
