"""Trials of a node in the runtimes: ``R01`` to ``R05``. They run in the child process of ``running.py``."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.conformance.bench import Bench, Tried
from tyqi_core.conformance.checks import NotApplicable
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.inputs import BOUNDS, Case, plain
from tyqi_core.errors import TyqiError
from tyqi_core.node import Node
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.measuring import Meter
from tyqi_core.runtime.run import RunResult
from tyqi_core.workflow.plan import Plan
from tyqi_core.workflow.single import TASK

Findings = Iterator[Finding | tuple[str, float]]

MARGIN: Final = 1.5
LIMITS_S: Final[Mapping[str, float]] = {"short": 1.0, "long": 60.0, "heavy": float("inf")}
CALLS: Final = 1000
CALLING_S: Final = 600.0
"""A node that needs longer for them is not tried: it has not been shown to keep its size."""
GROWTH_MB: Final = 8.0
"""What 1,000 calls may add; the allocator's own unrest is below that."""
PROMPT_S: Final = 1.0
"""How long a node may go on that nobody waits for any more."""

_REPEATS: Final = 3
"""The quickest of so many executions counts: a busy machine is no fault of the node."""
_STEPS: Final = 4
_WARM: Final = 50
_MOST_LINES: Final = 100_000
"""Lines of one execution that are counted."""


class ProvokedError(Exception):
    """Raised in the midst of a node's own code."""


def celery_task(bench: Bench) -> Findings:
    """R01."""
    if find_spec("celery") is None:
        raise NotApplicable("celery is not installed here: pip install 'tyqi-core[workers]'")
    from celery.app.utils import find_app  # noqa: PLC0415 - the extra `workers`

    from tyqi_core.runtime.distributed.broker import task_name  # noqa: PLC0415 - see above

    case = _case(bench)
    app = find_app("tyqi_core.worker")  # as `celery -A` does; nothing connects
    manifest, name = bench.manifest, task_name(bench.manifest.id)
    if name not in app.tasks:
        yield Finding(f"there is no Celery task {name}")
        return
    queue = bench.prepared(case.params).plan.tasks[TASK].queue
    if queue != manifest.queue:
        yield Finding(f"its tasks go to the queue {queue}, its resources say {manifest.queue}")
    if manifest.queue not in {one.name for one in app.conf.task_queues}:
        yield Finding(f"workers serve no queue {manifest.queue}")
    yield from _called(bench, app.tasks[name], case)


def _called(bench: Bench, task: Any, case: Case) -> Iterator[Finding]:
    """The task's own body, as a worker calls it; ids name the highest major, so only that can be called."""
    from tyqi_core.runtime.distributed.direct import from_inline, to_inline  # noqa: PLC0415 - the extra `workers`

    manifest = bench.manifest
    if bench.catalog.find(manifest.id).major != manifest.major:
        return
    inputs = {name: to_inline(value) for name, value in case.inputs.items()}
    try:
        answer = task(inputs=inputs, params=dict(case.params))
    except Exception as error:  # noqa: BLE001 - whatever a worker would meet
        yield Finding(f"{case.name}: as a Celery task it fails: {type(error).__name__}: {error}"[:500])
        return
    outputs = {name: from_inline(value, manifest.outputs[name].type) for name, value in answer.items()}
    alone = bench.digests(bench.completed[0])
    alone.pop("outcome", None)
    if manifest.deterministic and bench.digests(Tried(case, outputs)) != alone:
        yield Finding(f"{case.name}: as a Celery task it gives other outputs")


def failure_is_contained(bench: Bench) -> Findings:
    """R02."""
    case = _case(bench)
    interruption = Interruption(bench.own)
    failing = interruption.put_into(bench.catalog.activate(bench.manifest))
    catalog = Catalog.of(LocalNode(bench.manifest, failing))
    with InProcessRuntime(bench.prepared(case.params).plan, catalog, threads=1) as runtime:
        good, broken, again = (runtime.run(case.inputs) for _ in range(3))
    error = broken.error or {}
    if good.status != "completed":
        yield Finding(f"{case.name}: it fails: {good.error}")
    elif broken.status == "failed" and not {"code", "message", "task", "node"} <= error.keys():
        yield Finding(f"an exception in it became no structured error: {error}")
    elif again.status != "completed":
        yield Finding(f"after an exception the next task fails: {again.error}")
    elif bench.manifest.deterministic and _digests(bench, case, again) != _digests(bench, case, good):
        yield Finding("after an exception the next task gives other outputs: something was left half done on self")


class Interruption:
    """Raises an exception in the midst of a node's own code, once: in its second execution.

    The first execution tells how many lines it has; the second one is broken off at the line in the middle.

    Args:
        own: the files of the node's package.
    """

    def __init__(self, own: tuple[str, ...]) -> None:
        self._own = own
        self._executions = 0
        self._lines = 0
        self._last = _MOST_LINES

    def put_into(self, node_class: type[Node]) -> type[Node]:
        """The node, to be interrupted."""
        own = (name for name in ("process", "process_batch") if getattr(node_class, name) is not getattr(Node, name))
        name = next(own)  # a node that defines process is called by it
        call = getattr(node_class, name)

        def called(node: Node, *arguments: Any) -> Any:
            self._executions, self._lines = self._executions + 1, 0
            before = sys.gettrace()
            sys.settrace(self._entered if self._executions < 3 else None)  # noqa: PLR2004 - the third one is not looked at
            try:
                return call(node, *arguments)
            finally:
                sys.settrace(before)
                self._last = max(1, self._lines // 2)

        return type(node_class.__name__, (node_class,), {name: called})

    def _entered(self, frame: FrameType, _event: str, _value: Any) -> Any:
        return self._at_line if frame.f_code.co_filename.startswith(self._own) else None

    def _at_line(self, _frame: FrameType, event: str, _value: Any) -> Any:
        if event == "line":
            self._lines += 1
            if self._lines >= self._last:
                sys.settrace(None)
                if self._executions > 1:
                    raise ProvokedError("provoked by the conformance kit")
                return None
        return self._at_line


def stops(bench: Bench) -> Findings:
    """R03."""
    case = _case(bench)
    plan = bench.prepared(case.params).plan
    usual = min(_seconds(bench, case) for _ in range(_repeats(bench)))
    yield "usual_s", round(usual, 3)
    if usual > PROMPT_S:  # a quicker one ends by itself before anybody would notice
        yield from _ends_when_cancelled(bench, case, usual)
    yield from _ends_at_its_deadline(bench, plan, case)


def _repeats(bench: Bench) -> int:
    return _REPEATS if bench.quick else 1


def _seconds(bench: Bench, case: Case) -> float:
    started = time.perf_counter()
    bench.attempt(case)
    return time.perf_counter() - started


def _ends_when_cancelled(bench: Bench, case: Case, usual: float) -> Iterator[Finding]:
    prepared = bench.prepared(case.params)
    slot, node, context = bench.enter(prepared)
    context.cancelled = True
    ended = threading.Event()

    def attempt() -> None:
        try:
            prepared.executable.run(node, prepared.values(prepared.inputs.checked(case.inputs)), context)
        except TyqiError:
            pass  # cancelled, as it should be
        finally:
            bench.instances.leave(slot)
            ended.set()

    threading.Thread(target=attempt, daemon=True).start()
    if not ended.wait(max(PROMPT_S, usual / 2)):
        text = f"{case.name}: it takes {usual:.1f} s and goes on when it is cancelled"
        yield Finding(text, remedy="Call ctx.check_cancelled() in its loop.")
        ended.wait(usual * 3)


def _ends_at_its_deadline(bench: Bench, plan: Plan, case: Case) -> Iterator[Finding]:
    """A deadline that has passed gives TIMEOUT, or the result where that was quicker; then the next task runs."""
    task = replace(plan.tasks[TASK], timeout=0.02)
    short = replace(plan, tasks={TASK: task})
    with InProcessRuntime(short, bench.catalog, threads=1) as runtime:
        result = runtime.run(case.inputs)
    if result.status != "completed" and (result.error or {}).get("code") != "TIMEOUT":
        yield Finding(f"{case.name}: past its deadline it ends as {result.status}, {result.error}")
    if bench.attempt(case).error is not None:
        yield Finding(f"{case.name}: after a timeout the next task fails")


def within_its_means(bench: Bench) -> Findings:
    """R04."""
    meter, manifest = Meter(), bench.manifest
    case = next(iter(bench.examples), None) or plain(manifest)
    if case is None or manifest.resources.device == "gpu":
        raise NotApplicable("there is no example of it, or it needs a GPU")
    prepared = bench.prepared(case.params)
    values = prepared.values(prepared.inputs.checked(case.inputs))
    with meter.building(manifest.reference):
        slot, node, context = bench.enter(prepared)
    try:
        samples = []
        for _ in range(1 + _repeats(bench)):  # the first one warms up
            begun = meter.begin(manifest.reference)
            prepared.executable.run(node, values, context)
            samples.append(meter.end(begun))
    except TyqiError:
        raise NotApplicable("its example fails, see T01") from None
    finally:
        bench.instances.leave(slot)
    seconds = min(sample.seconds for sample in samples[1:])
    yield "duration_s", round(seconds, 4)
    yield from _beyond("it takes", seconds, LIMITS_S[manifest.resources.duration], "s", manifest.resources.duration)
    if (peak := samples[0].memory_mb) is not None:
        yield "peak_mb", round(peak, 1)
        yield from _beyond("it needs", peak, manifest.resources.memory_mb, "MiB", f"{manifest.resources.memory_mb} MiB")


def _beyond(what: str, found: float, limit: float, unit: str, declared: str) -> Iterator[Finding]:
    if found > limit * MARGIN:
        yield Finding(f"{what} {found:.1f} {unit}, more than {MARGIN} times what it declares ({declared})")


def keeps_its_size(bench: Bench) -> Findings:
    """R05."""
    case = _quickest(bench)
    if (each := min(_seconds(bench, case) for _ in range(3))) * CALLS > CALLING_S:
        remedy = "Let it complete a small input sooner: its first example, or the smallest that its manifest allows."
        yield Finding(f"{CALLS} calls at {each:.3g} s each would take longer than {CALLING_S:g} s", remedy=remedy)
        return
    for _ in range(_WARM):
        bench.attempt(case)
    sizes = [_resident_mb()]
    for _ in range(_STEPS):
        for _ in range(CALLS // _STEPS):
            bench.attempt(case)
        gc.collect()
        sizes.append(_resident_mb())
    growth = sizes[-1] - sizes[0]
    yield "growth_mb", round(growth, 2)
    if growth > GROWTH_MB and all(a < b for a, b in pairwise(sizes)):
        yield Finding(f"{CALLS} calls with the same inputs took {growth:.1f} MiB that were not given back")


def _quickest(bench: Bench) -> Case:
    """A case that it completes quickly: memory that is lost is lost with small inputs too."""
    tried: list[Case] = []
    small = plain(bench.manifest, BOUNDS[-1])
    if small is not None and bench.attempt(small).error is None:
        tried.append(small)
    return min([*_cases(bench), *tried], key=lambda case: _seconds(bench, case))


def _case(bench: Bench) -> Case:
    return _cases(bench)[0]


def _cases(bench: Bench) -> list[Case]:
    if not bench.working:
        raise NotApplicable("no input is known that it completes, see T01")
    return bench.working


def _digests(bench: Bench, case: Case, result: RunResult) -> dict[str, str]:
    """As of an attempt: the outcome of a condition node is in its events."""
    found = bench.digests(Tried(case, result.outputs))
    outcomes = [event.data["outcome"] for event in result.events if event.data and event.data.get("outcome")]
    return found | ({"outcome": outcomes[0]} if outcomes else {})


def _resident_mb() -> float:
    try:
        status = Path("/proc/self/statm").read_text(encoding="ascii")
    except OSError:
        raise NotApplicable("only Linux tells how much memory a process holds") from None
    return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


TRIALS: Final[Mapping[str, Callable[[Bench], Findings]]] = {
    "R01": celery_task,
    "R02": failure_is_contained,
    "R03": stops,
    "R04": within_its_means,
    "R05": keeps_its_size,
}
