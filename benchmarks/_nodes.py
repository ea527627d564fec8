"""Nodes in memory for benchmarks, and the projects that are made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tyqi_core import Inputs, Node, Outcome
from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest

WIDTH = 16
"""Inputs of ``bench.join``."""
NUMBER = {"type": "json", "schema": {"type": "number"}}
HEAD = "tyqi: 1\nproject: benchmark\n"


class Step(Node):
    """Hands its value on."""

    def process(self, inputs: Inputs, ctx: Any) -> Mapping[str, Any]:
        return {"value": inputs["value"]}


class Join(Node):
    """Hands the first of its values on."""

    def process(self, inputs: Inputs, ctx: Any) -> Mapping[str, Any]:
        return {"value": inputs["v0"]}


class Decide(Node):
    """A condition that always says yes."""

    def process(self, inputs: Inputs, ctx: Any) -> Outcome:
        return Outcome("yes", {"value": inputs["value"]})


class Sleep(Node):
    """Waits for so many milliseconds; returns how many seconds it took."""

    def process(self, inputs: Inputs, ctx: Any) -> Mapping[str, Any]:
        begun = time.perf_counter()
        time.sleep(ctx.params["ms"] / 1000)
        return {"seconds": time.perf_counter() - begun}


class Brighten(Node):
    """A new picture of the same size, as a filter makes one."""

    def process(self, inputs: Inputs, ctx: Any) -> Mapping[str, Any]:
        return {"image": inputs["image"] + 1}


def catalog() -> Catalog:
    """All nodes of this module."""
    number, optional = {"value": NUMBER}, NUMBER | {"required": False}
    milliseconds = {"ms": {"type": "number", "minimum": 0, "default": 1, "description": "how long to wait"}}
    image = {"image": {"type": "image"}}
    seconds = {"seconds": NUMBER}
    return Catalog.of(
        LocalNode(_manifest("step", number, number), Step),
        LocalNode(_manifest("join", {f"v{index}": optional for index in range(WIDTH)}, number), Join),
        LocalNode(_manifest("decide", number, number, outcomes={"yes": "always", "no": "never"}), Decide),
        LocalNode(_manifest("sleep", {}, seconds, params=milliseconds), Sleep),
        LocalNode(_manifest("brighten", image, image), Brighten),
    )


def manifest_text(name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], **more: Any) -> str:
    """The manifest of a node of a benchmark."""
    body = {
        "tyqi_node": 1,
        "name": name,
        "version": "1.0.0",
        "title": name,
        "description": "A node of a benchmark.",
        "category": "utility",
        "licence": "Apache-2.0",
        "author": "The TYQ-i core developers",
        "requires_tyqi": ">=0",
        "inputs": dict(inputs),
        "outputs": dict(outputs),
        "resources": {"memory_mb": 1},
        "thread_safe": True,
        **more,
    }
    return json.dumps(body)


def _manifest(name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], **more: Any) -> Manifest:
    return Manifest.parse(
        manifest_text(name, inputs, outputs, **more),
        f"{name}.node.yaml",
        namespace="bench",
        local_id=name,
        entry_point="benchmarks:none",
        distribution="tyqi-node-bench",
        distribution_version="1.0.0",
    )


# -- projects ---------------------------------------------------------------------------------------------------------


def project(tasks: Iterable[str], output: str | None = None, *, image: bool = False) -> str:
    """A project file of these lines; its one input is a number ``value``, or a picture ``image``."""
    declared = "image: {type: image}" if image else "value: {type: json, schema: {type: number}}"
    outputs = f"outputs: {{result: {output}}}\n" if output else ""
    return f"{HEAD}inputs: {{{declared}}}\n{outputs}tasks:\n" + "".join(f"  {line}\n" for line in tasks)


def chain(length: int) -> str:
    """``length`` steps, one after the other."""
    tasks = ["T0: {node: bench.step, inputs: {value: $input.value}}"]
    tasks += [f"T{index}: {{node: bench.step, inputs: {{value: T{index - 1}.value}}}}" for index in range(1, length)]
    return project(tasks, f"T{length - 1}.value")


def fan_out(width: int = WIDTH) -> str:
    """One step, ``width`` steps side by side, one join."""
    tasks = ["T0: {node: bench.step, inputs: {value: $input.value}}"]
    tasks += [f"S{index}: {{node: bench.step, inputs: {{value: T0.value}}}}" for index in range(width)]
    tasks += [
        f"J: {{node: bench.join, inputs: {{{', '.join(f'v{index}: S{index}.value' for index in range(width))}}}}}"
    ]
    return project(tasks, "J.value")


def diamonds(count: int) -> str:
    """``count`` diamonds in a row: two steps side by side, then a join, which the next two read."""
    tasks, above = [], "$input.value"
    for index in range(count):
        tasks += [f"{side}{index}: {{node: bench.step, inputs: {{value: {above}}}}}" for side in "AB"]
        tasks += [f"J{index}: {{node: bench.join, inputs: {{v0: A{index}.value, v1: B{index}.value}}}}"]
        above = f"J{index}.value"
    return project(tasks, above)


def wide(count: int) -> str:
    """Almost ``count`` tasks: steps side by side, all read by joins of :data:`WIDTH`, down to one."""
    width, joins_due = count, 0
    while width > 1:
        width = -(-width // WIDTH)
        joins_due += width
    width = count - joins_due
    tasks = [f"S{index}: {{node: bench.step, inputs: {{value: $input.value}}}}" for index in range(width)]
    layer, number = [f"S{index}" for index in range(width)], 0
    while len(layer) > 1:
        joins = []
        for start in range(0, len(layer), WIDTH):
            read = ", ".join(f"v{port}: {name}.value" for port, name in enumerate(layer[start : start + WIDTH]))
            joins.append(f"J{number}")
            tasks.append(f"J{number}: {{node: bench.join, inputs: {{{read}}}}}")
            number += 1
        layer = joins
    return project(tasks, f"{layer[0]}.value")


def conditions(count: int) -> str:
    """``count`` conditions in a row that know nothing of each other, each with a branch of one task."""
    tasks = []
    for index in range(count):
        after = f", successor: [C{index + 1}]" if index + 1 < count else ""
        branches = f"condition: true, branches: {{yes: B{index}, no: null}}{after}"
        tasks.append(f"C{index}: {{node: bench.decide, inputs: {{value: $input.value}}, {branches}}}")
        tasks.append(f"B{index}: {{node: bench.step, subchain: true, inputs: {{value: $input.value}}}}")
    return project(tasks)


def nested(depth: int) -> str:
    """``depth`` conditions, each in the branch of the one before."""
    tasks = []
    for index in range(depth):
        mark = "subchain: true, " if index else ""
        branches = f"condition: true, branches: {{yes: C{index + 1}, no: null}}"
        tasks.append(f"C{index}: {{node: bench.decide, {mark}inputs: {{value: $input.value}}, {branches}}}")
    tasks.append(f"C{depth}: {{node: bench.step, subchain: true, inputs: {{value: $input.value}}}}")
    return project(tasks)


def pictures(length: int) -> str:
    """``length`` filters, one after the other, on the picture ``image``."""
    tasks = ["T0: {node: bench.brighten, inputs: {image: $input.image}}"]
    tasks += [
        f"T{index}: {{node: bench.brighten, inputs: {{image: T{index - 1}.image}}}}" for index in range(1, length)
    ]
    return project(tasks, f"T{length - 1}.image", image=True)
