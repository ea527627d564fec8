"""The pages of the checks are what the checks say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tyqi_core.conformance.pages import pages, write_pages

FOLDER = Path(__file__).parents[2] / "docs" / "checks"
PAGES = pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_as_the_checks_have_it(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name], "run scripts/check_pages.py"


def test_there_is_no_page_of_a_check_that_is_none():
    assert {path.name for path in FOLDER.iterdir()} <= PAGES.keys()


def test_writing_removes_the_page_of_a_check_that_is_no_more(tmp_path):
    (tmp_path / "Z99.md").write_text("old")
    write_pages(tmp_path)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == PAGES
