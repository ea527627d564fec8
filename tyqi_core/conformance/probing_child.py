"""The child process of ``probing.py``: lists, compiles and imports the nodes of one distribution.

Called as ``python -m tyqi_core.conformance.probing_child DISTRIBUTION MODULES``; MODULES are its top-level
names, separated by commas. It writes one JSON document a line: ``{"listed": ...}``, then ``{"imported": ...}``.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from json import dumps  # bound before a plugin can replace it
from pathlib import Path
from types import ModuleType
from typing import Any

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.discovery import normalised
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.conformance.auditing import Audit

Functions = dict[tuple[str, str], Any]
_write, _exit = os.write, os._exit  # as `dumps`


class Noise(io.TextIOBase):
    """Takes what is printed, and remembers only how much."""

    def __init__(self) -> None:
        self.characters = 0

    def write(self, text: str) -> int:
        """Count it."""
        self.characters += len(text)
        return len(text)


def main() -> None:
    """List, then import."""
    distribution, modules = sys.argv[1], sys.argv[2].split(",")
    answers = private_output()
    catalog = Catalog.load(cache=False)
    entries = [entry for entry in catalog.entries() if normalised(entry.distribution) == distribution]
    faults = {entry.id: entry.reason for entry in entries if entry.problems}
    manifests = [entry.manifest for entry in entries if entry.manifest is not None]
    faults |= dict(_uncompilable(catalog, manifests))
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] in modules)
    tell(answers, {"listed": {"nodes": len(entries), "faults": faults, "loaded": loaded}})
    tell(answers, {"imported": _imported(manifests, modules)})
    _exit(0)  # threads and exit handlers that the plugin left behind are none of our business


def private_output() -> int:
    """A descriptor for our answers; what the plugin writes to standard output goes to standard error from now on."""
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def tell(answers: int, document: Any) -> None:
    """Write one document as a line."""
    _write(answers, dumps(document).encode() + b"\n")


def own_places(modules: list[str]) -> tuple[Path, ...]:
    """The files and folders of top-level modules, found without importing them."""
    specs = (find_spec(name) for name in modules)
    origins = (Path(spec.origin) for spec in specs if spec is not None and spec.origin)
    return tuple(path.parent if path.name == "__init__.py" else path for path in origins)


def _uncompilable(catalog: Catalog, manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    from tyqi_core.errors import TyqiError  # noqa: PLC0415 - with the compiler
    from tyqi_core.workflow.compiler import compile_text  # noqa: PLC0415 - not before the list is made
    from tyqi_core.workflow.single import single_node_project  # noqa: PLC0415 - see above

    for manifest in manifests:
        params = manifest.examples[0].get("params", {}) if manifest.examples else {}
        try:
            compile_text(single_node_project(manifest, params), f"<{manifest.id}>", catalog)
        except TyqiError as error:
            yield manifest.id, f"a project of this node alone does not compile: {error.message}"


def _imported(manifests: list[Manifest], modules: list[str]) -> dict[str, Any]:
    import tyqi_core.runtime.inprocess  # noqa: PLC0415, F401 - what a host has imported is not the plugin's doing
    from tyqi_core.catalog.loading import load_node_class  # noqa: PLC0415 - see above
    from tyqi_core.errors import CatalogError  # noqa: PLC0415 - see above

    audit, noise, fault = Audit(own_places(modules), Path(tempfile.gettempdir())), Noise(), ""
    before, memory, started = _functions(), _resident_mb(), time.perf_counter()
    with audit.watching(), contextlib.redirect_stdout(noise):
        for manifest in manifests:
            try:
                load_node_class(manifest)
            except CatalogError as error:
                fault = fault or f"{manifest.reference}: {error.message}"
    seconds = time.perf_counter() - started
    seen = [one.to_json() for one in audit.taken()]
    memory = _resident_mb() - memory
    changed = sorted(_changed(before, modules))
    return {
        "fault": fault,
        "seconds": seconds,
        "memory_mb": memory,
        "printed": noise.characters,
        "seen": seen,
        "changed": changed,
    }


def _functions() -> Functions:
    """The functions and classes of the modules that are there: what a plugin must leave alone."""
    found: Functions = {}
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType):
            for attribute, value in list(vars(module).items()):
                if callable(value):
                    found[name, attribute] = value
    return found


def _changed(before: Functions, modules: list[str]) -> Iterator[str]:
    """What has another value now that the plugin's own code has made."""
    for (name, attribute), value in before.items():
        now = getattr(sys.modules.get(name), attribute, None)
        if now is not value and name.partition(".")[0] not in modules and _made_by(now, modules):
            yield f"{name}.{attribute}"


def _made_by(value: Any, modules: list[str]) -> bool:
    inner = getattr(value, "func", value)  # of functools.partial
    return str(getattr(inner, "__module__", "")).partition(".")[0] in modules


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):  # only Linux tells
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
