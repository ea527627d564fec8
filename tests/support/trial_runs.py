"""The runtimes that ``tests/runtime`` and ``tests/peers`` run on, and the plugin that their nodes come from.

A test knows :class:`Runs` alone. To run the suite on another runtime, write a class with the methods of
:class:`Runtime` and name it in :data:`RUNTIMES`; no test changes.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from tyqi_core.app import Project, open_runtime, resume_run
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.protocol.message import Event
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.record import read_record
from tyqi_core.runtime.run import RunHandle, RunResult
from tyqi_core.settings import Settings
from tyqi_core.workflow.compiler import compile_text

PLUGIN = Path(__file__).parents[1] / "plugins" / "tyqi-node-trial"
LONGEST_S = 60.0
"""No run of the suite takes a tenth of it; who waits longer has hung."""


class Runtime(Protocol):
    """What a runtime does for the suite."""

    def start(
        self, project: str, inputs: Mapping[str, Any], params: Mapping[str, Any], run_id: str | None = None
    ) -> str:
        """Begin a run; its id. Runs of one project share its workers."""
        ...

    def wait(self, run_id: str) -> RunResult:
        """The end of a run."""
        ...

    def cancel(self, run_id: str, grace: float) -> None:
        """Stop a run; what does not stop within ``grace`` seconds is given up."""
        ...

    def resume(self, run_id: str) -> str:
        """Go on with a run that failed or was cancelled, from what is kept of it outside of any worker."""
        ...

    def close(self) -> None:
        """An orderly end of all workers."""
        ...

    def done(self) -> None:
        """The test is over: nothing of its runs goes on, workers that other tests may use do."""
        ...


class InProcess:
    """Threads of this process; runs are recorded, so that resuming reads what another process would read."""

    def __init__(self, catalog: Catalog, state: Path) -> None:
        self._catalog = catalog
        self._settings = Settings(state=state)
        self._runtimes: dict[str, InProcessRuntime] = {}
        self._handles: dict[str, tuple[InProcessRuntime, RunHandle]] = {}

    def start(
        self, project: str, inputs: Mapping[str, Any], params: Mapping[str, Any], run_id: str | None = None
    ) -> str:
        key = repr((project, sorted(params.items())))
        if key not in self._runtimes:
            self._runtimes[key] = self._open(Project(compile_text(project, "p.yaml", self._catalog, params), project))
        runtime = self._runtimes[key]
        return self._keep(runtime, runtime.start(inputs, run_id=run_id))

    def wait(self, run_id: str) -> RunResult:
        return self._handles[run_id][1].wait(LONGEST_S)

    def cancel(self, run_id: str, grace: float) -> None:
        self._handles[run_id][0].cancel(run_id, grace=grace)

    def resume(self, run_id: str) -> str:
        record = read_record(self._settings.state, run_id)
        runtime = self._runtimes[f"resumed {len(self._runtimes)}"] = self._open(Project(record.plan(), record.source()))
        return self._keep(runtime, resume_run(runtime, record))

    def close(self) -> None:
        while self._runtimes:
            self._runtimes.popitem()[1].close()

    def done(self) -> None:
        self.close()

    def _open(self, project: Project) -> InProcessRuntime:
        return open_runtime(project, self._catalog, self._settings, threads=4)

    def _keep(self, runtime: InProcessRuntime, handle: RunHandle) -> str:
        self._handles[handle.id] = runtime, handle
        return handle.id


def on_workers(request: pytest.FixtureRequest, catalog: Catalog) -> Runtime:
    """On workers whose broker the test is named after."""
    from trial_workers import OnWorkers  # most tests that use this module need no broker

    return OnWorkers(catalog, request.getfixturevalue("workplaces")(request.node.callspec.params["run"]))


RUNTIMES: Mapping[str, Callable[[pytest.FixtureRequest, Catalog, Path], Runtime]] = {
    "inprocess": lambda _, catalog, folder: InProcess(catalog, folder / "state"),
    "celery-redis": lambda request, catalog, _: on_workers(request, catalog),
    "celery-rabbitmq": lambda request, catalog, _: on_workers(request, catalog),
}

HEAD = "tyqi: 1\nproject: trial\n"
NUMBER = "{type: json, schema: {type: number}}"


class Runs:
    """A runtime as tests speak to it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def __call__(self, project: str, inputs: Mapping[str, Any] | None = None, **params: Any) -> RunResult:
        """Run a project to its end. ``project`` begins with ``inputs:``, ``params:`` or ``tasks:``."""
        return self.wait(self.start(project, inputs, **params))

    def start(
        self, project: str, inputs: Mapping[str, Any] | None = None, *, run_id: str | None = None, **params: Any
    ) -> str:
        """Begin a run."""
        return self.runtime.start(HEAD + project, inputs or {}, params, run_id)

    def wait(self, run_id: str) -> RunResult:
        """The end of a run."""
        return self.runtime.wait(run_id)

    def cancel(self, run_id: str, grace: float = 5.0) -> RunResult:
        """Stop a run, and wait for its end."""
        self.runtime.cancel(run_id, grace)
        return self.runtime.wait(run_id)

    def resume(self, run_id: str) -> RunResult:
        """Go on with a run, to its end."""
        return self.wait(self.runtime.resume(run_id))


def completed(result: RunResult) -> Mapping[str, Any]:
    """The outputs of a run that must have completed."""
    assert result.status == "completed", result.error
    return result.outputs


def story(events: list[Event] | Any, *kinds: str) -> list[tuple[str, str]]:
    """Kind and subject of each event, in order; of these kinds alone if some are named."""
    return [(event.kind, event.subject) for event in events if not kinds or event.kind in kinds]


def subjects(result: RunResult, kind: str) -> list[str]:
    """The tasks to which something happened, sorted."""
    return sorted(event.subject for event in result.events if event.kind == kind)


def executed(result: RunResult) -> list[str]:
    """The tasks that were executed at least once, sorted."""
    return sorted(set(subjects(result, "task.started")))


def position(result: RunResult, kind: str, subject: str) -> int:
    """The number of the one event of a kind about a task."""
    found = [number for number, event in enumerate(result.events) if event[1:3] == (kind, subject)]
    assert len(found) == 1, f"{len(found)} events {kind} of {subject}"
    return found[0]


# -- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def trial_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the plugin as pip would install it: its wheel, unpacked."""
    return install_plugin(tmp_path_factory.mktemp("trial"))


def install_plugin(folder: Path) -> Path:
    """Unpack the plugin's wheel below an empty folder; returns what is to be put on the path."""
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    subprocess.run(command, cwd=PLUGIN, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def trial_catalog(trial_folder: Path) -> Iterator[Catalog]:
    """The nodes of this environment with the plugin installed, here and in processes started from here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(trial_folder)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(trial_folder), os.environ.get("PYTHONPATH")))))
        patch.setenv("TYQI_CACHE", str(trial_folder.parent / "cache"))
        importlib.invalidate_caches()
        yield Catalog.load()


@pytest.fixture(params=list(RUNTIMES))
def run(request: pytest.FixtureRequest, trial_catalog: Catalog, tmp_path: Path) -> Iterator[Runs]:
    """Runs a project: ``run(text, inputs, **params)``; also ``start``, ``wait``, ``cancel``, ``resume``."""
    runtime = RUNTIMES[request.param](request, trial_catalog, tmp_path)
    yield Runs(runtime)
    runtime.done()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The file into which the nodes of a test write what they do."""
    return tmp_path / "ledger.txt"


def entries(ledger: Path) -> list[str]:
    """What was written so far."""
    return ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []


def wait_for(file: Path, line: str, times: int = 1) -> None:
    """Wait until nodes have written a line, so many times."""
    until = time.monotonic() + LONGEST_S
    while entries(file).count(line) < times:
        assert time.monotonic() < until, f"nobody wrote '{line}' {times} times into {file.name}: {entries(file)}"
        time.sleep(0.002)
