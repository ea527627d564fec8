"""What tests of every kind share: a real browser, real Redis and RabbitMQ servers, workers."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rabbit_servers import RabbitServer
from redis_servers import RedisServer
from trial_workers import workplaces

from tyqi_core.stores.redis import RedisStore
from tyqi_core.stores.shared_memory import SharedMemory

if TYPE_CHECKING:
    import redis
    from playwright.sync_api import Browser, Page

__all__ = ["workplaces"]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, so that none of them is what everybody waits for at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Sockets and files that a file of tests left open are found at its end, not during some test of another file."""
    yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the machine's own Chromium. Without one, browser tests are skipped here and fail in CI."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("CI must run the browser tests, and no Chromium is installed")
    pytest.skip("no Chromium is installed")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for all browser tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab without network. If the page logs an error or asks for anything outside, the test fails."""
    context = browser.new_context(offline=True)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("requestfailed", lambda request: complaints.append(f"could not load {request.url[:200]}"))
    yield tab
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis server for all tests; without a redis-server program they are skipped here and fail in CI."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """One RabbitMQ server for all tests; without a rabbitmq-server program they are skipped here and fail in CI."""
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"))
    yield server
    server.close()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the server, which holds nothing yet."""
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_store(redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path) -> Iterator[RedisStore]:
    """A store on the server, which holds nothing yet."""
    store = RedisStore.connect(redis_server.url, shared_memory=SharedMemory(tmp_path))
    yield store
    store.close()
