"""The documents stay true: every example in them parses, every link leads somewhere, every public name exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import tyqi_core

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def documents() -> list[Path]:
    found = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plugins/*/*.md"),
        *ROOT.glob("examples/**/*.md"),
    ]
    return sorted(found)


def blocks(language: str, *, without: str = "") -> list:
    found = []
    for document in documents():
        if document.name == without:
            continue
        for number, (tongue, body) in enumerate(FENCE.findall(document.read_text(encoding="utf-8")), start=1):
            if tongue == language:
                found.append(pytest.param(body, id=f"{document.relative_to(ROOT)}:{number}"))
    return found


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document):
    prose = FENCE.sub("", document.read_text(encoding="utf-8"))
    targets = [target for target in LINK.findall(prose) if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_fenced_block_is_closed(document):
    fences = re.findall(r"^```", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) % 2 == 0


@pytest.mark.parametrize("body", blocks("sh"))
def test_every_shell_example_parses(body):
    shell = shutil.which("sh")
    assert shell, "the examples are for a POSIX shell, and so is this test"
    checked = subprocess.run([shell, "-n"], input=body, text=True, capture_output=True, check=False)
    assert checked.stderr == ""


@pytest.mark.parametrize("body", blocks("yaml"))
def test_every_yaml_example_parses(body):
    assert list(yaml.safe_load_all(body))


@pytest.mark.parametrize("body", blocks("python", without="architecture.md"))  # that page lists signatures
def test_every_python_example_compiles(body):
    compile(body, "<example>", "exec")


def readme_commands() -> list[list[str]]:
    bodies = [
        body for tongue, body in FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8")) if tongue == "sh"
    ]
    return [[line for line in body.splitlines() if line.strip()] for body in bodies]


def test_the_readme_begins_with_the_command_that_runs_and_the_one_that_tests():
    assert readme_commands()[:2] == [["python3 scripts/demo.py"], ["python3 scripts/test.py"]]


def test_the_scripts_that_the_readme_names_are_there():
    for script in ("demo.py", "test.py"):
        assert (ROOT / "scripts" / script).is_file()


@pytest.mark.parametrize("name", tyqi_core.__all__)
def test_every_public_name_resolves(name):
    assert getattr(tyqi_core, name) is not None


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_like_this"):
        tyqi_core.nothing_like_this  # noqa: B018  # reading the attribute is the test
