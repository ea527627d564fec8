from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.catalog.probe import Verdict, Verdicts, first_use, probe
from tyqi_core.errors import CatalogError

Install = Callable[..., Path]
Text = Callable[..., str]

GOOD = """
from tyqi_core import Node
class Generated(Node):
    def process(self, inputs, ctx):
        return inputs
"""


@pytest.fixture
def plugin(site: Path, install: Install, manifest_text: Text) -> Callable[[str], Manifest]:
    """Installs crack.segment with this source as its module."""

    def load(source: str) -> Manifest:
        install(site, "crack", {"segment": manifest_text()}, module=source)
        return Catalog.load().find("crack.segment")

    return load


def rewrite(manifest: Manifest, source: str) -> None:
    """Give an installed plugin another module, as who edits it does."""
    (manifest.path.parent / f"{manifest.entry_point.partition(':')[0].rpartition('.')[2]}.py").write_text(source)


def test_a_sound_plugin_passes_and_is_not_imported_here(plugin: Callable[[str], Manifest]) -> None:
    verdict = probe(plugin(GOOD))
    assert (verdict.ok, verdict.reason) == (True, "")
    assert verdict.at > 0
    assert "tyqi_node_crack" not in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("import sys; sys.exit(0)", "it called sys.exit(0)"),
        ("import os; os._exit(0)", "exit code 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        (
            "import sys; print('dying words', file=sys.stderr); sys.stderr.flush(); import os; os._exit(7)",
            "dying words",
        ),
        ("Generated = 5", "expected a subclass of tyqi_core.Node"),
    ],
)
def test_a_plugin_that_ends_the_process_is_told_apart(
    plugin: Callable[[str], Manifest], source: str, reason: str
) -> None:
    verdict = probe(plugin(source + "\n"))
    assert not verdict.ok
    assert reason in verdict.reason


def test_a_plugin_that_hangs_is_stopped_with_all_that_it_started(
    plugin: Callable[[str], Manifest], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    source = f"import os, signal\nos.fork()\nkept = open({str(pipe)!r}, 'w')\nsignal.pause()\n"
    verdict = probe(plugin(source), timeout=3)
    assert (verdict.ok, "did not end within 3 s" in verdict.reason) == (False, True)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # blocks for as long as any process holds the other end
    os.close(reader)


def test_floods_of_output_are_drained(plugin: Callable[[str], Manifest]) -> None:
    source = "import sys\nfor _ in range(200):\n    print('x' * 100_000)\n    print('y' * 100_000, file=sys.stderr)\n"
    assert probe(plugin(source + GOOD)).ok


def test_input_is_empty_for_the_plugin(plugin: Callable[[str], Manifest]) -> None:
    assert probe(plugin("import sys\nassert sys.stdin.read() == ''\n" + GOOD)).ok


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's data")
def test_a_plugin_that_takes_all_memory_is_stopped(plugin: Callable[[str], Manifest]) -> None:
    verdict = probe(plugin("hoard = bytearray(400 * 2**20)\n" + GOOD), memory_mb=256)
    assert (verdict.ok, "MemoryError" in verdict.reason) == (False, True)


def test_a_node_is_tried_before_its_first_use_and_not_again(plugin: Callable[[str], Manifest]) -> None:
    manifest = plugin(GOOD)
    assert first_use(manifest) == ""
    assert Verdicts.load().of(manifest) is not None
    rewrite(manifest, "import os; os._exit(0)\n")
    assert first_use(manifest) == ""  # the same version and manifest, so nobody looks again


def test_what_speaks_against_a_node_may_be_mended(plugin: Callable[[str], Manifest]) -> None:
    manifest = plugin("import os; os._exit(0)\n")
    assert "exit code 0" in first_use(manifest)
    rewrite(manifest, GOOD)
    assert first_use(manifest) == ""


def test_a_catalog_asks_once_and_imports_nothing_that_it_was_warned_of(plugin: Callable[[str], Manifest]) -> None:
    manifest = plugin(GOOD)
    asked: list[str] = []
    answers = iter(["it ends the process", ""])
    catalog = Catalog.load(caution=lambda one: asked.append(one.id) or next(answers))  # type: ignore[func-returns-value]
    with pytest.raises(CatalogError, match=r"ACTIVATION_FAILED.*it ends the process.*tyqi upgrade crack"):
        catalog.examine(manifest)
    catalog.examine(manifest)
    catalog.examine(manifest)
    assert asked == [manifest.id] * 2
    assert "tyqi_node_crack" not in sys.modules


PARENT = """
import sys, threading, time
from pathlib import Path
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.probe import probe
manifest = Catalog.load().find("crack.segment")
threading.Thread(target=probe, args=(manifest,), kwargs={"timeout": 3}, daemon=True).start()
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
if sys.argv[2] == "killed":
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has neither of the signals")
@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_plugin_that_hangs_outlives_nobody_for_long(
    plugin: Callable[[str], Manifest], site: Path, tmp_path: Path, how: str
) -> None:
    told = tmp_path / "pid"
    write = f"import os\nwith open({str(tmp_path / 'new')!r}, 'w') as file:\n    file.write(str(os.getpid()))\n"
    plugin(write + f"os.replace({str(tmp_path / 'new')!r}, {str(told)!r})\nwhile True:\n    pass\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])}
    subprocess.run([sys.executable, "-c", PARENT, str(told), how], env=environment, check=False, timeout=60)
    deadline = time.monotonic() + 30
    while Path("/proc").joinpath(told.read_text()).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_last_verdict_is_kept_for_this_version_of_the_node(
    plugin: Callable[[str], Manifest], parse: Callable[..., Manifest], manifest_text: Text
) -> None:
    manifest = plugin(GOOD)
    assert Verdicts.load().of(manifest) is None
    first, second = Verdict(ok=False, reason="so", at=1.0), Verdict(ok=True, seconds=0.5, at=2.0)
    Verdicts.load().keep(manifest, first)
    assert Verdicts.load().of(manifest) == first
    Verdicts.load().keep(manifest, second)
    assert Verdicts.load().of(manifest) == second
    assert Verdicts.load().of(parse(manifest_text(title="title: Changed"))) is None
