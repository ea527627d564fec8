"""M01 to M07: a good wheel passes, and one fault fails the one check that is about it."""

from __future__ import annotations

import pytest
from made_wheels import MANIFEST, dist_info, manifest_text, metadata_path, metadata_text

from tyqi_core.conformance.static_manifest import one_edit_apart

YAML = "tyqi_node_good/brighten.node.yaml"
ENTRY_POINTS = f"{dist_info()}/entry_points.txt"


def manifest(**changes):
    return {YAML: manifest_text(**changes)}


def line_of(key):
    return list(MANIFEST).index(key) + 1


def test_the_good_wheel_passes_every_static_check(results):
    found = results(known={"good.brighten": "tyqi-node-good", "other.node": "tyqi-node-other"})
    assert [check for check, result in found.items() if result.outcome != "passed" and check[0] != "V"] == []
    assert {"M01", "M02", "M03", "M04", "M05", "M06", "M07", "P01", "P02", "P03", "P04", "P06", "D01", "D02"} <= set(
        found
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"without": [YAML]}, f"{ENTRY_POINTS}:2: there is no 'brighten.node.yaml' beside the module"),
        ({"without": [ENTRY_POINTS]}, "No node is announced"),
        ({"files": {ENTRY_POINTS: "[tyqi.nodes\nbrighten"}}, "No node is announced"),
        ({"files": {ENTRY_POINTS: "[tyqi.nodes]\nbrighten = tyqi_node_good.nodes\n"}}, "not of the form module:Class"),
        ({"without": ["tyqi_node_good/nodes.py"]}, "'tyqi_node_good.nodes' of the node 'good.brighten' is not in"),
    ],
)
def test_a_node_without_its_manifest_or_module_fails_m01(failures, changes, said):
    failed = failures(**changes)
    assert said in failed.pop("M01")
    assert failed == {}


@pytest.mark.parametrize(
    ("changes", "line", "said"),
    [
        ({"thread_safe": None, "threadsafe": True}, len(MANIFEST), "Did you mean 'thread_safe'?"),
        ({"category": "magic"}, line_of("category"), "MANIFEST_SCHEMA"),
        ({"outputs": {"branch": {"type": "image"}}}, line_of("outputs"), "BAD_NAME"),
        ({"inputs": {"image": {"type": "image", "dtype": ["int7"]}}}, line_of("inputs"), "PORT_TYPE"),
    ],
)
def test_a_manifest_that_leaves_its_schema_fails_m02_with_the_line(failures, changes, line, said):
    failed = failures(files=manifest(**changes))
    assert f"{YAML}:{line}: " in failed["M02"]
    assert said in failed.pop("M02")
    assert set(failed) <= {"D02"}  # a port that was replaced has no description


@pytest.mark.parametrize("text", ["name: [", "a: &x 1\nb: *x", "just text", "x: \x00"])
def test_yaml_that_is_no_manifest_fails_m02(failures, text):
    assert YAML in failures(files={YAML: text})["M02"]


def test_a_newer_manifest_warns_in_m02_and_cannot_be_met_in_m06(results):
    found = results(files=manifest(tyqi_node=2))
    assert found["M02"].outcome == "warned"
    assert found["M06"].outcome == "failed"
    assert "Upgrade tyqi-core" in str(found["M06"].findings[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Good-Nodes"}, "nodes come in distributions called tyqi-node-NAME"),
        ({"files": manifest(name="darken")}, f"{YAML}:{line_of('name')}: NAME_MISMATCH"),
        ({"files": manifest(version=None)}, "The manifest has no version"),
        ({"name": f"tyqi-node-{'x' * 95}"}, "longer than 100 characters"),
        (
            {"files": {ENTRY_POINTS: "[tyqi.nodes]\nBrighten = tyqi_node_good.nodes:Brighten\n"}},
            f"{ENTRY_POINTS}:2: 'Brighten' is no node's name",
        ),
        ({"files": {metadata_path(): metadata_text("tyqi-node-bad")}}, "METADATA is of 'tyqi-node-bad'"),
    ],
)
def test_an_id_that_is_not_its_own_fails_m03(failures, changes, said):
    assert said in failures(**changes)["M03"]


def test_one_major_version_announced_twice_fails_m03(failures):
    entry_points = (
        "[tyqi.nodes]\nbrighten = tyqi_node_good.nodes:Brighten\nbrighten.v1 = tyqi_node_good.nodes:Brighten\n"
    )
    files = {ENTRY_POINTS: entry_points, "tyqi_node_good/brighten.v1.node.yaml": manifest_text()}
    failed = failures(files=files)
    assert "'good.brighten' is announced 2 times with the major version 1" in failed.pop("M03")
    assert failed == {}


def test_two_majors_of_one_node_are_no_fault(failures):
    entry_points = (
        "[tyqi.nodes]\nbrighten = tyqi_node_good.nodes:Brighten\nbrighten.v2 = tyqi_node_good.nodes:Brighten\n"
    )
    files = {ENTRY_POINTS: entry_points, "tyqi_node_good/brighten.v2.node.yaml": manifest_text(version="2.0.0")}
    assert failures(files=files) == {}


def test_an_id_that_another_distribution_publishes_fails_m04(failures):
    failed = failures(known={"good.brighten": "tyqi-node-better"})
    assert f"{YAML}:{line_of('name')}: 'good.brighten' is published by tyqi-node-better" in failed.pop("M04")
    assert failed == {}


def test_a_name_one_edit_away_from_a_published_one_is_warned_of(results):
    found = results(known={"goods.any": "tyqi-node-goods", "far.any": "tyqi-node-far"})["M04"]
    assert found.outcome == "warned"
    assert [finding.message for finding in found.findings] == [
        "'tyqi-node-good' is one edit away from 'tyqi-node-goods', which is published."
    ]


def test_names_are_not_compared_where_nobody_knows_what_is_published(results):
    found = results()["M04"]
    assert found.outcome == "skipped"
    assert "No catalogue" in found.findings[0].message


@pytest.mark.parametrize("other", ["crak", "craxk", "crackk", "rcack", "crac", "xcrack", "crakc"])
def test_one_edit_is_a_letter_more_less_or_other_or_two_exchanged(other):
    assert one_edit_apart("crack", other)
    assert one_edit_apart(other, "crack")


@pytest.mark.parametrize("other", ["crack", "crackle", "cxxck", "rcakc", "kcarc", "", "craqqq"])
def test_more_than_one_edit_and_none_at_all_are_not_one(other):
    assert not one_edit_apart("crack", other)


@pytest.mark.parametrize(
    ("files", "place"),
    [
        (manifest(description="TODO: say what it does."), f"{YAML}:{line_of('description')}: 'TODO'"),
        (manifest(author="Your Name"), f"{YAML}:{line_of('author')}: 'Your Name'"),
        ({metadata_path(): metadata_text(headers={"Summary": "<your summary>"})}, "'<your summary>'"),
        ({metadata_path(): metadata_text(headers={"Author-email": "me@example.com"})}, "'@example.com'"),
        ({"tyqi_node_good/more.py": "NAME = '{{ cookiecutter.name }}'\n"}, "tyqi_node_good/more.py:1"),
        ({metadata_path(): metadata_text(readme="## Use\n```sh\n{{cookiecutter.x}}\n```\n")}, "is a placeholder"),
    ],
)
def test_what_the_scaffold_left_over_fails_m05(failures, files, place):
    failed = failures(files=files)
    assert place in failed.pop("M05")
    assert failed == {}


def test_a_readme_may_say_what_its_reader_fills_in(failures):
    readme = (
        "## Usage\n```sh\ntyqi nodes run good.brighten --input image=<your picture>\n```\nSee https://example.com.\n"
    )
    assert failures(files={metadata_path(): metadata_text(readme=readme)}) == {}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (manifest(requires_tyqi=">=99"), f"{YAML}:{line_of('requires_tyqi')}: INCOMPATIBLE_CORE"),
        (manifest(requires_tyqi="the newest"), "BAD_SPECIFIER"),
        ({metadata_path(): metadata_text(requires=["numpy", "tyqi-core>=99"])}, "METADATA:10: It needs tyqi-core >=99"),
        ({metadata_path(): metadata_text(headers={"Requires-Python": ">=4"})}, "Python >=4 is none of those"),
        ({metadata_path(): metadata_text(headers={"Requires-Python": "new"})}, "'new' is no version specifier"),
    ],
)
def test_demands_that_nothing_meets_fail_m06(failures, files, said):
    failed = failures(files=files)
    assert said in failed.pop("M06")
    assert failed == {}


def test_a_distribution_that_asks_for_no_core_is_warned(results):
    found = results(files={metadata_path(): metadata_text(requires=["numpy"])})["M06"]
    assert found.outcome == "warned"


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"device": "gpu"}, "GPU_MEMORY"),
        ({"device": "gpu", "gpu_memory_mb": 100, "pool": "io"}, "POOL"),
        ({"duration": "eternal"}, "$.resources.duration"),
        ({"device": "tpu"}, "$.resources.device"),
    ],
)
def test_a_queue_that_nobody_serves_fails_m07(failures, resources, said):
    failed = failures(files=manifest(resources=resources))
    assert f"{YAML}:{line_of('resources')}: " in failed["M07"]
    assert said in failed.pop("M07")
    assert failed == {}
