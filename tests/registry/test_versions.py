"""V01 and V02: a release against the one before it."""

from __future__ import annotations

import pytest
from made_wheels import MANIFEST, make_wheel, manifest_text

from tests.registry.conftest import result_of, texts, wheel_with
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.run import conform
from tyqi_core.conformance.versions import bump_between, version_results

GAIN = MANIFEST["params"]["gain"]
NARROWED = {"params": {"gain": {**GAIN, "maximum": 10}}}
WIDENED = {"params": {"gain": {**GAIN, "maximum": 20}}}
NAME = "tyqi-node-good"


@pytest.fixture
def upgraded(tmp_path):
    """The results of V01 and V02 for a good 1.0.0 and a later release of it."""

    def results(version, before="1.0.0", /, **changes):
        old = Wheel(wheel_with(tmp_path / "old", NAME, before))
        new = Wheel(wheel_with(tmp_path / "new", NAME, version, **changes))
        return {result.check: result for result in version_results(new, old)}

    return results


@pytest.mark.parametrize(
    ("before", "after", "bump"),
    [
        ("1.0.0", "1.0.1", "patch"),
        ("1.0", "1.1", "minor"),
        ("1.9.9", "2.0.0", "major"),
        ("0.1.0", "0.1.1", "minor"),
        ("0.1.0", "0.2.0", "major"),
        ("0.9", "1.0", "major"),
        ("1.0.0", "1!0.1", "major"),
        ("1.0.0", "1.0.0.post1", "patch"),
    ],
)
def test_versions_of_distributions_are_read_as_their_authors_mean_them(before, after, bump):
    assert bump_between(before, after) == bump


def test_without_an_earlier_release_both_are_skipped(tmp_path):
    wheel = Wheel(make_wheel(tmp_path))
    assert [(one.check, one.outcome) for one in version_results(wheel, None)] == [
        ("V01", "skipped"),
        ("V02", "skipped"),
    ]


def test_a_release_that_changes_nothing_passes(upgraded):
    found = upgraded("1.0.1")
    assert (found["V01"].outcome, found["V02"].outcome) == ("passed", "passed")


@pytest.mark.parametrize("version", ["1.0.1", "1.1.0", "2.0.0"])
def test_a_narrowed_parameter_is_refused_without_a_new_major_of_the_node(upgraded, version):
    result = upgraded(version, **NARROWED)["V01"]
    assert result.outcome == "failed"
    told = texts(result.findings)
    assert "params.gain: the parameter takes less than before" in told
    assert "2.0.0" in told
    assert "tyqi_node_good/brighten.node.yaml:13: " in told  # the manifest is written a field a line


def test_a_minor_of_the_node_does_not_cover_it_either(upgraded):
    assert upgraded("1.1.0", version="1.1.0", **NARROWED)["V01"].outcome == "failed"


def test_a_new_major_of_the_node_demands_one_of_the_distribution_if_the_old_one_is_gone(upgraded):
    refused = upgraded("1.1.0", version="2.0.0", **NARROWED)["V01"]
    assert "good.brighten@1: is gone" in texts(refused.findings)
    assert upgraded("2.0.0", version="2.0.0", **NARROWED)["V01"].outcome == "passed"


def test_below_1_0_the_second_number_of_the_distribution_is_enough_but_not_of_the_node(upgraded):
    assert upgraded("0.2.0", "0.1.0", version="2.0.0", **NARROWED)["V01"].outcome == "passed"
    assert upgraded("0.1.1", "0.1.0", version="2.0.0", **NARROWED)["V01"].outcome == "failed"


def test_a_widened_parameter_demands_a_minor_of_node_and_distribution(upgraded):
    assert upgraded("1.1.0", version="1.1.0", **WIDENED)["V01"].outcome == "passed"
    assert "Write version: 1.1.0" in texts(upgraded("1.1.0", version="1.0.1", **WIDENED)["V01"].findings)
    assert "Raise the second number" in texts(upgraded("1.0.1", version="1.1.0", **WIDENED)["V01"].findings)


def test_a_manifest_in_other_words_demands_another_version_of_the_node(upgraded):
    assert upgraded("1.0.1", title="Light")["V01"].outcome == "failed"
    assert upgraded("1.0.1", version="1.0.1", title="Light")["V01"].outcome == "passed"


def test_a_version_of_the_node_that_goes_back_is_refused(upgraded, tmp_path):
    old = Wheel(wheel_with(tmp_path / "old", NAME, "1.0.0", version="1.1.0"))
    new = Wheel(wheel_with(tmp_path / "new", NAME, "1.0.1"))
    (result, _) = version_results(new, old)
    assert "is below 1.1.0" in texts(result.findings)


def test_a_project_that_the_last_release_came_with_must_still_compile(tmp_path):
    project = """\
tyqi: 1
project: bright
inputs: {wall: {type: image}}
tasks: {T1: {node: good.brighten, inputs: {image: $input.wall}, params: {gain: 15}}}
outputs: {picture: T1.image}
"""
    old = Wheel(make_wheel(tmp_path / "old", files={"tyqi_node_good/examples/project.yaml": project}))
    new = Wheel(wheel_with(tmp_path / "new", NAME, "1.0.1", **NARROWED))
    result = version_results(new, old)[1]
    assert result.outcome == "failed"
    assert result.findings[0].file == "tyqi_node_good/examples/project.yaml"


def test_an_example_that_the_new_parameters_refuse_is_told(upgraded):
    found = upgraded("1.0.1", params={"gain": {**GAIN, "maximum": 2.5}}, examples=[])["V02"]
    assert found.outcome == "failed"
    assert "compiles no more" in texts(found.findings)


def test_a_project_with_nodes_of_others_says_nothing(tmp_path):
    project = "tyqi: 1\nproject: p\ntasks: {T1: {node: crack.segment}}\n"
    old = Wheel(make_wheel(tmp_path / "old", files={"tyqi_node_good/examples/project.yaml": project}))
    assert version_results(Wheel(make_wheel(tmp_path / "new", version="1.0.1")), old)[1].outcome == "passed"


def test_a_new_major_of_the_distribution_promises_nothing(upgraded):
    assert upgraded("2.0.0", version="2.0.0", **NARROWED)["V02"].outcome == "skipped"


def test_the_kit_alone_knows_no_last_release(tmp_path):
    evidence = conform(make_wheel(tmp_path), modes=["static"])
    assert all(result.outcome == "skipped" for result in evidence.results if result.check in {"V01", "V02"})
    assert result_of(evidence, "M01").outcome == "passed"


def test_manifests_that_are_broken_are_no_nodes_here(tmp_path):
    old = Wheel(make_wheel(tmp_path / "old"))
    files = {"tyqi_node_good/brighten.node.yaml": manifest_text(category="nonsense")}
    new = Wheel(make_wheel(tmp_path / "new", version="1.0.1", files=files))
    assert "good.brighten@1: is gone" in texts(version_results(new, old)[0].findings)
