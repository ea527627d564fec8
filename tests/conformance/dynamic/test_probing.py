"""What an import does is found out in a child process, and comes under the id of the right check."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_wheels import NODES, dist_info, make_wheel, manifest_text, metadata_path, metadata_text

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance import probing
from tyqi_core.conformance.checks import CHECKS, NotApplicable, Warned
from tyqi_core.conformance.environment import Installed, installed
from tyqi_core.conformance.evidence import Finding
from tyqi_core.errors import UsageError

pytestmark = pytest.mark.slow
NODES_FILE = "tyqi_node_good/nodes.py"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """An environment of this file's own: its tests change what is in it."""
    with installed(make_wheel(tmp_path_factory.mktemp("wheel"))) as place:
        yield place


def overlaid(good: Installed, folder: Path, head: str = "", files: dict[str, str] | None = None) -> Installed:
    """The good environment with another build of its wheel unpacked over it; what ``installed`` does itself is tested
    elsewhere, and this takes no time."""
    wheel = Wheel(make_wheel(folder, files={NODES_FILE: head + NODES, **(files or {})}))
    with zipfile.ZipFile(wheel.path) as archive:
        archive.extractall(good.site_packages)
    return replace(good, wheel=wheel, reports={})


def faults(check: str, place: Installed) -> list[str]:
    return [str(told) for told in CHECKS[check].body(place) if isinstance(told, Finding)]


def warned(check: str, place: Installed) -> list[str]:
    return [str(told.finding) for told in CHECKS[check].body(place) if isinstance(told, Warned)]


def test_a_good_wheel_passes_them_all_and_its_import_is_measured(good):
    place = overlaid(good, good.home)
    for check in ("P05", "I01", "I02", "I03", "I04"):
        assert faults(check, place) == []
        assert warned(check, place) == []
    measured = dict(told for told in CHECKS["I02"].body(place) if isinstance(told, tuple))
    assert measured["import_s"] > 0
    assert measured.keys() == {"import_s", "import_mb"}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("raise ValueError('not today')\n", "ValueError: not today"),
        ("import sys\nsys.exit(3)\n", "it called sys.exit(3)"),
        ("import os\nos._exit(7)\n", "ended with exit code 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "ended with signal SIGSEGV"),
        ("x = bytearray(2 * 2**30)\n", "MemoryError"),
        ("import socket\nsocket.socket()\n", "uses the network (socket.__new__"),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\n", "starts a process (subprocess.Popen"),
        ("import tempfile\ntempfile.mkstemp()\n", "writes to files (open"),
        ("import os\nos.system('true')\n", "starts a process (os.system"),
    ],
)
def test_what_an_import_must_not_do_is_found(good, tmp_path, head, words):
    place = overlaid(good, tmp_path, head)
    found = faults("I03", place)
    assert any(words in text for text in found), found


def test_the_line_that_does_it_is_named(good, tmp_path):
    place = overlaid(good, tmp_path, "import socket\n\nsocket.socket()\n")
    assert faults("I03", place)[0].startswith("tyqi_node_good/nodes.py:3: ")


def test_an_import_without_end_is_stopped(good, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "TIMEOUT_S", 3)
    place = overlaid(good, tmp_path, "while True: pass\n")
    assert "did not end in time and was stopped" in faults("I03", place)[0]


def test_what_a_dependency_does_while_it_is_imported_is_a_warning(good, tmp_path):
    noisy = good.site_packages / "noisy_dependency.py"
    noisy.write_text("import socket\nsocket.socket()\n")
    place = overlaid(good, tmp_path, "import noisy_dependency\n")
    assert faults("I03", place) == []
    assert "uses the network" in warned("I03", place)[0]
    noisy.unlink()


def test_printing_at_import_is_a_warning_and_disturbs_nothing(good, tmp_path):
    place = overlaid(good, tmp_path, "import os\nprint('{\"imported\": 1}')\nos.write(1, b'{\"imported\": 2}\\n')\n")
    assert faults("I03", place) == []
    assert "prints 16 characters" in warned("I03", place)[0]


def test_a_slow_import_is_a_warning(good, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "SLOW_S", 0.0)
    place = overlaid(good, tmp_path)
    assert "more than 0 s" in warned("I02", place)[0]


def test_listing_must_not_import_the_package(good, tmp_path):
    pth = good.site_packages / "good.pth"
    pth.write_text("import tyqi_node_good\n")
    place = overlaid(good, tmp_path)
    assert "listing its nodes imported tyqi_node_good" in faults("I01", place)[0]
    pth.unlink()


def test_a_manifest_that_is_wrong_is_told_by_the_list_too(good, tmp_path):
    place = overlaid(good, tmp_path, files={"tyqi_node_good/brighten.node.yaml": manifest_text(category="magic")})
    assert any("magic" in text for text in faults("I01", place))
    overlaid(good, tmp_path)


def test_replaced_functions_of_other_modules_are_found(good, tmp_path):
    head = "import functools\nimport json\n\n\ndef dumps(*a, **k):\n    return ''\n\n\njson.dumps = dumps\n"
    head += "json.loads = functools.partial(dumps, 1)\n"
    place = overlaid(good, tmp_path, head)
    assert faults("I04", place) == ["its import replaces json.dumps", "its import replaces json.loads"]


def test_a_requirement_that_the_hosts_version_excludes_is_a_conflict_and_names_it(tmp_path):
    metadata = metadata_text(requires=["tyqi-core>=0.1,<1", "numpy==1.0"])
    with installed(make_wheel(tmp_path, files={metadata_path(): metadata})) as place:
        (found,) = faults("P05", place)
        assert "it requires numpy==1.0, the host has numpy" in found
        assert found.startswith(f"{dist_info()}/METADATA: ")
        with pytest.raises(UsageError, match="could not be installed, see P05"):
            list(CHECKS["I01"].body(place))


def test_a_core_that_is_too_new_is_a_conflict(tmp_path):
    metadata = metadata_text(requires=["tyqi-core>=9999"])
    with installed(make_wheel(tmp_path, files={metadata_path(): metadata})) as place:
        assert "it requires tyqi-core>=9999" in faults("P05", place)[0]


def test_without_an_index_a_missing_requirement_is_not_decided(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    metadata = metadata_text(requires=["tyqi-core>=0.1,<1", "no-such-package-of-anybody"])
    with installed(make_wheel(tmp_path, files={metadata_path(): metadata})) as place:
        with pytest.raises(NotApplicable, match="no index could be asked"):
            list(CHECKS["P05"].body(place))
        with pytest.raises(UsageError, match="NOT_INSTALLED"):
            list(CHECKS["I03"].body(place))
