"""Publishing from one machine in the registry that another one serves, with the commands alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from made_wheels import make_wheel

from tests.registry.conftest import evidence_for
from tyqi_core.registry.folder import RegistryFolder
from tyqi_core.registry.reading import open_registry

pytest.importorskip("tyqi_core.registry.serving", reason="needs the extra 'registry'")
TYQI = [sys.executable, "-m", "tyqi_core.cli", "registry"]


@pytest.fixture
def served(shelf):
    """A served registry: its address, and a key that may publish."""
    RegistryFolder.create(shelf)
    made = [*TYQI, "serve", "--registry", str(shelf), "--new-key", "ci"]
    key = subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()
    serving = [*TYQI, "serve", "--registry", str(shelf), "--port", "0"]
    with subprocess.Popen(serving, stderr=subprocess.PIPE, text=True) as server:
        found = re.search(r"http://[^\s;]+", server.stderr.readline())
        yield found[0], key
        server.terminate()
        server.stderr.close()


@pytest.fixture
def publish(served, tmp_path):
    """Call ``publish`` for a good wheel; gives code, output, errors."""
    wheel = make_wheel(tmp_path / "wheels")
    evidence = tmp_path / "evidence.json"

    def call(key, **failed):
        evidence.write_text(json.dumps(evidence_for(wheel, **failed).to_json()))
        command = [*TYQI, "publish", str(wheel), "--evidence", str(evidence), "--registry", served[0], "--json"]
        env = {**os.environ, "TYQI_REGISTRY_KEY": key}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout), done.stderr

    return call


def test_a_wheel_is_sent_and_is_then_found_over_http(served, publish):
    code, told, err = publish(served[1])
    assert (code, told["release"]["tier"]) == (0, "gold"), err
    (release,) = open_registry(served[0]).catalogue().releases
    assert release.name == "tyqi-node-good"
    assert open_registry(served[0]).evidence(release).sha256 == release.sha256


def test_without_a_key_or_with_a_wrong_one_nothing_is_taken(publish, shelf):
    code, told, _ = publish("")
    assert (code, told["error"]["code"]) == (2, "KEY_NEEDED")
    code, told, _ = publish("wrong")
    assert (code, told["error"]["code"]) == (1, "KEY_NEEDED")
    assert RegistryFolder.open(shelf).published() == []


def test_a_refusal_comes_back_with_check_and_remedy(served, publish, shelf):
    code, told, _ = publish(served[1], S01="eval is called.")
    assert code == 1
    assert "S01" in told["error"]["message"]
    assert "eval is called." in told["error"]["message"]
    assert RegistryFolder.open(shelf).published() == []
