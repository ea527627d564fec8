"""What the supervisor of worker processes does about those that are late, stuck or dead. It reads their boards.

A process settles what is late itself, and tells the node. The watchdog acts on what is left: a node that does not come
back, a process that is stuck in native code, one that has died. It ends the process, and only the task that was to
blame counts a death or a timeout: everything else that the process held is ready again at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

from tyqi_core.errors import TaskTimeout, TyqiError, UsageError
from tyqi_core.runtime.distributed.library import PlanLibrary, Task
from tyqi_core.runtime.distributed.settling import Messenger, Settler
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.runtime.processes.boards import BoardState, Held, read_boards, remove
from tyqi_core.stores.base import Settlement

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

log = logging.getLogger("tyqi.watchdog")
EVERY_S: Final = 0.25
"""How often boards are read."""
LATE_S: Final = 1.0
"""How long after a deadline a process may take to act on it itself."""
SWEEP_S: Final = 30.0
"""How often shared memory is rid of what nobody needs."""
SILENT_LEASES: Final = 2.0
"""After how many leases without a sign a process that holds something is ended: its tasks have been given to others."""


class Watchdog:
    """Watches the worker processes of one supervisor.

    Args:
        store: of the runs.
        messenger: tells workers of tasks that are ready again.
        folder: where the processes show their boards.
        end: ends a process, by its id.
    """

    def __init__(self, store: RedisStore, messenger: Messenger, folder: Path, end: Callable[[int], None]) -> None:
        self._store = store
        self._messenger = messenger
        self._folder = folder
        self._end = end
        self._next_sweep = 0.0
        self._library = PlanLibrary(store)
        self._settler = Settler(store, messenger, "watchdog")
        self._settler.closing.set()  # never wait for a store that is away: the next tick tries again

    def tick(self) -> None:
        """Look at all boards once, and after what lies in this host's shared memory."""
        self._store.payloads.serve_requests()
        if monotonic() >= self._next_sweep:
            self._next_sweep = monotonic() + SWEEP_S
            self._store.payloads.sweep()
        for board in read_boards(self._folder):
            try:
                self._look(board)
            except TyqiError as error:
                log.warning("process %d cannot be looked after yet: %s", board.pid, error)

    def close(self) -> None:
        """End the connections, and free the shared memory that nobody needs."""
        with suppress(TyqiError):
            self._store.payloads.sweep()
        self._messenger.close()
        self._store.close()

    def _look(self, board: BoardState) -> None:
        if not board.alive:
            self._give_back(_as_it_was(board.entries), dead=True)
            remove(self._folder, board.pid)
            return
        now = monotonic()
        late = [held for held in board.entries if held.deadline is not None and now > held.deadline + _slack(held)]
        silent = bool(board.entries) and now - board.heartbeat > SILENT_LEASES * self._store.options.lease_s
        if not late and not silent:
            return
        for held in late:
            self._settle(held)
        self._give_back([held for held in board.entries if held not in late], dead=False)
        names = ", ".join(f"{held.instance} of run {held.run_id}" for held in late) or "nothing that is told"
        log.warning("process %d is ended: it does not come back from %s", board.pid, names)
        self._end(board.pid)
        remove(self._folder, board.pid)

    def _give_back(self, entries: Sequence[Held], *, dead: bool) -> None:
        """What a process held goes to others. What it executed when it died may be what it died of: that counts."""
        for held in entries:
            address = (held.run_id, held.instance, held.token)
            if dead and held.state == "executing":
                self._store.beat(*address, lease_s=0.0)  # the sweeper takes it from here
            elif held.state != "expired":
                self._release(held, again=True)

    def _settle(self, held: Held) -> None:
        """Settle a late attempt as its process would have done."""
        if held.told == "cancel":
            self._release(held)
        if held.told or (loaded := self._library.get(held.plan)) is None:
            return
        task = Task(held.run_id, loaded, held.instance)
        timeout = loaded.task(held.instance).timeout or 0.0
        error = TaskTimeout(f"no result within {timeout:g} s; its process was ended")
        after = self._settler.failed(task, held.token, held.tries, error)
        if isinstance(after, Settlement):
            self._settler.finish_for(task, after)
        elif after is not None:
            self._tell(held)

    def _release(self, held: Held, *, again: bool = False) -> None:
        with suppress(UsageError):  # the run was forgotten meanwhile
            if self._store.release(held.run_id, held.instance, held.token, again=again) and again:
                self._tell(held)

    def _tell(self, held: Held) -> None:
        if (loaded := self._library.get(held.plan)) is not None:
            self._messenger.tell(held.run_id, loaded, [Stretch(held.instance)])


def _as_it_was(entries: Sequence[Held]) -> Sequence[Held]:
    """What a dead process held. That all of it is executed, it does not show until its next beat."""
    if any(held.state != "claimed" for held in entries):
        return entries
    return [held._replace(state="executing") for held in entries]


def _slack(held: Held) -> float:
    """Seconds after a deadline; what a process has been told to end has had its time already."""
    return EVERY_S if held.told else LATE_S


class WatchThread:
    """A watchdog in a thread of its own: a store that is away must not keep a supervisor from its other duties.

    Args:
        make: makes the watchdog, given what ends a process; called in the thread, until the store can be reached.
        end: ends a process, by its id; called in the supervisor's thread, by :meth:`tick`.
    """

    def __init__(self, make: Callable[[Callable[[int], None]], Watchdog], end: Callable[[int], object]) -> None:
        self._make = make
        self._end = end
        self._condemned: SimpleQueue[int] = SimpleQueue()
        self._stop = Event()
        self._thread = Thread(target=self._work, name="tyqi-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def tick(self) -> None:
        """End the processes that the watchdog has condemned."""
        while not self._condemned.empty():
            self._end(self._condemned.get())

    def _work(self) -> None:
        watchdog: Watchdog | None = None
        while not self._stop.wait(EVERY_S):
            try:
                watchdog = watchdog or self._make(self._condemned.put)
                watchdog.tick()
            except Exception:  # whatever it is, the next round is due
                log.exception("the watchdog could not look after the workers")
        if watchdog is not None:
            watchdog.close()
