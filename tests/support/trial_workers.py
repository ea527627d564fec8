"""The runtime on Celery, for the suite: real servers, a real worker process, the client that programs use.

Starting all this takes seconds, so the tests of a session share a :class:`Workplace`. It is opened by the first test
that needs it; a worker that was closed, lost or stuck is replaced.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from rabbit_servers import RabbitServer, rabbit_program
from redis_servers import RedisServer
from sweeping import sweeping

from tyqi_core.app import Project
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.client import Client
from tyqi_core.errors import InputError, UsageError
from tyqi_core.protocol.message import Event
from tyqi_core.runtime.execute import RunInputs
from tyqi_core.runtime.run import RunResult
from tyqi_core.settings import Settings
from tyqi_core.stores.base import TERMINAL
from tyqi_core.workflow.compiler import compile_text

LONGEST_S = 60.0
THREADS = 4
QUEUES = "cpu.short,cpu.long,cpu.heavy,io"
SETTINGS: Mapping[str, float] = {"lease_s": 5.0, "grace_s": 0.5}
TOO_MANY = THREADS - 1
"""Threads that may hang in nodes which were given up, until the process is replaced."""


class Workplace:
    """A store, a broker, a worker process, a sweeper.

    Args:
        folder: where the servers keep what is theirs.
        rabbit: the broker is RabbitMQ, not a second Redis server.
    """

    def __init__(self, folder: Path, *, rabbit: bool) -> None:
        self._log = folder / "worker.log"
        with contextlib.ExitStack() as stack:
            redis = RedisServer(_made(folder / "redis"))
            stack.callback(redis.kill)
            broker = RabbitServer(_made(folder / "broker")) if rabbit else RedisServer(_made(folder / "broker"))
            stack.callback(broker.close if isinstance(broker, RabbitServer) else broker.kill)
            self._settings = Settings(folder / "state", redis=redis.url, broker=broker.url, **SETTINGS)
            self.client = stack.enter_context(Client.connect(self._settings))
            stack.enter_context(sweeping(self._settings))
            stack.callback(self.end_worker)
            self._opened = stack.pop_all()
        self._worker: subprocess.Popen[bytes] | None = None
        self._stuck = 0

    def ready(self) -> None:
        """Have a worker that takes messages."""
        if self._stuck >= TOO_MANY:
            self.lose_worker()
        if self._worker is None or self._worker.poll() is not None:
            self._stuck = 0
            self._worker = self._started()

    def gave_up(self, attempts: int) -> None:
        """So many threads may hang in a node that nobody waits for any more.

        What the supervisor of ``tyqi worker`` does a second later, this does when it would matter: the process goes.
        """
        self._stuck += attempts

    def next_test(self) -> None:
        """No thread that hangs is left to the next test."""
        if self._stuck:
            self.lose_worker()

    def end_worker(self) -> None:
        """End the worker in good order: it finishes what it executes, and tears its nodes down."""
        if self._worker is not None:
            self._worker.send_signal(signal.SIGTERM)
            self._worker.wait(LONGEST_S)
            self._worker = None

    def lose_worker(self) -> None:
        """End the worker as a crash would."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None

    def last_words(self) -> str:
        """The end of the worker's log."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-4000:] if self._log.exists() else ""

    def close(self) -> None:
        """End everything."""
        self._opened.close()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tyqi_core.worker", "-Q", QUEUES, "-P", "threads", "-c", str(THREADS)]
        own = {"TYQI_REDIS": self._settings.redis, "TYQI_BROKER": self._settings.broker, "TYQI_QUEUES": QUEUES}
        own |= {f"TYQI_{name.upper()}": str(value) for name, value in SETTINGS.items()}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*command, "-l", "WARNING"],
                env=os.environ | own,
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


class OnWorkers:
    """Runs on the workers of a workplace; see ``trial_runs.Runtime``. Nothing of a run lives in a worker."""

    def __init__(self, catalog: Catalog, workplace: Workplace) -> None:
        self._catalog = catalog
        self._workplace = workplace
        self._client = workplace.client
        self._projects: dict[str, Project] = {}
        self._refused: dict[str, RunResult] = {}
        self._runs: list[str] = []
        workplace.next_test()

    def start(
        self, project: str, inputs: Mapping[str, Any], params: Mapping[str, Any], run_id: str | None = None
    ) -> str:
        run_id = run_id or uuid.uuid4().hex
        compiled = self._compiled(project, params)
        try:
            if any(isinstance(value, str) for value in inputs.values()):
                RunInputs(compiled.plan).checked(inputs)  # the client would read it as a path; the suite means text
            self._workplace.ready()
            self._client.submit(compiled, inputs, run_id=run_id)
        except InputError as error:
            self._refused[run_id] = RunResult(run_id, "failed", error=error.to_json())
        else:
            self._runs.append(run_id)
        return run_id

    def wait(self, run_id: str) -> RunResult:
        if run_id in self._refused:
            return self._refused[run_id]
        try:
            result = self._client.wait(run_id, LONGEST_S)
        except TimeoutError as error:
            error.add_note(self._workplace.last_words())
            raise
        self._workplace.gave_up(sum(map(_timed_out, result.events)))
        return result

    def cancel(self, run_id: str, grace: float) -> None:
        executing, began = self._executing(run_id), time.monotonic()
        self._client.cancel(run_id, grace)
        if time.monotonic() - began >= grace:
            self._workplace.gave_up(len(executing))

    def resume(self, run_id: str) -> str:
        self._workplace.ready()
        return self._client.resume(run_id)

    def close(self) -> None:
        self._workplace.end_worker()

    def done(self) -> None:
        for run_id in self._runs:
            if self._client.status(run_id) not in TERMINAL:
                self.cancel(run_id, 0.0)
            self._client.forget(run_id)

    def _compiled(self, project: str, params: Mapping[str, Any]) -> Project:
        key = repr((project, sorted(params.items())))
        if key not in self._projects:
            self._projects[key] = Project(compile_text(project, "p.yaml", self._catalog, params), project)
        return self._projects[key]

    def _executing(self, run_id: str) -> set[str]:
        """The tasks that were started and of which no end is told."""
        found: set[str] = set()
        with contextlib.suppress(UsageError):
            for event in self._client.events(run_id):
                if event.kind == "task.started":
                    found.add(event.subject)
                elif event.kind.startswith("task."):
                    found.discard(event.subject)
        return found


def _timed_out(event: Event) -> bool:
    return bool(event.data) and event.data.get("error", {}).get("code") == "TIMEOUT" and event.kind.startswith("task.")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


BROKERS: Mapping[str, bool] = {"celery-redis": False, "celery-rabbitmq": True}


@pytest.fixture(scope="session")
def workplaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Workplace]]:
    """The workplace on a broker; made when a test first asks for it, shared by all of the session."""
    opened: dict[str, Workplace] = {}

    def workplace(name: str) -> Workplace:
        if BROKERS[name]:
            rabbit_program("rabbitmq-server")
        if name not in opened:
            opened[name] = Workplace(tmp_path_factory.mktemp(name), rabbit=BROKERS[name])
        return opened[name]

    yield workplace
    for one in opened.values():
        one.close()
