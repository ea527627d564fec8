"""How a worker process takes messages from Redis or RabbitMQ itself; see ``taking``."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from celery import Celery

_CONNECT_S = 2.0


class Taken(NamedTuple):
    """A message that was taken. ``source`` is what the broker's client needs to confirm it or to give it back."""

    headers: Any
    body: bytes | str
    source: Any


class Taker(Protocol):
    """One connection of one thread, made at the first ``take``."""

    lingers: bool
    """Whether ``take`` can wait for a message that comes later."""
    faults: tuple[type[Exception], ...]
    """What it raises when the broker is away."""

    def take(self, queues: Sequence[str], wait_s: float) -> Taken | None:
        """A message of one of the queues, if there is one, or one comes."""

    def done(self, message: Taken) -> None:
        """The message is ours; before it is acted on, for the store knows what it asks for."""

    def put_back(self, message: Taken) -> None:
        """The message is for Celery."""

    def drop(self) -> None:
        """End a connection that may be broken."""


def taker_for(app: Celery) -> Taker:
    """The taker for the application's broker."""
    rabbit = app.connection_for_read().transport.driver_type == "amqp"
    return RabbitTaker(app) if rabbit else RedisTaker(app)


class RedisTaker:
    """Pops messages as Celery's consumer does; the lists of several queues take turns in being looked at first."""

    lingers = True

    def __init__(self, app: Celery) -> None:
        self._connection = app.connection_for_read(connect_timeout=_CONNECT_S)
        self._channel: Any = None
        self._turn: deque[str] = deque()
        self.faults = (*self._connection.connection_errors, *self._connection.channel_errors, OSError)

    def take(self, queues: Sequence[str], wait_s: float) -> Taken | None:
        """See :class:`Taker`."""
        if self._channel is None:
            self._channel = self._connection.channel()
            self._turn = deque(queues)
        self._turn.rotate()
        found = self._channel.client.brpop(list(self._turn), timeout=max(0.001, wait_s))
        if not found:
            return None
        queue, raw = found
        try:
            envelope = json.loads(raw)
            return Taken(envelope["headers"], _body(envelope), (queue, raw))
        except (ValueError, TypeError, LookupError):
            return Taken({}, b"", (queue, raw))

    def done(self, message: Taken) -> None:
        """It is out of the list already."""

    def put_back(self, message: Taken) -> None:
        """See :class:`Taker`."""
        self._channel.client.rpush(*message.source)

    def drop(self) -> None:
        """See :class:`Taker`."""
        self._connection.release()


class RabbitTaker:
    """Asks for what waits. RabbitMQ hands out what comes later to consumers only, and those are Celery's."""

    lingers = False

    def __init__(self, app: Celery) -> None:
        self._connection = app.connection_for_read(connect_timeout=_CONNECT_S, heartbeat=0)
        self._channel: Any = None
        self.faults = (*self._connection.connection_errors, *self._connection.channel_errors, OSError)

    def take(self, queues: Sequence[str], wait_s: float) -> Taken | None:
        """See :class:`Taker`."""
        if self._channel is None:
            self._connection.connect()
            self._channel = self._connection.channel()
        for queue in queues:
            message = self._channel.basic_get(queue)
            if message is not None:
                return Taken(message.properties.get("application_headers"), message.body, message)
        return None

    def done(self, message: Taken) -> None:
        """See :class:`Taker`."""
        self._channel.basic_ack(message.source.delivery_tag)

    def put_back(self, message: Taken) -> None:
        """See :class:`Taker`."""
        self._channel.basic_reject(message.source.delivery_tag, requeue=True)

    def drop(self) -> None:
        """See :class:`Taker`."""
        self._connection.collect()


def _body(envelope: dict[str, Any]) -> bytes:
    body = envelope["body"]
    return b64decode(body) if envelope["properties"].get("body_encoding") == "base64" else str(body).encode()
