"""With the whole zoo installed, the host lists, runs and repairs; what is good works."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from animals import ANIMALS, BY_NAME, GOOD_NODE, Animal
from places import PATIENCE_S, Answer, Place

if TYPE_CHECKING:
    from redis_servers import RedisServer

INSTALLED = [animal for animal in ANIMALS if animal.installable]
SPOILT_STATICALLY = [animal.name for animal in INSTALLED if animal.listed]
SOUND_MANIFESTS = [animal.name for animal in INSTALLED if not animal.listed]
HARMFUL_IMPORTS = [animal.name for animal in INSTALLED if animal.probed]
FAILING = [animal.name for animal in INSTALLED if animal.fails]
BESIDE = """\
tyqi: 1
project: {name}
inputs: {{image: {{type: image}}}}
tasks:
  T1: {{node: {good}, inputs: {{image: $input.image}}}}
  T2: {{node: {bad}, inputs: {{image: $input.image}}, timeout: 2, on_error: skip}}
outputs: {{level: T1.level, bad: T2.level}}
"""
QUICK = {"TYQI_LEASE_S": "1", "TYQI_GRACE_S": "0.5", "TYQI_SHARED_MEMORY": "false"}


def run(zoo: Place, *words: str, out: str, status: int = 0, **variables: str) -> dict[str, Any]:
    """What the report of a command says of its one run."""
    answer = zoo.tyqi(*words, "--input", "image=wall.png", "--out", out, "--json", **variables)
    assert answer.code == status, answer.err
    (told,) = answer.json()["runs"]
    return told


def of(listed: list[dict[str, Any]], animal: Animal) -> list[dict[str, Any]]:
    found = [entry for entry in listed if entry["distribution"] == animal.distribution]
    assert found
    return found


# -- lists and the doctor ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(zoo: Place) -> list[dict[str, Any]]:
    """What ``tyqi nodes`` lists before anything else was done."""
    answer = zoo.tyqi("nodes", "--json")
    assert answer.code == 0, answer.err
    return answer.json()["nodes"]


@pytest.fixture(scope="module", autouse=True)
def examined(zoo: Place, listed: list[dict[str, Any]]) -> Iterator[subprocess.Popen[str]]:
    """``tyqi doctor``, which waits for imports without end; it goes on while the other tests are done."""
    with zoo.start("doctor", "--json") as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def doctor(examined: subprocess.Popen[str]) -> Answer:
    """How ``tyqi doctor`` ended."""
    out, err = examined.communicate(timeout=PATIENCE_S)
    return Answer(examined.returncode, out, err)


def test_the_good_node_is_listed_as_usable(listed):
    (entry,) = [entry for entry in listed if entry["distribution"] == "tyqi-node-good"]
    assert (entry["id"], entry["state"]) == (GOOD_NODE, "enabled")


@pytest.mark.parametrize("name", SPOILT_STATICALLY)
def test_a_node_whose_files_are_spoilt_is_listed_with_its_reason(listed, name):
    for entry in of(listed, BY_NAME[name]):
        assert entry["state"] == "broken"
        assert BY_NAME[name].listed in [problem["code"] for problem in entry["problems"]]


@pytest.mark.parametrize("name", SOUND_MANIFESTS)
def test_a_node_whose_code_is_spoilt_is_listed_without_running_it(listed, name):
    assert [entry["state"] for entry in of(listed, BY_NAME[name])] == ["enabled"]


# -- runs in process --------------------------------------------------------------------------------------------------


def test_a_project_of_the_good_node_runs(zoo):
    assert run(zoo, "run", zoo.project(GOOD_NODE), out="good")["status"] == "completed"


@pytest.mark.parametrize("name", FAILING)
def test_a_task_of_a_spoilt_node_fails_alone(zoo, name):
    """It fails by its own fault; the good task beside it and the process go on."""
    project = zoo.write(name, BESIDE.format(name=name, good=GOOD_NODE, bad=BY_NAME[name].node))
    told = run(zoo, "run", project, out=name)
    assert (told["status"], set(told["values"])) == ("completed", {"level"})
    tasks = zoo.tyqi("runs", told["id"], "--json").json()["tasks"]
    assert (tasks["T1"]["status"], tasks["T2"]["error"]["code"]) == ("completed", BY_NAME[name].fails)


@pytest.mark.parametrize("name", [name for name in SPOILT_STATICALLY if BY_NAME[name].node != GOOD_NODE])
def test_a_project_of_a_node_whose_files_are_spoilt_is_refused_before_anything_runs(zoo, name):
    answer = zoo.tyqi("validate", zoo.project(BY_NAME[name].node), "--json")
    assert answer.code == 2
    assert BY_NAME[name].listed in answer.out


# -- workers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workers(zoo: Place, redis_server: RedisServer) -> Iterator[dict[str, str]]:
    """Workers of the environment; the settings that lead to them."""
    with redis_server.client() as client:
        client.flushall()
    settings = {"TYQI_REDIS": redis_server.url, "TYQI_BROKER": redis_server.url, **QUICK}
    with zoo.start("up", "--concurrency", "2", errors=subprocess.STDOUT, **settings) as process:
        assert process.stdout
        assert any("Ready for runs" in line for line in iter(process.stdout.readline, ""))
        yield settings
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize("name", [animal.name for animal in INSTALLED if animal.fails_on_workers])
def test_workers_execute_the_good_node_after_a_spoilt_one(zoo, workers, name):
    project = zoo.project(BY_NAME[name].node)
    bad = run(zoo, "submit", project, "--wait", out=f"{name}.bad", status=1, **workers)
    assert (bad["status"], bad["error"]["code"]) == ("failed", BY_NAME[name].fails_on_workers)
    good = run(zoo, "submit", zoo.project(GOOD_NODE), "--wait", out=f"{name}.good", **workers)
    assert good["status"] == "completed"


# -- the doctor's report, which takes the longest ---------------------------------------------------------------------


def test_the_doctor_ends_with_a_report(doctor):
    assert doctor.code == 1, doctor.err
    report = doctor.json()
    assert not report["ok"]
    assert {"python", "tyqi-core", GOOD_NODE} <= {finding["subject"] for finding in report["findings"]}


@pytest.mark.parametrize("name", [*SPOILT_STATICALLY, *HARMFUL_IMPORTS])
def test_the_doctor_tells_what_is_wrong_and_how_to_mend_it(doctor, name):
    animal = BY_NAME[name]
    faults = [finding for finding in doctor.json()["findings"] if finding["level"] == "fault"]
    names = {animal.distribution, animal.distribution.removeprefix("tyqi-node-")}
    told = [
        one for one in faults if one["subject"] == animal.node and names & set(re.findall(r"[\w-]+", one["remedy"]))
    ]
    assert told
    assert all((animal.probed or animal.listed) in fault["text"] for fault in told)


def test_the_doctor_finds_the_good_node_sound(doctor):
    found = [finding for finding in doctor.json()["findings"] if finding["subject"] == GOOD_NODE]
    assert "ok" in [finding["level"] for finding in found]


@pytest.mark.parametrize("name", HARMFUL_IMPORTS)
def test_nodes_lists_what_the_doctor_saw(zoo, doctor, name):
    (entry,) = of(zoo.tyqi("nodes", "--json").json()["nodes"], BY_NAME[name])
    assert (entry["probe"]["ok"], BY_NAME[name].probed in entry["probe"]["reason"]) == (False, True)


def test_pip_itself_refuses_a_wheel_that_would_write_outside(zoo, wheels):
    answer = zoo.install(wheels["climbs"])
    assert answer.code != 0
    assert "outside" in answer.err
    assert not (zoo.site.parent / "climbed.py").exists()
