"""In process only: what no task can need any more is let go of while the run still goes on."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.node import Node
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.workflow.compiler import compile_text

MANIFEST = """
tyqi_node: 1
name: {name}
version: 1.0.0
title: {name}
description: A node of a test.
category: utility
licence: Apache-2.0
author: Tests
requires_tyqi: ">=0"
inputs: {inputs}
outputs: {outputs}
thread_safe: true
"""
MASK = "{mask: {type: mask}}"
COUNT = "{count: {type: json, schema: {type: number}}}"


class Pictures:
    """Nodes that share a gate, and remember weakly what was made."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[np.ndarray]] = []
        self.gate = threading.Event()
        self.waiting = threading.Event()
        pictures = self

        class Make(Node):
            def process(self, inputs, ctx):
                mask = np.ones((64, 64), np.uint8)
                pictures.made.append(weakref.ref(mask))
                return {"mask": mask}

        class Count(Node):
            def process(self, inputs, ctx):
                return {"count": int(inputs["mask"].sum())}

        class Wait(Node):
            def process(self, inputs, ctx):
                pictures.waiting.set()
                assert pictures.gate.wait(30)
                return {"count": inputs["count"]}

        self.catalog = Catalog.of(
            LocalNode(_manifest("make", "{}", MASK), Make),
            LocalNode(_manifest("count", MASK, COUNT), Count),
            LocalNode(_manifest("wait", COUNT, COUNT), Wait),
        )

    def alive(self) -> int:
        gc.collect()
        return sum(one() is not None for one in self.made)


def _manifest(name: str, inputs: str, outputs: str) -> Manifest:
    return Manifest.parse(
        MANIFEST.format(name=name, inputs=inputs, outputs=outputs),
        f"{name}.node.yaml",
        namespace="t",
        local_id=name,
        entry_point="tests:Nothing",
        distribution="tyqi-node-t",
        distribution_version="1.0.0",
    )


def eventually(true: Callable[[], bool]) -> bool:
    """Whether something comes true soon; a thread may still be on its way out of the function that held a value."""
    until = time.monotonic() + 10
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


PROJECTS = {
    "after its reader": """
  M: {node: t.make}
  C: {node: t.count, inputs: {mask: M.mask}}
  W: {node: t.wait, inputs: {count: C.count}}
outputs: {out: W.count}
""",
    "when nobody reads it": """
  M: {node: t.make, successor: [C]}
  C: {node: t.make, successor: [D]}
  D: {node: t.count, inputs: {mask: C.mask}}
  W: {node: t.wait, inputs: {count: D.count}}
outputs: {out: W.count}
""",
    "read from within a branch that ended": """
  M: {node: t.make}
  C:
    node: t.count
    inputs: {mask: M.mask}
    condition: true
    branches: [{when: "C.count > 0", to: B}, {default: null}]
    successor: [W]
  B: {node: t.count, subchain: true, inputs: {mask: M.mask}}
  W: {node: t.wait, inputs: {count: C.count}}
outputs: {out: W.count}
""",
}


@pytest.mark.parametrize("when", PROJECTS)
def test_an_array_is_let_go_of_while_the_run_goes_on(when):
    pictures = Pictures()
    plan = compile_text(f"tyqi: 1\nproject: freeing\ntasks:{PROJECTS[when]}", "p.yaml", pictures.catalog)
    with InProcessRuntime(plan, pictures.catalog, threads=2) as runtime:
        handle = runtime.start({})
        assert pictures.waiting.wait(30)
        assert pictures.made
        assert eventually(lambda: pictures.alive() == 0)
        pictures.gate.set()
        assert handle.wait(30).status == "completed"


def test_an_array_that_is_still_to_be_read_is_kept():
    pictures = Pictures()
    text = """tyqi: 1
project: freeing
tasks:
  M: {node: t.make}
  C: {node: t.count, inputs: {mask: M.mask}}
  W: {node: t.wait, inputs: {count: C.count}, successor: [D]}
  D: {node: t.count, inputs: {mask: M.mask}}
outputs: {out: D.count}
"""
    plan = compile_text(text, "p.yaml", pictures.catalog)
    with InProcessRuntime(plan, pictures.catalog, threads=2) as runtime:
        handle = runtime.start({})
        assert pictures.waiting.wait(30)
        assert pictures.alive() == 1
        pictures.gate.set()
        assert handle.wait(30).outputs == {"out": 64 * 64}


def test_nothing_of_a_run_is_kept_after_its_end():
    pictures = Pictures()
    text = "tyqi: 1\nproject: freeing\ntasks:\n  M: {node: t.make}\noutputs: {mask: M.mask}\n"
    plan = compile_text(text, "p.yaml", pictures.catalog)
    with InProcessRuntime(plan, pictures.catalog, threads=2) as runtime:
        for _ in range(5):
            assert runtime.run({}).outputs["mask"].all()
        assert eventually(lambda: pictures.alive() == 0)
