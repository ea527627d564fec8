"""Nodes with a life of their own: setup, teardown, batches, state; and what a node is told."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from tyqi_core import Node, Outcome
from tyqi_core.errors import TaskCancelled
from tyqi_core.node import Context, Inputs, Outputs
from tyqi_node_trial.files import append

HALF: Final = 0.5


class Counted(Node):
    """Writes each setup and teardown down."""

    def setup(self, ctx: Context) -> None:
        """Remember the model; fail if told so.

        Raises:
            RuntimeError: the parameter ``fail`` says ``setup``.
        """
        self.fail = ctx.params["fail"]
        self.model = ctx.params["model"]
        self.file = ctx.params["file"]
        append(self.file, f"setup {self.model}")
        if self.fail == "setup":
            raise RuntimeError("no such model")

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """The model that serves the task."""
        return {"model": self.model}

    def teardown(self) -> None:
        """Say so; exit if told so."""
        append(self.file, f"teardown {self.model}")
        if self.fail == "teardown":
            sys.exit(3)


class Alone(Node):
    """Keeps state while it works, so no two threads may be in it."""

    def __init__(self) -> None:
        self.inside = 0

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """x.

        Raises:
            RuntimeError: another thread is in this instance as well.
        """
        self.inside += 1
        time.sleep(0.003)
        crowd = self.inside
        self.inside -= 1
        if crowd != 1:
            raise RuntimeError(f"{crowd} threads are in one instance")
        return {"value": inputs["x"]}


class Batch(Node):
    """Knows batches only."""

    def process_batch(
        self, items: Sequence[Inputs], ctxs: Sequence[Context]
    ) -> Sequence[Outputs | Outcome | Exception]:
        """Ten times x of each item; an error for a negative one alone."""
        return [
            {"value": 10 * item["x"]} if item["x"] >= 0 else ValueError(f"{item['x']} is negative") for item in items
        ]


class Sized(Node):
    """Writes down how large its batches are and whose."""

    def process_batch(
        self, items: Sequence[Inputs], ctxs: Sequence[Context]
    ) -> Sequence[Outputs | Outcome | Exception]:
        """x of each item; an error for a negative one alone, a text for 0.5. Waits for ``gate``, if one is named."""
        names = "+".join(sorted({ctx.params["name"] for ctx in ctxs}))
        append(ctxs[0].params["file"], f"{names} {' '.join(sorted(format(item['x'], 'g') for item in items))}")
        gate = ctxs[0].params["gate"]
        while gate and not Path(gate).exists():
            time.sleep(0.002)
        return [_sized(item["x"], ctx) for item, ctx in zip(items, ctxs, strict=True)]


def _sized(x: float, ctx: Context) -> Outputs | Exception:
    if x < 0:
        return ValueError(f"{x:g} is negative")
    if ctx.cancelled:
        return TaskCancelled("told to stop")
    return {"value": "half" if x == HALF else x}


class Imports(Node):
    """Imports a module when it is set up."""

    def setup(self, ctx: Context) -> None:
        """Import it."""
        import_module(ctx.params["module"])

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Where the task runs."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return {"where": {"device": ctx.device, "visible": visible, "process": os.getpid()}}


class Slow(Node):
    """Is not set up before a file is there."""

    def setup(self, ctx: Context) -> None:
        """Wait for the file."""
        self.file = ctx.params["file"]
        append(self.file, "setup")
        while not Path(ctx.params["gate"]).exists():
            time.sleep(0.002)

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """x."""
        return {"value": inputs["x"]}

    def teardown(self) -> None:
        """Say so."""
        append(self.file, "teardown")


class Told(Node):
    """Returns what the framework told it."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Parameters, device, key for outside effects, and the inputs as they came."""
        ctx.progress(0.5, "half")
        ctx.check_cancelled()
        told = {"params": dict(ctx.params), "device": ctx.device, "effect_key": ctx.effect_key}
        return {"told": {**told, "cancelled": ctx.cancelled, "inputs": dict(inputs)}}
