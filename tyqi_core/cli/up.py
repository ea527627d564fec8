"""``tyqi up``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from tyqi_core.cli.output import say
from tyqi_core.cli.serving import (
    check_platform,
    concurrency_option,
    devices_option,
    grace_option,
    max_memory_option,
    names,
)
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.runtime.distributed.fleet import WorkerPlan
    from tyqi_core.runtime.distributed.upfile import Up, UpFile
    from tyqi_core.runtime.processes.embedded import EmbeddedRedis

_REVIVE_S = 0.5
_NEXT = """\
Ready for runs. In another shell, in this folder:
  tyqi submit PROJECT --inputs-dir DIR --wait
  tyqi runs
Ctrl-C ends everything here; what is under way then goes on at the next 'tyqi up'."""


@click.command(epilog="Example:  tyqi up --concurrency 4")
@click.option("--queues", metavar="NAME,...", help="The queues to serve. Default: those of the installed nodes.")
@concurrency_option
@devices_option
@max_memory_option
@grace_option(10.0, "after Ctrl-C")
def up(queues: str | None, concurrency: int | None, devices: str | None, max_memory: int | None, grace: float) -> None:
    """Run everything that runs need on this machine: a store, workers, an orchestrator. Until Ctrl-C or SIGTERM.

    If no Redis server is named in the settings, one is started for this project; it keeps what it holds in the state
    folder. Other commands in the same folder find it by themselves.
    """
    check_platform()
    from tyqi_core.cli.serving import private_plans
    from tyqi_core.runtime.distributed.fleet import Wanted, gpu_devices, plan_workers
    from tyqi_core.runtime.distributed.upfile import held
    from tyqi_core.runtime.processes.board_folder import board_folder

    settings = Settings.load()
    gpus = names(devices) or gpu_devices()
    served = names(queues) or [*_needed(gpus), *_private(settings, gpus)]
    wanted = Wanted(served, None, concurrency, gpus, max_memory)
    plans, others = private_plans((), served, wanted, settings)
    if others:
        plans = plan_workers(replace(wanted, queues=others), memory_mb=settings.max_memory_mb) + plans
    with held(settings.state) as file, _server(settings) as server, board_folder() as board:
        about = _about(settings, server, served)
        file.write(about)
        _check_store(settings)
        say(_where(settings, server))
        _serve(file, about, plans, board, server, grace, settings)
    say("Everything has ended.")


def _serve(
    file: UpFile,
    about: Up,
    plans: Sequence[WorkerPlan],
    board: Path,
    server: EmbeddedRedis | None,
    grace: float,
    settings: Settings,
) -> None:
    from tyqi_core.cli.serving import supervise, worker_children
    from tyqi_core.runtime.processes.child import Child

    orchestrator = Child("orchestrator", [sys.executable, "-m", "tyqi_core.cli", "orchestrator"])
    workers, described = worker_children(plans, board)
    known: dict[str, int] = {}

    def write() -> None:
        redis = {} if server is None or server.pid is None else {"redis": server.pid}
        file.write(replace(about, pids={**redis, **known}))

    def moved(pids: Mapping[str, int]) -> None:
        first = not known
        known.update(pids)
        write()
        if first:
            say(_NEXT)

    def revive() -> None:
        if server is not None and server.revive():
            say(f"redis: had ended, is started again; pid {server.pid}")
            write()

    described["orchestrator"] = "looks after runs"
    children = [orchestrator, *workers]
    supervise(
        children, described, grace_s=grace, settings=settings, board=board, ticks=[(_REVIVE_S, revive)], moved=moved
    )


def _needed(devices: Sequence[str]) -> list[str]:
    """The queues that the installed nodes lead to, and all that processors serve: a project may name another one."""
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.runtime.distributed.fleet import CPU_QUEUES

    manifests = [entry.manifest for entry in Catalog.load().entries() if entry.manifest and entry.state == "enabled"]
    others = sorted({manifest.queue for manifest in manifests}.difference(CPU_QUEUES))
    served = [queue for queue in others if devices or not queue.startswith("gpu.")]
    if idle := sorted(manifest.id for manifest in manifests if manifest.queue in set(others).difference(served)):
        say(f"No GPU is found here, so nobody executes {', '.join(idle)}. Name one with --devices.")
    return [*CPU_QUEUES, *served]


def _private(settings: Settings, devices: Sequence[str]) -> list[str]:
    """The queues of isolated environments."""
    from tyqi_core.cli.serving import privates

    found = privates(settings)
    served = [one for one in found if devices or one.family != "gpu"]
    if idle := sorted(one.name for one in found if one not in served):
        say(f"No GPU is found here, so nobody serves the environments of {', '.join(idle)}. Name one with --devices.")
    return [one.queue for one in served]


@contextmanager
def _server(settings: Settings) -> Iterator[EmbeddedRedis | None]:
    """A server of this project's own where none is named."""
    if settings.redis:
        yield None
        return
    from tyqi_core.runtime.processes.embedded import EmbeddedRedis

    with EmbeddedRedis(settings.state / "redis") as server:
        yield server


def _check_store(settings: Settings) -> None:
    """Better told once here than by every worker."""
    from tyqi_core.app import open_store

    open_store(settings).close()


def _about(settings: Settings, server: EmbeddedRedis | None, queues: Sequence[str]) -> Up:
    from tyqi_core.runtime.distributed.upfile import Up

    url = settings.redis if server is None else server.url
    old = server is not None and server.program.old
    return Up(url, settings.broker, list(queues), old, os.getpid(), time.time(), {})


def _where(settings: Settings, server: EmbeddedRedis | None) -> str:
    """The store in words, without its password."""
    if server is not None:
        return f"redis: its own server, {server.program.path}, data in {server.folder}; pid {server.pid}"
    address = urlsplit(settings.redis)
    return f"redis: {address.scheme}://{address.hostname or address.path}:{address.port or 6379}, as the settings say"
