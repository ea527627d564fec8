"""Brokers under test; workers are each test's own, servers are shared where no test harms them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis_servers import RedisServer
from trial_runs import trial_catalog, trial_folder
from workforce import Crew, Server, Workforce

if TYPE_CHECKING:
    from rabbit_servers import RabbitServer

__all__ = ["trial_catalog", "trial_folder"]


@pytest.fixture(params=["redis", "rabbit"])
def broker(request: pytest.FixtureRequest) -> Server:
    """The broker; tests that need not see both name one."""
    return request.getfixturevalue(f"{request.param}_broker")


@pytest.fixture(scope="session")
def redis_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server that holds messages and nothing else."""
    server = RedisServer(tmp_path_factory.mktemp("broker"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def rabbit_broker(rabbit_server: RabbitServer) -> RabbitServer:
    """A RabbitMQ server."""
    return rabbit_server


@pytest.fixture
def state(redis_server: RedisServer) -> RedisServer:
    """The server that holds the runs; it holds nothing yet."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture
def employ(tmp_path: Path, state: RedisServer) -> Callable[..., Workforce]:
    """Makes the workers of a test: ``with employ(broker, Crew(...)) as workforce``."""

    def employed(broker: Server, *crews: Crew, **options: Any) -> Workforce:
        return Workforce(tmp_path / "workforce", state, broker, *crews, **options)

    return employed
