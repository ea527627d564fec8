"""How several messages get into Redis or RabbitMQ in one go."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from amqp import Message as RabbitMessage
from kombu.exceptions import OperationalError

from tyqi_core.runtime.distributed.broker import task_queue

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection

STEP_S: Final = 2.0
"""How long one attempt may take, and within it each wait for the broker."""


class Message(NamedTuple):
    """A Celery message (protocol 2) with its JSON body."""

    id: str
    queue: str
    headers: dict[str, Any]
    body: str


class BlockedError(Exception):
    """RabbitMQ is short of memory or disk space and said that it takes no messages. A new connection helps nothing."""


class Carrier(Protocol):
    """One connection to a broker, made at the first ``send``. Only one thread uses it at a time."""

    faults: tuple[type[Exception], ...]
    """What ``send`` raises when the broker is away or refuses."""

    def send(self, messages: Sequence[Message]) -> None:
        """Hand them over; the broker has them when this returns."""

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue."""

    def close(self) -> None:
        """End the connection as the broker likes it."""

    def drop(self) -> None:
        """End a connection that may be broken, without waiting for an answer."""


def carrier_for(app: Celery) -> Carrier:
    """The carrier for the application's broker."""
    rabbit = app.connection_for_write().transport.driver_type == "amqp"
    return RabbitCarrier(app) if rabbit else RedisCarrier(app)


class RedisCarrier:
    """One pipeline of LPUSHes: one round trip, whatever their number."""

    def __init__(self, app: Celery) -> None:
        limits = {"socket_timeout": STEP_S, "socket_connect_timeout": STEP_S / 2, "retry_on_timeout": False}
        self._connection = app.connection_for_write(transport_options=limits)
        self._channel: Any = None
        self.faults = _faults(self._connection)

    def send(self, messages: Sequence[Message]) -> None:
        """See :class:`Carrier`."""
        pipeline = self._client().pipeline(transaction=False)
        for message in messages:
            pipeline.lpush(message.queue, _envelope(message))
        for answer in pipeline.execute(raise_on_error=False):
            if isinstance(answer, Exception):
                raise answer  # without the message, which redis-py would tell too

    def waiting(self, queue: str) -> int:
        """See :class:`Carrier`."""
        return int(self._client().llen(queue))

    def _client(self) -> Any:
        if self._channel is None:
            self._channel = _opened(self._connection).channel()
        return self._channel.client

    def close(self) -> None:
        """See :class:`Carrier`."""
        self._connection.release()

    drop = close


class RabbitCarrier:
    """Messages are written one after the other; then the confirmations of all are awaited."""

    def __init__(self, app: Celery) -> None:
        options = {"confirm_publish": False, "on_blocked": _refuse}
        self._connection = app.connection_for_write(transport_options=options, connect_timeout=STEP_S / 2)
        self._channel: Any = None
        self._declared: set[str] = set()
        self._unconfirmed: set[int] = set()
        self._sent = 0
        self.faults = (*_faults(self._connection), _NotTakenError)

    def send(self, messages: Sequence[Message]) -> None:
        """See :class:`Carrier`."""
        until = time.monotonic() + STEP_S
        if self._channel is None:
            self._open()
        for message in messages:
            self._publish(message)
        while self._unconfirmed:
            self._connection.drain_events(timeout=max(until - time.monotonic(), 0.001))

    def waiting(self, queue: str) -> int:
        """See :class:`Carrier`."""
        if self._channel is None:
            self._open()
        self._declare(queue)
        return int(self._channel.queue_declare(queue, passive=True).message_count)

    def close(self) -> None:
        """See :class:`Carrier`."""
        self._connection.release()

    def drop(self) -> None:
        """See :class:`Carrier`."""
        self._connection.collect()

    def _open(self) -> None:
        _opened(self._connection).connection.sock.settimeout(STEP_S)
        channel = self._connection.channel()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._confirmed)
        channel.events["basic_nack"].add(_not_taken)
        channel.events["basic_return"].add(_not_taken)
        self._channel = channel

    def _publish(self, message: Message) -> None:
        self._declare(message.queue)
        self._sent += 1
        self._unconfirmed.add(self._sent)
        self._channel.basic_publish(_rabbit_message(message), routing_key=message.queue, mandatory=True)

    def _declare(self, queue: str) -> None:
        if queue not in self._declared:
            task_queue(queue, rabbit=True)(self._channel).declare()
            self._declared.add(queue)

    def _confirmed(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {other for other in self._unconfirmed if other > tag}
        else:
            self._unconfirmed.discard(tag)


def _opened(connection: Connection) -> Connection:
    """The connection, opened in one attempt. By itself kombu would make a second one after two seconds of sleep."""
    return connection.ensure_connection(max_retries=0)


def _faults(connection: Connection) -> tuple[type[Exception], ...]:
    return (*connection.connection_errors, *connection.channel_errors, OperationalError)


class _NotTakenError(Exception):
    """RabbitMQ refused a message or found no queue for it."""


def _not_taken(*details: Any) -> None:
    raise _NotTakenError(str(details[-1]) if details else "refused")


def _refuse(reason: str) -> None:
    raise BlockedError(f"it is blocked: {reason}")


def _rabbit_message(message: Message) -> RabbitMessage:
    return RabbitMessage(
        message.body,
        content_type="application/json",
        content_encoding="utf-8",
        application_headers=message.headers,
        correlation_id=message.id,
        delivery_mode=2,
    )


def _envelope(message: Message) -> str:
    """A message as kombu keeps it in a Redis list."""
    properties = {
        "correlation_id": message.id,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": message.queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": message.id,
    }
    return json.dumps(
        {
            "body": b64encode(message.body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": message.headers,
            "properties": properties,
        },
        separators=(",", ":"),
    )
