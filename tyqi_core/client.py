"""For programs that have runs done on workers: submit, wait, cancel, resume, look.

::

    from tyqi_core import Client, load_project

    plan = load_project("project.yaml")
    with Client.connect() as client:
        run_id = client.submit(plan, {"image": picture})
        result = client.wait(run_id)
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from tyqi_core.app import Project, open_messenger, open_store, read_inputs
from tyqi_core.errors import UsageError
from tyqi_core.protocol.codecs import digest
from tyqi_core.protocol.ports import PortType
from tyqi_core.runtime.distributed.library import LoadedPlan, PlanLibrary
from tyqi_core.runtime.distributed.settling import Messenger
from tyqi_core.runtime.distributed.spreading import stretches
from tyqi_core.runtime.execute import RunInputs
from tyqi_core.runtime.run import RunResult
from tyqi_core.scheduler import Place, locate, start
from tyqi_core.settings import Settings
from tyqi_core.stores.base import ABSENT, TERMINAL, RunStatus, Summary
from tyqi_core.stores.redis_reading import unknown_run
from tyqi_core.workflow.plan import Plan

if TYPE_CHECKING:
    from tyqi_core.protocol.message import Event
    from tyqi_core.stores.redis import RedisStore

log = logging.getLogger("tyqi.client")
_LOOK_S: Final = 1.0
"""How often a run's status is asked for while its end is waited for: a net for an end that was not heard."""
_KEEP_AGAIN_S: Final = 3600.0


class Client:
    """Runs on workers, seen from a program. May be shared by threads.

    Args:
        store: of the runs.
        messenger: tells workers of ready tasks.
    """

    def __init__(self, store: RedisStore, messenger: Messenger) -> None:
        self.store = store
        self._messenger = messenger
        self._library = PlanLibrary(store)
        self._kept: dict[str, tuple[float, LoadedPlan, RunInputs]] = {}

    @classmethod
    def connect(cls, settings: Settings | None = None) -> Self:
        """A client of the store and the broker that the settings name.

        Raises:
            UsageError: they name none, or one that cannot be used.
            StoreError: the store is away.
        """
        settings = settings or Settings.load()
        return cls(open_store(settings), open_messenger(settings))

    def close(self) -> None:
        """End the connections."""
        self._messenger.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- runs --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        project: Plan | Project,
        inputs: Mapping[str, Any],
        *,
        run_id: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a run; workers take it from here.

        Args:
            project: a plan, or a project with its text.
            inputs: by name; a path is read, encoded bytes given for a picture are decoded.
            run_id: its id; a random one by default.
            about: what a person should know of the run (the name of its picture).

        Returns:
            The run's id.

        Raises:
            InputError: an input is missing or cannot be used.
            UsageError: the id is taken.
            StoreError: the store is away or full; nothing was begun, or it was and the same id may be submitted again.
        """
        plan = project.plan if isinstance(project, Project) else project
        loaded, checks = self._known(plan, project.source if isinstance(project, Project) else "")
        values = checks.checked(read_inputs(plan, inputs))
        run_id = run_id or uuid.uuid4().hex
        digests = {
            name: digest(PortType.parse(plan.inputs[name]), value)
            for name, value in values.items()
            if value is not ABSENT
        }
        data: dict[str, Any] = {"plan": plan.digest, "inputs": digests}
        if about:
            data["about"] = dict(about)
        first = start(plan)
        self.store.accept(run_id, values, first, data, groups=loaded.groups(first))
        self._messenger.tell(run_id, loaded, stretches(first.ready))
        return run_id

    def wait(self, run_id: str, timeout: float | None = None, *, events: bool = True) -> RunResult:
        """Wait for the end of a run.

        Args:
            run_id: the run.
            timeout: seconds; ``None``: without end.
            events: whether the result should carry everything that happened.

        Raises:
            TimeoutError: the end did not come in time.
            UsageError: there is no such run.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while list(self._told([run_id], until)):
            result = self.result(run_id, events=events)
            if result.status in TERMINAL:
                return result
        raise TimeoutError(f"run {run_id} has not ended")

    def wait_for(self, run_ids: Sequence[str], timeout: float | None = None) -> Iterator[str]:
        """The ids of runs in the order in which they end; stops early when ``timeout`` seconds are over.

        Raises:
            UsageError: one of them is not held.
        """
        until = None if timeout is None else time.monotonic() + timeout
        left = dict.fromkeys(run_ids)
        while left and (until is None or time.monotonic() < until):
            for run_id in self._told(list(left), until):
                if any(self._ended({run_id: None})):
                    del left[run_id]
                    yield run_id

    def _told(self, run_ids: Sequence[str], until: float | None) -> Iterator[str]:
        """As :meth:`wait_for`, but a run may have been resumed meanwhile: of those the end is told that was before."""
        left = dict.fromkeys(run_ids)
        with self.store.ends(*run_ids) as next_end:
            look = 0.0
            while left:
                now = time.monotonic()
                if now >= look:
                    look = now + _LOOK_S
                    yield from self._ended(left)
                    continue
                if until is not None and now >= until:
                    return
                heard = next_end(max(0.001, min(look, until or look) - now))
                if heard in left:
                    del left[heard]
                    yield heard

    def _ended(self, left: dict[str, None]) -> Iterator[str]:
        for run_id, status in self.store.statuses(list(left)).items():
            if status is None:
                raise unknown_run(run_id)
            if status in TERMINAL:
                del left[run_id]
                yield run_id

    def result(self, run_id: str, *, events: bool = True) -> RunResult:
        """What there is of a run now; of one that has ended, everything."""
        status, error, plan_digest = self.store.look(run_id)
        loaded = self._library.get(plan_digest)
        outputs: dict[str, Any] = {}
        if loaded is not None:
            places = {
                name: locate(loaded.plan, loaded.plan.roots[0], source) for name, source in loaded.plan.outputs.items()
            }
            outputs = self._read(run_id, places)
        return RunResult(run_id, status, outputs, error, self.store.events(run_id) if events else ())

    def _read(self, run_id: str, places: Mapping[str, Place]) -> dict[str, Any]:
        values = self.store.read_many(run_id, list(places.values()))
        return {name: None if value is ABSENT else value for name, value in zip(places, values, strict=True)}

    def status(self, run_id: str) -> RunStatus | None:
        """The run's status; ``None`` for one that is not held."""
        return self.store.status(run_id)

    def events(self, run_id: str, first: int = 0) -> Sequence[Event]:
        """What happened in a run, from event number ``first`` on."""
        return self.store.events(run_id, first)

    def notes(self, run_id: str) -> Mapping[str, str]:
        """Task -> why nobody takes it."""
        return self.store.notes(run_id)

    def runs(self, limit: int = 100) -> Sequence[Summary]:
        """The runs that are held, newest first."""
        return self.store.runs(limit)

    def plan(self, run_id: str) -> Plan:
        """The plan that a run walks.

        Raises:
            UsageError: there is no such run, or its plan is not kept any more.
        """
        return self._loaded(run_id).plan

    def project_of(self, plan: str) -> str:
        """The project's name of a plan, told by its digest; ``?`` if it is not kept any more."""
        loaded = self._library.get(plan)
        return "?" if loaded is None else loaded.plan.project

    def source(self, run_id: str) -> str:
        """The text of the project that a run was submitted with; empty if it was submitted as a plan."""
        return (self.store.kept_plan(self.store.plan_of(run_id)) or {}).get("source", "")

    def cancel(self, run_id: str, grace: float = 5.0) -> RunStatus:
        """Stop a run: nothing new starts, nodes are told; what does not end within ``grace`` seconds is given up.

        Returns:
            Its status. It is ``cancelling`` only if nobody looks after what waits: no orchestrator runs.
        """
        status = self.store.cancel(run_id)
        if status not in TERMINAL:
            list(self.wait_for([run_id], grace))
            status = self.store.cancel(run_id, give_up=True)
        if status not in TERMINAL:
            list(self.wait_for([run_id], max(grace, _LOOK_S)))
        return self.store.status(run_id) or status

    def resume(self, run_id: str) -> str:
        """Go on with a run that failed or was cancelled, from where it stopped.

        Raises:
            UsageError: it did neither, or there is no such run.
        """
        loaded = self._loaded(run_id)
        self._messenger.tell(run_id, loaded, stretches(self.store.resume(run_id)))
        return run_id

    def forget(self, run_id: str) -> None:
        """Drop all that is held of a run."""
        self.store.forget(run_id)

    def _loaded(self, run_id: str) -> LoadedPlan:
        loaded = self._library.get(self.store.plan_of(run_id))
        if loaded is None:
            raise UsageError(f"the plan of run {run_id} is not kept any more", code="UNKNOWN_PLAN")
        return loaded

    def _known(self, plan: Plan, source: str) -> tuple[LoadedPlan, RunInputs]:
        """The plan made ready; the store is given it, now and then anew so that it outlives its runs."""
        now = time.monotonic()
        known = self._kept.get(plan.digest)
        if known is None or now - known[0] > _KEEP_AGAIN_S:
            self.store.keep_plan(plan.digest, texts_of(plan, source))
            known = self._kept[plan.digest] = (now, LoadedPlan(plan), RunInputs(plan))
        return known[1], known[2]


def texts_of(plan: Plan, source: str) -> dict[str, str]:
    """A plan as the store keeps it."""
    return {"plan": json.dumps(plan.to_json(), separators=(",", ":")), "source": source}
