"""A run as ``tyqi runs`` and ``tyqi graph`` look at it, wherever it is: a record here, or on workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from tyqi_core.cli.output import say
from tyqi_core.cli.shared import MANY, client_if_any, full_id
from tyqi_core.errors import StoreError
from tyqi_core.runtime.record import RunRecord, branches_taken, has_record, read_headers, read_record
from tyqi_core.stores.base import TERMINAL

if TYPE_CHECKING:
    from tyqi_core.client import Client
    from tyqi_core.protocol.message import Event
    from tyqi_core.settings import Settings
    from tyqi_core.workflow.plan import Plan

SHOWN: Final = ("id", "project", "status", "created_ns", "branches", "error")


class RunView(Protocol):
    """What can be asked of a run."""

    id: str
    where: str

    def header(self) -> Mapping[str, Any]:
        """The fields :data:`SHOWN`."""
        ...

    def events(self, first: int = 0) -> Sequence[Event]:
        """What happened, from event number ``first`` on."""
        ...

    def notes(self) -> Mapping[str, str]:
        """Task -> why nobody takes it."""
        ...

    def ended(self) -> bool:
        """Whether the run is over."""
        ...

    def plan(self) -> Plan:
        """The plan that it walks."""
        ...


class RecordedRun:
    """A run of ``tyqi run``, from its record."""

    where = "here"

    def __init__(self, settings: Settings, run_id: str) -> None:
        self._state = settings.state
        self._record: RunRecord = read_record(self._state, run_id)
        self.id = self._record.id

    def header(self) -> Mapping[str, Any]:
        """See :class:`RunView`."""
        return {key: self._record.header.get(key) for key in SHOWN}

    def events(self, first: int = 0) -> Sequence[Event]:
        """See :class:`RunView`."""
        return self._record.events()[first:]

    def notes(self) -> Mapping[str, str]:
        """Nobody has to take its tasks."""
        return {}

    def ended(self) -> bool:
        """See :class:`RunView`; the record is read anew, another process may write it."""
        self._record = read_record(self._state, self.id)
        return self._record.header["status"] in TERMINAL

    def plan(self) -> Plan:
        """See :class:`RunView`."""
        return self._record.plan()


class SharedRun:
    """A run on workers, from the store."""

    where = "workers"

    def __init__(self, client: Client, run_id: str) -> None:
        self.id = run_id
        self._client = client

    def header(self) -> Mapping[str, Any]:
        """See :class:`RunView`."""
        status, error, plan = self._client.store.look(self.id)
        happened = self.events()
        branches = branches_taken(happened)
        values = (self.id, self._client.project_of(plan), status, happened[0].time_ns, branches, error)
        return dict(zip(SHOWN, values, strict=True))

    def events(self, first: int = 0) -> Sequence[Event]:
        """See :class:`RunView`."""
        return self._client.events(self.id, first)

    def notes(self) -> Mapping[str, str]:
        """See :class:`RunView`."""
        return self._client.notes(self.id)

    def ended(self) -> bool:
        """See :class:`RunView`."""
        return self._client.store.look(self.id)[0] in TERMINAL

    def plan(self) -> Plan:
        """See :class:`RunView`."""
        return self._client.plan(self.id)


@contextmanager
def opened_run(settings: Settings, run_id: str) -> Iterator[RunView]:
    """The run that is named by its id or an unambiguous beginning of it.

    Raises:
        UsageError: there is none, here or on workers, or several.
        StoreError: it is not recorded here, and the store is away.
    """
    client = None if has_record(settings.state, run_id) else client_if_any(settings)
    if client is None:
        yield RecordedRun(settings, run_id)
        return
    with client:
        found = full_id(client, run_id)
        yield RecordedRun(settings, run_id) if found is None else SharedRun(client, found)


def listed(settings: Settings) -> list[dict[str, Any]]:
    """The runs that are recorded here and those on workers, newest first: :data:`SHOWN` and ``where``."""
    recorded = [{key: header.get(key) for key in SHOWN} | {"where": "here"} for header in read_headers(settings.state)]
    return sorted([*recorded, *_on_workers(settings)], key=lambda row: -int(row["created_ns"]))


def _on_workers(settings: Settings) -> list[dict[str, Any]]:
    try:
        client = client_if_any(settings)
        if client is None:
            return []
        with client:
            return [_row(client, *summary) for summary in client.runs(MANY)]
    except StoreError as error:
        say(f"warning: runs on workers cannot be seen now: {error}")
        return []


def _row(
    client: Client, run_id: str, status: str, plan: str, accepted_ms: int, error: Mapping[str, Any] | None
) -> dict[str, Any]:
    values = (run_id, client.project_of(plan), status, accepted_ms * 1_000_000, None, error)
    return dict(zip(SHOWN, values, strict=True)) | {"where": "workers"}
