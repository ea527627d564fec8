"""What a node needs, from what was measured where that is enough, else from what its manifest declares. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tyqi_core.catalog.manifest import Manifest, Resources, queue_of
from tyqi_core.runtime.history import NodeHistory

SHORT_S: Final = 1.0
"""What 95% of its executions take less than is short."""
LONG_S: Final = 60.0
"""What takes longer is heavy."""
ENOUGH_FOR_MEMORY: Final = 20
"""Executions from which on a measured peak may be below the declared one."""
_TYPICAL_S: Final = {"short": 0.1, "long": 10.0, "heavy": 120.0}

Kind = Literal["short", "long", "heavy", "io"]


class Host(NamedTuple):
    """One machine of those that workers run on."""

    cores: int = 4
    memory_mb: int = 16_384


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """A node to be planned for, and what is remembered of it."""

    manifest: Manifest
    history: NodeHistory | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What one node needs.

    Attributes:
        node: id and major version.
        family: the first word of its queue: ``cpu``, ``gpu`` or ``io``.
        kind: the second; ``io`` has none.
        seconds: what 95% of its executions stay below.
        load: seconds of work that arrive a second; where no rates are known, seconds of one execution.
        reason: in words.
    """

    node: str
    declared_queue: str
    family: Literal["cpu", "gpu", "io"]
    kind: Kind
    seconds: float
    load: float
    cores: int
    memory_mb: int
    gpu_memory_mb: int
    reason: str


def need_of(load: NodeLoad, host: Host, rate: float | None) -> Need:
    """What a node needs on such hosts, if so many tasks of it arrive a second."""
    resources, history = load.manifest.resources, load.history
    if history is not None and history.believed:
        seconds, mean = history.p95_s, history.mean_s
        told = f"95% of {history.recent} executions took less than {shown_s(seconds)}"
    else:
        seconds = mean = _TYPICAL_S[resources.duration]
        told = f"declared {resources.duration}, too little measured yet"
    memory = _peak(resources.memory_mb, history.memory_mb if history else None, history)
    gpu_memory = _peak(resources.gpu_memory_mb, history.gpu_memory_mb if history else None, history)
    family = _family(resources)
    kind, why = _kind(family, seconds, resources, memory, host)
    return Need(
        node=load.manifest.reference,
        declared_queue=queue_of(resources),
        family=family,
        kind=kind,
        seconds=seconds,
        load=mean if rate is None else mean * rate,
        cores=resources.cores,
        memory_mb=memory,
        gpu_memory_mb=gpu_memory,
        reason=told + why + _more(memory, resources.memory_mb, "") + _more(gpu_memory, resources.gpu_memory_mb, "GPU "),
    )


def shown_s(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds * 1000:.3g} ms" if seconds < SHORT_S else f"{seconds:.3g} s"


def _family(resources: Resources) -> Literal["cpu", "gpu", "io"]:
    if resources.pool == "io":
        return "io"
    return "gpu" if resources.device == "gpu" else "cpu"


def _kind(family: str, seconds: float, resources: Resources, memory: int, host: Host) -> tuple[Kind, str]:
    """The kind of queue, and why if it is not for the duration."""
    if family == "io":
        return "io", "; waits more than it computes"
    if family == "gpu":
        return ("short" if seconds < SHORT_S else "long"), ""
    share = host.memory_mb // host.cores
    if resources.cores > max(1, host.cores // 2):
        return "heavy", f"; keeps {resources.cores} of {host.cores} cores busy"
    if memory > 2 * share:
        return "heavy", f"; takes {memory} MiB, more than twice a core's share of {share} MiB"
    if seconds < SHORT_S:
        return "short", ""
    return ("long" if seconds <= LONG_S else "heavy"), ""


def _more(needed: int, declared: int, kind: str) -> str:
    return f"; took {needed} MiB of {kind}memory, declares {declared}" if needed > declared else ""


def _peak(declared: int, measured: int | None, history: NodeHistory | None) -> int:
    """A measured peak above the declared one counts at once, one below it after some executions."""
    if measured is None or history is None:
        return declared
    return measured if history.recent >= ENOUGH_FOR_MEMORY else max(declared, measured)
