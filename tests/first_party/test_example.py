"""The example project, as the README's first command runs it, looked at in a browser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_plugins

EXAMPLE = Path(__file__).parents[2] / "examples" / "facade-inspection"


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    """The folder with the results of all of the example's pictures, and the JSON answer."""
    folder = tmp_path_factory.mktemp("facade")
    subprocess.run([sys.executable, EXAMPLE / "make_pictures.py", folder / "pictures"], check=True, capture_output=True)
    command = [sys.executable, "-m", "tyqi_core.cli", "run", EXAMPLE / "project.yaml", "--json"]
    words = ["--inputs-dir", folder / "pictures", "--out", folder / "out"]
    done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=True)
    return folder, json.loads(done.stdout)


def test_every_picture_is_inspected(inspected):
    _, answer = inspected
    assert answer["ok"] is True
    assert answer["completed"] == answer["total"] == 12


def test_different_pictures_take_different_ways(inspected):
    _, answer = inspected
    assert len({tuple(run["path"]) for run in answer["runs"]}) >= 3


def test_the_pictures_names_say_what_the_triage_should_find(inspected):
    _, answer = inspected
    for run in answer["runs"]:
        kind = run["name"].rpartition(".")[0].rpartition("-")[2]
        assert run["path"][0] == f"T1 {kind}", run["name"]


def test_the_page_shows_the_ways_and_leads_to_each_report(inspected, page):
    folder, answer = inspected
    page.goto((folder / "out" / "index.html").as_uri())
    text = page.inner_text("body")
    assert "12" in text
    for words in ("clean", "crack", "spall", "max_width.value"):
        assert words in text
    page.get_by_role("link", name="page.html").first.click()
    page.wait_for_url("**/page.html")
    assert page.get_by_role("heading", level=1).inner_text() == "Facade inspection"
    assert page.locator("img").count() >= 2
    assert answer["report"].endswith("index.html")
