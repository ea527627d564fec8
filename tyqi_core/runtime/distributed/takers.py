"""How a worker process takes messages from Redis or RabbitMQ itself; see ``taking``."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from celery import Celery

_CONNECT_S: Final = 2.0
_TAG: Final = "tyqi"


class Taken(NamedTuple):
    """A message that was taken. ``source`` is what the broker's client needs to confirm it or to give it back."""

    headers: Any
    body: bytes | str
    source: Any


class Taker(Protocol):
    """One connection of one thread, made at the first ``take``."""

    faults: tuple[type[Exception], ...]
    """What it raises when the broker is away."""

    def lingers(self, queues: Sequence[str]) -> bool:
        """Whether ``take`` can wait for a message that comes later."""

    def take(self, queues: Sequence[str], wait_s: float) -> Taken | None:
        """A message of one of the queues, if there is one, or one comes."""

    def done(self, message: Taken) -> None:
        """What the message asked for is done."""

    def rest(self) -> None:
        """Nothing is taken for a while: no message may come here meanwhile."""

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

    def __init__(self, app: Celery) -> None:
        self._connection = app.connection_for_read(connect_timeout=_CONNECT_S)
        self._channel: Any = None
        self._turn: deque[str] = deque()
        self.faults = (*self._connection.connection_errors, *self._connection.channel_errors, OSError)

    def lingers(self, queues: Sequence[str]) -> bool:
        """See :class:`Taker`."""
        return True

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

    def rest(self) -> None:
        """Nothing comes by itself."""

    def put_back(self, message: Taken) -> None:
        """See :class:`Taker`."""
        self._channel.client.rpush(*message.source)

    def drop(self) -> None:
        """See :class:`Taker`."""
        self._connection.release()


class RabbitTaker:
    """Takes messages of RabbitMQ, which are confirmed when what they ask for is done.

    A worker of one queue becomes a consumer beside Celery's for a while; as long as a message is not confirmed it gets
    no other one. The prefetch of quorum queues counts for each queue, so a worker of several would be sent messages
    that it cannot act on yet: it only asks for what waits.
    """

    def __init__(self, app: Celery) -> None:
        self._connection = app.connection_for_read(connect_timeout=_CONNECT_S, heartbeat=0)
        self._channel: Any = None
        self._consuming = False
        self._delivered: deque[Any] = deque()
        self.faults = (*self._connection.connection_errors, *self._connection.channel_errors, OSError)

    def lingers(self, queues: Sequence[str]) -> bool:
        """See :class:`Taker`."""
        return len(queues) == 1

    def take(self, queues: Sequence[str], wait_s: float) -> Taken | None:
        """See :class:`Taker`."""
        if self._channel is None:
            self._connection.connect()
            self._channel = self._connection.channel()
            self._channel.basic_qos(0, 1, a_global=False)
        message = self._awaited(queues[0], wait_s) if self.lingers(queues) else self._waiting(queues)
        if message is None:
            return None
        return Taken(message.properties.get("application_headers"), message.body, message)

    def _waiting(self, queues: Sequence[str]) -> Any:
        for queue in queues:
            if (message := self._channel.basic_get(queue)) is not None:
                return message
        return None

    def _awaited(self, queue: str, wait_s: float) -> Any:
        if not self._consuming:
            self._channel.basic_consume(queue, consumer_tag=_TAG, callback=self._delivered.append)
            self._consuming = True
        if not self._delivered:
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=max(0.001, wait_s))
        return self._delivered.popleft() if self._delivered else None

    def done(self, message: Taken) -> None:
        """See :class:`Taker`."""
        self._channel.basic_ack(message.source.delivery_tag)

    def put_back(self, message: Taken) -> None:
        """See :class:`Taker`."""
        self._channel.basic_reject(message.source.delivery_tag, requeue=True)

    def rest(self) -> None:
        """See :class:`Taker`."""
        if self._consuming:
            self._consuming = False
            self._channel.basic_cancel(_TAG)
            while self._delivered:
                self._channel.basic_reject(self._delivered.popleft().delivery_tag, requeue=True)

    def drop(self) -> None:
        """See :class:`Taker`."""
        self._connection.collect()


def _body(envelope: dict[str, Any]) -> bytes:
    body = envelope["body"]
    return b64decode(body) if envelope["properties"].get("body_encoding") == "base64" else str(body).encode()
