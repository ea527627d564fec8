"""Nodes on and off, safe mode, the line to type for a node that is not there, and what ``tyqi doctor`` finds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from trial_hosts import SOURCE, Host

pytestmark = pytest.mark.slow
PROJECT = """\
tyqi: 1
project: told
inputs: {{x: {{type: json, schema: {{type: number}}}}}}
tasks:
  T1: {{node: {node}, inputs: {{x: $input.x}}}}
outputs: {{y: T1.y}}
"""


def project(host: Host, node: str) -> str:
    (host.folder / "project.yaml").write_text(PROJECT.format(node=node), encoding="utf-8")
    (host.folder / "x.json").write_text("1", encoding="utf-8")
    return "project.yaml"


def findings(host: Host, subject: str) -> list[Any]:
    """What ``tyqi doctor`` says of a subject; others may be ill as well."""
    found = host.tyqi("doctor", "--no-probe", "--json", code=None).json()["findings"]
    return [one for one in found if one["subject"].startswith(subject)]


def test_a_disabled_node_is_refused_with_the_word_that_enables_it(host, registry):
    registry.add("switched")
    host.tyqi("install", "switched", "--yes")
    file = project(host, "switched.tell")
    host.tyqi("disable", "switched.tell")
    assert host.state_of("switched.tell") == "registered"
    assert "tyqi enable switched.tell" in host.tyqi("validate", file, code=2).err
    assert "NODE_DISABLED" in host.tyqi("run", file, "--input", "x=x.json", code=2).err
    host.tyqi("enable", "switched.tell")
    host.tyqi("run", file, "--input", "x=x.json")


def test_a_disabled_plugin_is_off_with_all_its_nodes_and_told_by_doctor(host, registry):
    registry.add("plugged")
    host.tyqi("install", "plugged", "--yes")
    host.tyqi("disable", "plugged")
    assert host.state_of("plugged.tell") == "registered"
    (told,) = [one for one in findings(host, "plugged") if "disabled" in one["text"]]
    assert told["remedy"] == "If that is not meant: tyqi enable plugged"
    refused = host.tyqi("enable", "plugged.tell", code=2)
    assert "tyqi enable plugged" in refused.err
    host.tyqi("enable", "plugged")
    assert host.state_of("plugged.tell") == "enabled"


def test_a_plugin_that_was_quarantined_since_is_in_no_new_run_until_that_is_taken_back(host, registry):
    registry.add("locked")
    host.tyqi("install", "locked", "--yes")
    file = project(host, "locked.tell")
    host.tyqi("run", file, "--input", "x=x.json")
    registry.change("locked", "1.0.0", quarantined="leaks")
    assert host.state_of("locked.tell") == "broken"
    for command in (("validate", file), ("run", file, "--input", "x=x.json"), ("submit", file, "--input", "x=x.json")):
        assert "is quarantined: leaks" in host.tyqi(*command, code=2).err
    registry.change("locked", "1.0.0", quarantined="")
    host.tyqi("run", file, "--input", "x=x.json")


def test_switching_imports_no_plugin(host, registry):
    registry.add("deadly", source="import os\n\nos._exit(7)\n")
    host.tyqi("install", "deadly", "--yes", code=1)
    host.tyqi("disable", "deadly.tell")
    host.tyqi("enable", "deadly")
    host.tyqi("uninstall", "deadly", "--yes")


def test_what_is_not_installed_cannot_be_switched(host, registry):
    registry.add("nearby")
    host.tyqi("install", "nearby", "--yes")
    assert "Did you mean 'nearby.tell'?" in host.tyqi("disable", "nearby.tel", code=2).err


def test_a_project_that_names_a_node_which_is_not_installed_gets_the_line_to_type(host, registry):
    registry.add("absent")
    registry.add("absent", "2.0.0", state={"yanked": "too early"})
    file = project(host, "absent.tell")
    assert (
        "tyqi install absent==1.0.0   (tyqi-node-absent 1.0.0, tier silver)" in host.tyqi("validate", file, code=2).err
    )
    registry.add("lacking")
    assert "tyqi install lacking   (" in host.tyqi("run", project(host, "lacking.tell"), code=2).err


def test_a_major_version_that_is_not_installed_gets_the_line_too(host, registry):
    registry.add("major")
    host.tyqi("install", "major", "--yes")
    registry.add("major", "2.0.0")
    assert (
        "tyqi upgrade major   (tyqi-node-major 2.0.0"
        in host.tyqi("validate", project(host, "major.tell@2"), code=2).err
    )


def test_in_safe_mode_nodes_are_listed_and_projects_compile_but_no_plugin_is_loaded(host, registry, tmp_path):
    mark = tmp_path / "imported"
    registry.add("noisy", source=f"from pathlib import Path\n\nPath({str(mark)!r}).touch()\n{SOURCE}")
    host.tyqi("install", "noisy", "--yes")
    mark.unlink()  # the trial import of the installation
    file = project(host, "noisy.tell")
    assert "noisy.tell" in host.tyqi("--safe", "nodes").out
    host.tyqi("--safe", "validate", file)
    host.tyqi("--safe", "doctor", code=None)
    assert "SAFE_MODE" in host.tyqi("--safe", "run", file, "--input", "x=x.json", "--json", code=1).out
    assert "SAFE_MODE" in host.tyqi("--safe", "up", code=2).err
    assert not mark.exists()
    host.tyqi("run", file, "--input", "x=x.json")
    assert mark.exists()


def test_in_safe_mode_no_hook_package_is_loaded(host, tmp_path):
    mark = tmp_path / "loaded"
    info = host.site / "tyqi_hook_loud-1.0.dist-info"
    module = host.site / "tyqi_hook_loud.py"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tyqi-hook-loud\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[tyqi]\nloud = tyqi_hook_loud\n", encoding="utf-8")
    module.write_text(f"from pathlib import Path\n\nPath({str(mark)!r}).touch()\n", encoding="utf-8")
    host.tyqi("--safe", "--help")
    assert not mark.exists()
    host.tyqi("--help")
    assert mark.exists()
    shutil.rmtree(info)
    module.unlink()


def test_doctor_tells_a_plugin_whose_library_is_gone_and_a_release_that_was_quarantined_since(host, registry):
    registry.add("ailing", requires=["conflictlib==1"])
    host.tyqi("install", "ailing", "--yes")
    for path in host.site.glob("conflictlib*"):
        shutil.rmtree(path)
    (misfit,) = findings(host, "tyqi-node-ailing")
    assert misfit["level"] == "fault"
    assert "needs conflictlib==1, which is not installed" in misfit["text"]
    registry.change("ailing", "1.0.0", quarantined="leaks")
    found = {one["text"]: one["remedy"] for one in findings(host, "tyqi-node-ailing")}
    assert "tyqi disable ailing" in found["is quarantined: leaks"]


def test_what_is_switched_off_belongs_to_the_environment_and_not_to_the_folder(host, registry, tmp_path):
    registry.add("everywhere")
    host.tyqi("install", "everywhere", "--yes")
    host.tyqi("disable", "everywhere.tell")
    nodes = host.tyqi("nodes", "--json", TYQI_STATE=str(Path(tmp_path, "other"))).json()["nodes"]
    assert next(one["state"] for one in nodes if one["id"] == "everywhere.tell") == "registered"
    host.tyqi("enable", "everywhere.tell")
