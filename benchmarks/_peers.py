"""The same graphs of no-op steps in other frameworks, as far as they are installed."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

# What a plan's shape is to a peer: task -> the tasks whose values it reads; none reads the run's input.
Graph = Mapping[str, tuple[str, ...]]
Run = Callable[[], Any]


def chain(length: int) -> dict[str, tuple[str, ...]]:
    return {f"T{index}": (f"T{index - 1}",) if index else () for index in range(length)}


def fan_out(width: int) -> dict[str, tuple[str, ...]]:
    middle = {f"S{index}": ("T0",) for index in range(width)}
    return {"T0": (), **middle, "J": tuple(middle)}


def diamonds(count: int) -> dict[str, tuple[str, ...]]:
    graph: dict[str, tuple[str, ...]] = {}
    for index in range(count):
        above = (f"J{index - 1}",) if index else ()
        graph |= {f"A{index}": above, f"B{index}": above, f"J{index}": (f"A{index}", f"B{index}")}
    return graph


def installed(graph: Graph) -> dict[str, Run]:
    """Plain Python and each installed peer: its name -> one run of the graph, which returns what ours does."""
    os.environ |= {"HAYSTACK_TELEMETRY_ENABLED": "False", "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    makers = {"haystack": _haystack, "kedro": _kedro}
    found = {name: make(graph) for name, make in makers.items() if importlib.util.find_spec(name)}
    return {"python": _python(graph), **found}


def _python(graph: Graph) -> Run:
    """Plain calls in an order that is right, values in a dictionary."""

    def step(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"value": next(iter(inputs.values()))}

    def run() -> Any:
        values: dict[str, Any] = {}
        result = None
        for task, reads in graph.items():
            inputs = {f"v{port}": values[name] for port, name in enumerate(reads)} if reads else {"value": 1}
            values[task] = result = step(inputs)["value"]
        return result

    return run


def _haystack(graph: Graph) -> Run:
    from haystack import Pipeline, component  # noqa: PLC0415  (a peer, which need not be installed)

    @component
    class Step:
        def __init__(self, ports: int) -> None:
            component.set_input_types(self, **{f"v{port}": int for port in range(ports)})
            component.set_output_types(self, value=int)

        def run(self, **inputs: int) -> dict[str, int]:
            return {"value": inputs["v0"]}

    logging.getLogger("haystack").setLevel(logging.WARNING)
    pipeline = Pipeline()
    for task, reads in graph.items():
        pipeline.add_component(task, Step(max(1, len(reads))))
    for task, reads in graph.items():
        for port, name in enumerate(reads):
            pipeline.connect(f"{name}.value", f"{task}.v{port}")
    data = {task: {"v0": 1} for task, reads in graph.items() if not reads}
    last = list(graph)[-1]
    return lambda: pipeline.run(data)[last]["value"]


def _kedro(graph: Graph) -> Run:
    from kedro.io import DataCatalog, MemoryDataset  # noqa: PLC0415  (a peer, which need not be installed)
    from kedro.pipeline import node, pipeline  # noqa: PLC0415
    from kedro.runner import SequentialRunner  # noqa: PLC0415

    def step(*values: int) -> int:
        return values[0]

    logging.getLogger("kedro").setLevel(logging.WARNING)
    nodes = [node(step, list(reads) or ["value"], task, name=f"step_{task}") for task, reads in graph.items()]
    whole, runner, last = pipeline(nodes), SequentialRunner(), list(graph)[-1]

    def run() -> Any:
        answer = runner.run(whole, DataCatalog({"value": MemoryDataset(1)}))[last]
        return answer.load() if hasattr(answer, "load") else answer

    return run
