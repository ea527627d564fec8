"""Worker processes of any pool on one Redis server that is store and broker, and what tests ask of their runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeping import sweeping
from trial_runs import HEAD

from tyqi_core.app import Project
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.client import Client
from tyqi_core.runtime.run import RunResult
from tyqi_core.settings import Settings
from tyqi_core.stores.redis import RedisStore
from tyqi_core.workflow.compiler import compile_text

LONGEST_S = 60.0
QUEUES = "cpu.short,cpu.long,cpu.heavy,gpu.short,io"
LEASE_S = 1.0


class WorkerProcess:
    """``python -m tyqi_core.worker``, and what it logs."""

    def __init__(self, options: Sequence[str], variables: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tyqi_core.worker", "-l", "INFO", *options],
                env=os.environ | variables,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def until_logged(self, text: str) -> None:
        """Wait until it has logged something."""
        eventually(lambda: text in self.log, lambda: self.log[-4000:])

    def ask_to_end(self) -> None:
        """Ask for a warm shutdown, and wait until it has begun."""
        self._process.send_signal(signal.SIGTERM)
        self.until_logged("Warm shutdown")

    def ended(self) -> int:
        """Wait for its end; its status."""
        return self._process.wait(LONGEST_S)

    def kill(self) -> None:
        """End it, and all that it has started, as a crash of the machine would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        self._process.send_signal(signal.SIGTERM)
        self.ended()


class Site:
    """A store, a broker, a sweeper, and the workers that a test has started."""

    def __init__(self, url: str, catalog: Catalog, folder: Path, *, sweeps: bool = True) -> None:
        self._catalog = catalog
        self._folder = folder
        self.settings = Settings(folder / "state", redis=url, broker=url[:-1] + "1", lease_s=LEASE_S, grace_s=1.0)
        self.client = Client.connect(self.settings)
        self._workers: list[WorkerProcess] = []
        self._projects: dict[str, Project] = {}
        self._opened = contextlib.ExitStack()
        if sweeps:
            self._opened.enter_context(sweeping(self.settings))

    @property
    def store(self) -> RedisStore:
        """Where the runs are."""
        return self.client.store

    def worker(self, *options: str, queues: str = QUEUES, **variables: str) -> WorkerProcess:
        """Start a worker and wait until it takes messages."""
        own = {"TYQI_REDIS": self.settings.redis, "TYQI_BROKER": self.settings.broker, "TYQI_QUEUES": queues}
        own |= {"TYQI_LEASE_S": str(self.settings.lease_s), "TYQI_GRACE_S": str(self.settings.grace_s)}
        name = f"w{len(self._workers)}"
        log = self._folder / f"{name}.log"
        worker = WorkerProcess(["-Q", queues, "-n", f"{name}@%h", *options], own | variables, log)
        self._workers.append(worker)
        worker.until_logged("ready.")
        return worker

    def submit(self, text: str, **inputs: Any) -> str:
        """Begin a run of a project, given without its head."""
        if text not in self._projects:
            self._projects[text] = Project(compile_text(HEAD + text, "p.yaml", self._catalog, {}), text)
        return self.client.submit(self._projects[text], inputs)

    def wait(self, run_id: str) -> RunResult:
        """The end of a run."""
        try:
            return self.client.wait(run_id, LONGEST_S)
        except TimeoutError as error:
            for worker in self._workers:
                error.add_note(worker.log[-4000:])
            raise

    def outputs(self, *run_ids: str) -> list[Mapping[str, Any]]:
        """The outputs of runs that must complete."""
        results = [self.wait(run_id) for run_id in run_ids]
        failures = [(result.status, result.error) for result in results if result.status != "completed"]
        assert not failures, failures
        return [result.outputs for result in results]

    def until_leases_were_renewed(self, *tasks: tuple[str, str]) -> None:
        """Wait until workers hold tasks, given as run and instance, for longer than the leases that they began with."""
        with self.store_client() as redis:

            def ends(run_id: str, instance: str) -> float:
                return redis.zscore(f"{self.store.prefix(run_id)}leases", f"{run_id}|{instance}") or 0.0

            eventually(lambda: all(ends(*task) for task in tasks))
            enough = {task: ends(*task) + 2000 * self.settings.lease_s for task in tasks}
            eventually(lambda: all(ends(*task) > enough[task] for task in tasks))

    @contextlib.contextmanager
    def store_client(self) -> Iterator[Any]:
        """A client of the server, for a test to look with."""
        import redis

        with redis.Redis.from_url(self.settings.redis) as client:
            yield client

    def close(self) -> None:
        """End everything that is left."""
        for worker in self._workers:
            worker.kill()
        self._opened.close()
        self.client.close()


def eventually(is_so: Callable[[], bool], otherwise: Callable[[], object] = str) -> None:
    """Wait until something is so that another process brings about."""
    until = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < until, otherwise()
        time.sleep(0.01)
