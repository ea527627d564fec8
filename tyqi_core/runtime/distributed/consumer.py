"""What a Celery worker of ours does differently from Celery's own.

It takes a message only when something is idle, and no message can end it.

Named by the setting ``worker_consumer``, so that ``celery worker`` and ``tyqi worker`` behave alike.
docs/decisions/0061 has the measurements behind each difference.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty
from types import MethodType
from typing import Any, Final

from amqp.exceptions import PreconditionFailed, RecoverableConnectionError
from celery.bootsteps import StartStopStep
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer import Tasks

from tyqi_core.runtime.distributed.broker import TASK_PREFIX, UNKNOWN_NODE

_logger = logging.getLogger(__name__)

_DELAYED: Final = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
_MALFORMED: Final = (ValueError, TypeError, LookupError, AttributeError)
"""What reading a message raises that has not the form of one. Celery would end and leave it to the next worker."""

_SILENT: Final = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}


class Consumer(CeleryConsumer):  # type: ignore[misc]  # celery has no types
    """Celery's consumer without delayed delivery, and without talk among workers unless remote control is on."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]  # celery has no types
        """Delayed delivery would declare 28 queues and is not used; our own step comes instead."""

        default_steps = (
            *(step for step in CeleryConsumer.Blueprint.default_steps if step != _DELAYED),
            "tyqi_core.runtime.distributed.consumer:TakeWhenIdle",
        )

    loop: Callable[..., Any]

    def __init__(self, *arguments: Any, app: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:
        silent = {} if app.conf.worker_enable_remote_control else _SILENT
        super().__init__(*arguments, app=app, worker_options={**(worker_options or {}), **silent}, **options)
        self.loop = _reconnecting(self.loop)

    def create_task_handler(self, **options: Any) -> Callable[[Any], None]:
        """Celery's handler, which drops a message that it cannot read."""
        handle = super().create_task_handler(**options)
        tasks = self.app.tasks

        def handle_or_drop(message: Any) -> None:
            if isinstance(message.headers, dict) and _is_unknown_node(message.headers.get("task"), tasks):
                message.headers["task"] = UNKNOWN_NODE
            try:
                handle(message)
            except _MALFORMED as fault:
                self.on_invalid_task(None, message, fault)

        return handle_or_drop

    def on_close(self) -> None:
        """After a lost connection: Celery forgets what it had taken, and wrongly also what its processes still do."""
        with _busy_processes_kept(self.pool):
            super().on_close()


class TakeWhenIdle(StartStopStep):  # type: ignore[misc]  # celery has no types
    """On Redis, take no more messages than can start at once; on every broker, go on as soon as a thread is free."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._bell: _Bell | None = None

    def start(self, consumer: Any) -> None:
        """After each connection: its channel knows nothing of the limit yet."""
        if consumer.hub and consumer.connection.transport.driver_type == "redis":
            channel = consumer.task_consumer.channel
            _limit_to_idle(channel.qos, consumer.pool)
            _drop_garbage(channel.handlers)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """A loop that sleeps until a message comes would not notice that a thread has become free: it gets a bell."""
        if isinstance(consumer.pool, ThreadPool):
            self._bell = self._bell or _Bell(consumer.pool)
            hub.add_reader(self._bell.ear.fileno(), self._bell.heard)


def _reconnecting(loop: Callable[..., Any]) -> Callable[..., Any]:
    """RabbitMQ closes the channel of a task that runs for too long. Celery would end; a new connection is enough."""

    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return loop(*arguments, **options)
        except PreconditionFailed as fault:
            raise RecoverableConnectionError(str(fault)) from fault

    return run


def _is_unknown_node(name: object, tasks: Mapping[str, Any]) -> bool:
    """Whether a message is for a node that is not installed here, and there is something that tells its run so."""
    return isinstance(name, str) and name.startswith(TASK_PREFIX) and name not in tasks and UNKNOWN_NODE in tasks


def _limit_to_idle(qos: Any, pool: Any) -> None:
    """No new message while all of the pool is busy, counting what still runs from before a lost connection."""
    prefetch_allows = qos.can_consume

    def can_consume(_: Any) -> bool:
        forgotten = sum(request not in state.reserved_requests for request in state.active_requests)
        if len(state.reserved_requests) + forgotten < pool.num_processes:
            return bool(prefetch_allows())
        _raise_if_lost(qos.channel)
        return False

    qos.can_consume = MethodType(can_consume, qos)


def _raise_if_lost(channel: Any) -> None:
    """Notice a connection that was closed while nothing was asked of it.

    Its socket stays readable, and a busy worker reads nothing: the event loop would spin until a task ends.
    """
    connection = channel.client.connection
    if connection is not None and not channel._in_poll:  # noqa: SLF001 - kombu tells in no other way
        connection.can_read(0)


@contextmanager
def _busy_processes_kept(pool: Any) -> Iterator[None]:
    """Flushing marks every process as idle: the next message would be sent to one that is busy, and wait there."""
    processes = getattr(pool, "_pool", None)
    if not isinstance(processes, AsynPool):
        yield
        return
    owners = processes._fileno_to_inq  # noqa: SLF001 - the pool has no public way
    busy = {pipe: owners.get(pipe) for pipe in processes._busy_workers}  # noqa: SLF001
    yield
    still = {pipe for pipe, process in busy.items() if process is not None and owners.get(pipe) is process}
    processes._busy_workers.update(still)  # noqa: SLF001


def _drop_garbage(handlers: dict[str, Callable[..., Any]]) -> None:
    """An entry of a list that is no message at all is logged and forgotten."""
    read = handlers["BRPOP"]

    def read_or_drop(**options: Any) -> Any:
        try:
            return read(**options)
        except _MALFORMED:
            _logger.exception("dropped an entry of a queue that is no message")
            raise Empty from None

    handlers["BRPOP"] = read_or_drop


class _Bell:
    """Wakes the event loop when a task of the pool has ended."""

    def __init__(self, pool: Any) -> None:
        self.ear, self._button = socket.socketpair()
        self.ear.setblocking(False)
        self._button.setblocking(False)
        self._apply = pool.on_apply
        pool.on_apply = self._on_apply

    def heard(self) -> None:
        """Forget the rings so far; that the loop runs is all that they were for."""
        self.ear.recv(4096)

    def _on_apply(self, *arguments: Any, callback: Any, **options: Any) -> Any:
        def ended(result: Any) -> None:
            try:
                callback(result)
            finally:
                self._ring()

        return self._apply(*arguments, callback=ended, **options)

    def _ring(self) -> None:
        try:
            self._button.send(b"!")
        except BlockingIOError:
            return  # rings that nobody has heard yet are enough
