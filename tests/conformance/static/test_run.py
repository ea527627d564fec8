"""A conformance run as a whole: order, evidence, and what happens when a check itself breaks."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from made_wheels import NODES, make_wheel

from tyqi_core.conformance.checks import CHECKS, Check, Warned
from tyqi_core.conformance.evidence import Evidence, Finding
from tyqi_core.conformance.run import MOST_FINDINGS, checks_of, conform
from tyqi_core.errors import StoreError, UsageError


@pytest.fixture
def added(monkeypatch):
    """Add a check for the time of a test."""

    def add(body, id_="X01", mode="static"):
        made = Check(id_, mode, "silver", "Title", "Reason.", "Mend it.", body)
        checks_of([mode])  # the others first
        monkeypatch.setitem(CHECKS, f"{id_}.{mode}", made)
        return made

    return add


def result_of(wheel, check="X01"):
    return next(one for one in conform(wheel, modes=["static"]).results if one.check == check)


def test_the_evidence_is_of_the_file_and_survives_json(tmp_path):
    wheel = make_wheel(tmp_path, files={"tyqi_node_good/nodes.py": NODES + "eval('1')\n"})
    evidence = conform(wheel, modes=["static"])
    assert evidence.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert (evidence.distribution, evidence.version, evidence.tier) == ("tyqi-node-good", "1.0.0", "none")
    assert (evidence.modes, evidence.complete) == (("static",), False)
    assert Evidence.from_json(evidence.to_json()).to_json() == evidence.to_json()


def test_two_runs_on_one_wheel_give_equal_evidence(tmp_path):
    wheel = make_wheel(tmp_path)
    assert conform(wheel, modes=["static"]) == conform(wheel, modes=["static"])


def test_each_check_is_told_before_it_begins_in_the_order_of_the_results(tmp_path):
    told = []
    evidence = conform(make_wheel(tmp_path), modes=["static"], progress=lambda check: told.append(check.id))
    assert told == [result.check for result in evidence.results] == [check.id for check in checks_of(["static"])]


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by zero"), RecursionError(), StoreError("away", remedy="Start it.")]
)
def test_a_check_that_breaks_has_failed_and_keeps_what_it_had_found(tmp_path, added, error):
    def body(_):
        yield Warned(Finding("Before."))
        yield "took_s", 0.5
        raise error

    added(body)
    result = result_of(make_wheel(tmp_path))
    assert (result.outcome, result.measured) == ("failed", {"took_s": 0.5})
    assert result.findings[0].message.startswith("The check could not be carried out: ")
    assert result.findings[1].message == "Before."


def test_a_finding_without_a_remedy_gets_that_of_its_check(tmp_path, added):
    added(lambda _: [Finding("One."), Finding("Two.", remedy="Like this.")])
    assert [one.remedy for one in result_of(make_wheel(tmp_path)).findings] == ["Mend it.", "Like this."]


def test_no_more_findings_are_kept_than_anybody_reads(tmp_path, added):
    added(lambda _: (Finding(f"Number {number}.") for number in range(1000)))
    findings = result_of(make_wheel(tmp_path)).findings
    assert len(findings) == MOST_FINDINGS + 1
    assert findings[-1].message == f"And {1000 - MOST_FINDINGS} more like these."


def test_a_wheel_that_would_be_unpacked_outside_its_place_is_not_installed(tmp_path):
    evidence = conform(make_wheel(tmp_path, files={"../outside.py": ""}), modes=["static", "probe"])
    skipped = [one for one in evidence.results if one.outcome == "skipped" and "Not tried" in one.findings[0].message]
    assert {one.check for one in skipped} >= {check.id for check in checks_of(["probe"]) if check.id != "S02"}
    assert evidence.tier == "none"


def test_a_check_with_a_half_in_two_modes_gives_the_worse_of_both(tmp_path, added):
    added(lambda _: [Finding("The other half.")], id_="M01")
    evidence = conform(make_wheel(tmp_path), modes=["static"])
    (result,) = (one for one in evidence.results if one.check == "M01")
    assert (result.outcome, result.findings[0].message) == ("failed", "The other half.")


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_archive_gives_evidence_or_is_no_wheel(tmp_path, seed):
    wheel, rng = make_wheel(tmp_path), np.random.default_rng(seed)
    whole, all_checks = wheel.read_bytes(), len(checks_of(["static"]))
    for count in (1, 1, 1, 1, 1, 3, 3, 3, 30, 30):
        data = bytearray(whole)
        for place, value in zip(rng.integers(len(data), size=count), rng.integers(256, size=count), strict=True):
            data[place] = value
        wheel.write_bytes(data)
        assert number_of_results(wheel) in {all_checks, "BAD_WHEEL"}


def number_of_results(wheel):
    try:
        return len(conform(wheel, modes=["static"]).results)
    except UsageError as error:
        return error.code


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x00" * 1000])
def test_what_is_no_wheel_is_wrong_usage(tmp_path, content):
    path = tmp_path / "tyqi_node_x-1.0-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="BAD_WHEEL"):
        conform(path, modes=["static"])
