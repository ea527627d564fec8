"""What comes out of the template, for every combination of its options."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml
from packaging.licenses import canonicalize_license_expression
from packaging.requirements import Requirement

import tyqi_core
from tests.template.conftest import COMBINATIONS, OF_ONE_LICENCE, TEMPLATE, Options, run
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.run import conform
from tyqi_core.protocol.images import read_image
from tyqi_core.resources import data_folder

MANY = pytest.mark.parametrize("options", COMBINATIONS, ids=str)
EACH = pytest.mark.parametrize("options", OF_ONE_LICENCE, ids=str)
LOCAL = {"preprocessing": "normalise", "inference": "segment", "condition": "triage", "postprocessing": "measure"}
LICENCE_WORDS = {
    "Apache-2.0": "Apache License",
    "MIT": "Permission is hereby granted, free of charge",
    "BSD-3-Clause": "Neither the name of the copyright holder",
    "Proprietary": "All rights reserved",
}


def text(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


def manifest_of(folder: Path) -> Path:
    (found,) = folder.glob("tyqi_node_*/*.node.yaml")
    return found


@MANY
def test_every_combination_is_about_ten_files_that_are_filled_in_and_end_in_one_newline(options, baked):
    files = [path for path in baked[options].rglob("*") if path.is_file()]
    assert len(files) == 12
    for path in files:
        if path.suffix != ".png":
            body = path.read_text(encoding="utf-8")
            left_over = "{%" in body or "{{" in body.replace("${{", "") or "cookiecutter" in body
            assert not left_over, path
            assert re.search(r"\S\n\Z", body), path
            assert "\n\n\n" not in body or path.suffix == ".py" or path.name == "LICENSE", path


@MANY
def test_the_licence_is_an_spdx_expression_with_its_own_text(options, baked):
    folder = baked[options]
    project = tomllib.loads(text(folder, "pyproject.toml"))["project"]
    assert canonicalize_license_expression(project["license"]) == project["license"]
    assert project["license"].removeprefix("LicenseRef-") == options.licence
    assert project["license-files"] == ["LICENSE"]
    assert yaml.safe_load(manifest_of(folder).read_text(encoding="utf-8"))["licence"] == project["license"]
    assert [name for name, words in LICENCE_WORDS.items() if words in text(folder, "LICENSE")] == [options.licence]
    assert (project["authors"][0]["name"] in text(folder, "LICENSE")) is (options.licence != "Apache-2.0")


@MANY
def test_the_package_asks_for_ranges_that_this_core_is_in(options, baked):
    project = tomllib.loads(text(baked[options], "pyproject.toml"))["project"]
    needed = {one.name: one.specifier for one in map(Requirement, project["dependencies"])}
    assert set(needed) == {"numpy", "tyqi-core"} | ({"torch"} if options.torch else set())
    assert needed["tyqi-core"].contains(tyqi_core.__version__)
    assert not [name for name, range_ in needed.items() if any(part.operator == "==" for part in range_)]
    assert {"Source", "Issues"} <= set(project["urls"])


@EACH
def test_editors_are_told_the_schema_that_is_in_the_repository(options, baked):
    first = manifest_of(baked[options]).read_text(encoding="utf-8").splitlines()[0]
    address = first.removeprefix("# yaml-language-server: $schema=")
    assert first != address
    assert (data_folder("schemas") / address.rpartition("/schemas/")[2]).is_file()


@EACH
def test_the_code_is_formatted_and_breaks_no_rule_of_ruff(options, baked):
    pytest.importorskip("ruff", reason="ruff belongs to the linters")
    ruff = (sys.executable, "-m", "ruff")
    where = ("--no-cache", "--line-length", "120", baked[options])
    for words in (("format", "--check"), ("check", "--select", "ALL", "--ignore", "ANN,D,INP,S101,COM812,CPY")):
        answer = run(*ruff, *words, "--isolated", *where, cwd=baked[options])
        assert answer.code == 0, answer.out + answer.err


@EACH
def test_the_workflow_is_yaml_and_runs_tox_on_the_pythons_of_the_core(options, baked):
    job = yaml.safe_load(text(baked[options], ".github/workflows/ci.yml"))["jobs"]["tox"]
    assert job["steps"][-1] == {"run": "tox"}
    classifiers = tomllib.loads(text(TEMPLATE.parents[1], "pyproject.toml"))["project"]["classifiers"]
    pythons = [re.search(r"Python :: (3\.\d+)$", line) for line in classifiers]
    assert job["strategy"]["matrix"]["python"] == [found[1] for found in pythons if found]


@EACH
def test_the_wheel_holds_one_sound_node_that_is_what_was_asked_for(options, wheels):
    wheel = Wheel(wheels[options])
    (manifest,) = wheel.manifests
    assert manifest.id == f"{options.name.replace('-', '_').replace('.', '_')}.{LOCAL[options.kind]}"
    assert manifest.resources.device == options.device
    assert bool(manifest.resources.gpu_memory_mb) is (options.device != "cpu")
    assert bool(manifest.outcomes) is (options.kind == "condition")
    assert f"{wheel.name.replace('-', '_')}/examples/project.yaml" in wheel.files
    assert manifest.examples


@EACH
def test_the_wheel_passes_every_static_check(options, wheels):
    evidence = conform(wheels[options], modes=("static",))
    faults = [(one.check, one.outcome, [*map(str, one.findings)]) for one in evidence.results]
    assert [one for one in faults if one[1] not in ("passed", "skipped")] == []
    assert evidence.tier == "gold"


def test_the_catalog_lists_all_of_them_as_enabled(with_site, tmp_path):
    answer = run(sys.executable, "-m", "tyqi_core.cli", "nodes", "--json", cwd=tmp_path, **with_site)
    states = {node["distribution"]: node["state"] for node in json.loads(answer.out)["nodes"]}
    assert {states.get(f"tyqi-node-{options.name}") for options in OF_ONE_LICENCE} == {"enabled"}


RUN_ALL = """
import json, sys
from pathlib import Path
import numpy as np
from tyqi_core import run_project
from tyqi_core.results.png import png

def told(value):
    return {"mean": float(value.mean()), "std": float(value.std())} if isinstance(value, np.ndarray) else value

ended = {}
for file in map(Path, sys.argv[1:]):
    (picture,) = file.parent.glob("*.png")
    port = "mask" if picture.name == "defects.png" else "image"
    result = run_project(file, {port: picture})
    outputs = {name: told(value) for name, value in (result.outputs or {}).items()}
    ended[file.parent.parent.name] = [result.status, outputs, result.error]
print(json.dumps(ended))
"""


@pytest.fixture(scope="module")
def ended(baked, with_site, tmp_path_factory) -> Mapping[str, list]:
    """How a run of each example project ended: status, outputs (of arrays mean and deviation), error."""
    projects = [next(baked[options].glob("tyqi_node_*/examples/project.yaml")) for options in OF_ONE_LICENCE]
    answer = run(sys.executable, "-c", RUN_ALL, *projects, cwd=tmp_path_factory.mktemp("runs"), **with_site)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


@pytest.fixture(scope="module")
def tested(baked, with_site, tmp_path_factory) -> Mapping[str, list[tuple[str, str, str]]]:
    """Package -> its tests, in one run of pytest for all: name, ``passed``, ``skipped`` or ``failure``, and why."""
    folder = tmp_path_factory.mktemp("tested")
    known = bool(entry_points(group="pytest11", name="tyqi"))
    plugin = () if known else ("-p", "tyqi_core.conformance.pytest_plugin")
    command = (sys.executable, "-m", "pytest", *plugin, "--import-mode=importlib", "--junitxml=told.xml", "-q")
    settings = ("-p", "no:cacheprovider", "-c", folder / "none.ini", "--rootdir", baked[COMBINATIONS[0]].parent)
    (folder / "none.ini").write_text("[pytest]\n", encoding="utf-8")
    run(*command, *settings, *(baked[options] / "tests" for options in OF_ONE_LICENCE), cwd=folder, **with_site)
    told: dict[str, list[tuple[str, str, str]]] = {}
    for case in ET.parse(folder / "told.xml").iter("testcase"):  # noqa: S314 - pytest has written it
        ended = [(part.tag, part.attrib.get("message", "")) for part in case] or [("passed", "")]
        told.setdefault(case.attrib["name"].partition("[")[2].partition(".")[0], []).append(
            (case.attrib["name"], *ended[0])
        )
    return told


@EACH
def test_its_own_tests_pass(options, tested):
    results = tested[options.name.replace("-", "_").replace(".", "_")]
    failed = [one for one in results if one[1] not in ("passed", "skipped")]
    if options.device == "gpu":  # where there is none, its examples cannot run, and the kit says so
        failed = [one for one in failed if not (" T01]" in one[0] and "needs a GPU and none is visible" in one[2])]
    assert failed == []
    assert [one for one in results if one[1] == "passed"]


def example(baked: Mapping[Options, Path], options: Options) -> np.ndarray:
    (picture,) = baked[options].glob("tyqi_node_*/examples/*.png")
    return read_image(picture.read_bytes())


@EACH
def test_the_example_project_runs_and_its_node_does_what_it_says(options, baked, ended):
    status, outputs, error = ended[f"tyqi_node_{options.name.replace('-', '_').replace('.', '_')}"]
    if status == "failed" and options.device == "gpu":
        assert error["code"] == "NO_DEVICE"
        return
    assert status == "completed", error
    picture = example(baked, options)
    if options.kind == "preprocessing":
        assert outputs["image"] == pytest.approx({"mean": 128, "std": 30}, rel=0.05)
    elif options.kind == "inference":
        dark = (picture.mean(axis=2) < 110).mean()
        assert outputs["mask"]["mean"] / 255 == pytest.approx(dark, rel=0.1)
    elif options.kind == "condition":
        assert outputs["brightness"] == pytest.approx(picture.mean() / 255)
    else:
        marked = int(np.count_nonzero(picture[..., 0]))
        assert outputs["measurements"]["area"] == {"value": marked, "unit": "px2"}
