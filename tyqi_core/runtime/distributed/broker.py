"""The Celery application: every setting that makes a broker fit for plans, on Redis and on RabbitMQ.

Nothing connects before it must. What is set here and why stands in docs/brokers.md; the faults behind it are named
there too. A plain ``celery worker`` on the application behaves like our own workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery
from kombu import Exchange, Queue

from tyqi_core.errors import UsageError
from tyqi_core.runtime.distributed.queues import check_queue

TASK_PREFIX: Final = "tyqi.node."
UNKNOWN_NODE: Final = "tyqi.unknown"
"""The task that performs messages for nodes which a worker does not have: it says so in their run."""

CONSUMER_TIMEOUT_MS: Final = 31 * 86_400_000
"""How long RabbitMQ lets a task run before it calls its worker lost: longer than any task may be given (30 days)."""

_EXCHANGE: Final = "tyqi"
_REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "sentinel", "redis+socket"})
_RABBIT_SCHEMES: Final = frozenset({"amqp", "amqps", "pyamqp"})


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Where messages and direct results go.

    Attributes:
        url: the broker: ``redis://...`` or ``amqp://...``.
        result_url: a Redis server for results of tasks that somebody calls directly (``send_task(...).get()``); without
            one there are none. Runs do not need it.
        remote_control: answer ``celery inspect`` and ``celery control`` and send the events that Flower shows. Whoever
            may publish to the broker may then also end workers.
    """

    url: str = field(repr=False)
    result_url: str | None = field(default=None, repr=False)
    remote_control: bool = False

    def __post_init__(self) -> None:
        _check_scheme(self.url, _REDIS_SCHEMES | _RABBIT_SCHEMES, "broker")
        if self.result_url is not None:
            _check_scheme(self.result_url, _REDIS_SCHEMES, "result backend")

    @property
    def rabbit(self) -> bool:
        """Whether the broker is RabbitMQ."""
        return urlsplit(self.url).scheme in _RABBIT_SCHEMES


def task_name(node: str) -> str:
    """The name of a node's Celery task: ``tyqi.node.crack.segment`` of ``crack.segment``."""
    return TASK_PREFIX + node


def celery_app(options: BrokerOptions, queues: Iterable[str]) -> Celery:
    """A Celery application for these queues; the first is where tasks go that name none. Nothing connects yet.

    Raises:
        UsageError: one of them is no queue's name, or there is none.
    """
    names = tuple(dict.fromkeys(map(check_queue, queues)))
    if not names:
        raise UsageError("A Celery application needs a queue.", code="BAD_QUEUE")
    app = Celery("tyqi", loader="app", set_as_current=False, autofinalize=True, fixups=[])
    app.conf.update(_common(options), **(_on_rabbit() if options.rabbit else _on_redis()))
    app.conf.task_queues = [task_queue(name, rabbit=options.rabbit) for name in names]
    app.conf.task_default_queue = app.conf.task_default_routing_key = names[0]
    return app


def task_queue(name: str, *, rabbit: bool) -> Queue:
    """The queue as the broker keeps it."""
    return Queue(
        name, Exchange(_EXCHANGE, type="direct"), routing_key=name, queue_arguments=_QUORUM if rabbit else None
    )


_QUORUM: Final = {"x-queue-type": "quorum", "x-consumer-timeout": CONSUMER_TIMEOUT_MS}
"""The timeout is an argument of queues since RabbitMQ 3.12. Older servers ignore it: theirs is a server's setting."""


def _common(options: BrokerOptions) -> dict[str, Any]:
    return {
        "broker_url": options.url,
        "result_backend": options.result_url,
        # Only JSON is read, whoever wrote it.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        # One message for each process or thread, taken when it can start.
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "tyqi_core.runtime.distributed.consumer:Consumer",
        # After a lost connection Celery would lower the prefetch and raise it again; quorum queues do not know raising.
        "worker_enable_prefetch_count_reduction": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_default_exchange": _EXCHANGE,
        "task_create_missing_queues": False,
        # Control and events are one decision.
        "worker_enable_remote_control": options.remote_control,
        "worker_send_task_events": options.remote_control,
        "task_send_sent_event": options.remote_control,
        # A broker that is away: callers hear of it in seconds, workers wait for it without end.
        "task_publish_retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
        "broker_connection_timeout": 5,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Direct results: read soon, or not at all.
        "result_expires": 3600,
        "redis_socket_timeout": 15,
        "redis_socket_connect_timeout": 5,
        "redis_socket_keepalive": True,
        "redis_retry_on_timeout": True,
        "redis_backend_health_check_interval": 10,
        "worker_max_tasks_per_child": 1000,
        "worker_soft_shutdown_timeout": 20,
    }


def _on_redis() -> dict[str, Any]:
    """Acknowledged when started: a redelivery on Redis comes minutes late, and twice. Leases recover what is lost."""
    return {
        "task_acks_late": False,
        "broker_transport_options": {
            "socket_timeout": 15,  # longer than the second that a worker waits in BRPOP
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": True,
            "visibility_timeout": 60,
            "unacked_mutex_expire": 10,
        },
    }


def _on_rabbit() -> dict[str, Any]:
    """Acknowledged when done: only so does the prefetch keep a message from waiting behind a running task."""
    return {
        "task_acks_late": True,
        "broker_heartbeat": 10,
        "broker_transport_options": {"confirm_publish": True},
    }


def _check_scheme(url: str, known: Iterable[str], role: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme not in known:
        raise UsageError(
            f"A {role} cannot be reached by '{scheme}://'.",
            code="BAD_BROKER",
            remedy=f"Known: {', '.join(sorted(known))}.",
        )
