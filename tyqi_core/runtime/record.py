"""What a run leaves behind: ``<state>/runs/<id>/`` with its plan, inputs, events and, if it stopped early, its state.

=================  =====================================================================================
file               content
=================  =====================================================================================
``run.json``       project, plan digest, parameters, input references, then status and output digests
``plan.json``      the plan as it was walked
``project.yaml``   the project's text, for ``replay --swap``
``events.jsonl``   one compact event a line, see ``protocol.message``
``payloads/``      values by SHA-256: run inputs; of a stopped run also what its tasks still hold
``state.json``     of a failed or cancelled run: what ``resume`` goes on from
=================  =====================================================================================

Files are written under a temporary name and moved. Nothing here holds a secret: parameters and values only.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tyqi_core.errors import InputError, ReplayRefused, UsageError
from tyqi_core.protocol.codecs import digest
from tyqi_core.protocol.message import Event, event_line, parse_event_line
from tyqi_core.protocol.ports import PortType
from tyqi_core.runtime.keeping import JSON_LIKE, append_whole, freeze, keep_input, load, thaw, write_whole
from tyqi_core.runtime.run import RunResult
from tyqi_core.stores.base import ABSENT
from tyqi_core.stores.memory import MemoryStore, RunState
from tyqi_core.workflow.plan import Plan

log = logging.getLogger("tyqi.record")
FLUSH_SECONDS = 0.25
"""How old an unwritten event may get while its run goes on."""
_DAY = 86_400
_SMALL = 65_536
Content = TypeVar("Content")


@dataclass(slots=True)
class _Writing:
    """A run whose record is being written."""

    folder: Path
    header: dict[str, Any]
    written: int = 0
    flushed: float = field(default_factory=time.monotonic)
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class RunRecorder:
    """Writes the records of the runs of one plan; a :class:`~tyqi_core.runtime.inprocess.Recorder`.

    Args:
        state: the state folder.
        source: the project's text.
        output_types: types of the run outputs, for their digests.
        keep_payloads: whether inputs are kept, so that runs can be replayed.
    """

    def __init__(
        self, state: Path, source: str, output_types: Mapping[str, PortType], *, keep_payloads: bool = True
    ) -> None:
        self._runs_folder = state / "runs"
        self._source = source
        self._output_types = output_types
        self._keep = keep_payloads
        self._writing: dict[str, _Writing] = {}
        self._written: dict[tuple[str, str], Path] = {}

    def accepted(
        self, run_id: str, plan: Plan, inputs: Mapping[str, Any], about: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Open the record: plan, project, inputs. Returns the inputs' digests."""
        folder = self._runs_folder / run_id
        with _writable():
            folder.mkdir(parents=True)
        try:
            with _writable():
                header = self._begin(folder, plan, inputs, about)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._writing[run_id] = _Writing(folder, header)
        return {"inputs": header["digests"]}

    def _begin(self, folder: Path, plan: Plan, inputs: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
        digests, references = {}, {}
        for name, value in inputs.items():
            if value is ABSENT:
                continue
            digests[name] = digest(PortType.parse(plan.inputs[name]), value)
            if self._keep:
                references[name] = keep_input(folder, plan.inputs[name]["type"], value)
        self._once(folder, "plan.json", plan, lambda: json.dumps(plan.to_json()))
        self._once(folder, "project.yaml", plan, lambda: self._source)
        header: dict[str, Any] = {"id": folder.name, "project": plan.project, "plan": plan.digest}
        header |= {"params": dict(plan.params), "about": dict(about), "created_ns": time.time_ns()}
        header |= {"status": "running", "inputs": references, "digests": digests}
        write_whole(folder / "run.json", json.dumps(header))
        return header

    def moved(self, run_id: str, store: MemoryStore) -> None:
        """Append new events, if the last append was long enough ago."""
        writing = self._writing.get(run_id)
        if writing is None or time.monotonic() - writing.flushed <= FLUSH_SECONDS:
            return
        try:
            self._append(writing, run_id, store)
        except OSError as error:  # the run goes on; what is missing is written with the next events
            log.warning("events of run %s could not be written yet: %s", run_id, error)

    def ended(self, result: RunResult, plan: Plan, store: MemoryStore) -> None:
        """Close the record; of a run that stopped early keep what a resume needs."""
        writing = self._writing.pop(result.id, None)
        if writing is None:
            return
        folder = writing.folder
        try:
            self._append(writing, result.id, store, last=True)
            (folder / "state.json").unlink(missing_ok=True)
            if result.status != "completed":
                write_whole(folder / "state.json", json.dumps(freeze(store.state(result.id), folder)))
            header = writing.header
            header |= {"status": result.status, "error": result.error, "outputs": self._digests(result)}
            header |= {"values": self._small_values(result), "branches": branches_taken(result.events)}
            write_whole(folder / "run.json", json.dumps(header))
        except OSError as error:
            log.warning("the record of run %s is incomplete: %s", result.id, error)

    def reopened(self, run_id: str) -> None:
        """Go on with the record of a run that is resumed."""
        folder = self._runs_folder / run_id
        lines = (folder / "events.jsonl").read_bytes().count(b"\n")
        header = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        self._writing[run_id] = _Writing(folder, header, written=lines)

    def _once(self, folder: Path, name: str, plan: Plan, text: Callable[[], str]) -> None:
        """Write a file that the runs of a plan share: once, and then as a further name of the same file."""
        first = self._written.get((plan.digest, name))
        try:
            if first is not None:
                os.link(first, folder / name)
                return
        except OSError:  # the first run's record was removed, or the file system knows no such names
            pass
        write_whole(folder / name, text())
        self._written[plan.digest, name] = folder / name

    def _digests(self, result: RunResult) -> dict[str, str]:
        if result.status != "completed":
            return {}
        return {
            name: digest(self._output_types[name], value) for name, value in result.outputs.items() if value is not None
        }

    def _small_values(self, result: RunResult) -> dict[str, Any]:
        """The outputs that are JSON and small enough to be told from each other by reading them."""
        if not self._keep:
            return {}
        json_like = {name for name, port_type in self._output_types.items() if port_type.name in JSON_LIKE}
        values = {name: value for name, value in result.outputs.items() if name in json_like and value is not None}
        return {name: value for name, value in values.items() if len(json.dumps(value)) <= _SMALL}

    def _append(self, writing: _Writing, run_id: str, store: MemoryStore, *, last: bool = False) -> None:
        """Write the events that are not written yet. Threads that settle tasks of one run take turns."""
        with writing.lock:
            if writing.closed:  # by the thread that saw the run's end meanwhile
                return
            writing.closed, writing.flushed = last, time.monotonic()
            events = store.events(run_id, writing.written)
            if events:
                append_whole(writing.folder / "events.jsonl", "".join(event_line(event) + "\n" for event in events))
                writing.written += len(events)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A record, read back."""

    folder: Path
    header: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.header["id"])

    def plan(self) -> Plan:
        """The plan that was walked."""
        return _intact(self.folder / "plan.json", lambda data: Plan.from_json(json.loads(data)))

    def source(self) -> str:
        """The project's text."""
        return _intact(self.folder / "project.yaml", lambda data: data.decode("utf-8"))

    def events(self) -> list[Event]:
        """Everything that was written of what happened; a last line that a killed process left half-written is none."""
        path = self.folder / "events.jsonl"
        return _intact(path, _whole_lines) if path.exists() else []

    def inputs(self) -> dict[str, Any]:
        """The run's inputs.

        Raises:
            ReplayRefused: they were not kept, or what was kept is damaged.
        """
        if self.header["digests"] and not self.header["inputs"]:
            raise ReplayRefused(
                f"the inputs of run {self.id} were not kept",
                remedy="Set retention_days above 0 before the runs that are to be replayed.",
            )
        return {name: load(self.folder, reference) for name, reference in self.header["inputs"].items()}

    def state(self) -> RunState:
        """The state in which a failed or cancelled run stopped.

        Raises:
            UsageError: the run did not stop early.
        """
        path = self.folder / "state.json"
        if not path.exists():
            raise UsageError(
                f"run {self.id} is {self.header['status']}; only a failed or cancelled run can be resumed",
                code="NOT_RESUMABLE",
            )
        state = _intact(path, lambda data: thaw(json.loads(data), self.folder))
        state.events = self.events()
        return state


def has_record(state: Path, run_id: str) -> bool:
    """Whether a run, named by its id or the beginning of it, is recorded here."""
    runs = state / "runs"
    return bool(run_id) and runs.is_dir() and any(path.name.startswith(run_id) for path in runs.iterdir())


def read_record(state: Path, run_id: str) -> RunRecord:
    """The record of a run, named by its id or an unambiguous beginning of it.

    Raises:
        UsageError: there is no such run, or several.
    """
    runs = state / "runs"
    known = sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []
    found = [name for name in known if name == run_id] or [name for name in known if run_id and name.startswith(run_id)]
    if len(found) != 1:
        fault = "there is no run" if not found else f"{len(found)} runs begin with"
        raise UsageError(f"{fault} {run_id} in {runs}", code="UNKNOWN_RUN", remedy="'tyqi runs' lists them.")
    folder = runs / found[0]
    return RunRecord(folder, _intact(folder / "run.json", _header))


def read_headers(state: Path) -> list[Mapping[str, Any]]:
    """What ``run.json`` says of each record, newest first; damaged ones are left out, ``read_record`` tells of them."""
    headers = []
    for path in (state / "runs").glob("*/run.json"):
        with suppress(UsageError):
            headers.append(_intact(path, _header))
    return sorted(headers, key=lambda header: -int(header["created_ns"]))


_HEADER = {"id": str, "project": str, "status": str, "created_ns": int, "inputs": dict, "digests": dict}


def _header(data: bytes) -> Mapping[str, Any]:
    header: Mapping[str, Any] = json.loads(data)
    for name, kind in _HEADER.items():
        if not isinstance(header[name], kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    return header


def _whole_lines(data: bytes) -> list[Event]:
    whole = data[: data.rfind(b"\n") + 1]
    return [parse_event_line(line) for line in whole.decode("utf-8").splitlines()]


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the record of the run cannot be written: {error.strerror}.",
            code="STATE_UNWRITABLE",
            remedy="Free space, or name another folder in TYQI_STATE.",
        ) from error


def _intact(path: Path, read: Callable[[bytes], Content]) -> Content:
    """What a file of a record says.

    Raises:
        UsageError: it is missing, or not what was written.
    """
    try:
        return read(path.read_bytes())
    except (OSError, ValueError, TypeError, LookupError, AttributeError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise UsageError(
            f"the record {path.parent} is damaged, see {path.name}: {reason}.",
            code="BAD_RECORD",
            remedy="Run its inputs again.",
        ) from error


def prune(state: Path, days: float) -> int:
    """Remove records that are older than ``days``; returns how many. Damaged ones are left alone."""
    oldest = time.time() - days * _DAY
    removed = 0
    for folder in (state / "runs").glob("*"):
        header = folder / "run.json"
        if header.is_file() and header.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def branches_taken(events: Any) -> dict[str, str]:
    """Task instance -> outcome, for every condition that was decided."""
    return {
        event.subject: event.data["outcome"]
        for event in events
        if event.kind == "task.completed" and event.data and "outcome" in event.data
    }
