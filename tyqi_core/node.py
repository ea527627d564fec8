"""What the author of a node imports; nothing else of the framework is needed.

A node is a class with ``process``; everything static about it (ports, parameters, resources, outcomes) stands in
the manifest ``<local id>.node.yaml`` beside the module::

    from tyqi_core import Node, Outcome

    class Triage(Node):
        def setup(self, ctx):                 # once per process: load the model
            self.model = load(ctx.params["model"])

        def process(self, inputs, ctx):       # once per task
            score = self.model(inputs["image"])
            return Outcome("crack" if score > ctx.params["threshold"] else "clean", {"score": score})

A typed function serves too, see :func:`node`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, overload

from tyqi_core.errors import TaskCancelled

if TYPE_CHECKING:
    import logging

Inputs = Mapping[str, Any]
"""Port name -> value. Arrays are read-only; an optional port that nothing feeds holds its default or ``None``."""

Outputs = Mapping[str, Any]
"""Port name -> value, one for every declared output."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a condition node decided: one of the manifest's ``outcomes``, and the node's outputs."""

    name: str
    outputs: Outputs = field(default_factory=dict)


class Context(Protocol):
    """What the framework hands to a node beside its inputs."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The task's parameters, validated, defaults filled in."""
        ...

    @property
    def device(self) -> str:
        """``cpu`` or a torch device name such as ``cuda:0``."""
        ...

    @property
    def logger(self) -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
        """A logger whose records name the run and the task."""
        ...

    @property
    def effect_key(self) -> str:
        """The same for every attempt of this task: hand it to outside systems so that they can drop repeats."""
        ...

    @property
    def cancelled(self) -> bool:
        """True once the run is cancelled or the task's time is up; the result will not be used."""
        ...

    def check_cancelled(self) -> None:
        """Raise :class:`TaskCancelled` once :attr:`cancelled` is true. Call it in long loops."""
        ...

    def progress(self, fraction: float, note: str = "") -> None:
        """Report how far the task is, 0 to 1."""
        ...


class Node:
    """Base class of all nodes. One instance serves many tasks with the same ``setup`` parameters.

    An instance is never entered by two threads at once unless its manifest says ``thread_safe: true``.
    """

    def setup(self, ctx: Context) -> None:
        """Load what is expensive (a model). Called once per instance, before the first ``process``."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs | Outcome:
        """Compute the outputs of one task. Inputs must not be modified.

        Returns:
            A mapping with every declared output port; a condition node returns an :class:`Outcome`.
        """
        raise TypeError(f"{type(self).__name__} defines neither process nor process_batch")

    def process_batch(
        self, items: Sequence[Inputs], ctxs: Sequence[Context]
    ) -> Sequence[Outputs | Outcome | Exception]:
        """Compute several tasks at once; one result or one exception per item, in order."""
        results: list[Outputs | Outcome | Exception] = []
        for inputs, ctx in zip(items, ctxs, strict=True):
            try:
                results.append(self.process(inputs, ctx))
            except Exception as error:  # noqa: BLE001  # one bad item must not take the others along
                results.append(error)
        return results

    def teardown(self) -> None:
        """Release what ``setup`` took. Called on an orderly end only."""


def _logger() -> logging.Logger:
    import logging  # noqa: PLC0415 - a few milliseconds that who only lists nodes need not pay

    return logging.getLogger("tyqi.node")


@dataclass(slots=True)
class LocalContext:
    """A plain :class:`Context`: what the in-process runtime hands out, and what an author's own tests may use."""

    params: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    logger: logging.Logger = field(default_factory=_logger)
    effect_key: str = ""
    cancelled: bool = False
    on_progress: Callable[[float, str], None] | None = None

    def check_cancelled(self) -> None:
        """Raise :class:`TaskCancelled` once the task is cancelled."""
        if self.cancelled:
            raise TaskCancelled("the task was cancelled")

    def progress(self, fraction: float, note: str = "") -> None:
        """Hand the progress on to whoever listens."""
        if self.on_progress is not None:
            self.on_progress(min(1.0, max(0.0, fraction)), note)


Function = Callable[..., Any]


@overload
def node(function: Function, /) -> type[Node]: ...
@overload
def node(*, output: str | None = None) -> Callable[[Function], type[Node]]: ...
def node(
    function: Function | None = None, /, *, output: str | None = None
) -> type[Node] | Callable[[Function], type[Node]]:
    """Make a Node class of a typed function.

    Positional parameters are input ports, keyword-only parameters are parameters of the manifest, and a
    parameter called ``ctx`` receives the context::

        @node(output="area")
        def area(mask: np.ndarray, *, mm_per_px: float = 1.0) -> dict[str, object]:
            ...

    Args:
        output: the one output port that the returned value goes to. Without it the function returns a mapping
            of all outputs, or an :class:`Outcome`.

    Raises:
        TypeError: the function takes ``*args`` or ``**kwargs``, whose ports nobody could know.
    """
    if function is None:
        return lambda decorated: _class_of(decorated, output)
    return _class_of(function, output)


def _class_of(function: Function, output: str | None) -> type[Node]:
    ports, params, wants_ctx = _signature_of(function)

    def process(self: Node, inputs: Inputs, ctx: Context) -> Outputs | Outcome:  # noqa: ARG001  # a method
        arguments = {name: inputs[name] for name in ports if name in inputs}
        arguments.update({name: ctx.params[name] for name in params if name in ctx.params})
        if wants_ctx:
            arguments["ctx"] = ctx
        result = function(**arguments)
        return result if output is None or isinstance(result, Outcome) else {output: result}

    return type(
        function.__name__,
        (Node,),
        {
            "process": process,
            "function": staticmethod(function),
            "ports": ports,
            "parameters": params,
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
        },
    )


def _signature_of(function: Function) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    ports: list[str] = []
    params: list[str] = []
    wants_ctx = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(
                f"@node on {function.__name__}: parameter '{parameter}' has no name that a port could carry; "
                "name each input port and, after '*', each parameter"
            )
        if parameter.name == "ctx":
            wants_ctx = True
        elif parameter.kind is parameter.KEYWORD_ONLY:
            params.append(parameter.name)
        else:
            ports.append(parameter.name)
    return tuple(ports), tuple(params), wants_ctx
