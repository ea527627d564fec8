"""Wake-ups on their way into the broker: Celery messages, written without Celery's own publishing.

``apply_async`` costs several times the message itself; a worker that publishes what it made ready does so on the path
of every task. So the messages of one settlement go out over one connection in one go. Any Celery worker can read them.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Sequence
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from tyqi_core.errors import BrokerError
from tyqi_core.runtime.distributed.broker import task_name
from tyqi_core.runtime.distributed.carriers import BlockedError, Carrier, Message, carrier_for
from tyqi_core.runtime.distributed.queues import check_queue

if TYPE_CHECKING:
    from celery import Celery

LOCK_S: Final = 1.0
"""How long a thread waits for others that publish. With two attempts of ``carriers.STEP_S`` it makes five seconds."""

_REMEDY: Final = (
    "See whether it runs and has memory and disk space left. What it did not take is published again later."
)


class Wakeup(NamedTuple):
    """One message to send.

    Attributes:
        node: the node's id, ``crack.segment``.
        queue: ``cpu.short``.
        arguments: what the task is called with: JSON values.
    """

    node: str
    queue: str
    arguments: tuple[Any, ...]


class Publisher:
    """Publishes wake-ups for one process. Threads may share it; a forked child gets a connection of its own.

    Args:
        app: an application made by :func:`~tyqi_core.runtime.distributed.broker.celery_app`.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._begin()
        _publishers.add(self)

    def _begin(self) -> None:
        self._carrier: Carrier | None = None
        self._lock = threading.Lock()
        self._origin = f"tyqi{os.getpid()}@{gethostname()}"

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        """Hand all of them to the broker; it has them when this returns.

        A connection that turns out to be lost is made anew once. The call ends within five seconds.

        Raises:
            BrokerError: the broker is away, does not answer or takes no messages. Some may have arrived.
            UsageError: a queue has no queue's name.
        """
        if not wakeups:
            return
        messages = [self._message(wakeup) for wakeup in wakeups]
        if not self._lock.acquire(timeout=LOCK_S):
            raise self._away("it does not answer other threads of this process either")
        try:
            self._send(messages)
        finally:
            self._lock.release()

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue; 0 where that cannot be found out now."""
        if not self._lock.acquire(timeout=LOCK_S):
            return 0
        try:
            self._carrier = carrier = self._carrier or carrier_for(self._app)
            try:
                return carrier.waiting(queue)
            except carrier.faults:
                self._drop(carrier)
                return 0
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the connection; the next ``publish`` makes a new one."""
        with self._lock:
            if self._carrier:
                self._carrier.close()
                self._carrier = None

    def _send(self, messages: Sequence[Message]) -> None:
        if self._carrier is not None and self._try(messages) is None:
            return
        if fault := self._try(messages):
            raise self._away(f"{type(fault).__name__}: {fault}") from fault

    def _try(self, messages: Sequence[Message]) -> Exception | None:
        self._carrier = carrier = self._carrier or carrier_for(self._app)
        try:
            carrier.send(messages)
        except BlockedError as fault:
            self._drop(carrier)
            raise self._away(str(fault)) from fault
        except carrier.faults as fault:
            self._drop(carrier)
            return fault
        return None

    def _drop(self, carrier: Carrier) -> None:
        self._carrier = None
        carrier.drop()

    def _message(self, wakeup: Wakeup) -> Message:
        node, queue, arguments = wakeup
        message_id = str(uuid4())
        headers = {
            "lang": "py",
            "task": task_name(node),
            "id": message_id,
            "root_id": message_id,
            "parent_id": None,
            "group": None,
            "argsrepr": repr(arguments)[:200],
            "origin": self._origin,
            "ignore_result": True,
        }
        body = json.dumps((arguments, {}, {}), separators=(",", ":"))
        return Message(message_id, check_queue(queue), headers, body)

    def _away(self, reason: str) -> BrokerError:
        broker = self._app.connection_for_write().as_uri()
        return BrokerError(f"The broker {broker} did not take a message ({reason})", remedy=_REMEDY)

    def after_fork(self) -> None:
        """Leave the parent's connection to the parent, neither used nor closed. Called in every forked child."""
        self._begin()


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in _publishers:
        publisher.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
