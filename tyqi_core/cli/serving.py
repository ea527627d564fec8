"""What the commands that run processes share: options, the wait for the store, supervision told on standard error."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tyqi_core.cli.output import say
from tyqi_core.errors import StoreError, UsageError
from tyqi_core.safety import safe_mode

if TYPE_CHECKING:
    from tyqi_core.runtime.distributed.fleet import Private, Wanted, WorkerPlan
    from tyqi_core.runtime.processes.child import Child
    from tyqi_core.runtime.processes.supervisor import Tick
    from tyqi_core.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
_AGAIN_S: Final = 1.0
_TELL_S: Final = 0.5
_WATCH_S: Final = 0.1

concurrency_option = click.option(
    "--concurrency",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Tasks at once. Default: one a core for cpu queues, 16 for io, one a device for gpu.",
)
devices_option = click.option(
    "--devices",
    metavar="NAME,...",
    help="The GPUs, as CUDA_VISIBLE_DEVICES names them. Default: those of this machine.",
)
max_memory_option = click.option(
    "--max-memory",
    type=click.IntRange(1),
    metavar="MB",
    help="Replace a prefork process, after its task, once it holds more. Default: the setting max_memory_mb.",
)


def grace_option(default: float, when: str) -> Callable[[Command], Command]:
    """``--grace``: how long tasks may take to end ``when`` something happens."""
    return click.option(
        "--grace",
        type=click.FloatRange(0),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=f"How long tasks may take to end {when}.",
    )


def privates(settings: Settings) -> list[Private]:
    """The isolated environments here, as far as workers are concerned. One without its interpreter is left out."""
    from tyqi_core.installation.isolated import environments
    from tyqi_core.runtime.distributed.fleet import Private

    found = []
    for one in environments(settings.state):
        if not one.python.exists():
            say(f"The environment of {one.distribution} in {one.folder} is damaged: 'tyqi doctor' tells more.")
            continue
        resources = [node.manifest.resources for node in one.nodes() if node.manifest is not None]
        waits = bool(resources) and all(each.pool == "io" for each in resources)
        family = "gpu" if any(each.device == "gpu" for each in resources) else "io" if waits else "cpu"
        found.append(Private(one.name, one.queue, str(one.python), family))
    return found


def private_plans(
    names: Sequence[str], queues: Sequence[str], wanted: Wanted, settings: Settings
) -> tuple[list[WorkerPlan], list[str]]:
    """The workers of isolated environments that are named, by plugin or by queue; and the queues that are left.

    Raises:
        UsageError: there is no such environment (``NO_ENVIRONMENT``).
    """
    from tyqi_core.runtime.distributed.fleet import plan_private

    found = privates(settings) if names or any(queue.startswith("env.") for queue in queues) else []
    short = [name.removeprefix("tyqi-node-") for name in names]
    for name in short:
        if name not in {one.name for one in found}:
            there = ", ".join(sorted({one.name for one in found})) or "there is none"
            remedy = f"tyqi install --isolated {name}"
            raise UsageError(
                f"no isolated environment of '{name}' is here: {there}", code="NO_ENVIRONMENT", remedy=remedy
            )
    chosen = [one for one in found if one.name in short or one.queue in queues]
    plans = [plan for one in chosen for plan in plan_private(one, wanted, memory_mb=settings.max_memory_mb)]
    return plans, [queue for queue in queues if queue not in {one.queue for one in chosen}]


def check_platform() -> None:
    """Refuse to start workers where they cannot be supervised, or must not execute anything.

    Raises:
        UsageError: this is Windows, or the process is in safe mode.
    """
    if os.name != "posix":
        raise UsageError("workers need Linux or macOS", code="PLATFORM", remedy="'tyqi run' works here.")
    if safe_mode():
        raise UsageError("a worker has nothing to do in safe mode: no node is loaded", code="SAFE_MODE")


def names(text: str | None) -> list[str] | None:
    """The names in a list with commas; ``None`` if none was given.

    Raises:
        UsageError: the list is empty.
    """
    if text is None:
        return None
    if found := [part.strip() for part in text.split(",") if part.strip()]:
        return found
    raise UsageError("a list of names is empty", remedy="Leave the option out, or name something: a,b.")


def wait_for_store(settings: Settings) -> None:
    """Return once the store answers; in a cluster it may start later than this.

    Raises:
        UsageError: none is named, or it cannot be used.
        StoreError: it is there, and something else is wrong with it.
    """
    from tyqi_core.app import open_store

    told = False
    while True:
        try:
            open_store(settings).close()
        except StoreError as error:
            if error.code != "STORE_UNAVAILABLE":
                raise
            if not told:
                say(f"Waiting for the store: {error.message}")
            told = True
            time.sleep(_AGAIN_S)
        else:
            return


def supervise(
    children: Sequence[Child],
    described: Mapping[str, str],
    *,
    grace_s: float,
    settings: Settings,
    board: Path,
    ticks: Sequence[Tick] = (),
    moved: Callable[[Mapping[str, int]], None] | None = None,
) -> None:
    """Keep programs running until SIGTERM or Ctrl-C, and tell of each process that is started.

    Args:
        children: what to run.
        described: child -> what is to be said of it.
        grace_s: how long they may take to end.
        settings: where store and broker are.
        board: where the workers among them show what they hold.
        ticks: functions to call every so many seconds.
        moved: told of all processes whenever one was started.
    """
    from tyqi_core.app import open_watchdog
    from tyqi_core.runtime.distributed.watchdog import WatchThread
    from tyqi_core.runtime.processes.supervisor import Patience, Supervisor

    told: dict[str, int] = {}

    def tell() -> None:
        fresh = {name: pid for name, pid in supervisor.pids.items() if told.get(name) != pid}
        for name, pid in fresh.items():
            say(f"{name}: {described.get(name, name)}; pid {pid}")
        told.update(fresh)
        if fresh and moved is not None:
            moved(supervisor.pids)

    def end(pid: int) -> None:
        if (name := supervisor.owner(pid)) is not None:
            supervisor.end(name, signal.SIGKILL, pid)

    with WatchThread(lambda condemn: open_watchdog(settings, board, condemn), end) as watch:
        own = [(_TELL_S, tell), (_WATCH_S, watch.tick)]
        supervisor = Supervisor(children, patience=Patience(grace_s=grace_s), ticks=[*own, *ticks])
        supervisor.run()


def worker_children(plans: Sequence[WorkerPlan], board: Path) -> tuple[list[Child], dict[str, str]]:
    """The programs of workers, and what is to be said of each."""
    from tyqi_core.runtime.distributed.fleet import worker_child

    return [worker_child(plan, board) for plan in plans], {plan.name: str(plan) for plan in plans}
