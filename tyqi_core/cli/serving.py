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

if TYPE_CHECKING:
    from tyqi_core.runtime.distributed.fleet import WorkerPlan
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


def check_platform() -> None:
    """Refuse systems on which workers cannot be supervised.

    Raises:
        UsageError: this is Windows.
    """
    if os.name != "posix":
        raise UsageError("workers need Linux or macOS", code="PLATFORM", remedy="'tyqi run' works here.")


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
