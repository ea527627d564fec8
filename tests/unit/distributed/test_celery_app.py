"""The Celery application, as far as no broker is needed. tests/contracts/test_broker.py has the rest."""

from __future__ import annotations

import pytest

from tyqi_core.errors import UsageError
from tyqi_core.runtime.distributed.broker import BrokerOptions, celery_app, task_name

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp", "amqps"])
def test_making_an_application_connects_to_nothing(scheme: str):
    app = celery_app(BrokerOptions(f"{scheme}://{NOBODY}", f"redis://{NOBODY}/0"), ["cpu.short", "cpu.long.2"])
    assert list(app.amqp.queues) == ["cpu.short", "cpu.long.2"]


def test_only_json_is_read_and_written():
    conf = celery_app(BrokerOptions(f"redis://{NOBODY}"), ["io"]).conf
    assert (conf.accept_content, conf.result_accept_content) == (["json"], ["json"])
    assert (conf.task_serializer, conf.result_serializer) == ("json", "json")


def test_messages_are_acknowledged_early_on_redis_and_late_on_rabbitmq():
    assert celery_app(BrokerOptions(f"redis://{NOBODY}"), ["io"]).conf.task_acks_late is False
    assert celery_app(BrokerOptions(f"amqp://{NOBODY}"), ["io"]).conf.task_acks_late is True


def test_queues_of_rabbitmq_are_quorum_queues_with_time_for_the_longest_task():
    queue = celery_app(BrokerOptions(f"amqp://{NOBODY}"), ["io"]).amqp.queues["io"]
    assert queue.queue_arguments["x-queue-type"] == "quorum"
    assert queue.queue_arguments["x-consumer-timeout"] > 30 * 24 * 3600 * 1000


def test_control_and_events_are_off_unless_asked_for():
    for asked in (False, True):
        conf = celery_app(BrokerOptions(f"redis://{NOBODY}", remote_control=asked), ["io"]).conf
        found = conf.worker_enable_remote_control, conf.worker_send_task_events, conf.task_send_sent_event
        assert found == (asked, asked, asked)


def test_a_queue_that_is_named_twice_is_declared_once():
    assert list(celery_app(BrokerOptions(f"redis://{NOBODY}"), ["io", "io"]).amqp.queues) == ["io"]


@pytest.mark.parametrize("queues", [[], ["nonsense"]])
def test_an_application_needs_queues_of_the_grammar(queues: list[str]):
    with pytest.raises(UsageError, match="BAD_QUEUE"):
        celery_app(BrokerOptions(f"redis://{NOBODY}"), queues)


@pytest.mark.parametrize(("url", "results"), [("memory://", None), ("sqs://x", None), (f"redis://{NOBODY}", "db+x://")])
def test_other_brokers_and_result_backends_are_refused(url: str, results: str | None):
    with pytest.raises(UsageError, match="BAD_BROKER"):
        BrokerOptions(url, results)


def test_passwords_are_not_shown():
    options = BrokerOptions("amqp://me:secret@host", "redis://:secret@host")
    assert "secret" not in repr(options)


def test_a_node_is_a_task_of_its_name():
    assert task_name("crack.segment") == "tyqi.node.crack.segment"
