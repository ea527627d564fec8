"""The peer: Celery Canvas, as somebody who knows it well would write these graphs.

JSON, results in Redis, no rate limits, no events, no remote control, no gossip, mingle or heartbeat. This module is
also the application that ``celery -A _canvas worker`` loads; where its broker is stands in the environment.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from _workloads import ITEM_MS, ITEMS, LENGTH, PROCESSES, WIDTH
from celery import Celery, chain, group, shared_task

BROKER, RESULTS = "BENCH_CANVAS_BROKER", "BENCH_CANVAS_RESULTS"
PATIENCE_S = 600.0
SHORT, LONG = "canvas.short", "canvas.long"


def application(broker: str | None, results: str | None) -> Celery:
    """A Celery application with the tasks of this module."""
    made = Celery("canvas", broker=broker, backend=results)
    made.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_default_queue=SHORT,
        result_expires=600,
        worker_disable_rate_limits=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        broker_connection_retry_on_startup=True,
    )
    return made


@shared_task
def step(value: int) -> int:
    return value


@shared_task
def join(values: list[int]) -> int:
    return values[0]


@shared_task
def sleep(value: int) -> int:
    time.sleep(ITEM_MS / 1000)
    return value


@shared_task
def decide(value: int) -> dict[str, Any]:
    return {"outcome": "yes", "value": value}


@shared_task
def step_if(decided: dict[str, Any], outcome: str) -> dict[str, Any]:
    """A task of a branch that is always sent, and skips itself when another branch was chosen."""
    return {**decided, "value": step(decided["value"])} if decided["outcome"] == outcome else decided


@shared_task
def chosen(decided: list[dict[str, Any]]) -> int:
    """The value of the branch that was not skipped."""
    return step(decided[0]["value"])


@shared_task
def execute_branch(decided: dict[str, Any]) -> int:
    """A branch executor: one task that runs what the chosen branch consists of, and nothing of the other."""
    branches = {"yes": (step, step), "no": (step, step)}
    value = decided["value"]
    for task in branches[decided["outcome"]]:
        value = task(value)
    return value


def _all_branches() -> Any:
    branches = (chain(step_if.s(outcome), step_if.s(outcome)) for outcome in ("yes", "no"))
    return chain(decide.s(1), group(*branches), chosen.s())


def _two_queues() -> Any:
    return chain(*(step.s(*(() if index else (1,))).set(queue=LONG if index % 2 else SHORT) for index in range(LENGTH)))


CANVASES: Mapping[str, Callable[[], Any]] = {
    "W1": lambda: chain(step.s(1), *(step.s() for _ in range(LENGTH - 1))),
    "W2": lambda: chain(step.s(1), group(step.s(), step.s()), join.s()),
    "W3 all branches": _all_branches,
    "W3 branch executor": lambda: chain(decide.s(1), execute_branch.s(), step.s()),
    "W4": lambda: chain(step.s(1), group(step.s() for _ in range(WIDTH)), join.s()),
    "W5": _two_queues,
    "W6": lambda: chain(step.s(1), group(sleep.s() for _ in range(ITEMS)), join.s()),
}
app = application(os.environ.get(BROKER), os.environ.get(RESULTS))


class Canvas:
    """Submits canvases to the workers, and waits for their results."""

    def __init__(self, programs: Any, broker: str, results: str) -> None:
        self._app = application(broker, results)
        self._app.set_default()
        folder = str(Path(__file__).resolve().parent)
        path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        variables = {BROKER: broker, RESULTS: results, "PYTHONPATH": path}
        self.programs = [
            programs.python(queue, ["-m", "celery", *_arguments(queue)], variables) for queue in (SHORT, LONG)
        ]

    def begin(self, canvas: str) -> Any:
        return CANVASES[canvas]().apply_async()

    def end(self, result: Any) -> int:
        return result.get(
            PATIENCE_S, follow_parents=False
        )  # a failure anywhere in a chain is told of its last task too

    def close(self) -> None:
        gc.collect()  # results take leave of their server when they go: let them do so while it is there
        self._app.close()


def _arguments(queue: str) -> list[str]:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    name = ["--hostname", f"{queue}@%h", "--queues", queue]
    return ["-A", "_canvas", "worker", "--pool", "prefork", "--concurrency", str(PROCESSES), *name, *quiet]
