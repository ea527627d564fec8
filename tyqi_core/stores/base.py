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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, Protocol

from tyqi_core.protocol.message import Event
from tyqi_core.scheduler import Effects, Place, Ready

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
    """

    token: int
    tries: int
    values: Sequence[Any]
    skip: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settlement led to: the tasks that are ready now, and the run's status after it."""

    ready: Sequence[Ready]
    status: RunStatus


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
