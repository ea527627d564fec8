"""``tyqi worker``."""

from __future__ import annotations

from dataclasses import replace

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

_POOLS = click.Choice(["prefork", "threads", "solo", "gevent", "eventlet"])


@click.command(epilog="Example:  tyqi worker --queues cpu.short,cpu.long --concurrency 4")
@click.option("--queues", metavar="NAME,...", help="The queues to serve. Default: cpu.short,cpu.long,cpu.heavy.")
@click.option("--env", "envs", multiple=True, metavar="NAME", help="Serve the isolated environment of a plugin: crack.")
@click.option("--pool", type=_POOLS, help="Default: prefork for cpu queues, threads for gpu and io.")
@concurrency_option
@devices_option
@max_memory_option
@grace_option(30.0, "when the worker is told to stop")
def worker(
    queues: str | None,
    envs: tuple[str, ...],
    pool: str | None,
    concurrency: int | None,
    devices: str | None,
    max_memory: int | None,
    grace: float,
) -> None:
    """Execute tasks of runs that were submitted, until SIGTERM or Ctrl-C.

    Worker processes are started and, should one end, started again: one for all cpu queues with a process a core, one
    for each GPU, one for io. When told to stop, they take no more tasks and finish what they have; a second signal ends
    them at once, and other workers repeat what they had. Store and broker are those of the settings.

    With --env, the nodes of an isolated environment are executed, by its own interpreter; without --queues those alone.
    """
    check_platform()
    from tyqi_core.cli.serving import private_plans, supervise, wait_for_store, worker_children
    from tyqi_core.runtime.distributed.fleet import CPU_QUEUES, Wanted, plan_workers
    from tyqi_core.runtime.processes.board_folder import board_folder

    settings = Settings.load()
    served = names(queues) or ([] if envs else CPU_QUEUES)
    wanted = Wanted(served, pool, concurrency, names(devices), max_memory)
    plans, others = private_plans(envs, served, wanted, settings)
    if others or not plans:
        plans += plan_workers(replace(wanted, queues=others), memory_mb=settings.max_memory_mb)
    wait_for_store(settings)
    with board_folder() as board:
        children, described = worker_children(plans, board)
        supervise(children, described, grace_s=grace, settings=settings, board=board)
    say("All workers have ended.")
