"""Nodes that harm the process they run in: they kill it, hold it up, fill its memory."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tyqi_core import Node
from tyqi_core.node import Context, Inputs, Outputs
from tyqi_node_trial.files import append, lines

_LEAK: Final = 40_000_000
_TOO_LARGE: Final = (14_000, 13_000, 3)
"""Bytes that fit into memory, not into a value of Redis."""
_kept: list[bytearray] = []


def _dies(inputs: Inputs, ctx: Context) -> None:
    """The first ``times`` times, as far as the file tells."""
    label = f"dies {inputs['x']:g}"
    if lines(ctx.params["file"]).count(label) < ctx.params["times"]:
        append(ctx.params["file"], label)
        os.kill(os.getpid(), signal.SIGKILL)


def _exits(inputs: Inputs, ctx: Context) -> None:
    append(ctx.params["file"], f"exits {inputs['x']:g}")
    os._exit(3)


def _spins(inputs: Inputs, ctx: Context) -> None:
    """In C, and no other thread gets to run meanwhile."""
    append(ctx.params["file"], f"spins {os.getpid()}")
    re.match(r"(a+)+$", "a" * 200 + "b")


def _hangs(inputs: Inputs, ctx: Context) -> None:
    append(ctx.params["file"], f"hangs {os.getpid()}")
    while True:
        time.sleep(1)


def _leaks(inputs: Inputs, ctx: Context) -> None:
    append(ctx.params["file"], f"leaks {os.getpid()}")
    _kept.append(bytearray(b"x" * _LEAK))


def _waits(inputs: Inputs, ctx: Context) -> None:
    """Until the file ``until`` is there, whatever it is told."""
    append(ctx.params["file"], f"waits {os.getpid()}")
    until = Path(ctx.params["until"])
    while not until.exists():
        time.sleep(0.005)
    append(ctx.params["file"], f"went on {os.getpid()}")


_ACTS: Final[Mapping[str, Callable[[Inputs, Context], None]]] = {
    "dies": _dies,
    "exits": _exits,
    "spins": _spins,
    "hangs": _hangs,
    "leaks": _leaks,
    "waits": _waits,
}


class Harm(Node):
    """Does what ``how`` names to its process; returns x if it is still there."""

    def setup(self, ctx: Context) -> None:
        """Die here if told so."""
        if ctx.params["how"] == "dies_in_setup":
            _dies({"x": 0}, ctx)

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """x."""
        act = _ACTS.get(ctx.params["how"])
        if act is not None:
            act(inputs, ctx)
        return {"value": inputs["x"]}


class Large(Node):
    """A picture that the store cannot keep."""

    def process(self, inputs: Inputs, ctx: Context) -> Any:
        """The picture."""
        return {"image": np.zeros(_TOO_LARGE, np.uint8)}
