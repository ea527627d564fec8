"""The engine of a worker when something that one task needs is gone: others in its hands go on, and none is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tyqi_core.app import open_engine, open_sweeper
from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.client import Client
from tyqi_core.failpoints import FailpointError
from tyqi_core.node import Node
from tyqi_core.runtime.distributed.spreading import KEEP_S, Stretch
from tyqi_core.settings import Settings
from tyqi_core.workflow.compiler import compile_text

PATIENCE_S = 30.0
MANIFEST = """
tyqi_node: 1
name: NAME
version: 1.0.0
title: A node
description: A node of a test.
category: utility
licence: Apache-2.0
author: Tests
requires_tyqi: ">=0"
thread_safe: true
idempotent: true
"""
NUMBER, NUMBERS = "{type: json, schema: {type: number}}", "{type: json, list: true, schema: {type: number}}"
PORTS = {
    "gate": f"inputs: {{x: {NUMBER}}}\noutputs: {{x: {NUMBER}}}\nbatching: {{max_batch: 8, max_wait_ms: 0}}",
    "next": f"inputs: {{x: {NUMBER}}}\noutputs: {{x: {NUMBER}}}",
    "pass": f"inputs: {{x: {NUMBER}}}\noutputs: {{x: {NUMBER}}}",
    "count": f"inputs: {{n: {NUMBER}}}\noutputs: {{numbers: {NUMBERS}}}",
}
PROJECT = """tyqi: 1
project: gates
inputs: {n: {type: json, schema: {type: number}}}
tasks:
  T1: {node: t.gate, inputs: {x: $input.n}, POLICY}
outputs: {out: T1.x}
"""
LOOP = """tyqi: 1
project: loop
inputs: {n: {type: json, schema: {type: number}}}
tasks:
  T0: {node: t.count, inputs: {n: $input.n}, foreach: {over: numbers, as: number, body: T1, collect: {all: T1.x}}}
  T1: {node: t.pass, subchain: true, inputs: {x: $item.number}}
outputs: {out: T0.each.all}
"""


class Gate(Node):
    """Takes what comes in batches; fails for numbers below 0."""

    began = threading.Event()
    open = threading.Event()

    def process_batch(self, items: Any, ctxs: Any) -> Any:
        self.began.set()
        assert self.open.wait(PATIENCE_S)
        return [dict(item) if item["x"] >= 0 else ValueError("below 0") for item in items]


class Pass(Node):
    """Is quick, but for the number 0."""

    passed: ClassVar[list[float]] = []

    def process(self, inputs: Any, ctx: Any) -> Any:
        self.passed.append(inputs["x"])
        if inputs["x"] == 0:
            Gate.began.set()
            assert Gate.open.wait(PATIENCE_S)
            time.sleep(2 * KEEP_S)
        return inputs


CHAIN = """tyqi: 1
project: chain
inputs: {n: {type: json, schema: {type: number}}}
tasks:
  T1: {node: t.pass, inputs: {x: $input.n}}
  T2: {node: t.next, inputs: {x: T1.x}}
outputs: {out: T2.x}
"""


class Count(Node):
    """The numbers up to n; from 1 on if n is odd."""

    def process(self, inputs: Any, ctx: Any) -> Any:
        return {"numbers": list(range(inputs["n"] % 2, inputs["n"]))}


def node(name: str, node_class: type[Node]) -> LocalNode:
    manifest = Manifest.parse(
        MANIFEST.replace("NAME", name) + PORTS[name],
        f"{name}.node.yaml",
        namespace="t",
        local_id=name,
        entry_point="tests:Nothing",
        distribution="tyqi-node-t",
        distribution_version="1.0.0",
    )
    return LocalNode(manifest, node_class)


@pytest.fixture
def place(redis_server, redis_client, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A client, an engine and a sweeper in this process; nobody takes messages, the test calls the engine itself."""
    Pass.passed.clear()
    Gate.began.clear()
    Gate.open.clear()
    settings = Settings(tmp_path, redis=redis_server.url, lease_s=2.0)
    kinds = {"gate": Gate, "pass": Pass, "next": Pass, "count": Count}
    catalog = Catalog.of(*(node(name, kind) for name, kind in kinds.items()))
    engine = open_engine(settings, catalog, ["cpu.short"], "w1")
    sweeper = open_sweeper(settings)
    with Client.connect(settings) as client:
        yield SimpleNamespace(client=client, engine=engine, sweeper=sweeper, catalog=catalog, redis=redis_client)
    engine.close()
    sweeper.close()


def submit(place: SimpleNamespace, *numbers: int, policy: str = "retries: 0") -> list[str]:
    plan = compile_text(PROJECT.replace("POLICY", policy), "p.yaml", place.catalog)
    return [place.client.submit(plan, {"n": number}) for number in numbers]


def perform(place: SimpleNamespace, run_id: str, *paths: str) -> None:
    """What a worker does with a message."""
    place.engine.perform(run_id, place.client.store.plan_of(run_id), [Stretch(path) for path in paths])


def performing(place: SimpleNamespace, run_id: str, path: str = "T1") -> threading.Thread:
    """A thread that does it."""
    thread = threading.Thread(target=perform, args=(place, run_id, path))
    thread.start()
    return thread


def let_through(thread: threading.Thread) -> None:
    Gate.open.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("number", [-1, 1], ids=["fails", "completes"])
@pytest.mark.parametrize("policy", ["retries: 0", "retries: 3", "on_error: skip"])
def test_a_run_that_is_forgotten_while_it_executes_takes_none_of_its_batch_along(place, number, policy):
    forgotten, other = submit(place, number, 7, policy=policy)
    thread = performing(place, forgotten)
    assert Gate.began.wait(PATIENCE_S)
    place.client.forget(forgotten)
    let_through(thread)
    assert place.client.result(other).outputs == {"out": 7}
    assert place.client.status(forgotten) is None


@pytest.mark.parametrize("number", [-1, 1], ids=["fails", "completes"])
def test_a_run_whose_state_is_damaged_while_it_executes_takes_none_of_its_batch_along(place, number):
    damaged, other = submit(place, number, 7)
    thread = performing(place, damaged)
    assert Gate.began.wait(PATIENCE_S)
    place.redis.hset(f"tyqi:{{s0}}:run:{damaged}", "live", "many")
    let_through(thread)
    assert place.client.result(other).outputs == {"out": 7}


def test_what_a_thread_held_when_it_broke_off_is_given_to_others(place, failpoint):
    """Whatever a thread dies of, no heartbeat of its process keeps its tasks from everybody for good."""
    first, second = submit(place, 1, 2)
    Gate.open.set()
    failpoint("CP8:raise")
    with pytest.raises(FailpointError):
        perform(place, first, "T1")
    taken, until = 0, time.monotonic() + PATIENCE_S
    while taken < 2:
        assert time.monotonic() < until, "their leases are still extended"
        taken += place.sweeper.sweep().taken
        time.sleep(0.02)
    perform(place, first, "T1")
    assert [place.client.result(run_id).outputs for run_id in (first, second)] == [{"out": 1}, {"out": 2}]


def test_what_a_thread_with_a_long_task_cannot_hand_back_is_given_to_others_all_the_same(place, failpoint):
    """Ten items are claimed together, for they are quick; the first is not, and giving back the next one fails."""
    plan = compile_text(LOOP, "p.yaml", place.catalog)
    items = [f"T0[{item}]/T1" for item in range(10)]
    perform(place, place.client.submit(plan, {"n": 11}), "T0", *items)  # now it is known how quick they are
    run_id = place.client.submit(plan, {"n": 10})
    failpoint("release:raise")
    thread = performing(place, run_id, "T0")
    assert Gate.began.wait(PATIENCE_S)
    others, until = items[1:], time.monotonic() + PATIENCE_S
    while others:
        assert time.monotonic() < until, f"nobody can have {others}"
        place.sweeper.sweep()
        perform(place, run_id, *others)
        done = {event.subject for event in place.client.events(run_id) if event.kind == "task.completed"}
        others = [path for path in others if path not in done]
        time.sleep(0.02)
    let_through(thread)
    assert place.client.result(run_id).outputs == {"out": list(range(10))}


def test_nothing_follows_a_long_task_before_it_is_settled(place):
    """Its run may have been cancelled or its lease lost meanwhile, and what took long is not put at risk."""
    plan = compile_text(CHAIN, "p.yaml", place.catalog)
    for number in range(1, 7):
        perform(place, place.client.submit(plan, {"n": number}), "T1")  # now it is known how quick they are
    quick = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert Pass.passed == quick
    run_id = place.client.submit(plan, {"n": 0})
    thread = performing(place, run_id)
    assert Gate.began.wait(PATIENCE_S)
    place.client.store.cancel(run_id, give_up=True)
    let_through(thread)
    assert Pass.passed == [*quick, 0]
