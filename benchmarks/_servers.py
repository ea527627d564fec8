"""Servers and worker processes that a benchmark starts, watches and ends: on the loopback interface, in temp folders.

Whatever ends the benchmark (an error, Ctrl-C, SIGTERM), :class:`Programs` ends all that it started, by process id.
Linux only: processor times are read from /proc.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PATIENCE_S = 90.0
STOPS = (signal.SIGINT, signal.SIGTERM)
INSIST_S = 0.5
LEAVE_S = 10.0
"""How long a program may take to end in good order."""
DEBIAN_FOLDER = Path("/usr/lib/rabbitmq/bin")
"""Debian's programs on PATH change the user to ``rabbitmq`` and refuse everyone but root; those in here do not."""
VM_OPTIONS = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
"""The Erlang machine does not spin while it waits: that would take processor time from whoever is measured."""
TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
"""What processor times are counted in."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        url: where it answers.
        program: its processes.
    """

    url: str
    program: Program


class Program:
    """A process with all that it starts, in a session of its own, so that Ctrl-C is heard by the benchmark alone."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._seen: dict[int, int] = {}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def check(self) -> None:
        """A program that is needed must run."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._process.args} ended:\n{self.last_words()}")

    def last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def cpu(self) -> float:
        """Seconds of processor time that it and its descendants have used, those that have ended included."""
        return sum(stat.seconds for stat in self._tree().values())

    def ask_to_end(self) -> None:
        self._tree()  # what it has started is found as long as it lives
        if self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """Wait for its end, then kill what is left of it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_S)
        self._tree()
        for pid, started in self._seen.items():
            if _stat(pid).started == started:  # not another process that got the number
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def _tree(self) -> dict[int, _Stat]:
        """The processes of its session, and all that descend from them."""
        stats = {int(path.name): _stat(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
        due = [pid for pid, stat in stats.items() if stat.session == self._process.pid]
        found: dict[int, _Stat] = {}
        while due:
            found.update((pid, stats[pid]) for pid in due)
            due = [pid for pid, stat in stats.items() if stat.parent in found and pid not in found]
        self._seen.update((pid, stat.started) for pid, stat in found.items())
        return found


@dataclass(frozen=True, slots=True)
class _Stat:
    """What /proc tells of a process: its processor time counts that of its ended children."""

    parent: int = 0
    session: int = 0
    seconds: float = 0.0
    started: int = -1


def _stat(pid: int) -> _Stat:
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:  # it has ended
        return _Stat()
    return _Stat(int(words[1]), int(words[3]), sum(map(int, words[11:15])) * TICK_S, int(words[19]))


class Programs:
    """Starts programs, and ends them all when it is left, servers after those that use them. A context manager."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._servers: list[Program] = []
        self._clients: list[Program] = []

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tyqi-bench-")))
        self._handlers = {number: signal.signal(number, _stop) for number in (*STOPS, signal.SIGALRM)}
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)  # impatience leaves nothing behind
        try:
            self._end_all()
            self._stack.close()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _end_all(self) -> None:
        for programs in (self._clients, self._servers[::-1]):
            for program in programs:
                program.ask_to_end()
            for program in programs:
                program.end()

    def folder(self, name: str) -> Path:
        """A folder that lives as long as the programs."""
        path = self._folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def python(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Program:
        """Start a Python program with further environment variables; its output goes to a file."""
        program = self._start(name, [sys.executable, *arguments], {**os.environ, **environment})
        self._clients.append(program)
        return program

    def _serve(self, name: str, command: Sequence[str], environment: Mapping[str, str] = os.environ) -> Program:
        program = self._start(name, command, environment)
        self._servers.append(program)
        return program

    def _start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Program:
        folder = self.folder(name)
        own = {**environment, "TMPDIR": str(folder)}  # a Celery worker that has to be killed leaves a folder there
        return Program(command, own, folder / "output.txt")

    def check(self) -> None:
        """Every program must run."""
        for program in (*self._servers, *self._clients):
            program.check()

    def redis(self) -> Server:
        """A Redis server that writes nothing to disk."""
        binary = _needed("redis-server")
        (port,) = free_ports(1)
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        program = self._serve("redis", command)
        _until(program, lambda: _answers_ping(port))
        return Server(f"redis://127.0.0.1:{port}", program)

    def rabbitmq(self) -> Server:
        """A RabbitMQ server with a name, ports, a port mapper and folders of its own."""
        folder = self.folder("rabbitmq")
        ports = free_ports(3)
        environment = _rabbit_environment(folder, *ports)
        mapper = [_needed("epmd"), "-address", "127.0.0.1", "-port", str(ports[2])]
        self._serve("epmd", mapper, environment)
        program = self._serve("rabbitmq", [_needed("rabbitmq-server")], environment)
        url = f"amqp://guest:guest@127.0.0.1:{ports[0]}//"
        _until(program, lambda: _answers_amqp(url))
        return Server(url, program)


def _stop(number: int, _: object) -> None:
    """Leave, and insist on it: an exception that is raised while a destructor runs is dropped."""
    signal.setitimer(signal.ITIMER_REAL, INSIST_S)
    raise SystemExit(128 + (signal.SIGINT if number == signal.SIGALRM else number))


def rabbitmq_installed() -> bool:
    return _found("rabbitmq-server") is not None


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _rabbit_environment(folder: Path, port: int, distribution: int, mapper: int) -> dict[str, str]:
    settings = [f"listeners.tcp.1 = 127.0.0.1:{port}", "log.file.level = error", "log.console = false"]
    (folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
    (folder / "enabled_plugins").write_text("[].\n", encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
    return inherited | {
        "HOME": str(folder),  # where the Erlang cookie is kept
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_NODENAME": f"tyqi-bench-{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": VM_OPTIONS,
    }


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{DEBIAN_FOLDER}{os.pathsep}{os.environ.get('PATH', '')}")


def _needed(name: str) -> str:
    path = _found(name)
    if path is None:
        raise SystemExit(f"no {name} is installed")
    return path


def _until(program: Program, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not ready():
        program.check()
        if time.monotonic() > until:
            raise RuntimeError(f"a server does not answer:\n{program.last_words()}")
        time.sleep(0.05)


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
    except OSError:
        return False


def _answers_amqp(url: str) -> bool:
    from kombu import Connection  # noqa: PLC0415  (of the extra `workers`)

    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.connect()
            return True
    except (OSError, *_amqp_errors()):
        return False


def _amqp_errors() -> tuple[type[Exception], ...]:
    import amqp  # noqa: PLC0415  (see above)

    return (amqp.AMQPError,)
