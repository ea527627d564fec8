"""Every way to break the contract that a test needs, each by its name."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from tyqi_core import Node, Outcome
from tyqi_core.node import Context, Inputs
from tyqi_node_trial.files import append, lines

_GOOD: Final = np.zeros((4, 4), np.float32)


def _good(inputs: Inputs, **changed: Any) -> dict[str, Any]:
    return {"value": inputs["x"], "map": _GOOD.copy(), "data": inputs["data"], **changed}


def _raises(inputs: Inputs, ctx: Context) -> Any:
    raise ValueError("this cannot be done")


def _fails_first(inputs: Inputs, ctx: Context) -> Any:
    """Fails until it was tried ``times`` times; the file counts."""
    append(ctx.params["file"], f"try {inputs['x']:g}")
    append(f"{ctx.params['file']}.keys", ctx.effect_key)
    if len(lines(ctx.params["file"])) <= ctx.params["times"]:
        raise OSError("not yet")
    return _good(inputs)


def _prints(inputs: Inputs, ctx: Context) -> Any:
    """Speaks to standard output by both of its doors."""
    print("said with print")  # noqa: T201 - what the test is about
    os.write(1, b"said by a C library\n")
    return _good(inputs)


def _exits(inputs: Inputs, ctx: Context) -> Any:
    sys.exit(3)


def _interrupts(inputs: Inputs, ctx: Context) -> Any:
    raise KeyboardInterrupt


def _out_of_memory(inputs: Inputs, ctx: Context) -> Any:
    raise MemoryError


def _speaks_in_tongues(inputs: Inputs, ctx: Context) -> Any:
    """An exception whose text cannot be had."""

    class Unspeakable(Exception):  # noqa: N818 - it is what it is
        def __str__(self) -> str:
            raise RuntimeError("no text")

    raise Unspeakable


def _long_message(inputs: Inputs, ctx: Context) -> Any:
    raise ValueError("x" * 1_000_000)


def _mutates_array(inputs: Inputs, ctx: Context) -> Any:
    inputs["image"][0, 0, 0] = 1
    return _good(inputs)


def _mutates_json(inputs: Inputs, ctx: Context) -> Any:
    inputs["data"]["list"].append("spoilt")
    inputs["data"]["spoilt"] = True
    return _good(inputs)


def _late(inputs: Inputs, ctx: Context) -> Any:
    """Waits to be told to stop, and then returns all the same."""
    append(ctx.params["file"], "begun")
    while not ctx.cancelled:
        time.sleep(0.002)
    append(ctx.params["file"], "returned")
    return _good(inputs)


def _generator(inputs: Inputs, ctx: Context) -> Any:
    yield from _good(inputs).items()


_ROOMY: Final = np.broadcast_to(np.float32(0), (32768, 32768))
"""Four GiB to whoever copies it, four bytes here."""


class _Trap(dict[str, Any]):
    """A mapping that ends whoever reads it."""

    def __getitem__(self, key: str) -> Any:
        raise SystemExit(f"{key} was read")


_RETURNS: Final[Mapping[str, Callable[[Inputs], Any]]] = {
    "nothing_wrong": _good,
    "undeclared_port": lambda inputs: _good(inputs, extra=1),
    "missing_port": lambda inputs: {"value": inputs["x"]},
    "none": lambda inputs: None,
    "text": lambda inputs: "value",
    "trap": lambda inputs: _Trap(_good(inputs)),
    "list_of_pairs": lambda inputs: list(_good(inputs).items()),
    "value_none": lambda inputs: _good(inputs, value=None),
    "value_text": lambda inputs: _good(inputs, value="1"),
    "value_nan": lambda inputs: _good(inputs, value=float("nan")),
    "value_numpy": lambda inputs: _good(inputs, value=np.float64(1)),
    "data_nan_inside": lambda inputs: _good(inputs, data={"deep": [1, {"er": float("inf")}]}),
    "data_lock": lambda inputs: _good(inputs, data={"lock": threading.Lock()}),
    "data_generator": lambda inputs: _good(inputs, data=(number for number in range(3))),
    "data_cycle": lambda inputs: _good(inputs, data=_cycle()),
    "data_number_keys": lambda inputs: _good(inputs, data={1: "one"}),
    "wrong_dtype": lambda inputs: _good(inputs, map=_GOOD.astype(np.float64)),
    "wrong_shape": lambda inputs: _good(inputs, map=np.zeros((2, 2, 2), np.float32)),
    "empty_map": lambda inputs: _good(inputs, map=np.zeros((0, 4), np.float32)),
    "nan_map": lambda inputs: _good(inputs, map=np.full((4, 4), np.nan, np.float32)),
    "negative_map": lambda inputs: _good(inputs, map=_GOOD - 1),
    "list_for_map": lambda inputs: _good(inputs, map=[[0.0]]),
    "huge_map": lambda inputs: _good(inputs, map=_ROOMY),
    "strided_map": lambda inputs: _good(inputs, map=np.zeros((8, 8), np.float32)[::2, ::2]),
    "object_map": lambda inputs: _good(inputs, map=np.array([[None]])),
    "undeclared_outcome": lambda inputs: Outcome("surprise", _good(inputs)),
    "exception_returned": lambda inputs: ValueError("returned, not raised"),
}

_ACTS: Final[Mapping[str, Callable[[Inputs, Context], Any]]] = {
    "raises": _raises,
    "fails_first": _fails_first,
    "prints": _prints,
    "exits": _exits,
    "interrupts": _interrupts,
    "out_of_memory": _out_of_memory,
    "speaks_in_tongues": _speaks_in_tongues,
    "long_message": _long_message,
    "mutates_array": _mutates_array,
    "mutates_json": _mutates_json,
    "late": _late,
    "generator": _generator,
}


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


class Misbehave(Node):
    """Breaks the contract in the way that ``how`` names."""

    def process(self, inputs: Inputs, ctx: Context) -> Any:
        """What ``how`` says."""
        how = ctx.params["how"]
        return _ACTS[how](inputs, ctx) if how in _ACTS else _RETURNS[how](inputs)
