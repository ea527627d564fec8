"""Every file of ``tests/bad_projects/`` holds one fault; its first line says which, and where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InvalidProject
from tyqi_core.workflow.compiler import compile_file

FOLDER = Path(__file__).parents[2] / "bad_projects"
FILES = sorted(FOLDER.glob("*.yaml"))
EXPECTED = re.compile(rb"# expect: ([A-Z0-9_]+) line ([0-9, ]+)\n")


def expected(file: Path) -> list[tuple[str, int]]:
    found = EXPECTED.search(file.read_bytes().replace(b"\0", b"")[:200])
    assert found, f"{file.name} does not begin with '# expect: CODE line N'"
    return [(found[1].decode(), int(line)) for line in found[2].split(b",")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_one_fault_of_a_file_is_told_with_its_code_and_line_and_nothing_else(file: Path, catalog: Catalog) -> None:
    with pytest.raises(InvalidProject) as raised:
        compile_file(file, catalog)
    assert [(problem.code, problem.line) for problem in raised.value.problems] == expected(file)
    assert raised.value.exit_code == 2
    assert all(problem.file == str(file) for problem in raised.value.problems)


def test_there_are_many_bad_files_and_many_kinds_of_fault() -> None:
    assert len(FILES) >= 45
    assert len({expected(file)[0][0] for file in FILES}) >= 40
