"""``tyqi constraints`` writes what pip reads: the host's exact versions."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tyqi_core.conformance.host_versions import closure, conflicts, read_constraints


def tyqi(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "tyqi_core.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_prints_what_it_writes_to_a_file(tmp_path):
    printed = tyqi("constraints")
    assert tyqi("constraints", "--out", tmp_path / "host.txt").strip() == str(tmp_path / "host.txt")
    assert (tmp_path / "host.txt").read_text() == printed
    assert f"numpy=={version('numpy')}\n" in printed


def test_pip_is_held_to_it(tmp_path):
    file = tmp_path / "host.txt"
    tyqi("constraints", "--out", file)
    asked = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "-c", file]
    fits = subprocess.run([*asked, "numpy"], capture_output=True, text=True, check=False)
    moves = subprocess.run([*asked, "numpy<1"], capture_output=True, text=True, check=False)
    assert fits.returncode == 0, fits.stderr
    assert moves.returncode == 1


def test_requirements_that_leave_the_constraints_are_told_without_pip(tmp_path):
    (tmp_path / "host.txt").write_text("# a comment\nnumpy==2.1.0\n--no-index\nTorch==2.13.0\n")
    constraints = read_constraints(tmp_path / "host.txt")
    asked = ["numpy>=2", "torch==2.1", "scipy", "numpy<2; python_version < '3'"]
    assert list(conflicts(asked, constraints)) == ["it requires torch==2.1, the host has torch 2.13.0"]


def test_a_closure_holds_what_is_needed_and_names_what_is_lacking():
    found = closure(["rich>=13", "numpy>=9999", "no-such-package-of-anybody", "scipy; extra == 'x'"], "somebody")
    assert {"rich", "pygments", "markdown-it-py", "mdurl", "numpy"} <= found.found.keys()
    assert "scipy" not in found.found
    assert found.lacking == (
        f"numpy>=9999 (asked for by somebody): installed is {version('numpy')}",
        "no-such-package-of-anybody (asked for by somebody) is not installed",
    )
