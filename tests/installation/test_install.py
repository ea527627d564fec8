"""``tyqi install``, ``upgrade``, ``uninstall``: what is shown, what is done, and that nothing is done by halves."""

from __future__ import annotations

import os
import pty
import subprocess

import numpy as np
import pytest
from made_wheels import dist_info
from trial_hosts import SOURCE, WITH_LIBRARY, RegistryOfTests, library, plugin

pytestmark = pytest.mark.slow
EXITS = 'import sys\n\nsys.exit("a plugin was imported")\n'


def test_what_would_change_is_shown_and_without_a_person_to_agree_nothing_is_done(host, registry):
    registry.add("shown", requires=["conflictlib==1"], source=WITH_LIBRARY, capabilities=["network"])
    before = host.files()
    answer = host.tyqi("install", "shown", code=2)
    assert "tyqi-node-shown 1.0.0   tier: silver; may use network" in answer.err
    assert "shown.tell 1.0.0  Tells shown" in answer.err
    assert "  conflictlib 1\n" in answer.err
    assert "CONSENT: nobody is there to agree, so nothing was done. Add --yes" in answer.err
    assert host.files() == before


def test_a_person_is_asked_and_may_say_no(host, registry):
    registry.add("asked")
    before = host.files()
    leader, follower = pty.openpty()
    os.write(leader, b"n\n")
    command = [host.python, "-P", "-m", "tyqi_core.cli", "install", "asked"]
    pipes = {"stdin": follower, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run(command, env=host.environ, cwd=host.folder, text=True, check=False, **pipes)
    os.close(leader)
    os.close(follower)
    assert "Install this?" in done.stderr
    assert done.returncode != 0
    assert host.files() == before


def test_an_installed_node_is_tried_out_and_used(host, registry):
    registry.add("used")
    answer = host.tyqi("install", "used", "--yes")
    assert answer.out == "used.tell 1.0.0: usable\n"
    (host.folder / "x.json").write_text("41", encoding="utf-8")
    ran = host.tyqi("nodes", "run", "used.tell", "--input", "x=x.json", "--json").json()
    assert ran["ok"]
    again = host.tyqi("install", "used", "--yes", "--json").json()
    assert (again["done"], again["changes"]) == (False, [])


def test_a_dry_run_only_tells(host, registry):
    wheel = registry.add("dry")
    before = host.files()
    plan = host.tyqi("install", "dry", "--dry-run", "--json").json()
    (change,) = plan["changes"]
    assert (change["name"], change["version"], change["before"]) == ("tyqi-node-dry", "1.0.0", None)
    assert plan["plugins"][0]["tier"] == "silver"
    assert plan["plugins"][0]["wheel"] == wheel.name
    assert host.files() == before


def test_a_wheel_on_disk_is_installed_without_a_registry(host, tmp_path):
    wheel = plugin(tmp_path, "ondisk")
    answer = host.tyqi("install", str(wheel), "--yes", TYQI_REGISTRY="")
    assert "tier: unknown" in answer.err
    assert host.state_of("ondisk.tell") == "enabled"


def test_a_node_that_needs_another_version_of_what_the_host_stands_on_is_refused_with_both_versions(host, registry):
    registry.add("oldnumpy", requires=["numpy<2"])
    answer = host.tyqi("install", "oldnumpy", "--yes", code=1)
    assert f"tyqi-node-oldnumpy 1.0.0 needs numpy<2, here is {np.__version__}" in answer.err
    assert "tyqi install --isolated oldnumpy" in answer.err
    assert host.state_of("oldnumpy.tell") == ""


def test_a_node_whose_library_asks_for_another_numpy_is_refused_too(host, registry, libraries):
    name, version = "wantsold", "1"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: numpy<2\n"
    library(libraries, name, version, **{f"{dist_info(name, version)}/METADATA": text})
    registry.add("deepnumpy", requires=["wantsold"])
    answer = host.tyqi("install", "deepnumpy", "--yes", code=1)
    assert "CONFLICT" in answer.err
    assert "numpy<2" in answer.err
    assert f"numpy=={np.__version__}" in answer.err
    assert "tyqi install --isolated deepnumpy" in answer.err


def test_a_node_that_would_break_another_plugin_is_refused(host, registry):
    registry.add("first", requires=["conflictlib==1"], source=WITH_LIBRARY)
    registry.add("second", requires=["conflictlib==2"], source=WITH_LIBRARY)
    host.tyqi("install", "first", "--yes")
    before = host.files()
    answer = host.tyqi("install", "second", "--yes", code=1)
    assert "tyqi-node-first 1.0.0 needs conflictlib==1, here would be 2" in answer.err
    assert "tyqi install --isolated second" in answer.err
    assert host.files() == before
    host.tyqi("uninstall", "first", "--yes")


def test_what_fails_half_way_leaves_the_environment_as_it_was(host, registry, libraries):
    """The library is of a form that pip finds out about only when it unpacks it, after its sibling."""
    library(libraries, "aaalib", "1")
    name, version = "zzzlib", "1"
    text = "Wheel-Version: 9.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    library(libraries, name, version, **{f"{dist_info(name, version)}/WHEEL": text})
    registry.add("halfway", "1.0.0")
    registry.add("halfway", "1.1.0", requires=["aaalib", "zzzlib"])
    host.tyqi("install", "halfway==1.0.0", "--yes")
    before = host.files()
    answer = host.tyqi("upgrade", "halfway", "--yes", code=1)
    assert "Wheel-Version" in answer.err
    assert host.files() == before
    assert host.state_of("halfway.tell") == "enabled"


def test_a_wheel_that_is_not_the_one_of_the_catalogue_is_refused(host, registry):
    wheel = registry.add("forged")
    wheel.write_bytes(plugin(registry.scratch, "forged", source=SOURCE + "# forged\n").read_bytes())
    answer = host.tyqi("install", "forged", "--yes", code=1)
    assert "HASH_MISMATCH" in answer.err
    assert host.state_of("forged.tell") == ""


def test_a_node_that_cannot_be_imported_is_told_and_can_be_removed(host, registry):
    registry.add("exits", source=EXITS)
    before = host.files()
    answer = host.tyqi("install", "exits", "--yes", code=1)
    assert "exits.tell 1.0.0: cannot be used" in answer.out
    assert "sys.exit" in answer.out
    host.tyqi("uninstall", "exits", "--yes")
    assert host.files() == before


def test_a_quarantined_release_is_never_installed_and_a_yanked_one_only_by_its_version(host, registry):
    registry.add("withdrawn", "1.0.0")
    registry.add("withdrawn", "1.1.0", state={"yanked": "wrong unit"})
    registry.add("withdrawn", "1.2.0", state={"quarantined": "sends pictures away"})
    refused = host.tyqi("install", "withdrawn==1.2.0", "--yes", code=2)
    assert "QUARANTINED: tyqi-node-withdrawn 1.2.0 is quarantined: sends pictures away" in refused.err
    chosen = host.tyqi("install", "withdrawn", "--yes")
    assert chosen.out == "withdrawn.tell 1.0.0: usable\n"
    assert "tyqi-node-withdrawn 1.1.0 is yanked: wrong unit" in chosen.err
    assert "YANKED" in host.tyqi("install", "withdrawn>1.0", "--yes", code=2).err
    assert host.tyqi("install", "withdrawn==1.1.0", "--yes").out == "withdrawn.tell 1.1.0: usable\n"


def test_an_unknown_name_gets_the_nearest_one(host, registry):
    registry.add("skeleton")
    answer = host.tyqi("install", "skeletn", "--yes", code=2)
    assert "UNKNOWN_RELEASE" in answer.err
    assert "Did you mean 'tyqi-node-skeleton'?" in answer.err


def test_an_upgrade_tells_what_is_new_in_the_node(host, registry):
    registry.add("grows", "1.0.0")
    host.tyqi("install", "grows", "--yes")
    port = {"type": "json", "schema": {"type": "string"}, "required": False, "description": "Text"}
    number = {"type": "json", "schema": {"type": "number"}, "description": "A number (1)"}
    more = {"inputs": {"x": number, "note": port}, "params": {}, "capabilities": ["files"]}
    registry.add("grows", "1.1.0", source=SOURCE.replace('ctx.params["plus"]', "1"), **more)
    answer = host.tyqi("upgrade", "grows", "--yes")
    assert "tyqi-node-grows 1.0.0 -> 1.1.0" in answer.err
    assert "new: may use files" in answer.err
    assert "new: input 'note' of grows.tell" in answer.err
    assert "gone: parameter 'plus' of grows.tell" in answer.err
    assert answer.out == "grows.tell 1.1.0: usable\n"


def test_a_mirror_is_asked_alone_and_has_the_libraries_too(host, libraries, tmp_path):
    mirror = RegistryOfTests(tmp_path / "mirror")
    mirror.add("mirrored", requires=["mirrorlib"])
    mirror.keep_library(library(tmp_path / "away", "mirrorlib", "3"))
    nowhere = {"PIP_FIND_LINKS": "", "PIP_NO_INDEX": "1"}
    answer = host.tyqi("install", "mirrored", "--yes", TYQI_REGISTRY=str(mirror.root), **nowhere)
    assert "mirrorlib 3" in answer.err
    assert answer.out == "mirrored.tell 1.0.0: usable\n"


def test_upgrading_everything_goes_back_from_nothing_but_what_is_quarantined(host, registry, tmp_path):
    own = RegistryOfTests(tmp_path / "own")
    for version in ("1.0.0", "1.1.0"):
        own.add("newer", version)
        own.add("older", version)
    where = {"TYQI_REGISTRY": str(own.root)}
    host.tyqi("install", "newer==1.0.0", "older==1.1.0", "--yes", **where)
    own.change("older", "1.1.0", yanked="wrong unit")
    plan = host.tyqi("upgrade", "--dry-run", "--json", **where).json()
    assert [(one["name"], one["version"]) for one in plan["changes"]] == [("tyqi-node-newer", "1.1.0")]
    own.change("older", "1.1.0", quarantined="leaks")
    plan = host.tyqi("upgrade", "older", "--dry-run", "--json", **where).json()
    assert [(one["name"], one["version"]) for one in plan["changes"]] == [("tyqi-node-older", "1.0.0")]


def test_a_plugin_that_another_one_needs_comes_from_the_same_registry_and_stays_while_it_is_needed(host, registry):
    registry.add("base")
    registry.add("upper", requires=["tyqi-node-base>=1"])
    answer = host.tyqi("install", "upper", "--yes")
    assert answer.out == "base.tell 1.0.0: usable\nupper.tell 1.0.0: usable\n"
    assert "NEEDED" in host.tyqi("uninstall", "base", "--yes", code=2).err


def test_uninstalling_leaves_nothing_behind(host, registry):
    registry.add("traceless", requires=["conflictlib==2"], source=WITH_LIBRARY)
    before = host.files()
    host.tyqi("install", "traceless", "--yes")
    host.tyqi("disable", "traceless")
    host.tyqi("disable", "traceless.tell")
    assert host.files() > before
    answer = host.tyqi("uninstall", "traceless", "--yes", "--json")
    assert [line.split()[0] for line in answer.json()["removed"]] == ["tyqi-node-traceless", "conflictlib"]
    assert host.files() == before
