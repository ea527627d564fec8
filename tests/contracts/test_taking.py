"""Wake-ups that a worker process takes from the broker itself, on both brokers."""

from __future__ import annotations

import threading
import uuid

import pytest

from tyqi_core.runtime.distributed.broker import BrokerOptions, celery_app
from tyqi_core.runtime.distributed.publisher import Publisher, Wakeup
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.runtime.distributed.taking import Call, Taking, call_of

QUEUES = ["cpu.short", "cpu.long"]


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request):
    """The URL of a broker whose queues are empty."""
    server = request.getfixturevalue("redis_server" if request.param == "redis" else "rabbit_server")
    app = celery_app(BrokerOptions(server.url), QUEUES)
    with app.connection_for_write() as connection:
        for queue in app.conf.task_queues:
            bound = queue(connection.default_channel)
            bound.declare()
            bound.purge()
    return server.url


@pytest.fixture
def app(broker):
    return celery_app(BrokerOptions(broker), QUEUES)


@pytest.fixture
def publisher(app):
    made = Publisher(app)
    yield made
    made.close()


@pytest.fixture
def taken():
    """Begins to take messages: ``taken(app)`` gives the calls one after the other."""
    begun = []

    def take(app, *, ending=lambda: False, queues=QUEUES):
        begun.append(Taking(app, queues, ending))
        return begun[-1].calls()

    yield take
    for taking in begun:
        taking.close()


def wakeup(*ready, queue="cpu.short"):
    return Wakeup("a.b", queue, (uuid.uuid4().hex, "plan", *ready))


def test_what_waits_is_taken_with_what_it_asks_for(taken, app, publisher):
    sent = wakeup("T1", ["T2[*]/B", 3, 7])
    publisher.publish([sent])
    assert next(taken(app)) == Call(sent.arguments[0], "plan", [Stretch("T1"), Stretch("T2[*]/B", 3, 7)])


def test_every_message_of_every_queue_is_taken_once(taken, app, publisher):
    sent = [wakeup(f"T{number}", queue=QUEUES[number % 2]) for number in range(20)]
    publisher.publish(sent)
    calls = taken(app)
    found = [next(calls).run_id for _ in sent]
    assert sorted(found) == sorted(one.arguments[0] for one in sent)
    assert not [publisher.waiting(queue) for queue in QUEUES if publisher.waiting(queue)]


def test_messages_of_other_queues_are_left_alone(taken, app, publisher):
    publisher.publish([wakeup("T1", queue="cpu.long"), mine := wakeup("T2")])
    assert next(taken(app, queues=["cpu.short"])).run_id == mine.arguments[0]
    assert publisher.waiting("cpu.long") == 1


def test_a_message_that_is_no_wake_up_goes_back_and_the_thread_returns_to_celery(taken, app, publisher):
    app.send_task("tyqi.node.a.b", kwargs={"inputs": {}}, queue="cpu.short", ignore_result=True)
    app.close()
    assert list(taken(app, queues=["cpu.short"])) == []
    assert publisher.waiting("cpu.short") == 1


def test_a_process_that_is_about_to_end_takes_nothing(taken, app, publisher):
    publisher.publish([wakeup("T1")])
    assert list(taken(app, ending=lambda: True)) == []
    assert publisher.waiting("cpu.short") == 1


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_a_broker_that_is_away_is_left_to_celery(taken, url):
    assert list(taken(celery_app(BrokerOptions(url), QUEUES))) == []


def test_a_message_that_comes_within_a_moment_is_taken(taken, app, publisher):
    publisher.publish([wakeup("T1")])
    calls = taken(app, queues=["cpu.short"])
    next(calls)
    sent = wakeup("T2")
    later = threading.Timer(0.05, publisher.publish, ([sent],))
    later.start()
    assert next(calls).run_id == sent.arguments[0]
    later.join()


def test_a_thread_that_is_busy_with_a_call_holds_up_no_other_message(taken, app, publisher):
    publisher.publish([wakeup("T1"), wakeup("T2")])
    busy, free = taken(app, queues=["cpu.short"]), taken(app, queues=["cpu.short"])
    assert {call.ready[0].path for call in (next(busy), next(free))} == {"T1", "T2"}


def test_a_thread_that_fails_leaves_later_messages_to_others(taken, app, publisher):
    publisher.publish([wakeup("T1")])
    failing = taken(app, queues=["cpu.short"])
    next(failing)
    with pytest.raises(ZeroDivisionError):
        failing.throw(ZeroDivisionError())
    publisher.publish([wakeup("T2")])
    assert next(taken(app, queues=["cpu.short"])).ready == [Stretch("T2")]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"task": "tyqi.node.a.b"}, "no json"),
        ({"task": "tyqi.node.a.b"}, "[]"),
        ({"task": "tyqi.node.a.b"}, '[[1, "plan", "T1"], {}, {}]'),
        ({"task": "tyqi.node.a.b"}, '[["run"], {}, {}]'),
        ({"task": "tyqi.node.a.b"}, '[["run", "plan", {"path": "T1"}], {}, {}]'),
        ({"task": "tyqi.node.a.b"}, '[["run", "plan", ["T1[*]/B", 5, 2]], {}, {}]'),
        ({"task": "tyqi.node.a.b"}, '[["run", "plan", "T1"], {"inputs": {}}, {}]'),
        ({"task": "other.task"}, '[["run", "plan", "T1"], {}, {}]'),
        ({}, '[["run", "plan", "T1"], {}, {}]'),
        (None, '[["run", "plan", "T1"], {}, {}]'),
    ],
)
def test_what_has_another_form_is_no_wake_up(headers, body):
    assert call_of(headers, body) is None
