"""Real RabbitMQ servers for tests: each with folders, ports, a name and a cookie of its own, on the loopback interface.

A server brings its own port mapper (``epmd``), so that none of the machine is started, used or left behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import amqp
import pytest

PATIENCE_S = 60.0
DEBIAN_FOLDER = Path("/usr/lib/rabbitmq/bin")
"""Debian's programs on PATH change the user to ``rabbitmq`` and refuse everyone but root; those in here do not."""

VM_OPTIONS = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


def rabbit_program(name: str) -> str:
    """The path of a program of RabbitMQ. Where there is none, the test is skipped here and fails in CI."""
    path = shutil.which(name, path=f"{DEBIAN_FOLDER}{os.pathsep}{os.environ.get('PATH', '')}")
    if path:
        return path
    if os.environ.get("CI"):
        pytest.fail("CI must run the tests on RabbitMQ, and no rabbitmq-server is installed")
    pytest.skip("no rabbitmq-server is installed")


class RabbitServer:
    """A server of one node.

    Args:
        folder: Where everything of it is kept; empty.
        settings: Further lines of ``rabbitmq.conf``.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self._programs = {name: rabbit_program(name) for name in ("rabbitmq-server", "rabbitmqctl", "epmd")}
        self._folder = folder
        self.port, self._distribution_port, self._mapper_port = _free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._write_settings(settings)
        self._mapper = self._popen("epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port))
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers. What a killed one kept is there again."""
        self._process = self._popen("rabbitmq-server")
        until = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, f"rabbitmq-server ended at once: {self._last_words()}"
            assert time.monotonic() < until, f"rabbitmq-server does not answer: {self._last_words()}"
            time.sleep(0.05)

    def keep_queues(self) -> None:
        """Have it write to disk which queues there are.

        By itself it does so seconds later, and a quorum queue that a crash meets before is stuck for good (3.10).
        """
        self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def kill(self) -> None:
        """End its virtual machine as a crash would."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        until = time.monotonic() + PATIENCE_S
        while _listens(self.port) or _listens(self._distribution_port):
            assert time.monotonic() < until, "a killed rabbitmq-server still listens"
            time.sleep(0.01)

    def freeze(self) -> None:
        """Stop it as a machine that swaps would: connections stay, nothing answers."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        os.killpg(self._process.pid, signal.SIGCONT)

    @contextmanager
    def short_of_memory(self) -> Iterator[None]:
        """It takes no messages for a while."""
        self.control("set_vm_memory_high_watermark", "0.00001")
        until = time.monotonic() + PATIENCE_S
        while "memory" not in self.control("eval", "rabbit_alarm:get_alarms()."):
            assert time.monotonic() < until, "rabbitmq-server gives no alarm"
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.4")

    def close(self) -> None:
        """End it with everything that belongs to it."""
        if self._process.returncode is None:
            self.kill()
        self._mapper.kill()
        self._mapper.wait()

    def control(self, *arguments: str) -> str:
        """What ``rabbitmqctl`` answers."""
        command = [self._programs["rabbitmqctl"], "--quiet", *arguments]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done.stdout

    def _popen(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program}.out").open("ab") as output:
            command = [self._programs[program], *arguments]
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            return subprocess.Popen(command, env=self._environment(), start_new_session=True, **streams)

    def _environment(self) -> dict[str, str]:
        own = {
            "HOME": str(self._folder),  # the Erlang cookie is made and looked for here
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_NODENAME": f"tyqi-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "rabbitmq-env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self._folder / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": VM_OPTIONS,
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "ERL_"))}
        return {**kept, **own}

    def _write_settings(self, further: tuple[str, ...]) -> None:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "log.file.level = warning",
            "disk_free_limit.absolute = 1MB",
        ]
        (self._folder / "rabbitmq.conf").write_text("\n".join([*lines, *further, ""]), encoding="utf-8")
        (self._folder / "rabbitmq-env.conf").touch()
        (self._folder / "enabled_plugins").write_text("[].\n", encoding="utf-8")

    def _answers(self) -> bool:
        connection = amqp.Connection(host=f"127.0.0.1:{self.port}", connect_timeout=5)
        try:
            connection.connect()
            connection.close()
        except (OSError, amqp.AMQPError):
            connection.collect()  # a server that is just starting may end it in the middle of the handshake
            return False
        return True

    def _last_words(self) -> str:
        return (self._folder / "rabbitmq-server.out").read_text(encoding="utf-8", errors="replace")[-2000:]


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
