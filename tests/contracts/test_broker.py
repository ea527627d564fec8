"""What holds on every broker: real Celery workers receive what the publisher publishes, whatever happens meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import kombu.pools
import pytest
import redis
from rabbit_servers import RabbitServer
from redis_servers import RedisServer
from toy_workers import ROOT, ToyWorker, eventually, working

from tyqi_core.errors import BrokerError, UsageError
from tyqi_core.runtime.distributed.broker import BrokerOptions, celery_app
from tyqi_core.runtime.distributed.publisher import Publisher, Wakeup

BOUND_S = 10.0
"""What is promised to end within five seconds has ended after this, on the slowest machine."""

_numbers = count(1)


class Bench:
    """One broker, one queue that no other test uses, an application and a publisher for it."""

    def __init__(self, server: RedisServer | RabbitServer, results: str, folder: Path) -> None:
        self.server = server
        self.results = results
        self.folder = folder
        self.queue = f"cpu.short.{next(_numbers)}"
        self.app = celery_app(BrokerOptions(server.url, results), [self.queue])
        self.publisher = Publisher(self.app)

    def worker(self, *options: str, **variables: str) -> ToyWorker:
        return ToyWorker(self.server.url, self.results, self.queue, self.folder, *options, **variables)

    def note(self, *texts: str) -> None:
        self.publisher.publish([Wakeup("toy.note", self.queue, (text,)) for text in texts])

    def note_when_it_can(self, *texts: str) -> None:
        """Publish like the sweeper: a RabbitMQ that has just started answers before its queues do."""

        def taken() -> bool:
            with suppress(BrokerError):
                self.note(*texts)
                return True
            return False

        eventually(taken)

    def hold(self, *gates: str) -> None:
        self.publisher.publish([Wakeup("toy.hold", self.queue, (gate,)) for gate in gates])

    def waiting(self) -> int:
        """How many messages the broker holds for nobody."""
        if isinstance(self.server, RedisServer):
            with self.server.client() as client:
                return int(client.llen(self.queue))
        with self.app.connection_for_read() as connection:
            return int(connection.default_channel.queue_declare(self.queue, passive=True).message_count)

    def send_raw(self, body: bytes, headers: dict[str, Any], kind: str, encoding: str = "utf-8") -> None:
        """A message as somebody else might send it."""
        with self.app.connection_for_write() as connection:
            producer = connection.Producer()
            task_queue = self.app.amqp.queues[self.queue]
            options = {"content_type": kind, "content_encoding": encoding, "declare": [task_queue]}
            producer.publish(body, headers=headers, exchange="", routing_key=self.queue, **options)

    def crash(self) -> None:
        """Kill the broker, some time after the queue was made."""
        if isinstance(self.server, RabbitServer):
            self.server.keep_queues()
        self.server.kill()

    def results_client(self) -> redis.Redis:
        return redis.Redis.from_url(self.results)

    def close(self) -> None:
        self.publisher.close()
        self.app.backend.result_consumer.stop()  # Celery leaves what listened to results to the garbage collector
        self.app.backend.client.connection_pool.disconnect()
        self.app.close()
        kombu.pools.reset()  # shared by all applications of a process, with connections from before a restart


@pytest.fixture(params=["redis", "rabbit"])
def bench(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    with redis_server.client() as client:
        client.flushall()
    made = Bench(request.getfixturevalue(f"{request.param}_server"), redis_server.url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def rabbit_bench(rabbit_server: RabbitServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(rabbit_server, redis_server.url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def redis_bench(redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(redis_server, redis_server.url, tmp_path)
    yield made
    made.close()


def in_bounded_time(call: Callable[[], object]) -> None:
    """Make the call; it must end, with whatever result, before somebody would call it hung."""
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BrokerError as fault:
            outcome.set_exception(fault)

    Thread(target=run, daemon=True).start()  # one that hangs must not make the test hang
    outcome.result(timeout=BOUND_S)


@contextmanager
def impatient(server: RabbitServer) -> Iterator[None]:
    """The server takes back what is not acknowledged in two seconds. From 3.12 on our queues forbid it that."""
    if tuple(map(int, server.control("version").strip().split(".")[:2])) >= (3, 12):
        pytest.skip("this RabbitMQ observes x-consumer-timeout")

    def patience(timeout_ms: int, check_ms: int) -> None:
        settings = {"consumer_timeout": timeout_ms, "channel_tick_interval": check_ms}
        server.control("eval", ", ".join(f"application:set_env(rabbit, {k}, {v})" for k, v in settings.items()) + ".")

    patience(2_000, 500)
    try:
        yield
    finally:
        patience(1_800_000, 60_000)


class TestWorkers:
    def test_what_is_published_together_reaches_the_worker_each_once_and_leaves_no_result(self, bench: Bench):
        texts = [f"text {number}" for number in range(50)]
        with working(bench.worker()) as worker:
            bench.note(*texts)
            worker.until_told(*texts)
            assert sorted(line for line in worker.told() if line.startswith("text")) == sorted(texts)
        with bench.results_client() as client:
            assert client.keys("celery-task-meta-*") == []

    def test_messages_published_before_the_first_worker_comes_are_not_lost(self, bench: Bench):
        bench.note("early", "bird")
        with working(bench.worker()) as worker:
            worker.until_told("early", "bird")

    def test_many_threads_publish_through_one_publisher(self, bench: Bench):
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: bench.note_when_it_can(f"{number}a", f"{number}b"), range(40)))
        with working(bench.worker()) as worker:
            worker.until_told(*(f"{number}{letter}" for number in range(40) for letter in "ab"))

    def test_a_task_called_directly_answers(self, bench: Bench):
        with working(bench.worker()):
            answer = bench.app.send_task("tyqi.node.toy.add", kwargs={"a": 1, "b": 2}, queue=bench.queue)
            assert answer.get(timeout=60) == 3

    def test_no_short_task_waits_behind_a_long_one_while_a_process_is_idle(self, bench: Bench):
        with working(bench.worker()) as worker:
            bench.publisher.publish(
                [
                    Wakeup("toy.hold", bench.queue, ("gate",)),
                    *(Wakeup("toy.note", bench.queue, (f"{n}",)) for n in range(6)),
                ]
            )
            worker.until_told("holds gate", *(f"{n}" for n in range(6)))
            assert "leaves gate" not in worker.told()
            worker.open_gate("gate")
            worker.until_told("leaves gate")

    def test_a_busy_worker_leaves_messages_to_an_idle_one(self, bench: Bench):
        with working(bench.worker()) as busy:
            bench.hold("gate", "other gate")
            busy.until_told("holds gate", "holds other gate")
            with working(bench.worker()) as idle:
                bench.note(*(f"{n}" for n in range(6)))
                idle.until_told(*(f"{n}" for n in range(6)))
                assert not [line for line in idle.told() if line.startswith("leaves")]

    def test_a_worker_with_one_thread_goes_on_as_soon_as_it_is_free(self, bench: Bench):
        # Celery's own loop sleeps five to ten seconds a message here: more than the patience of this test.
        with working(bench.worker("-P", "threads", "-c", "1")) as worker:
            bench.note(*(f"{n}" for n in range(20)))
            worker.until_told(*(f"{n}" for n in range(20)))

    def test_a_worker_of_the_solo_pool_works_too(self, bench: Bench):
        with working(bench.worker("-P", "solo")) as worker:
            bench.note("one", "two")
            worker.until_told("one", "two")

    def test_a_worker_that_lost_its_connection_still_knows_what_it_runs(self, redis_bench: Bench):
        bench = redis_bench
        with working(bench.worker()) as busy:
            bench.hold("gate", "other gate")
            busy.until_told("holds gate", "holds other gate")
            connected = busy.log().count("Connected to")
            with bench.results_client() as client:
                client.client_kill_filter(_type="normal", skipme=True)
            eventually(lambda: busy.log().count("Connected to") > connected)
            with working(bench.worker()) as idle:
                bench.note(*(f"{n}" for n in range(6)))
                idle.until_told(*(f"{n}" for n in range(6)))
                assert not [line for line in idle.told() if line.startswith("leaves")]

    def test_no_short_task_waits_behind_a_long_one_after_a_restart_of_the_broker(self, bench: Bench):
        with working(bench.worker()) as worker:
            bench.hold("gate")
            worker.until_told("holds gate")
            bench.crash()
            bench.server.start()
            for number in range(6):
                bench.note_when_it_can(f"{number}")
            worker.until_told(*(f"{number}" for number in range(6)))
            assert worker.told().count("holds gate") == 1
            assert "leaves gate" not in worker.told()

    def test_a_worker_survives_that_rabbitmq_takes_a_message_back(
        self, rabbit_bench: Bench, rabbit_server: RabbitServer
    ):
        with impatient(rabbit_server), working(rabbit_bench.worker()) as worker:
            rabbit_bench.hold("gate")
            worker.until_told("holds gate", "finds gate held")
            rabbit_bench.note("note")
            worker.until_told("note")
            assert "leaves gate" not in worker.told()

    def test_workers_declare_nothing_but_their_queues(self, rabbit_bench: Bench, rabbit_server: RabbitServer):
        before = set(rabbit_server.control("list_queues", "name").split())
        with working(rabbit_bench.worker()):
            after = set(rabbit_server.control("list_queues", "name").split())
        assert after - before == {rabbit_bench.queue}

    def test_one_setting_makes_workers_answer_inspect(self, bench: Bench):
        options = BrokerOptions(bench.server.url, bench.results, remote_control=True)
        app = celery_app(options, [bench.queue])
        with working(bench.worker(TOY_CONTROL="1")):
            answers: list[dict[str, Any]] = []
            eventually(lambda: bool(answers.extend(app.control.ping(timeout=5, limit=1)) or answers))
            assert list(answers[0].values()) == [{"ok": "pong"}]
        app.close()


HEADERS = {"lang": "py", "task": "tyqi.node.toy.note", "id": "an-id"}

BAD_MESSAGES: dict[str, tuple[bytes, dict[str, Any], str, str]] = {
    "pickle": (b"cposix\nsystem\n(S'touch MARK'\ntR.", HEADERS, "application/x-python-serialize", "binary"),
    "an unknown task": (b'[["x"], {}, {}]', {**HEADERS, "task": "tyqi.node.no.such"}, "application/json", "utf-8"),
    "no JSON": (b'[["x", {', HEADERS, "application/json", "utf-8"),
    "not even text": (b"\xff\xfe\x00", HEADERS, "application/json", "utf-8"),
    "arguments too many": (b'[["x", "y", "z"], {}, {}]', HEADERS, "application/json", "utf-8"),
    "a body of another form": (b'{"no": "task"}', HEADERS, "application/json", "utf-8"),
    "no headers": (b'{"no": "task"}', {}, "application/json", "utf-8"),
    "an unknown form": (b"hello", HEADERS, "text/x-unknown", "utf-8"),
}


@pytest.fixture(params=["redis", "rabbit"], scope="module")
def shared_worker(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Bench, ToyWorker]]:
    folder = tmp_path_factory.mktemp("shared")
    bench = Bench(request.getfixturevalue(f"{request.param}_server"), redis_server.url, folder)
    with working(bench.worker()) as worker:
        yield bench, worker
    bench.close()


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_bad_message_is_dropped_and_the_next_good_one_runs(name: str, shared_worker: tuple[Bench, ToyWorker]):
    bench, worker = shared_worker
    body, headers, kind, encoding = BAD_MESSAGES[name]
    mark = bench.folder / "mark"
    for _ in range(3):  # more than there are processes: none of them may be stuck
        bench.send_raw(body.replace(b"MARK", str(mark).encode()), headers, kind, encoding)
    bench.note(f"after {name}")
    worker.until_told(f"after {name}")
    assert worker.lives
    assert not mark.exists()
    assert bench.waiting() == 0


def test_an_entry_of_a_redis_list_that_is_no_message_is_dropped(redis_bench: Bench):
    with working(redis_bench.worker()) as worker, redis_bench.results_client() as client:
        client.lpush(redis_bench.queue, "{garbage", "{}", "[]", "null")
        redis_bench.note("after")
        worker.until_told("after")
        assert worker.lives


class TestPublisher:
    def test_it_goes_on_after_a_restart_of_the_broker(self, bench: Bench):
        bench.note("before")
        bench.crash()
        bench.server.start()
        bench.note_when_it_can("after", "after too")
        with working(bench.worker()) as worker:
            worker.until_told("after", "after too")

    def test_a_broker_that_is_away_is_an_error_in_bounded_time(self, bench: Bench):
        bench.note("before")
        bench.crash()
        try:
            for _ in range(2):  # with a connection that is lost, and without one
                with pytest.raises(BrokerError, match=r"BROKER_UNAVAILABLE: .*127\.0\.0\.1"):
                    in_bounded_time(lambda: bench.note("nobody"))
        finally:
            bench.server.start()
        bench.note_when_it_can("again")
        assert bench.waiting() >= 1

    def test_a_broker_that_does_not_answer_is_an_error_in_bounded_time(self, bench: Bench):
        bench.note("before")
        bench.server.freeze()
        try:
            for _ in range(2):
                with pytest.raises(BrokerError):
                    in_bounded_time(lambda: bench.note("nobody"))
        finally:
            bench.server.thaw()
        bench.note_when_it_can("again")
        assert bench.waiting() >= 2

    def test_a_broker_without_memory_is_an_error_in_bounded_time(self, bench: Bench):
        bench.note("before")
        with bench.server.short_of_memory():
            for _ in range(2):
                with pytest.raises(BrokerError, match=r"is blocked|OutOfMemory"):
                    in_bounded_time(lambda: bench.note("nobody"))
        bench.note_when_it_can("again")
        assert bench.waiting() >= 2

    def test_a_queue_that_was_deleted_is_made_again(self, rabbit_bench: Bench, rabbit_server: RabbitServer):
        rabbit_bench.note("before")
        rabbit_server.control("delete_queue", rabbit_bench.queue)
        rabbit_bench.note("after")
        assert rabbit_bench.waiting() == 1

    def test_a_forked_child_publishes_without_disturbing_its_parent(self, bench: Bench):
        done = subprocess.run(
            [sys.executable, "-c", FORKING, bench.server.url, bench.queue],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.split() == ["child", "parent"], done.stderr
        assert bench.waiting() == 3

    def test_only_queue_names_of_the_grammar_are_published_to(self, bench: Bench):
        with pytest.raises(UsageError, match=r"cpu\.short"):
            bench.publisher.publish([Wakeup("toy.note", "cpu.shrot", ())])


FORKING = """
import gc, os, sys
from tyqi_core.runtime.distributed.broker import BrokerOptions, celery_app
from tyqi_core.runtime.distributed.publisher import Publisher, Wakeup

url, queue = sys.argv[1:]
publisher = Publisher(celery_app(BrokerOptions(url), [queue]))
publisher.publish([Wakeup("toy.note", queue, ("parent",))])
connection = publisher._carrier
child = os.fork()
if child == 0:
    publisher.publish([Wakeup("toy.note", queue, ("child",))])
    assert publisher._carrier is not connection, "the child uses the parent's connection"
    del connection
    publisher.close()
    gc.collect()
    print("child", flush=True)
    sys.exit()  # with everything that Python tears down at its end
_, status = os.waitpid(child, 0)
assert status == 0, status
publisher.publish([Wakeup("toy.note", queue, ("parent again",))])
assert publisher._carrier is connection, "the parent lost its connection"
print("parent")
"""
