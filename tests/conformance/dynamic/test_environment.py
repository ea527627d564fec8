"""A wheel's own environment holds what the wheel requires, and nothing else; what runs there is contained."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from made_wheels import make_wheel, metadata_path, metadata_text

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.environment import installed
from tyqi_core.conformance.host_versions import host_packages
from tyqi_core.errors import UsageError

pytestmark = pytest.mark.slow
OFFLINE = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}


def test_it_holds_this_core_and_the_wheel(good):
    import tyqi_core

    program = "import tyqi_core, tyqi_node_good; print(tyqi_core.__file__); print(tyqi_node_good.__file__)"
    core, node = good.run("-c", program).output.splitlines()
    assert good.fault == ""
    assert Path(core).samefile(tyqi_core.__file__)
    assert Path(node).is_relative_to(good.environment)


def test_a_package_that_the_wheel_does_not_require_is_not_there(good):
    import scipy  # the host has it

    assert scipy
    ended = good.run("-c", "import scipy")
    assert ended.code == 1
    assert "No module named 'scipy'" in ended.errors


def test_the_hosts_other_plugins_are_not_there(good):
    program = (
        "from tyqi_core.catalog.catalog import Catalog; print([e.id for e in Catalog.load(cache=False).entries()])"
    )
    assert good.run("-c", program).output == "['good.brighten']"


def test_it_is_made_without_any_network(tmp_path, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    with installed(make_wheel(tmp_path)) as place:
        assert place.fault == ""
    assert not place.environment.exists()


def test_a_requirement_that_the_host_lacks_is_told_where_no_index_answers(tmp_path, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    lacking = metadata_text(requires=["tyqi-core>=0.1,<1", "no-such-package-of-anybody>=1"])
    with installed(make_wheel(tmp_path, files={metadata_path(): lacking})) as place:
        assert place.needs.lacking == ("no-such-package-of-anybody>=1 (asked for by tyqi-node-good) is not installed",)
        assert place.unreachable


def test_programs_there_do_not_see_our_variables_but_have_a_home(good, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "secret")
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = json.loads(good.run("-c", program).output)
    assert "SOME_TOKEN" not in seen
    assert Path(seen["HOME"]).is_relative_to(good.home)


def test_a_program_that_does_not_end_is_stopped_with_what_it_started(good, tmp_path):
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "while True: pass\n"
    )
    ended = good.run("-c", program, tmp_path / "pid", timeout_s=2)
    assert ended.timed_out
    assert "did not end in time" in ended.reason
    with pytest.raises(ProcessLookupError):
        _until_gone(int((tmp_path / "pid").read_text()))


def _until_gone(pid: int) -> None:
    """Raises once there is no such process; one that was killed may wait for its reaper for a moment."""
    while True:
        os.kill(pid, 0)
        if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            raise ProcessLookupError


def test_a_program_cannot_take_all_memory(good):
    ended = good.run("-c", "x = bytearray(600 * 2**20)", memory_mb=300)
    assert ended.code == 1
    assert "MemoryError" in ended.errors


def test_noise_without_end_is_not_kept(good):
    ended = good.run("-c", "while True: print('x' * 10000)", timeout_s=1)
    assert len(ended.output) <= 1 << 20


def test_what_is_no_wheel_is_refused(tmp_path):
    (tmp_path / "notes-1.0-py3-none-any.whl").write_text("not a zip")
    with pytest.raises(UsageError, match="is no wheel"), installed(tmp_path / "notes-1.0-py3-none-any.whl"):
        pass


def test_a_wheel_is_taken_as_path_or_opened(tmp_path, good):
    assert good.wheel.name == "tyqi-node-good"
    with installed(Wheel(make_wheel(tmp_path, "tyqi-node-other"))) as place:
        assert place.wheel.name == "tyqi-node-other"


def test_the_host_is_the_core_with_what_it_needs_and_no_plugin():
    packages = host_packages()
    assert {"tyqi-core", "numpy", "networkx", "packaging"} <= packages.keys()
    assert not [name for name in packages if name.startswith("tyqi-node")]
    assert not [version for version in packages.values() if "+" in version]
