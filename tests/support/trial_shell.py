"""The command line in a folder of its own, with the trial nodes installed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from trial_runs import NUMBER

from tyqi_core.cli import cli
from tyqi_core.errors import TyqiError

TYQI = (sys.executable, "-m", "tyqi_core.cli")
SCALED = f"""tyqi: 1
project: scaled
inputs: {{n: {NUMBER}, note: {{type: bytes, required: false}}}}
tasks:
  T1: {{node: trial.scale@1, inputs: {{x: $input.n}}}}
  T2:
    node: trial.add
    inputs: {{x: T1.value}}
    condition: true
    branches: [{{when: "T2.sum > 25", to: A}}, {{default: null}}]
  A: {{node: trial.add, subchain: true, inputs: {{x: T2.sum}}, params: {{plus: 1000}}}}
  P: {{node: trial.picture, inputs: {{x: T1.value}}}}
  J: {{node: trial.pair, predecessor: [T2], inputs: {{a: T2.sum, b: T2.branch.sum}}}}
outputs: {{both: J.both, image: P.image}}
"""


class Shell:
    """The command line in a folder of its own; in this process, as starting one takes a second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"TYQI_STATE": str(folder / "state")}
        (folder / "scaled.yaml").write_text(SCALED, encoding="utf-8")
        (folder / "n.json").write_text("10", encoding="utf-8")

    def __call__(self, *arguments: str, status: int = 0, **variables: str) -> str:
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(cli, arguments, env=self.environment | variables)
        if isinstance(done.exception, TyqiError):  # what the command's `main` does with it
            assert done.exception.exit_code == status, done.exception
            return str(done.exception)
        assert done.exit_code == status, done.output
        return done.stdout

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen((*TYQI, *arguments), cwd=self.folder, env=os.environ | self.environment, **pipes)

    def fresh(self, *arguments: str) -> Any:
        """The answer of a process of its own that goes well."""
        out, told = (process := self.process(*arguments, "--json")).communicate(timeout=60)
        assert process.returncode == 0, told
        return json.loads(out)

    def json(self, *arguments: str, status: int = 0, **variables: str) -> Any:
        return json.loads(self(*arguments, "--json", status=status, **variables))

    def record(self, run_id: str) -> Path:
        return self.folder / "state" / "runs" / run_id


@pytest.fixture
def shell(trial_catalog, tmp_path) -> Shell:
    return Shell(tmp_path)
