"""Real worker processes of every pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from trial_runs import ledger, trial_catalog, trial_folder
from worker_processes import Site

from tyqi_core.catalog.catalog import Catalog

if TYPE_CHECKING:
    from redis_servers import RedisServer

__all__ = ["ledger", "trial_catalog", "trial_folder"]


@pytest.fixture
def site(redis_server: RedisServer, trial_catalog: Catalog, tmp_path: Path) -> Iterator[Site]:
    """A store and a broker that hold nothing yet, and a sweeper; workers are started by the test."""
    with redis_server.client() as client:
        client.flushall()
    site = Site(redis_server.url, trial_catalog, tmp_path)
    yield site
    site.close()
