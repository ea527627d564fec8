"""Measuring attempts, and telling the hooks of trusted packages of them. Costs nothing where nobody listens."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import NodeError, TyqiError
from tyqi_core.node import Context, Node
from tyqi_core.runtime.execute import Executable, Executed
from tyqi_core.runtime.history import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tyqi_core.hooks import Hooks
    from tyqi_core.runtime.measuring import Tally


class Watch:
    """Executes attempts, and calls ``node_before``, ``node_after`` and ``node_failed`` around them.

    Args:
        hooks: whom to tell; ``None`` for nobody.
        tally: who keeps what attempts took; ``None`` for nobody.
    """

    def __init__(self, hooks: Hooks | None, tally: Tally | None = None) -> None:
        self._tally = tally
        watched = ("node_before", "node_after", "node_failed")
        self._hooks = hooks if hooks is not None and any(hooks.implemented(name) for name in watched) else None

    def run(
        self, executable: Executable, node: Node, values: Sequence[Any], ctx: Context, names: tuple[str, str]
    ) -> Executed:
        """Execute one attempt.

        Args:
            executable: the task.
            node: the living node.
            values: of its bindings, in order.
            ctx: the attempt's context.
            names: run id and task instance.

        Raises:
            NodeError: as :meth:`Executable.run` does.
        """
        if self._hooks is None:
            return self._measured(executable, node, values, ctx)
        subject = {"run_id": names[0], "task": names[1], "node": _pin(executable.manifest)}
        self._hooks.notify("node_before", **subject, params=ctx.params)
        begun = perf_counter()
        try:
            executed = self._measured(executable, node, values, ctx)
        except TyqiError as error:
            self._hooks.notify("node_failed", **subject, error=error)
            raise
        seconds = perf_counter() - begun
        self._hooks.notify("node_after", **subject, outcome=executed.result.outcome, seconds=seconds)
        return executed

    def _measured(self, executable: Executable, node: Node, values: Sequence[Any], ctx: Context) -> Executed:
        """Execute, and have the tally keep what it took; the way of quick nodes costs less than 2 microseconds."""
        tally = self._tally
        if tally is None:
            return executable.run(node, values, ctx)
        meter = tally.meter
        if executable.node not in meter.quick or ctx.device != "cpu":
            return self._watched(tally, executable, node, values, ctx)
        next(meter.begun)
        started = perf_counter()
        try:
            executed = executable.run(node, values, ctx)
            tally.took(executable.node, perf_counter() - started)
        except NodeError:
            tally.add(Sample(executable.node, perf_counter() - started, failed=True))
            raise
        finally:
            next(meter.ended)
        return executed

    def _watched(
        self, tally: Tally, executable: Executable, node: Node, values: Sequence[Any], ctx: Context
    ) -> Executed:
        begun = tally.meter.begin(executable.node, ctx.device)
        try:
            executed = executable.run(node, values, ctx)
        except NodeError:
            tally.add(tally.meter.end(begun, failed=True))
            raise
        except BaseException:  # cancelled: neither a duration nor a failure of the node
            tally.meter.end(begun)
            raise
        tally.add(tally.meter.end(begun))
        return executed


def _pin(manifest: Manifest) -> str:
    return f"{manifest.id}@{manifest.version}"
