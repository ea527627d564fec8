"""A worker process: the Celery application whose tasks are the nodes installed here.

``tyqi worker`` starts and supervises such processes. Celery's own command serves too::

    TYQI_QUEUES=cpu.short celery -A tyqi_core.worker worker -Q cpu.short
"""

from __future__ import annotations

import sys

if __name__ == "__main__":  # gevent and eventlet replace sockets, locks and threads before anything else is imported
    from celery import maybe_patch_concurrency

    maybe_patch_concurrency()
    from tyqi_core.worker import (
        main as main_of_the_module,
    )  # a script's own copy of the signals below would double them

    sys.exit(main_of_the_module(sys.argv[1:]))  # type: ignore[func-returns-value]

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from socket import gethostname
from threading import Lock
from typing import TYPE_CHECKING, Any

from billiard.compat import mem_rss
from celery import signals
from celery.concurrency.prefork import TaskPool as ForkingPool
from celery.worker import state

from tyqi_core.app import open_celery, open_engine, open_node
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import CatalogError
from tyqi_core.runtime.distributed.broker import UNKNOWN_NODE, task_name
from tyqi_core.runtime.distributed.direct import DirectCalls
from tyqi_core.runtime.distributed.fleet import QUEUES_VARIABLE
from tyqi_core.runtime.distributed.queues import QUEUES
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.runtime.distributed.taking import Call, Taking
from tyqi_core.runtime.processes.boards import Board, Held
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from tyqi_core.runtime.distributed.engine import Engine

log = logging.getLogger("tyqi.worker")


class Worker:
    """The nodes of this environment as Celery tasks, and the engine that performs them, one a process.

    Args:
        settings: where store and broker are.
        catalog: the nodes.
        queues: those that are served.
    """

    def __init__(self, settings: Settings, catalog: Catalog, queues: Sequence[str]) -> None:
        self._settings = settings
        self._catalog = catalog
        self._queues = queues
        self._lock = Lock()
        self._engine: Engine | None = None
        self._pid = 0
        self._direct = DirectCalls(lambda node, params: open_node(node, catalog, params))
        self.app: Celery = open_celery(settings, queues)
        watched = settings.remote_control  # who looks on with Celery's tools sees only what Celery hands out
        self._taking = None if watched or _is_green() else Taking(self.app, queues, self._ends)
        self._most_kib = 0
        for entry in catalog.entries():
            if entry.manifest is not None and entry.state != "broken":
                self.app.task(self._body(entry.id), name=task_name(entry.id), shared=False)
        self.app.task(self._body(""), name=UNKNOWN_NODE, shared=False)

    def engine(self) -> Engine:
        """The engine of this process; a forked child makes one of its own."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._engine = open_engine(self._settings, self._catalog, self._queues, self._name(), self._show())
                    self._pid = os.getpid()
        assert self._engine is not None  # noqa: S101 - set above; for the type checker
        return self._engine

    def keep_limits(self, tasks: int | None, memory_kib: int | None) -> None:
        """Return to Celery in time for it to replace this process: it looks at its limits between tasks of its own.

        Args:
            tasks: how many it may do; a number of somebody's choice counts what Celery hands out, so nothing is taken.
            memory_kib: how much it may hold.
        """
        self._most_kib = memory_kib or 0
        if tasks != self.app.conf.worker_max_tasks_per_child:
            self._taking = None

    def close(self) -> None:
        """An orderly end of this process: nodes are torn down."""
        self._direct.close()
        if self._taking is not None:
            self._taking.close()
        if self._engine is not None and self._pid == os.getpid():
            self._engine.close()
            self._engine = None
            self._pid = 0

    def _call(self, node_id: str, inputs: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
        if not node_id:
            raise CatalogError("the node that was called is not installed on this worker", code="NO_CAPABLE_WORKER")
        return self._direct.call(node_id, inputs, params)

    def _ends(self) -> bool:
        """Whether this process is about to end."""
        return _stops() or 0 < self._most_kib < mem_rss()

    @staticmethod
    def _show() -> Callable[[Sequence[Held]], None] | None:
        """Shows what is held to the supervisor, if there is one."""
        board = Board.from_environment()
        return None if board is None else board.show

    @staticmethod
    def _name() -> str:
        return f"{gethostname()}:{os.getpid()}"

    def _body(self, node_id: str) -> Callable[..., Any]:
        def perform(
            run_id: str | None = None, plan: str = "", *ready: Any, inputs: Any = None, params: Any = None
        ) -> Any:
            if run_id is None:
                return self._call(node_id, inputs or {}, params or {})
            try:
                stretches = [Stretch.from_json(part) for part in ready]
            except ValueError as error:
                log.warning("a message that nobody here has written is dropped: %s", error)
                return None
            self._perform_all(Call(str(run_id), str(plan), stretches))
            return None

        return perform

    def _perform_all(self, call: Call) -> None:
        """Do what a message asks for, and what further ones do that this thread takes itself."""
        self.engine().perform(*call)
        if self._taking is not None:
            for further in self._taking.calls():
                self.engine().perform(*further)


def _is_green() -> bool:
    """Whether Celery was patched for a pool of greenlets, which come and go with each message."""
    return not {"gevent", "eventlet"}.isdisjoint(sys.modules)


def _stops() -> bool:
    """Whether Celery has been told to stop; known in the process that was told, not in those that it has forked."""
    return state.should_stop is not None or state.should_terminate is not None


_worker: Worker | None = None


def this_worker() -> Worker:
    """The worker of this process, made of its settings when it is first asked for."""
    global _worker  # noqa: PLW0603 - Celery's signals know modules, not objects
    if _worker is None:
        queues = [name for name in os.environ.get(QUEUES_VARIABLE, "").split(",") if name] or list(QUEUES)
        _worker = Worker(Settings.load(), Catalog.load(), queues)
    return _worker


def __getattr__(name: str) -> Any:
    """``app`` and ``celery``, for Celery's command line: nothing connects on import."""
    if name in {"app", "celery"}:
        return this_worker().app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _set_up(instance: Any = None, **_: Any) -> None:
    this_worker().keep_limits(instance.max_tasks_per_child, instance.max_memory_per_child)


def _begin_child(**_: Any) -> None:
    this_worker().engine().warm_up()


def _begin(sender: Any = None, **_: Any) -> None:
    """The worker is ready. A process that forks stays empty: nodes live in its children."""
    if not isinstance(sender.pool, ForkingPool):
        this_worker().engine().warm_up()


def _end_child(**_: Any) -> None:
    this_worker().close()


def _end(**_: Any) -> None:
    this_worker().close()


signals.celeryd_after_setup.connect(_set_up)
signals.worker_process_init.connect(_begin_child)
signals.worker_ready.connect(_begin)
signals.worker_process_shutdown.connect(_end_child)
signals.worker_shutdown.connect(_end)


def main(arguments: Sequence[str]) -> None:
    """Run ``celery worker`` with these arguments on this module's application."""
    this_worker().app.worker_main(["--quiet", "worker", *arguments])
