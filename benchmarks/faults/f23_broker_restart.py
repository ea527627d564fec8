"""Fault F23: the broker is killed and comes back while a task runs. Does the worker serve again, and when?

Run before a new version of celery, kombu or redis-py is allowed in ``pyproject.toml``. Make an environment for each
combination to compare, with nothing but these three in it, and name their interpreters::

    python -m venv newest && newest/bin/pip install celery==5.7.0 kombu==5.7.0 redis==8.1.0 hiredis
    python benchmarks/faults/f23_broker_restart.py --python newest/bin/python --trials 3 --json

The script itself runs in the project's environment. It starts and ends brokers of its own; a trial takes 10 to 30 s.
One case is not our profile: ``redis, late ack`` shows why it is not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from rabbit_servers import RabbitServer  # noqa: E402 - found by the path above
from redis_servers import RedisServer  # noqa: E402
from toy_workers import ToyWorker  # noqa: E402

from tyqi_core.errors import BrokerError  # noqa: E402
from tyqi_core.runtime.distributed.broker import BrokerOptions, celery_app  # noqa: E402
from tyqi_core.runtime.distributed.publisher import Publisher, Wakeup  # noqa: E402

QUEUE = "cpu.short"
GIVE_UP_S = 60.0
VERSIONS = "from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in ('celery', 'kombu', 'redis')))"

Server = RedisServer | RabbitServer


def versions(python: str) -> str:
    done = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def server_for(case: str, folder: Path) -> Server:
    return RedisServer(folder) if case.startswith("redis") else RabbitServer(folder)


def crash(server: Server, down_s: float) -> None:
    if isinstance(server, RabbitServer):
        server.keep_queues()
    server.kill()
    time.sleep(down_s)
    server.start()


def seconds_until_served(worker: ToyWorker, publisher: Publisher) -> float | None:
    """From the broker's return to the first message that is executed; ``None`` if the worker ended or never served."""
    began = time.monotonic()
    number = 0
    while worker.lives and time.monotonic() - began < GIVE_UP_S:
        number += 1
        with suppress(BrokerError):
            publisher.publish([Wakeup("toy.note", QUEUE, (f"note {number}",))])
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            if any(line.startswith("note") for line in worker.told()):
                return time.monotonic() - began
            time.sleep(0.01)
    return None


def trial(python: str, case: str, down_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = server_for(case, folder / "server")
        late = {"TOY_ACKS_LATE": "1"} if case == "redis, late ack" else {}
        worker = ToyWorker(server.url, "redis://127.0.0.1:1/0", QUEUE, folder, python=python, **late)
        publisher = Publisher(celery_app(BrokerOptions(server.url), [QUEUE]))
        publisher.publish([Wakeup("toy.hold", QUEUE, ("gate",))])
        worker.until_told("holds gate")
        crash(server, down_s)
        seconds = seconds_until_served(worker, publisher)
        told = worker.told()
        deliveries = told.count("holds gate") + told.count("finds gate held")
        found = {"lives": worker.lives, "seconds": seconds, "deliveries": deliveries}
        worker.stop()
        publisher.close()
        server.close()
        return found


def rows(pythons: list[str], trials: int) -> Iterator[dict[str, Any]]:
    for python in pythons:
        for case in ("redis, early ack", "redis, late ack", "rabbitmq, late ack"):
            for down_s in (0.0, 2.0):
                found = [trial(python, case, down_s) for _ in range(trials)]
                yield {
                    "versions": versions(python),
                    "case": case,
                    "down_s": down_s,
                    "survived": sum(one["lives"] for one in found),
                    "served_again_s": [one["seconds"] and round(one["seconds"], 2) for one in found],
                    "deliveries_of_the_task_in_flight": [one["deliveries"] for one in found],
                    "trials": trials,
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", help="an interpreter with the versions to try; may be repeated")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON document at the end instead of lines")
    arguments = parser.parse_args()
    found = []
    for row in rows(arguments.python or [sys.executable], arguments.trials):
        print(json.dumps(row), file=sys.stderr if arguments.json else sys.stdout, flush=True)
        found.append(row)
    if arguments.json:
        print(json.dumps({"fault": "F23", "rows": found}))


if __name__ == "__main__":
    main()
