"""A Redis server that belongs to this process: for a single machine on which none is configured.

It listens on the loopback interface only, wants a random password, and keeps what it holds in its folder. It ends with
this process, however that ends. Address and password stay the same from one start to the next where the port is free.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tyqi_core.errors import StoreError, UsageError
from tyqi_core.runtime.processes.servers import ServerProgram, find_server
from tyqi_core.runtime.processes.tether import tethered

HOST: Final = "127.0.0.1"
_STEP_S: Final = 0.02
_BRIEFLY_S: Final = 1.0
_PORTS_TRIED: Final = 5
_LINES_TOLD: Final = 8
_PORT_IS_TAKEN: Final = "Address already in use"
_CONFIGURATION: Final = """\
# Written at every start. Changes are lost.
bind {host}
protected-mode yes
port {port}
requirepass {password}
daemonize no
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


class EmbeddedRedis:
    """A Redis server in ``folder``. Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    Args:
        folder: what the server holds, its configuration and its log; created if need be, for this user only.
        program: the server's program; by default the one that :func:`~.servers.find_server` finds.
        start_s: how long it may take until it answers. Reading much data takes time.
        stop_s: how long it may take to end by itself; then it is killed.
    """

    def __init__(
        self, folder: Path, *, program: ServerProgram | None = None, start_s: float = 60.0, stop_s: float = 10.0
    ) -> None:
        self.folder = folder.absolute()
        self.program = program or find_server()
        self._start_s, self._stop_s = start_s, stop_s
        self._lock: int | None = None
        self._keeper: _Keeper | None = None
        self._port, self._password = 0, ""
        self._owner = 0

    @property
    def url(self) -> str:
        """What clients connect to, redis-py and Celery alike. It holds the password: do not show it."""
        return f"redis://:{self._password}@{HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process; ``None`` while it does not run."""
        return self._keeper.pid if self._keeper is not None and self._keeper.is_alive() else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, wait until it answers, and return its :attr:`url`.

        Raises:
            UsageError: another process runs the server of this folder (``REDIS_RUNNING``).
            StoreError: it does not start (``EMBEDDED_REDIS``); the message has the last lines of its log.
        """
        _private_folder(self.folder)
        self._lock, self._owner = _take_lock(self.folder, self._stop_s), os.getpid()
        try:
            self._start_on_a_free_port()
        except BaseException:
            self.stop()
            raise
        return self.url

    def revive(self) -> bool:
        """Start the server again if it has ended, at the same address; does not wait. Whether it had ended.

        What it held is still there. Meant to be called once in a while, as by a tick of the supervisor.
        """
        if self._lock is None or self.pid is not None:
            return False
        self._spawn()
        return True

    def stop(self) -> None:
        """End the server, after it has written what it holds. Nothing happens if it does not run."""
        if self._owner != os.getpid():  # a fork of the process that started it
            return
        if self._keeper is not None:
            self._keeper.end(self._stop_s)
            self._keeper = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _start_on_a_free_port(self) -> None:
        self._port, self._password = _last_address(self.folder)
        until = time.monotonic() + self._start_s
        for again in range(_PORTS_TRIED):
            if again or not self._port:
                self._port = _free_port()
            keeper = self._spawn()
            if self._answers(keeper, until):
                return
            if keeper.is_alive() or _PORT_IS_TAKEN not in self._last_lines():
                break
        raise StoreError(
            f"{self.program.path} does not start: {self._last_lines() or 'it wrote nothing'}",
            code="EMBEDDED_REDIS",
            remedy=f"Its log is {self.folder / 'redis.log'}. What it holds is in {self.folder / 'data'}; "
            "move that away to begin with an empty store.",
        )

    def _spawn(self) -> _Keeper:
        configuration = self.folder / "redis.conf"
        _write_private(configuration, _CONFIGURATION.format(host=HOST, port=self._port, password=self._password))
        _write_private(self.folder / "url", self.url)
        command = tethered([str(self.program.path), str(configuration)])
        self._keeper = _Keeper(command, self.folder, cast("int", self._lock))
        return self._keeper

    def _answers(self, keeper: _Keeper, until: float) -> bool:
        """Wait until the server, and no other process on its port, answers; false if it ended or takes too long."""
        with _client(self._port, self._password, _BRIEFLY_S) as client:
            while keeper.is_alive() and time.monotonic() < until:
                with contextlib.suppress(redis.exceptions.RedisError):  # not there yet, still loading, or another one
                    info = cast("dict[str, Any]", client.info("server"))
                    if info.get("process_id") == keeper.pid and client.ping():
                        return True
                keeper.join(_STEP_S)
        return False

    def _last_lines(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / "redis.log").read_text(encoding="utf-8", errors="replace").splitlines()
            return " / ".join(lines[-_LINES_TOLD:])
        return ""


def running_url(folder: Path) -> str | None:
    """The address of the server that some process runs in ``folder``; ``None`` if none does."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _locked(lock, shared=True) else (folder / "url").read_text(encoding="ascii")
    finally:
        os.close(lock)


class _Keeper(threading.Thread):
    """Starts the server and lives as long: the kernel ends a tethered program with the thread that started it."""

    def __init__(self, command: list[str], folder: Path, lock: int) -> None:
        super().__init__(name="embedded-redis", daemon=True)
        self._command, self._folder, self._lock = command, folder, lock
        self._process: subprocess.Popen[bytes] | None = None
        self._error: OSError | None = None
        self._told = threading.Event()
        self.start()
        self._told.wait()
        if self._error is not None:
            raise StoreError(f"cannot start {command[0]}: {self._error}", code="EMBEDDED_REDIS") from self._error

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def run(self) -> None:
        try:
            self._process = self._spawned()
        except OSError as error:
            self._error = error
        finally:
            self._told.set()
        if self._process is not None:
            self._process.wait()

    def _spawned(self) -> subprocess.Popen[bytes]:
        path = self._folder / "redis.log"
        with contextlib.suppress(FileNotFoundError):  # that of one start before is kept
            path.replace(path.with_suffix(".log.1"))
        with path.open("wb") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._folder / "data",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock,),  # the folder is taken for as long as either of us lives
                start_new_session=True,  # Ctrl-C is for us to hear
            )

    def end(self, patience_s: float) -> None:
        """SIGTERM, which lets it write what it holds, then SIGKILL."""
        if self._process is not None:
            self._process.terminate()
            self.join(patience_s)
            self._process.kill()
            self.join()


def _client(port: int, password: str, timeout_s: float) -> redis.Redis:
    """A client that tells at once when the server is not there."""
    return redis.Redis(host=HOST, port=port, password=password, socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0))


def _private_folder(folder: Path) -> None:
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise StoreError(f"cannot use {folder} for the embedded Redis: {error}", code="EMBEDDED_REDIS") from error


def _write_private(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(text, encoding="ascii")
    new.replace(path)


def _last_address(folder: Path) -> tuple[int, str]:
    """Port and password of the last start; port 0 and a new password if there was none."""
    with contextlib.suppress(OSError, ValueError):
        address = urlsplit((folder / "url").read_text(encoding="ascii"))
        if address.port and address.password:
            return address.port, address.password
    return 0, secrets.token_hex(24)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _take_lock(folder: Path, patience_s: float) -> int:
    """Take the folder for this process. What a crashed one left there is asked to end, and waited for."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    begun, asked = time.monotonic(), False
    while not _locked(lock):
        owner = int(os.pread(lock, 20, 0) or b"0")
        alive = _lives(owner)
        if time.monotonic() - begun > (_BRIEFLY_S if alive else patience_s):
            os.close(lock)
            raise UsageError(
                f"process {owner} runs the Redis server of {folder}",
                code="REDIS_RUNNING",
                remedy="Use that one, stop it, or choose another folder for the state.",
            )
        if not alive and not asked:
            _ask_to_end(folder)
            asked = True
        time.sleep(_STEP_S)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _locked(lock: int, *, shared: bool = False) -> bool:
    import fcntl  # noqa: PLC0415 - not on Windows, where there is no server to start either

    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def _ask_to_end(folder: Path) -> None:
    """Systems other than Linux leave the server of a crashed process running."""
    port, password = _last_address(folder)
    if port:
        with contextlib.suppress(redis.exceptions.RedisError), _client(port, password, _BRIEFLY_S) as client:
            client.shutdown(nosave=True)
