"""Which worker processes serve which queues, and how: the pool, how many tasks at once, which device.

CPU queues, and those of isolated environments, are served by forked processes, one a core. GPU queues are served by a
process a device, which executes one task at a time in a thread: what speaks to a GPU never forks. I/O queues are served
by threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from socket import gethostname
from typing import Final
from uuid import uuid4

from tyqi_core.catalog.local_state import HOST_PREFIX
from tyqi_core.errors import UsageError
from tyqi_core.runtime.distributed.queues import QUEUES, queue_class
from tyqi_core.runtime.processes.boards import VARIABLE
from tyqi_core.runtime.processes.child import Child

CPU_QUEUES: Final = ("cpu.short", "cpu.long", "cpu.heavy")
POOLS: Final = ("prefork", "threads", "solo", "gevent", "eventlet")
QUEUES_VARIABLE: Final = "TYQI_QUEUES"
"""The queues that a worker process serves, separated by commas."""
_DEVICES_VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
_IO_AT_ONCE: Final = 16
_GREEN: Final = frozenset({"gevent", "eventlet"})
_KIB_A_MIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks of the workers of one machine; what is not said is chosen.

    Attributes:
        queues: names of queues.
        pool: for all of them; ``None``: by the class of the queues.
        concurrency: how many tasks at once in a worker of CPU or I/O queues.
        devices: names of GPUs as CUDA knows them; ``None``: those that this machine has.
        max_memory_mb: at how much memory a process is replaced after its task; only a pool of processes can do that.
    """

    queues: Sequence[str] = CPU_QUEUES
    pool: str | None = None
    concurrency: int | None = None
    devices: Sequence[str] | None = None
    max_memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One Celery worker to start."""

    name: str
    queues: tuple[str, ...]
    pool: str
    concurrency: int
    device: str | None = None
    max_memory_mb: int | None = None
    python: str = sys.executable

    def __str__(self) -> str:
        where = "" if self.device is None else f", on device {self.device}"
        return f"queues {', '.join(self.queues)}; {self.pool}, {self.concurrency} at once{where}"


def plan_workers(wanted: Wanted, *, cores: int | None = None, memory_mb: int = 0) -> list[WorkerPlan]:
    """The workers that serve the queues, one for each kind of pool, and one for each device.

    Args:
        wanted: what was asked for.
        cores: of this machine.
        memory_mb: the setting for processes that fork, where nothing is asked for; 0: no limit.

    Raises:
        UsageError: a queue has no queue's name, or a pool cannot do what is asked of it.
    """
    if not wanted.queues:
        raise UsageError("no queue is named", code="BAD_QUEUE", remedy=f"Queues are {', '.join(QUEUES)}.")
    families: dict[str, list[str]] = {}
    for queue in dict.fromkeys(wanted.queues):
        families.setdefault(_family(queue), []).append(queue)
    plans: list[WorkerPlan] = []
    for family, queues in families.items():
        pool = wanted.pool or ("prefork" if family == "cpu" else "threads")
        _check_pool(pool, family, queues, wanted)
        plans += _of_family(family, tuple(queues), pool, wanted, cores or os.cpu_count() or 1)
    if memory_mb and wanted.max_memory_mb is None:
        plans = [_limited(plan, memory_mb) if plan.pool == "prefork" else plan for plan in plans]
    return plans


@dataclass(frozen=True, slots=True)
class Private:
    """An isolated environment, as far as its workers are concerned.

    Attributes:
        name: of its plugin.
        queue: its private queue.
        python: its interpreter.
        family: ``gpu`` if one of its nodes needs a GPU, ``io`` if all of them wait, else ``cpu``.
    """

    name: str
    queue: str
    python: str
    family: str = "cpu"


def plan_private(private: Private, wanted: Wanted, *, cores: int | None = None, memory_mb: int = 0) -> list[WorkerPlan]:
    """The workers of an isolated environment; see :func:`plan_workers`.

    Raises:
        UsageError: a pool cannot do what is asked of it, or the nodes need a GPU and there is none.
    """
    queues, family = (private.queue,), private.family
    pool = wanted.pool or ("prefork" if family == "cpu" else "threads")
    wanted = replace(wanted, concurrency=None if family == "gpu" else wanted.concurrency)
    _check_pool(pool, family, queues, wanted)
    plans = _of_family(family, queues, pool, wanted, cores or os.cpu_count() or 1)
    if memory_mb and wanted.max_memory_mb is None and pool == "prefork":
        plans = [_limited(plan, memory_mb) for plan in plans]
    prefix = f"{private.queue.replace('.', '-')}-{private.name}"
    return [
        replace(plan, name=f"{prefix}-{plan.name}" if plan.device else prefix, python=private.python) for plan in plans
    ]


def gpu_devices(environ: Mapping[str, str] | None = None) -> list[str]:
    """The GPUs that a process started here may use, by CUDA's names; found without CUDA, which must not be loaded."""
    environ = os.environ if environ is None else environ
    if (named := environ.get(_DEVICES_VARIABLE)) is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in {"", "-1"}]
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return [str(place) for place, _ in enumerate(sorted(numbers))]


def worker_child(plan: WorkerPlan, board: Path, environ: Mapping[str, str] | None = None) -> Child:
    """The program that is one worker.

    Args:
        plan: which.
        board: the folder in which workers tell their supervisor what they execute.
        environ: by default this process's own.
    """
    environment = {**(os.environ if environ is None else environ), VARIABLE: str(board)}
    environment[QUEUES_VARIABLE] = ",".join(plan.queues)
    if plan.device is not None or plan.pool == "prefork":  # what forks sees no GPU: CUDA does not survive a fork
        environment[_DEVICES_VARIABLE] = plan.device or ""
    if plan.python != sys.executable:
        environment[HOST_PREFIX] = sys.prefix
    return Child(plan.name, [*_program(plan), *_arguments(plan)], environment)


def _program(plan: WorkerPlan) -> list[str]:
    """Pools of green threads replace parts of Python before anything else is imported: Celery's own program does.

    The interpreter of an isolated environment is shown nothing of what this one's variables put on the path.
    """
    python = [plan.python] if plan.python == sys.executable else [plan.python, "-I"]
    if plan.pool in _GREEN:
        return [*python, "-m", "celery", "--quiet", "-A", "tyqi_core.worker", "worker"]
    return [*python, "-m", "tyqi_core.worker"]


def _arguments(plan: WorkerPlan) -> list[str]:
    node = f"tyqi-{plan.name}-{uuid4().hex[:8]}@{gethostname()}"
    found = ["-Q", ",".join(plan.queues), "-P", plan.pool, "-c", str(plan.concurrency), "-l", "WARNING", "-n", node]
    if plan.max_memory_mb is not None:
        found += ["--max-memory-per-child", str(plan.max_memory_mb * _KIB_A_MIB)]
    return found


def _family(queue: str) -> str:
    family = queue_class(queue).partition(".")[0]
    return "cpu" if family == "env" else family


def _of_family(family: str, queues: tuple[str, ...], pool: str, wanted: Wanted, cores: int) -> list[WorkerPlan]:
    if family == "gpu":
        return [WorkerPlan(f"gpu-{name}", queues, pool, 1, name) for name in _devices_of(wanted)]
    usual = 1 if pool == "solo" else _IO_AT_ONCE if family == "io" or pool in _GREEN else cores
    at_once = wanted.concurrency or usual
    return [WorkerPlan(family, queues, pool, at_once, max_memory_mb=wanted.max_memory_mb)]


def _devices_of(wanted: Wanted) -> Sequence[str]:
    devices = gpu_devices() if wanted.devices is None else list(dict.fromkeys(wanted.devices))
    if not devices:
        raise UsageError(
            "gpu queues need a GPU, and this machine shows none",
            code="NO_DEVICE",
            remedy="Name the devices as CUDA_VISIBLE_DEVICES does: --devices 0,1.",
        )
    return devices


def _limited(plan: WorkerPlan, memory_mb: int) -> WorkerPlan:
    return replace(plan, max_memory_mb=memory_mb)


def _check_pool(pool: str, family: str, queues: Sequence[str], wanted: Wanted) -> None:
    for fault, remedy in _faults(pool, family, wanted):
        raise UsageError(f"pool {pool} for {', '.join(queues)}: {fault}", code="POOL", remedy=remedy)


def _faults(pool: str, family: str, wanted: Wanted) -> list[tuple[str, str]]:
    """What a pool cannot do of that which is asked of it, and what to do instead."""
    several = (wanted.concurrency or 1) > 1
    green = pool in _GREEN
    checks = (
        (pool not in POOLS, "there is no such pool", f"Pools are {', '.join(POOLS)}."),
        (green and family != "io", "a task that computes holds up all others of the process, heartbeats too",
         "gevent and eventlet serve io queues only."),
        (family == "gpu" and pool == "prefork", "CUDA does not survive a fork", "Use threads or solo."),
        (family == "gpu" and several, "a device executes one task at a time",
         "Leave --concurrency out, or start the gpu queues' worker by itself."),
        (pool == "solo" and several, "it executes one task at a time", "Leave --concurrency out, or use threads."),
        (wanted.max_memory_mb is not None and pool != "prefork", "it cannot limit the memory of a task's process",
         "Only prefork can: leave --max-memory out, or serve these queues by a worker of their own."),
        (green and find_spec(pool) is None, f"{pool} is not installed", f"pip install {pool}"),
    )  # fmt: skip
    return [(fault, remedy) for holds, fault, remedy in checks if holds]
