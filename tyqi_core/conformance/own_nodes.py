"""The nodes of the project that is being worked on: found by its ``pyproject.toml``, tried as installed here."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.discovery import GROUP, normalised
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.conformance.children import Talk
from tyqi_core.conformance.trials import CHILD, TRIED, Item, Reports, tried
from tyqi_core.errors import InputError, NodeError, UsageError

PATIENCE_S: Final = 600.0
MEMORY_MB: Final = 16384
_NOWHERE: Final = {"TYQI_REDIS": "redis://127.0.0.1:1/0"}
"""Celery's application needs an address. Nothing connects to it."""


def project_table(folder: Path) -> Mapping[str, Any]:
    """The table ``project`` of the folder's ``pyproject.toml``; empty if there is none that can be read."""
    try:
        with (folder / "pyproject.toml").open("rb") as file:
            table = tomllib.load(file).get("project", {})
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, Mapping) else {}


def announces_nodes(folder: Path) -> bool:
    """Whether the project in this folder has entry points of the group ``tyqi.nodes``."""
    entry_points = project_table(folder).get("entry-points", {})
    return isinstance(entry_points, Mapping) and bool(entry_points.get(GROUP))


def project_of(file: Path, root: Path) -> Path:
    """The folder of the project of nodes that a test file belongs to: the nearest within ``root``, else ``root``."""
    within = (folder for folder in file.parents if folder.is_relative_to(root))
    return next((folder for folder in within if announces_nodes(folder)), root)


def own_manifests(folder: Path, catalog: Catalog | None = None) -> list[Manifest]:
    """The manifests of the project's nodes.

    Raises:
        UsageError: it is not installed here, announces no node, or one of its manifests is wrong (``NO_OWN_NODES``).
    """
    name = normalised(str(project_table(folder).get("name", "")))
    if not name:
        raise UsageError(f"{folder} holds no pyproject.toml with a project's name", code="NO_OWN_NODES")
    entries = (catalog or Catalog.load()).entries()
    own = [entry for entry in entries if normalised(entry.distribution) == name]
    for entry in own:
        if entry.manifest is None:
            raise UsageError(f"{entry.id} is broken: {entry.reason}", code="NO_OWN_NODES")
    if not own:
        remedy = "Install it first: pip install --editable ."
        raise UsageError(f"no node of {name} is installed here", code="NO_OWN_NODES", remedy=remedy)
    return [entry.manifest for entry in own if entry.manifest is not None]


def own_items(folder: Path) -> list[Item]:
    """What there is to try of the project's nodes: each check for each node."""
    return [(check, manifest.reference) for manifest in own_manifests(folder) for check in TRIED]


def try_own(items: Sequence[Item]) -> Reports:
    """Have nodes tried that are installed here, in a child process of this interpreter."""
    catalog = Catalog.load()
    modules = {catalog.find(node).entry_point.partition(":")[0].partition(".")[0] for _, node in items}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    variables = {**os.environ, **_NOWHERE, "PYTHONPATH": path}
    command = [sys.executable, "-P", "-m", CHILD, ",".join(sorted(modules))]
    ordered = sorted(items, key=lambda item: TRIED.index(item[0]))
    return tried(
        lambda given: Talk(command, variables, given=given, memory_mb=MEMORY_MB, patience_s=PATIENCE_S), ordered
    )


def run_node(node: str, inputs: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None) -> Any:
    """Run a node once, in this process, and return its outputs by port.

    Args:
        node: its id, or id and major version.
        inputs: by port, paths of files among them; by default those of the manifest's first example.
        params: parameters that differ from their defaults.

    Raises:
        NodeError: it failed.
        InputError: an input is missing or does not fit.
        InvalidProject: a parameter does not fit.
    """
    from tyqi_core.runtime.inprocess import InProcessRuntime  # noqa: PLC0415 - tests that run no node do without
    from tyqi_core.runtime.inputs import read_example, read_input  # noqa: PLC0415 - see above
    from tyqi_core.workflow.compiler import compile_text  # noqa: PLC0415 - see above
    from tyqi_core.workflow.single import single_node_project  # noqa: PLC0415 - see above

    catalog = Catalog.load()
    manifest = catalog.find(node)
    if inputs is None:
        example = _first_example(manifest)
        inputs, params = read_example(manifest, example), {**example.get("params", {}), **(params or {})}
    values = {
        name: read_input(value, manifest.inputs[name].type) if isinstance(value, Path) else value
        for name, value in inputs.items()
    }
    plan = compile_text(single_node_project(manifest, params or {}), f"<{manifest.id}>", catalog)
    with InProcessRuntime(plan, catalog, threads=1) as runtime:
        result = runtime.run(values)
    if result.error is not None:
        kind = NodeError if result.events else InputError
        raise kind(result.error["message"], code=result.error["code"], remedy=result.error.get("remedy"))
    return result.outputs


def _first_example(manifest: Manifest) -> Mapping[str, Any]:
    if not manifest.examples:
        raise UsageError(f"{manifest.id} has no example; name inputs", code="NO_EXAMPLE")
    return manifest.examples[0]
