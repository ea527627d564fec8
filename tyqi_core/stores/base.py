r"""What a store of runs must do. It applies, atomically, what the scheduler worked out, and knows no workflow rule.

Life of a task in a store::

    (ready) --claim--> executing --commit--> settled
       ^                   |  \--retry--> waiting --claim--> executing (next attempt)
       |                   |  \\--fail---> failed: the run is stopping, the task is held for a resume
       +------ resume -----+--- release -> held  (its process gave it back)

``claim`` hands out an attempt token; only the holder of the current token can commit, retry, fail or release.
Everything with an older token is *fenced*: it changes nothing and is told so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, Protocol

from tyqi_core.protocol.message import Event
from tyqi_core.scheduler import Effects, Export, Place, Ready

RunStatus = Literal["running", "failing", "cancelling", "completed", "failed", "cancelled"]
TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})


class Absent(Enum):
    """The value of a slot that nobody filled; not ``None``, which is a value."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


class Wanted(NamedTuple):
    """A value that a task needs: where it is held, and whether the task can do without."""

    place: Place
    required: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to execute one attempt of a task.

    Attributes:
        token: the attempt's number, from 1, never reused within the task.
        tries: how many attempts there have been, this one included; what ``retries`` limits.
        values: what was wanted, in order; :data:`ABSENT` where a slot is empty.
        skip: a required value is absent: settle the task as skipped, without executing it.
        deaths: how many workers were lost while they executed the task, since it was last resumed.
    """

    token: int
    tries: int
    values: Sequence[Any]
    skip: bool
    deaths: int = 0


class Claimed(NamedTuple):
    """A task that was claimed in the same step that settled another."""

    instance: str
    claim: Claim


class Refusal(NamedTuple):
    """Why a task is not to be had.

    Attributes:
        why: ``HELD``: another attempt executes, or its delay is not over. ``DONE``: it is settled. ``CANCELLED``: its
            run is stopping, the task is held for a resume. ``QUARANTINED``: too many workers died of it. ``UNKNOWN``:
            no such task is ready.
        wait_s: seconds until ``HELD`` may end; 0 where that is not known.
    """

    why: Literal["HELD", "DONE", "CANCELLED", "QUARANTINED", "UNKNOWN"]
    wait_s: float = 0.0


class Beat(Enum):
    """What a heartbeat is answered."""

    OK = "OK"
    FENCED = "FENCED"
    """The attempt is not current any more; whatever it does changes nothing."""
    CANCEL = "CANCEL"
    """The run was cancelled: end the attempt and release it."""


class Onward(NamedTuple):
    """A task with which a worker would go on, if it became ready by what the worker settles."""

    instance: str
    wanted: Sequence[Wanted]


class Ask(NamedTuple):
    """A claim of one task of one run, made together with others."""

    run_id: str
    instance: str
    wanted: Sequence[Wanted]


class Count(NamedTuple):
    """A part of a node's history: ``amount`` is added to a field, or the field's maximum so far is kept."""

    field: str
    kind: Literal["add", "max"]
    amount: int


@dataclass(frozen=True, slots=True)
class Inner:
    """A task that was executed and is settled under the claim of another: nobody else could know of it yet."""

    instance: str
    kind: str
    data: Mapping[str, Any] | None
    slots: Mapping[str, Any] | None
    outputs: Mapping[str, Any]
    exports: Sequence[Export]


@dataclass(frozen=True, slots=True)
class Settlement:
    """All that settles one attempt; the parts are those of :meth:`RunStore.commit`.

    Attributes:
        groups: path -> group, of tasks that may become ready by it and whose nodes take batches; a stored path may
            hold ``[*]``.
        node: whose history ``counts`` belong to, for example ``crack.segment@1``.
        counts: what the execution took.
        inner: tasks that are settled with it, in the order in which they were executed; ``effects`` are those of all.
    """

    run_id: str
    instance: str
    token: int
    kind: str
    slots: Mapping[str, Any] | None
    outputs: Mapping[str, Any]
    effects: Effects
    data: Mapping[str, Any] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
    counts: Sequence[Count] = ()
    inner: Sequence[Inner] = ()


class Summary(NamedTuple):
    """One run as a list of runs shows it. ``accepted_ms`` counts from the epoch."""

    run_id: str
    status: RunStatus
    plan: str
    accepted_ms: int
    error: Mapping[str, Any] | None = None


class Due(NamedTuple):
    """Work that waits to be claimed. With ``stop``, the items ``first`` to ``stop - 1`` of a ``[*]`` path.

    ``plan`` is the digest of the run's plan.
    """

    run_id: str
    path: str
    first: int = 0
    stop: int | None = None
    plan: str = ""

    def instances(self) -> Iterator[str]:
        """The tasks that it stands for. Some of a range may have been claimed already."""
        if self.stop is None:
            yield self.path
            return
        before, after = split_range(self.path)
        for index in range(self.first, self.stop):
            yield f"{before}[{index}]{after}"


def split_range(path: str) -> tuple[str, str]:
    """What stands before and behind the ``[*]`` of a range's path."""
    before, _, after = path.partition("[*]")
    return before, after


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settlement led to.

    Attributes:
        ready: the tasks that are ready by it, the claimed one included.
        status: the run's status after it.
        claimed: the task that the worker goes on with.
    """

    ready: Sequence[Ready]
    status: RunStatus
    claimed: Claimed | None = None


class RunStore(Protocol):
    """Run state, values and events of many runs. Every method is atomic and may be called from any thread."""

    def accept(self, run_id: str, inputs: Mapping[str, Any], effects: Effects, data: Mapping[str, Any]) -> None:
        """Create a run whose first ready tasks are in ``effects``; ``data`` goes into its ``run.accepted`` event.

        Raises:
            UsageError: the id is taken.
        """
        ...

    def claim(self, run_id: str, instance: str, wanted: Sequence[Wanted]) -> Claim | None:
        """Begin an attempt. ``None``: the run is stopping, the task is held; or the task is not to be had."""
        ...

    def commit(
        self,
        run_id: str,
        instance: str,
        token: int,
        *,
        kind: str,
        slots: Mapping[str, Any] | None,
        outputs: Mapping[str, Any],
        effects: Effects,
        data: Mapping[str, Any] | None = None,
    ) -> Settled | None:
        """Settle a task: keep ``slots`` (None: nobody reads them), apply ``effects``. ``None``: fenced.

        Args:
            run_id: the run.
            instance: the task's path.
            token: the attempt's.
            kind: of the event to record, for example ``task.completed``.
            slots: what the instance itself holds from now on.
            outputs: the values that ``effects.exports`` takes its ports from.
            effects: what the scheduler worked out.
            data: of the event.
        """
        ...

    def retry(self, run_id: str, instance: str, token: int, data: Mapping[str, Any]) -> bool:
        """End the attempt; the task waits to be claimed again. False: fenced."""
        ...

    def fail(self, run_id: str, instance: str, token: int, error: Mapping[str, Any]) -> RunStatus | None:
        """Fail the run by this task, which is held for a resume. Returns the run's status; ``None``: fenced."""
        ...

    def release(self, run_id: str, instance: str, token: int) -> RunStatus | None:
        """Give back a task that a stopping run will not finish; it is held. ``None``: fenced."""
        ...

    def cancel(self, run_id: str) -> RunStatus:
        """Stop a run: nothing new starts. Returns its status."""
        ...

    def resume(self, run_id: str) -> Sequence[Ready]:
        """Make the held tasks of a failed or cancelled run ready again, with a fresh count of tries.

        Raises:
            UsageError: the run is not one that can be resumed.
        """
        ...

    def status(self, run_id: str) -> RunStatus | None:
        """The run's status; ``None`` for a run that is not held here."""
        ...

    def error(self, run_id: str) -> Mapping[str, Any] | None:
        """The first failure that stopped the run."""
        ...

    def read(self, run_id: str, place: Place) -> Any:
        """The value held at a place, or :data:`ABSENT`."""
        ...

    def events(self, run_id: str, start: int = 0) -> Sequence[Event]:
        """The run's events from number ``start`` on."""
        ...

    def forget(self, run_id: str) -> None:
        """Drop all that is held of a run."""
        ...


class SharedRunStore(RunStore, Protocol):
    """A store that several processes share: claims have a worker and a lease, and nobody's death stops a run.

    Every change may be repeated by whoever does not know whether it was applied: the answer is the same again. A ready
    task stands in the *outbox* until it is claimed, so that a lost wake-up only costs time. An attempt of a run that
    was forgotten is fenced like any that is not current any more.
    """

    def claim_for(
        self, worker: str, run_id: str, instance: str, wanted: Sequence[Wanted], *, lease_s: float | None = None
    ) -> Claim | Refusal:
        """As ``claim``, for ``lease_s`` seconds (by default the store's own lease); a refusal has its reason."""
        ...

    def commit(
        self,
        run_id: str,
        instance: str,
        token: int,
        *,
        kind: str,
        slots: Mapping[str, Any] | None,
        outputs: Mapping[str, Any],
        effects: Effects,
        data: Mapping[str, Any] | None = None,
        worker: str = "",
        onward: Sequence[Onward] = (),
        lease_s: float | None = None,
    ) -> Settled | None:
        """As in :class:`RunStore`; ``worker`` also claims the first task of ``onward`` that is to be had.

        What the claim leads to stands in the answer's ``claimed``. Such a task never enters the outbox.
        """
        ...

    def claim_many(
        self, worker: str, asks: Sequence[Ask], *, lease_s: float | None = None
    ) -> Sequence[Claim | Refusal]:
        """Several claims, each as ``claim_for`` makes it, in one round trip; the answers in the same order."""
        ...

    def commit_many(
        self,
        settlements: Sequence[Settlement],
        *,
        worker: str = "",
        onward: Sequence[Onward] = (),
        lease_s: float | None = None,
    ) -> Sequence[Settled | None]:
        """Several settlements, each as ``commit`` makes it, in one round trip; ``onward`` goes with the last."""
        ...

    def cancel(self, run_id: str, *, give_up: bool = False) -> RunStatus:
        """As in :class:`RunStore`; with ``give_up``, what executes is held at once, and its attempts are fenced."""
        ...

    def retry(self, run_id: str, instance: str, token: int, data: Mapping[str, Any], *, delay_s: float = 0.0) -> bool:
        """As in :class:`RunStore`; until ``delay_s`` have passed, the task is neither due nor to be had."""
        ...

    def release(self, run_id: str, instance: str, token: int, *, again: bool = False) -> RunStatus | None:
        """As in :class:`RunStore`; with ``again``, a running run makes the task ready: no try, no death is counted."""
        ...

    def beat(self, run_id: str, instance: str, token: int, *, lease_s: float | None = None) -> Beat:
        """Extend the lease of an attempt."""
        ...

    def beat_many(self, attempts: Sequence[tuple[str, str, int]], *, lease_s: float | None = None) -> Sequence[Beat]:
        """Extend the leases of several attempts (run, instance, token) in one round trip."""
        ...

    def waiting(self, group: str, limit: int = 100, *, least: int = 0, most: int = 0) -> Sequence[Due]:
        """Tasks of a group that wait to be claimed, those that have waited longest first.

        If there are at least ``least`` of them, the caller is about to claim the first ``most``: for a moment nobody
        else is told of these, so that processes that serve one group do not reach for the same tasks. It is no claim.
        """
        ...

    def take_due(self, limit: int = 100, grace_s: float | None = None) -> Sequence[Due]:
        """Entries of the outbox that are due. Each is due again ``grace_s`` later, which doubles up to 64 times.

        What stopping runs have in the outbox is held instead, so that they end without workers.
        """
        ...

    def reap(self, limit: int = 100) -> int:
        """Make tasks whose lease has expired ready again, or quarantine them. Returns how many there were."""
        ...

    def tidy(self, limit: int = 100) -> int:
        """Forget runs whose retention has passed. Returns how much was done; 0: nothing is left to do."""
        ...
