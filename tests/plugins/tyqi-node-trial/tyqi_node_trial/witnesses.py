"""Nodes that tell, through files, when and how often they ran."""

from __future__ import annotations

import time
from pathlib import Path

from tyqi_core import Node
from tyqi_core.node import Context, Inputs, Outputs
from tyqi_node_trial.files import append

_LOOK_S = 0.002
_LONGEST_S = 20.0


class Ledger(Node):
    """Writes a line when it begins and one when it ends; hands x on."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """x, after ``pause_ms`` times x (modulo 5) milliseconds, so that later items may end before earlier ones."""
        x = inputs["x"]
        label = f"{ctx.params['name']} {x:g}"
        append(ctx.params["file"], f"start {label}")
        time.sleep(ctx.params["pause_ms"] * (-x % 5) / 1000)
        append(ctx.params["file"], f"end {label}")
        return {"value": x}


class Meet(Node):
    """Waits until all who shall meet are there at the same time."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """x, once every name in ``others`` has arrived.

        Raises:
            TimeoutError: somebody did not come, so these tasks do not overlap.
        """
        folder = Path(ctx.params["folder"])
        (folder / ctx.params["name"]).touch()
        until = time.monotonic() + ctx.params["patience_s"]
        while missing := [name for name in ctx.params["others"] if not (folder / name).exists()]:
            if time.monotonic() > until:
                raise TimeoutError(f"{missing} did not come")
            time.sleep(_LOOK_S)
        return {"value": inputs["x"]}


class Sleep(Node):
    """Runs until a file appears. Told to stop it stops, unless it is stubborn."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """x, once the file ``until`` is there; writes ``begun``, then ``done`` or ``stopped``, into ``file``."""
        append(ctx.params["file"], "begun")
        until = Path(ctx.params["until"])
        limit = time.monotonic() + _LONGEST_S
        while not until.is_file() and time.monotonic() < limit:
            if ctx.cancelled and not ctx.params["stubborn"]:
                append(ctx.params["file"], "stopped")
                ctx.check_cancelled()
            time.sleep(_LOOK_S)
        append(ctx.params["file"], "done")
        return {"value": inputs["x"]}
