"""The benchmark of faults at random, a short one; ``benchmarks/faults/chaos.py`` says what it does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rabbit_servers import rabbit_program
from redis_servers import redis_binary

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults" / "chaos.py"
RUNS = 40


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_every_run_completes_while_workers_are_killed_frozen_and_disconnected(broker):
    redis_binary()
    if broker == "rabbitmq":
        rabbit_program("rabbitmq-server")
    command = [sys.executable, str(SCRIPT), "--broker", broker, "--runs", str(RUNS), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["problems"] == []
    assert document["statuses"] == {"completed": RUNS}
    assert sum(document["faults"].values()) > 0
