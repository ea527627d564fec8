"""Importing a plugin in a process of its own, to learn whether this process could.

A plugin may hang, end its process, print without end or take all memory while it is imported; here that costs one
child process and a moment. The child's limits contain accidents. They are no sandbox against a plugin that means harm.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from tyqi_core.catalog.cache import environment_key, read_cache, write_cache
from tyqi_core.catalog.contained import SINGLE_THREADED, Tail, end, told
from tyqi_core.catalog.manifest import Manifest

TIMEOUT_S = 20.0
FIRST_USE_TIMEOUT_S = 60.0
"""A run waits for a large library on a busy machine; what hangs must not hang for ever."""
MEMORY_MB = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the import of one node's plugin came to.

    Attributes:
        ok: it can be imported and is what its manifest says.
        reason: why not; empty if ``ok``.
        seconds: how long the import took, 0 if it did not end.
        peak_mb: most memory the child held, in MiB; 0 where that is not known.
        at: when this was tried, seconds since 1970.
    """

    ok: bool
    reason: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    at: float = 0.0


class Verdicts:
    """The last verdict on each node of this environment, kept between commands.

    A verdict holds for one version of a distribution and one content of a manifest; it is forgotten with them.
    """

    def __init__(self, kept: Mapping[str, Verdict]) -> None:
        self._kept = dict(kept)

    @classmethod
    def load(cls) -> Verdicts:
        """The verdicts that were kept; none when there is no cache."""
        kept = read_cache(_file_name())
        try:
            return cls({key: Verdict(**body) for key, body in kept.items()})
        except (AttributeError, TypeError):
            return cls({})

    def of(self, manifest: Manifest) -> Verdict | None:
        """The last verdict on a node, if it was probed as it is now."""
        return self._kept.get(_key(manifest))

    def keep(self, manifest: Manifest, verdict: Verdict) -> None:
        """Remember a verdict, also for the next command."""
        stale = f"{manifest.reference} "
        self._kept = {key: kept for key, kept in self._kept.items() if not key.startswith(stale)}
        self._kept[_key(manifest)] = verdict
        write_cache(_file_name(), {key: asdict(kept) for key, kept in self._kept.items()})


_keeping = Lock()
"""Threads of one process that use several nodes for the first time lose none of each other's verdicts."""


def first_use(manifest: Manifest) -> str:
    """Why a node must not be imported into this process; empty if it may.

    A node that was imported well here before, or by ``tyqi install``, is not tried again; its version and manifest
    are what tells that it is the same. A verdict against it is never taken from memory: its cause may be gone.
    """
    known = Verdicts.load().of(manifest)
    if known is not None and known.ok:
        return ""
    verdict = probe(manifest, timeout=FIRST_USE_TIMEOUT_S)
    with _keeping:
        Verdicts.load().keep(manifest, verdict)
    return verdict.reason


def probe(
    manifest: Manifest, *, timeout: float = TIMEOUT_S, memory_mb: int | None = None, python: Path | None = None
) -> Verdict:
    """Import a node's plugin in a child process and say how that went.

    Args:
        manifest: the node.
        timeout: seconds after which the child is killed.
        memory_mb: most memory the child may allocate, in MiB; by default 1 GiB, or what the manifest declares if
            that is more. Enforced where the system can (Linux).
        python: the interpreter of the isolated environment that the node lives in; by default this one.
    """
    limit = memory_mb or max(MEMORY_MB, manifest.resources.memory_mb)
    with TemporaryDirectory(prefix="tyqi-probe-") as folder:
        answer = Path(folder) / "verdict.json"
        child = _start(answer, limit, timeout, python)
        output = Tail(child.stderr)
        timed_out = _finish(child, _question(manifest), timeout)
        verdict = _verdict(answer, child.returncode, output.text(), timeout if timed_out else None)
    return replace(verdict, at=time.time())


def _question(manifest: Manifest) -> bytes:
    body = {"origin": asdict(manifest.origin), "path": str(manifest.path), "body": manifest.body}
    return json.dumps(body).encode()


def _start(answer: Path, memory_mb: int, timeout: float, python: Path | None) -> subprocess.Popen[bytes]:
    """The child. It learns the node through a pipe, so that no text of a plugin is ever part of a command."""
    program = [sys.executable, "-P"] if python is None else [str(python), "-I"]
    return subprocess.Popen(
        [*program, "-m", "tyqi_core.catalog.probe_child", str(answer), str(memory_mb), str(ceil(timeout) + 1)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            **dict.fromkeys(SINGLE_THREADED, "1"),
            "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path),
        },
        start_new_session=True,
    )


def _finish(child: subprocess.Popen[bytes], question: bytes, timeout: float) -> bool:
    """Wait for the child and end whatever it has started; says whether it had to be killed."""
    ending = partial(end, child)
    atexit.register(ending)  # of a thread that was given up, nothing below is reached
    try:
        _ask(child, question)
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        return True
    else:
        return False
    finally:
        ending()
        atexit.unregister(ending)


def _ask(child: subprocess.Popen[bytes], question: bytes) -> None:
    if child.stdin is None:
        return
    try:
        with child.stdin as stream:
            stream.write(question)
    except OSError:  # it is gone already; its exit code tells
        return


def _verdict(answer: Path, code: int, output: str, timeout: float | None) -> Verdict:
    if timeout is not None:
        return Verdict(ok=False, reason=f"its import did not end within {timeout:g} s and was stopped")
    try:
        body: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return Verdict(**body)
    except (OSError, ValueError, TypeError):
        last = output.splitlines()[-1][:300] if output else "it said nothing"
        return Verdict(ok=False, reason=f"the process ended with {told(code)} while it was imported: {last}")


def _file_name() -> str:
    return f"probes-{environment_key()}.json"


def _key(manifest: Manifest) -> str:
    return f"{manifest.reference} {manifest.distribution_version} {manifest.entry_point} {manifest.digest}"
