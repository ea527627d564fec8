"""What looks after runs when nobody else does: tells again, retries, takes tasks from the dead, forgets what is over.

Any number of sweepers may run: everything they do is one step in the store, whose repetition changes nothing, and a
message too many finds nothing to claim.
"""

from __future__ import annotations

import logging
from threading import Event
from typing import TYPE_CHECKING, Final, NamedTuple

from tyqi_core.errors import TyqiError
from tyqi_core.runtime.distributed.library import PlanLibrary
from tyqi_core.runtime.distributed.settling import Messenger
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.stores.base import Due

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

log = logging.getLogger("tyqi.sweeper")
PAUSE_S: Final = 0.2
"""Between two rounds: what a short delay before a retry may come late."""
_LIMIT: Final = 200
_AWAY_S: Final = 1.0


class Swept(NamedTuple):
    """What one round did: entries told again, tasks taken from the dead, things forgotten or freed."""

    told: int
    taken: int
    tidied: int


class Sweeper:
    """Sweeps the store in rounds.

    Args:
        store: of the runs.
        messenger: tells workers of tasks.
    """

    def __init__(self, store: RedisStore, messenger: Messenger) -> None:
        self._store = store
        self._messenger = messenger
        self._library = PlanLibrary(store)
        self._stop = Event()

    def sweep(self) -> Swept:
        """One round.

        Raises:
            StoreError: the store is away; the next round goes on.
        """
        taken = self._store.reap(_LIMIT)
        due = self._store.take_due(_LIMIT)
        for entry in due:
            self._tell(entry)
        return Swept(len(due), taken, self._store.tidy(_LIMIT))

    def run(self) -> None:
        """Sweep until :meth:`stop`."""
        while not self._stop.is_set():
            try:
                swept = self.sweep()
                pause = 0.0 if _LIMIT in (swept.told, swept.taken) else PAUSE_S
            except TyqiError as error:
                log.warning("a round failed, the next one goes on: %s", error)
                pause = _AWAY_S
            self._stop.wait(pause)

    def stop(self) -> None:
        """End :meth:`run` after its round."""
        self._stop.set()

    def close(self) -> None:
        """End the connections."""
        self._messenger.close()
        self._store.close()

    def _tell(self, due: Due) -> None:
        loaded = self._library.get(due.plan)
        if loaded is None:
            log.warning("the plan of run %s is not kept; its task %s cannot be told of", due.run_id, due.path)
            return
        stretch = Stretch(due.path) if due.stop is None else Stretch(due.path, due.first, due.stop)
        self._messenger.tell(due.run_id, loaded, [stretch])
