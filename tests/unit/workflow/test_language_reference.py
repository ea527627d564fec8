"""The language reference is true: its projects compile, its fields and codes are those of the compiler."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tyqi_core.workflow.plan import Plan
from tyqi_core.workflow.shape import project_schema

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "projects.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
MODULES = sorted((ROOT / "tyqi_core" / "workflow").glob("*.py"))


def test_the_project_at_the_top_compiles(compiled: Callable[[str], Plan]) -> None:
    (whole,) = [block for block in BLOCKS if block.startswith("tyqi: 1")]
    body = whole.partition("project: facade\n")[2]
    assert len(compiled(body).tasks) == 7


@pytest.mark.parametrize("word", ["foreach:", "on_error:"])
def test_the_excerpts_that_are_complete_compile(word: str, compiled: Callable[[str], Plan]) -> None:
    (excerpt,) = [block for block in BLOCKS if word in block and not block.startswith("tyqi: 1")]
    tasks = "".join(f"  {line}\n" for line in excerpt.replace("@2", "").splitlines())
    assert compiled(f"tasks:\n{tasks}").tasks


def test_every_field_of_the_schema_is_told() -> None:
    schema = project_schema()
    parts = [schema, schema["definitions"]["task"], schema["definitions"]["foreach"]]
    fields = [field for part in parts for field in part["properties"]]
    assert [field for field in fields if f"`{field}`" not in TEXT and f"{field}:" not in TEXT] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_code_of_the_compiler_is_told(path: Path) -> None:
    codes = set(re.findall(r'"([A-Z]+(?:_[A-Z0-9]+)+|CYCLE|CONTRADICTION)"', path.read_text(encoding="utf-8")))
    assert sorted(code for code in codes if f"`{code}`" not in TEXT) == []


def test_nearly_every_code_that_is_told_has_a_bad_project_that_shows_it() -> None:
    table = TEXT.partition("| code | what is wrong |")[2]
    told = set(re.findall(r"`([A-Z0-9_]{5,})`", table))
    shown = set()
    for file in (ROOT / "tests" / "bad_projects").glob("*.yaml"):
        found = re.search(rb"# expect: ([A-Z0-9_]+)", file.read_bytes().replace(b"\0", b""))
        shown.add(found[1].decode() if found else "")
    elsewhere = {"YAML_TOO_LARGE", "TOO_MANY_TASKS", "NODE_BROKEN", "NODE_DISABLED"}
    assert told - shown == elsewhere
    assert shown - told == set()
