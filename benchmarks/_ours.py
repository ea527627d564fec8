"""Our side of the benchmarks on workers: how these are started, and how a program speaks to them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _nodes
import generate_plugins
from _measure import REPOSITORY

if TYPE_CHECKING:
    from _servers import Program, Programs

sys.path.insert(0, str(REPOSITORY))

PATIENCE_S = 600.0
MODULE = """\
import time

from tyqi_core import Node, Outcome


class Step(Node):
    def process(self, inputs, ctx):
        return {"value": inputs["value"]}


class Join(Node):
    def process(self, inputs, ctx):
        return {"value": inputs["v0"]}


class Decide(Node):
    def process(self, inputs, ctx):
        return Outcome("yes", {"value": inputs["value"]})


class Sleep(Node):
    def process(self, inputs, ctx):
        time.sleep(ctx.params["ms"] / 1000)
        return {"value": inputs["value"]}
"""
CLASSES = {"step": "Step", "long_step": "Step", "join": "Join", "decide": "Decide", "sleep": "Sleep"}


def install_nodes(site: Path, width: int, namespace: str = "bench") -> None:
    """Install the plugin of the workloads into a folder; its join has ``width`` inputs."""
    number = {"value": _nodes.NUMBER}
    ports = {f"v{index}": _nodes.NUMBER | {"required": False} for index in range(width)}
    milliseconds = {"ms": {"type": "number", "minimum": 0, "default": 1, "description": "how long to wait"}}
    long = {"resources": {"memory_mb": 1, "duration": "long"}}
    manifests = {
        "step": _nodes.manifest_text("step", number, number),
        "long_step": _nodes.manifest_text("long_step", number, number, **long),
        "join": _nodes.manifest_text("join", ports, number),
        "decide": _nodes.manifest_text("decide", number, number, outcomes={"yes": "always", "no": "never"}),
        "sleep": _nodes.manifest_text("sleep", number, number, params=milliseconds),
    }
    generate_plugins.install(site, namespace, manifests, module=MODULE, classes=CLASSES)


class Ours:
    """Workers and an orchestrator on a Redis server and a broker; submits runs to them, and waits for their results.

    Args:
        site: the folder with the plugins' packages.
        state: a folder for what the settings call state.
        projects: their names here -> their YAML texts.
        queues: those that are served, by a tree of worker processes each.
        processes: in each tree.
    """

    def __init__(
        self,
        programs: Programs,
        redis: str,
        broker: str,
        site: Path,
        state: Path,
        projects: Mapping[str, str],
        queues: Sequence[str],
        processes: int,
    ) -> None:
        from tyqi_core.client import Client  # noqa: PLC0415  (of the extra `workers`)
        from tyqi_core.settings import Settings  # noqa: PLC0415

        own = {"TYQI_REDIS": redis, "TYQI_BROKER": broker, "TYQI_STATE": str(state), "TYQI_CACHE": str(state / "cache")}
        path = os.pathsep.join(filter(None, (str(site), str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        variables = {**own, "PYTHONPATH": path}
        self.programs = [_worker(programs, state.name, queue, processes, variables) for queue in queues]
        orchestrator = ["-m", "tyqi_core.cli", "orchestrator"]
        self.programs.append(programs.python(f"{state.name}-orchestrator", orchestrator, variables))
        self._plans = compiled(projects, site)
        self._client = Client.connect(Settings.load(state, own))

    def begin(self, project: str) -> str:
        return self._client.submit(self._plans[project], {"value": 1})

    def end(self, run_id: str) -> Any:
        result = self._client.wait(run_id, PATIENCE_S, events=False)
        if result.status != "completed":
            raise RuntimeError(f"run {run_id} is {result.status}: {result.error}")
        return result.outputs["result"]

    def close(self) -> None:
        self._client.close()


def _worker(programs: Programs, name: str, queue: str, processes: int, variables: Mapping[str, str]) -> Program:
    command = ["-m", "tyqi_core.cli", "worker", "--queues", queue, "--concurrency", str(processes)]
    return programs.python(f"{name}-{queue}", command, variables)


def compiled(projects: Mapping[str, str], site: Path) -> dict[str, Any]:
    """The projects' plans, with the plugins in ``site`` found by this process too."""
    from tyqi_core.catalog.catalog import Catalog  # noqa: PLC0415
    from tyqi_core.workflow.compiler import compile_text  # noqa: PLC0415

    sys.path.insert(0, str(site))
    try:
        importlib.invalidate_caches()
        catalog = Catalog.load(cache=False)
        return {name: compile_text(text, f"{name}.yaml", catalog) for name, text in projects.items()}
    finally:
        sys.path.remove(str(site))
