"""From a wheel to the site: served by the command, published with a key by the registry's rules, seen in a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from listings import all_passed

from tyqi_core.errors import TyqiError
from tyqi_core.registry.sending import send

LIMIT_S = 120


@pytest.fixture
def server(tmp_path):
    """A registry that is served by ``tyqi registry serve``: its address and a key."""
    from tyqi_core.registry.folder import RegistryFolder

    root = RegistryFolder.create(tmp_path / "registry", "Shelf").root
    tyqi = [sys.executable, "-m", "tyqi_core.cli", "registry", "serve", "--port", "0"]
    environment = {**os.environ, "TYQI_REGISTRY": str(root)}
    made = subprocess.run(
        [*tyqi, "--new-key", "good-works"], env=environment, capture_output=True, text=True, check=True
    )
    with subprocess.Popen(tyqi, env=environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        found = re.search(r"http://\S+/", running.stderr.readline())
        assert found is not None
        yield found[0], made.stdout.strip()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=LIMIT_S)
    assert running.returncode == 0


@pytest.fixture
def wheel(tmp_path):
    from made_wheels import make_wheel

    return make_wheel(tmp_path / "dist")


@pytest.mark.needs_browser
def test_what_is_published_over_http_is_on_the_site_and_in_the_index_at_once(server, wheel, page):
    address, key = server
    answer = send(address, wheel, all_passed(wheel), key=key)
    assert answer["name"] == "tyqi-node-good"
    page.goto(f"{address}index.html")
    page.get_by_role("link", name="Brighter picture").click()
    page.wait_for_url("**/nodes/good.brighten.html")
    assert page.get_by_text("tyqi install good", exact=True).is_visible()
    assert page.get_by_role("region", name="README").get_by_role("heading", name="tyqi-node-good").is_visible()
    page.goto(f"{address}simple/tyqi-node-good/")
    assert page.get_by_role("link").text_content() == wheel.name


def test_a_version_is_published_once(server, wheel):
    address, key = server
    send(address, wheel, all_passed(wheel), key=key)
    with pytest.raises(TyqiError) as refused:
        send(address, wheel, all_passed(wheel), key=key)
    assert refused.value.code == "VERSION_EXISTS"


def test_what_is_below_bronze_is_refused_with_the_checks_that_it_fails(server, wheel):
    address, key = server
    with pytest.raises(TyqiError) as refused:
        send(address, wheel, all_passed(wheel, but="S01"), key=key)
    assert refused.value.code == "PUBLISH_REFUSED"
    assert "S01: eval is used" in refused.value.message
