"""The composition root: settings in, parts plugged together out. Nothing else knows which parts there are."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InputError, InvalidProject, Problem, UsageError
from tyqi_core.runtime.distributed.queues import QUEUES
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from tyqi_core.catalog.manifest import Manifest
    from tyqi_core.runtime.context import ProgressListener
    from tyqi_core.runtime.distributed.durations import Durations
    from tyqi_core.runtime.distributed.engine import Engine
    from tyqi_core.runtime.distributed.settling import Messenger
    from tyqi_core.runtime.distributed.sweeper import Sweeper
    from tyqi_core.runtime.distributed.watchdog import Watchdog
    from tyqi_core.runtime.history import Fields, NodeHistory
    from tyqi_core.runtime.inprocess import InProcessRuntime
    from tyqi_core.runtime.measuring import Tally
    from tyqi_core.runtime.processes.boards import Held
    from tyqi_core.runtime.record import RunRecord
    from tyqi_core.runtime.replay import Comparison
    from tyqi_core.runtime.run import RunHandle, RunResult
    from tyqi_core.stores.redis import RedisStore
    from tyqi_core.workflow.plan import Plan

    Show = Callable[[Sequence[Held]], None]


@dataclass(frozen=True, slots=True)
class Project:
    """A compiled project and the text it was compiled from."""

    plan: Plan
    source: str


def open_catalog(settings: Settings | None = None, *, cache: bool = True) -> Catalog:
    """The nodes that projects here can use: those of this environment, and those of its isolated environments.

    Args:
        settings: where isolated environments and the registry are; by default those in force here.
        cache: False looks at everything again instead of trusting the index.
    """
    from tyqi_core.installation.advising import advice
    from tyqi_core.installation.isolated import isolated_nodes
    from tyqi_core.installation.quarantine import quarantine

    settings = settings or Settings.load()
    isolated = isolated_nodes(settings.state, cache=cache)
    withdrawn = quarantine(settings.registry)
    advise = advice(settings.registry)
    return Catalog.load(cache=cache, isolated=isolated, advice=advise, quarantine=withdrawn, caution=_first_use)


def _first_use(manifest: Manifest) -> str:
    from tyqi_core.catalog.probe import first_use

    return first_use(manifest)


def load_project(path: str | Path, *, params: Mapping[str, Any] | None = None, catalog: Catalog | None = None) -> Plan:
    """Compile a project file.

    Args:
        path: the YAML file.
        params: values for the project's parameters.
        catalog: the nodes to compile against; by default those installed here.

    Raises:
        InvalidProject: the project does not compile; carries every problem with its file and line.
    """
    return open_project(path, catalog or open_catalog(), params=params).plan


def run_project(
    project: Plan | str | Path,
    inputs: Mapping[str, Any],
    *,
    params: Mapping[str, Any] | None = None,
    catalog: Catalog | None = None,
    threads: int | None = None,
) -> RunResult:
    """Run one item through a project in this process, and wait for it.

    Args:
        project: a plan, or the path of a project file.
        inputs: by name; a path is read (as text too, where no text can be meant), encoded bytes given for a picture are
            decoded.
        params: values for the project's parameters; only with a path.
        catalog: the nodes to run; by default those installed here.
        threads: how many tasks may execute at once.

    Returns:
        How the run ended: status, outputs, error and events. A failed run is returned, not raised.

    Raises:
        InvalidProject: the project does not compile.
        InputError: an input is missing or cannot be used.
        UsageError: ``params`` are given with a plan, or ``threads`` is below 0.
    """
    from tyqi_core.runtime.inprocess import InProcessRuntime

    if params and not isinstance(project, str | Path):
        raise UsageError(
            "params belong to a project file; this plan holds its own", remedy="load_project(path, params=...)"
        )
    catalog = catalog or open_catalog()
    plan = load_project(project, params=params, catalog=catalog) if isinstance(project, str | Path) else project
    loaded = read_inputs(plan, inputs)
    with InProcessRuntime(plan, catalog, threads=threads) as runtime:
        result = runtime.run(loaded)
    if not result.events and result.error:
        raise InputError(result.error["message"], code=result.error["code"], remedy=result.error.get("remedy"))
    return result


def open_project(path: str | Path, catalog: Catalog, *, params: Mapping[str, Any] | None = None) -> Project:
    """Compile a project file and keep its text.

    Raises:
        InvalidProject: the project does not compile.
    """
    from tyqi_core.workflow.compiler import compile_file

    plan = compile_file(path, catalog, params)
    return Project(plan, Path(path).read_text(encoding="utf-8-sig"))


def read_inputs(plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """Run inputs with paths read and encoded pictures decoded.

    Raises:
        InputError: a file cannot be used.
    """
    from tyqi_core.runtime.inputs import decode_input, read_input
    from tyqi_core.runtime.types import input_types

    types = input_types(plan)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in types and (isinstance(value, Path) or (isinstance(value, str) and types[name].name != "json")):
            values[name] = read_input(Path(value), types[name])
        elif name in types and isinstance(value, bytes):
            values[name] = decode_input(value, types[name])
        else:
            values[name] = value
    return values


def open_runtime(
    project: Project,
    catalog: Catalog,
    settings: Settings,
    *,
    threads: int | None = None,
    listener: ProgressListener | None = None,
    tally: Tally | None = None,
) -> InProcessRuntime:
    """A runtime of this process whose runs are recorded in the state folder.

    Args:
        project: what to run.
        catalog: its nodes.
        settings: where records go, how many threads.
        threads: how many tasks may execute at once; goes before the setting.
        listener: who hears of progress that nodes report.
        tally: keeps what attempts took; its summaries go into the state folder's history when the command ends.
    """
    from tyqi_core.hooks import load_hooks
    from tyqi_core.runtime.inprocess import InProcessRuntime
    from tyqi_core.runtime.record import RunRecorder
    from tyqi_core.runtime.types import output_types

    types = output_types(project.plan, catalog)
    keep = settings.retention_days > 0
    recorder = RunRecorder(settings.state, project.source, types, keep_payloads=keep)
    count = threads or settings.threads or None
    hooks = load_hooks()
    return InProcessRuntime(
        project.plan, catalog, threads=count, recorder=recorder, listener=listener, hooks=hooks, tally=tally
    )


def histories(settings: Settings) -> Mapping[str, NodeHistory]:
    """What is remembered of nodes, by id and major version: in the state folder, and by workers if there are any."""
    from tyqi_core.runtime.history import from_fields, merge
    from tyqi_core.runtime.history_file import read_histories

    found = dict(read_histories(settings.state))
    if has_store(settings):
        with closing(open_store(settings)) as store:
            for node, fields in _shared_histories(store).items():
                found[node] = merge(found.get(node, {}), fields)
    return {node: from_fields(fields) for node, fields in found.items()}


def resume_run(runtime: InProcessRuntime, record: RunRecord) -> RunHandle:
    """Go on with a run that failed or was cancelled, from its record.

    Raises:
        UsageError: the run did not stop early.
        ReplayRefused: what its tasks held is missing or damaged.
    """
    return runtime.resume(record.state())


def replay_run(
    record: RunRecord, catalog: Catalog, settings: Settings, swaps: Mapping[str, str] | None = None
) -> Comparison:
    """Repeat a recorded run from its inputs and compare; nothing of the repetition is recorded.

    Args:
        record: the run.
        catalog: must hold the versions that the run's plan pins, and what is swapped in.
        settings: for the number of threads.
        swaps: node id -> reference to run in its place, such as ``{"crack.segment": "crack.segment@2"}``.

    Raises:
        ReplayRefused: its inputs were not kept.
        CatalogError: a node that the run needs is not installed in its version.
        InvalidProject: the project does not compile with the nodes swapped in.
    """
    from tyqi_core.runtime.inprocess import InProcessRuntime
    from tyqi_core.runtime.replay import compare
    from tyqi_core.runtime.types import output_types
    from tyqi_core.workflow.compiler import compile_text

    plan = record.plan()
    if swaps:
        plan = compile_text(record.source(), "project.yaml", catalog.replacing(swaps), plan.params)
    with InProcessRuntime(plan, catalog, threads=settings.threads or None) as runtime:
        result = runtime.run(record.inputs(), run_id=f"replay-{uuid.uuid4().hex[:12]}")
    return compare(record, result, output_types(plan, catalog), swaps or {})


def node_project(node_id: str, catalog: Catalog, params: Mapping[str, Any] | None = None) -> Project:
    """A project of one task that runs one node on inputs of the node's own names, for trying a node out.

    Raises:
        CatalogError: the node is not installed.
        InvalidProject: the parameters do not fit.
    """
    from tyqi_core.workflow.compiler import compile_text
    from tyqi_core.workflow.single import single_node_project

    manifest = catalog.find(node_id)
    source = single_node_project(manifest, params or {})
    try:
        plan = compile_text(source, f"<{manifest.id}>", catalog)
    except InvalidProject as error:  # nobody wrote the lines of this project: the parameter is the place
        raise InvalidProject(_of_parameter(problem) for problem in error.problems) from None
    return Project(plan, source)


def in_force(settings: Settings) -> Settings:
    """The settings with store and broker of the ``tyqi up`` of this state folder, if they name none and one runs."""
    if settings.redis:
        return settings
    from tyqi_core.runtime.distributed.upfile import running_up

    up = running_up(settings.state)
    return settings if up is None else replace(settings, redis=up.redis, broker=settings.broker or up.broker)


def has_store(settings: Settings) -> bool:
    """Whether there is a store of runs on workers: one that is named, or that of a ``tyqi up`` that runs here."""
    return bool(in_force(settings).redis)


def open_store(settings: Settings) -> RedisStore:
    """The store of runs on workers.

    Raises:
        UsageError: no server is named, or it would lose runs.
        StoreError: it is away.
    """
    from tyqi_core.runtime.distributed.upfile import running_up
    from tyqi_core.stores.redis import Options, RedisStore

    settings = _with_store(settings)
    up = running_up(settings.state)
    old_server = up is not None and up.old_server and up.redis == settings.redis
    options = Options(
        namespace=settings.namespace,
        lease_s=settings.lease_s,
        grace_s=settings.grace_s,
        retention_s=settings.keep_runs_hours * 3600,
    )
    shared_memory = None if settings.shared_memory else False  # None: where the server is on this host
    return RedisStore.connect(settings.redis, options, old_server=old_server, shared_memory=shared_memory)


def _with_store(settings: Settings) -> Settings:
    settings = in_force(settings)
    if settings.redis:
        return settings
    raise UsageError(
        "no Redis server is named, and none was started here",
        code="NO_STORE",
        remedy="Start 'tyqi up', or name a server: TYQI_REDIS=redis://127.0.0.1:6379/0.",
    )


def open_celery(settings: Settings, queues: Iterable[str] = QUEUES) -> Celery:
    """The Celery application on the broker that the settings name.

    Raises:
        UsageError: they name none.
    """
    from tyqi_core.runtime.distributed.broker import BrokerOptions, celery_app

    settings = in_force(settings) if settings.broker else _with_store(settings)
    options = BrokerOptions(settings.broker or settings.redis, settings.redis or None, settings.remote_control)
    return celery_app(options, queues)


def open_messenger(settings: Settings, durations: Durations | None = None) -> Messenger:
    """What tells workers of ready tasks."""
    from tyqi_core.runtime.distributed.durations import Durations
    from tyqi_core.runtime.distributed.publisher import Publisher
    from tyqi_core.runtime.distributed.settling import Messenger

    return Messenger(Publisher(open_celery(settings)), (durations or Durations()).expected)


def open_engine(
    settings: Settings, catalog: Catalog, queues: Iterable[str], worker: str, show: Show | None = None
) -> Engine:
    """What executes tasks in a worker process."""
    from tyqi_core.hooks import load_hooks
    from tyqi_core.runtime.distributed.durations import Durations
    from tyqi_core.runtime.distributed.engine import Engine
    from tyqi_core.runtime.history import from_fields

    store = open_store(settings)
    known = {node: from_fields(fields) for node, fields in _shared_histories(store).items()}
    durations = Durations(known)
    return Engine(
        store,
        catalog,
        open_messenger(settings, durations),
        durations,
        worker=worker,
        queues=frozenset(queues),
        hooks=load_hooks(),
        show=show or _nobody,
    )


def open_sweeper(settings: Settings) -> Sweeper:
    """What gives tasks to others that nobody took, or whose worker died."""
    from tyqi_core.runtime.distributed.sweeper import Sweeper

    return Sweeper(open_store(settings), open_messenger(settings))


def open_watchdog(settings: Settings, folder: Path, end: Callable[[int], None]) -> Watchdog:
    """What ends worker processes that are stuck, and gives what the dead held to others.

    Args:
        settings: where store and broker are.
        folder: where the processes show their boards.
        end: ends a process, by its id.
    """
    from tyqi_core.runtime.distributed.watchdog import Watchdog

    return Watchdog(open_store(settings), open_messenger(settings), folder, end)


def queue_lengths(settings: Settings, queues: Iterable[str]) -> dict[str, int]:
    """How many messages wait in each queue; a message may stand for many tasks.

    Raises:
        UsageError: the settings name no broker, and none runs here.
    """
    from tyqi_core.runtime.distributed.publisher import Publisher

    publisher = Publisher(open_celery(settings))
    try:
        return {queue: publisher.waiting(queue) for queue in queues}
    finally:
        publisher.close()


def open_node(node_id: str, catalog: Catalog, params: Mapping[str, Any]) -> InProcessRuntime:
    """A runtime of one node alone.

    Raises:
        CatalogError: the node is not installed.
        InvalidProject: the parameters do not fit.
    """
    from tyqi_core.runtime.inprocess import InProcessRuntime

    return InProcessRuntime(node_project(node_id, catalog, params).plan, catalog, threads=1)


def _shared_histories(store: RedisStore) -> dict[str, Fields]:
    """What the workers of a store have seen of their nodes; a summary that is damaged is left out."""
    from tyqi_core.runtime.history import merge, parsed

    found: dict[str, Fields] = {}
    for node, raw in store.history():
        with suppress(ValueError):
            found[node] = merge(found.get(node, {}), parsed(raw))
    return found


def _nobody(_: object) -> None:
    """Shows attempts to nobody."""


def _of_parameter(problem: Problem) -> Problem:
    name = problem.path.partition(".params.")[2]
    return replace(problem, file=f"parameter '{name}'" if name else "", line=0, column=0)
