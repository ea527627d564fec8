"""A registry's site, opened from its folder and from a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from listings import many, shelf
from registry_sites import served, written

from tyqi_core.registry.serving import application

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OURS = ("file:", "data:", "http://127.0.0.1:")


def nothing_is_published(*_: object, **__: object) -> None:
    raise AssertionError("nobody publishes here")


@pytest.fixture(scope="session")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six packages, with their evidence."""
    return written(tmp_path_factory.mktemp("small"), shelf(), with_evidence=True)


@pytest.fixture(scope="session")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand nodes."""
    return written(tmp_path_factory.mktemp("large"), many(1000))


@pytest.fixture(scope="session")
def small_address(small_site: Path) -> Iterator[str]:
    with served(application(small_site, publish=nothing_is_published)) as address:
        yield address


@pytest.fixture(params=["folder", "server"])
def home(request: pytest.FixtureRequest, small_site: Path) -> str:
    """The address of the small site: in its folder, and on a server."""
    return request.getfixturevalue("small_address") if request.param == "server" else f"{small_site.as_uri()}/"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab. If a page logs an error or a warning, or asks for what is not the site's, the test fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.set_default_timeout(10_000)
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda sent: None if sent.url.startswith(OURS) else complaints.append(f"asked for {sent.url}"))
    tab.on("requestfailed", lambda sent: complaints.append(f"could not load {sent.url[:200]}"))
    tab.on("response", lambda got: complaints.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    yield tab
    context.close()
    assert complaints == []


@pytest.fixture
def listed(page: Page) -> Callable[[], list[str]]:
    """The ids that the list shows."""
    return lambda: page.locator("#results > li code").all_text_contents()
