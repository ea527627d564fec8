"""The child process of ``probe.py``: imports one node, writes the verdict, ends.

Called as ``python -m tyqi_core.catalog.probe_child ANSWER MEMORY_MB SECONDS``, the node on standard input. After
that many seconds it is gone, even if the process that started it was killed meanwhile.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from json import dumps, load  # as they are now: a plugin may replace json's own
from pathlib import Path
from typing import Any

from tyqi_core.catalog.discovered import Origin
from tyqi_core.catalog.loading import load_node_class
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import CatalogError


def main() -> None:
    """Import the node that standard input describes."""
    answer, memory_mb, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)
    question = load(sys.stdin)
    manifest = Manifest.build(question["body"], Origin(**question["origin"]), Path(question["path"]))
    _limit(memory_mb)
    started = time.perf_counter()
    fault = _fault(manifest)
    verdict = {"ok": not fault, "reason": fault, "seconds": time.perf_counter() - started, "peak_mb": _peak_mb()}
    answer.write_text(dumps(verdict), encoding="utf-8")
    os._exit(0)  # threads and exit handlers that the plugin left behind are none of our business


def _fault(manifest: Manifest) -> str:
    try:
        load_node_class(manifest)
    except CatalogError as error:
        return error.message
    return ""


def _limit(memory_mb: int) -> None:
    """Bound what the process may allocate.

    The limit is on data (private writable memory), not on address space: libraries for GPUs map many gigabytes
    that they never touch, and would be refused for nothing.
    """
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    size = memory_mb * 2**20
    for kind, most in ((resource.RLIMIT_DATA, size), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _peak_mb() -> float:
    try:
        import resource  # noqa: PLC0415 - see above
    except ImportError:
        return 0.0
    peak: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
