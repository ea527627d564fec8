"""P01 to P04 and P06: the package around the nodes."""

from __future__ import annotations

import stat
import zipfile

import pytest
from made_wheels import NODES, TIME, dist_info, make_wheel, manifest_text, metadata_path, metadata_text, record_text

from tyqi_core.conformance.archive import misfits
from tyqi_core.conformance.run import conform
from tyqi_core.conformance.subject import Examined

RECORD = f"{dist_info()}/RECORD"


def metadata(**headers):
    return {metadata_path(): metadata_text(headers=headers)}


def requiring(*requirements):
    return {metadata_path(): metadata_text(requires=["tyqi-core>=0.1,<1", *requirements])}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"files": metadata(**{"License-Expression": None})}, "There is no License-Expression"),
        (
            {"files": metadata(**{"License-Expression": "free as air"})},
            "METADATA:6: 'free as air' is no SPDX expression",
        ),
        ({"files": metadata(**{"License-File": None})}, "No licence file is named"),
        ({"without": [f"{dist_info()}/licenses/LICENSE"]}, "licenses/LICENSE is not in the wheel"),
        (
            {"files": {"tyqi_node_good/brighten.node.yaml": manifest_text(licence="ours")}},
            "'ours' is no SPDX expression",
        ),
    ],
)
def test_a_licence_that_is_not_clear_fails_p01(failures, changes, said):
    failed = failures(**changes)
    assert said in failed.pop("P01")
    assert failed == {}


def test_a_manifest_of_another_licence_is_warned_of(results):
    found = results(files={"tyqi_node_good/brighten.node.yaml": manifest_text(licence="MIT")})["P01"]
    assert found.outcome == "warned"
    assert "The manifest says MIT, the distribution Apache-2.0" in found.findings[0].message


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        (None, "no URL of the repository"),
        (["Source, https://github.com/tyq-i/x"], "no URL of the issues"),
        (["Issues, https://github.com/tyq-i/x/issues"], "no URL of the repository"),
        (["Repository, git@github.com:x", "Bug Tracker, https://x.org/issues"], "is no URL that a browser opens"),
        (["Source, https://[x", "Issues, https://github.com/x"], "is no URL that a browser opens"),
    ],
)
def test_a_package_without_its_urls_fails_p02(failures, urls, said):
    failed = failures(files=metadata(**{"Project-URL": urls}))
    assert said in failed.pop("P02")
    assert failed == {}


@pytest.mark.parametrize(
    "labels", [("Repository", "Bug Tracker"), ("source code", "issue-tracker"), ("GitHub", "Bugs")]
)
def test_urls_have_the_labels_that_are_well_known(failures, labels):
    urls = [f"{label}, https://example.net/{number}" for number, label in enumerate(labels)]
    assert "P02" not in failures(files=metadata(**{"Project-URL": urls}))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tyqi_node_good/start.pth", "A .pth file runs code whenever Python starts"),
        ("start.pth", "A .pth file runs code whenever Python starts"),
        ("tyqi_node_good-1.0.0.data/purelib/start.pth", "A .pth file"),
        ("helpers/__init__.py", "It is no part of the package 'tyqi_node_good'"),
        ("sitecustomize.py", "It is no part of the package"),
        ("tyqi_node_good-1.0.0.data/scripts/python", "It would be installed outside the package"),
        ("../../outside.py", "The path leads out of the wheel"),
        ("tyqi_node_good/../../outside.py", "The path leads out of the wheel"),
        ("/etc/outside", "The path leads out of the wheel"),
        ("C:/outside.py", "The path leads out of the wheel"),
        ("tyqi_node_good\\..\\outside.py", "The path leads out of the wheel"),
    ],
)
def test_a_file_that_is_not_its_own_fails_p03(failures, name, said):
    assert f"{name}: {said}" in failures(files={name: "import os\n"})["P03"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("", "tyqi_node_good/nodes.py: RECORD does not list it"),
        ("tyqi_node_good/gone.py,sha256=x,1\n", f"{RECORD}:1: RECORD lists 'tyqi_node_good/gone.py', which is not"),
        ("tyqi_node_good/nodes.py,sha256=AAAA,3\n", f"{RECORD}:1: 'tyqi_node_good/nodes.py' is not what RECORD says"),
        (
            "tyqi_node_good/nodes.py,,\n",
            f"{RECORD}:1: RECORD gives no SHA-256 (or stronger) of 'tyqi_node_good/nodes.py'",
        ),
        ("tyqi_node_good/nodes.py,md5=AAAA,3\n", f"{RECORD}:1: RECORD gives no SHA-256"),
    ],
)
def test_a_record_that_does_not_fit_fails_p03(failures, record, said):
    failed = failures(files={RECORD: record})
    assert said in failed.pop("P03")
    assert failed == {}


@pytest.mark.parametrize("name", ["RECORD", "WHEEL"])
def test_a_wheel_that_lacks_a_file_of_every_wheel_fails_p03(failures, name):
    assert f"There is no {name}" in failures(without=[f"{dist_info()}/{name}"])["P03"]


def test_a_member_that_is_there_twice_fails_p03(tmp_path):
    wheel = make_wheel(tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("tyqi_node_good/nodes.py", NODES)
    assert ["holds it 2 times" in str(finding) for finding in misfits(Examined(wheel))] == [True]


def test_a_link_in_the_archive_fails_p03(tmp_path):
    wheel = make_wheel(tmp_path, without=[RECORD])
    link = zipfile.ZipInfo("tyqi_node_good/passwords", TIME)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(link, "/etc/passwd")
        members = {name: archive.read(name) for name in archive.namelist()}
        archive.writestr(RECORD, record_text(members, RECORD))
    assert [str(finding) for finding in misfits(Examined(wheel))] == [
        "tyqi_node_good/passwords: It is a link or a device, no plain file."
    ]


def test_a_damaged_member_fails_p03_and_raises_nothing(tmp_path):
    wheel = make_wheel(tmp_path)
    data = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        place = archive.getinfo("tyqi_node_good/nodes.py").header_offset + 30 + len("tyqi_node_good/nodes.py")
    data[place : place + 40] = b"\xff" * 40
    wheel.write_bytes(data)
    evidence = conform(wheel, modes=("static",))
    failed = {one.check: str(one.findings[0]) for one in evidence.results if one.outcome == "failed"}
    assert "'tyqi_node_good/nodes.py' is not what RECORD says" in failed["P03"]
    assert "cannot be read" in failed["S01"]


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("torch==2.6.0", "METADATA:10: It pins torch (==2.6.0), which is the host's"),
        ("NumPy===1.26.4", "It pins NumPy (===1.26.4)"),
        ("celery>=5,==5.6.3", "It pins celery"),
        ("helper @ https://somewhere.org/helper.whl", "'helper' is asked for by a URL"),
        ("torch >> 2", "is no requirement"),
    ],
)
def test_a_requirement_that_moves_the_host_fails_p04(failures, requirement, said):
    failed = failures(files=requiring(requirement))
    assert said in failed.pop("P04")
    assert failed == {}


@pytest.mark.parametrize(
    "requirement", ["torch>=2.6", "numpy~=2.1", "torch==2.*", "shapely==2.0.1", "torch==2.6; extra == 'x'"]
)
def test_ranges_and_what_is_its_own_matter_are_no_fault(failures, requirement):
    assert failures(files=requiring(requirement)) == {}


@pytest.mark.parametrize(
    "name", ["torch/__init__.py", "json.py", "tyqi_core/extra.py", "tyqi_node_good-1.0.0.data/purelib/numpy/x.py"]
)
def test_a_module_that_shadows_the_host_s_fails_p04(failures, name):
    assert "shadows that of" in failures(files={name: ""})["P04"]


def test_a_dependency_that_is_known_to_be_bad_fails_p06(failures):
    failed = failures(files=requiring("opencv-python>=4"))
    assert "It depends on opencv-python. It writes over the host's cv2" in failed.pop("P06")
    assert failed == {}


def test_many_dependencies_are_warned_of_and_those_of_extras_do_not_count(results):
    many = [f"package-{number}" for number in range(10)]
    assert results(files=requiring(*many))["P06"].outcome == "warned"
    assert results(files=requiring(*(f"{one}; extra == 'more'" for one in many)))["P06"].outcome == "passed"
