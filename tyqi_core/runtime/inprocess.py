"""Runs in one process: threads, the memory store, no server.

A worker thread claims a task, executes it, settles it and goes on with one of the tasks that became ready by it; the
others are queued for the other threads. No thread waits for another: joins, branches and items are counters in the
store, a busy node parks the job, a delay lies with the timer.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InputError, NodeError, TaskCancelled, TaskTimeout, TyqiError, UsageError
from tyqi_core.runtime.context import ProgressListener, TaskContext
from tyqi_core.runtime.endings import Ending, attributed, branched, completed, skipped
from tyqi_core.runtime.execute import Executable, Executed, RunInputs, described, pinned_here
from tyqi_core.runtime.instances import Instances, Key, Slot, instance_key
from tyqi_core.runtime.pool import RETIRE, Job, WorkerPool
from tyqi_core.runtime.run import Attempt, Inputs, Loader, Recorder, RunHandle, RunResult, RunUnderWay
from tyqi_core.runtime.timer import Timer
from tyqi_core.runtime.watch import Watch
from tyqi_core.scheduler import Ready, after_failure, effects, locate, start, task_id
from tyqi_core.stores.base import ABSENT, TERMINAL, Claim, RunStatus
from tyqi_core.stores.memory import MemoryStore, RunState
from tyqi_core.workflow.plan import Plan

if TYPE_CHECKING:
    from tyqi_core.hooks import Hooks
    from tyqi_core.runtime.measuring import Tally

log = logging.getLogger("tyqi.runtime")

_SETTLING = 1.0
"""Seconds that a run which was given up has to become settled."""


class InProcessRuntime:
    """Executes runs of one plan in this process; a context manager.

    Args:
        plan: what to run.
        catalog: where its nodes come from; must hold the versions that the plan pins.
        threads: how many tasks may execute at once; by default the number of cores, at least 4.
        recorder: who keeps the runs' records; none by default.
        listener: who hears of progress that nodes report.
        store: where run state lives; a memory store of its own by default.
        hooks: trusted packages that are told what tasks do; none by default.
        tally: keeps what attempts took; nobody does by default.

    Raises:
        CatalogError: the catalog lacks a node that the plan pins, or it lives in an isolated environment.
        UsageError: ``threads`` is below 0.
    """

    def __init__(
        self,
        plan: Plan,
        catalog: Catalog,
        *,
        threads: int | None = None,
        recorder: Recorder | None = None,
        listener: ProgressListener | None = None,
        store: MemoryStore | None = None,
        hooks: Hooks | None = None,
        tally: Tally | None = None,
    ) -> None:
        if threads is not None and threads < 0:
            raise UsageError(f"threads is {threads}; expected 1 or more, or 0 for one a core")
        self.plan = plan
        self.store = store or MemoryStore()
        self._recorder = recorder
        self._listener = listener
        self._watch = Watch(hooks, tally)
        self._inputs = RunInputs(plan)
        self._instances: Instances[Job] = Instances(catalog, meter=tally.meter if tally else None)
        self._executables: dict[str, tuple[Executable, Key]] = {}
        for task in plan.tasks.values():
            manifest = pinned_here(catalog, task.node)
            self._executables[task.id] = Executable(plan, task, manifest), instance_key(task, manifest)
        self._runs: dict[str, RunUnderWay] = {}
        self._lock = threading.Lock()
        self._timer = Timer()
        self._pool = WorkerPool(self._perform, threads or max(4, os.cpu_count() or 4))

    # -- what a caller does ------------------------------------------------------------------------------------------

    def start(
        self, inputs: Inputs | Loader, *, run_id: str | None = None, about: Mapping[str, Any] | None = None
    ) -> RunHandle:
        """Begin a run and return at once.

        Args:
            inputs: the run's inputs by name, or a function that loads them; a function is called on a worker thread,
                and an :class:`~tyqi_core.errors.InputError` from it fails this run alone.
            run_id: its id; a random one by default.
            about: what a person should know of the run (the name of its picture); kept in its record.
        """
        run_id = run_id or uuid.uuid4().hex
        run = self._runs[run_id] = RunUnderWay(inputs if callable(inputs) else lambda: inputs, about or {})
        self._pool.submit(Job(run_id, ""))
        return RunHandle(run_id, run)

    def run(self, inputs: Inputs | Loader, *, run_id: str | None = None) -> RunResult:
        """Run to the end. An interrupt (Ctrl-C) cancels the run and is raised again once it has stopped."""
        handle = self.start(inputs, run_id=run_id)
        try:
            return handle.wait()
        except KeyboardInterrupt:
            self.cancel(handle.id)
            raise

    def resume(self, state: RunState) -> RunHandle:
        """Go on with a failed or cancelled run whose state an earlier process left behind.

        Raises:
            UsageError: the run completed, or is held here already.
        """
        self.store.restore(state)
        run = self._runs[state.id] = RunUnderWay(None)
        if self._recorder is not None:
            self._recorder.reopened(state.id)
        if (job := self._onward(state.id, self.store.resume(state.id))) is not None:
            self._pool.submit(job)
        self._end_if_over(state.id)
        return RunHandle(state.id, run)

    def cancel(self, *run_ids: str, grace: float = 5.0) -> None:
        """Stop runs: nothing new starts, nodes that ask are told, and after ``grace`` seconds the rest is given up.

        All are told before any is waited for: else one would begin what another has just left. What was given up is
        held, so that the runs can be resumed. A run whose inputs were not accepted yet ends without a record.
        """
        runs = {run_id: run for run_id in run_ids if (run := self._runs.get(run_id)) is not None}
        for run_id, run in runs.items():
            self._tell_to_stop(run_id, run)
        deadline = monotonic() + grace
        late = [run for run in runs.values() if not run.done.wait(max(0.0, deadline - monotonic()))]
        for attempt in [attempt for run in late for attempt in list(run.attempts.values())]:
            self._give_up(attempt, None)
        deadline = monotonic() + max(grace, _SETTLING)
        for run in late:
            run.done.wait(max(0.0, deadline - monotonic()))

    def _tell_to_stop(self, run_id: str, run: RunUnderWay) -> None:
        with self._lock:
            run.cancelled = True
            delays, run.delays = run.delays, {}
        for attempt in list(run.attempts.values()):
            attempt.context.cancelled = True
        if run.loader is None:
            self.store.cancel(run_id)
            self._end_if_over(run_id)
        for instance, number in delays.items():
            if self._timer.cancel(number):
                self._pool.submit(Job(run_id, instance))

    def close(self, *, grace: float = 5.0) -> None:
        """Cancel what runs, stop the threads, tear the nodes down."""
        self.cancel(*list(self._runs), grace=grace)
        self._timer.close()
        self._pool.close()
        self._instances.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what a worker thread does -----------------------------------------------------------------------------------

    def _perform(self, job: Job) -> Job | None:
        run = self._runs.get(job.run_id)
        if run is None:
            return None
        if not job.instance:
            return self._open(job.run_id, run)
        executable, key = self._executables[task_id(job.instance)]
        slot = self._instances.enter(key, executable.manifest, job)
        if slot is None:
            return None
        try:
            return self._claim(run, job, executable, slot)
        finally:
            if (parked := self._instances.leave(slot)) is not None:
                self._pool.submit(parked)

    def _open(self, run_id: str, run: RunUnderWay) -> Job | None:
        """Load and check the inputs, accept the run."""
        if run.cancelled or run.loader is None:
            self._refuse(run_id, run, "cancelled", None)
            return None
        try:
            inputs = self._inputs.checked(run.loader())
            data = self._recorder.accepted(run_id, self.plan, inputs, run.about) if self._recorder else {}
        except TyqiError as error:
            self._refuse(run_id, run, "failed", error)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a caller's loader raises fails this run, not the thread
            self._refuse(run_id, run, "failed", InputError(f"{type(error).__name__}: {error}"))
            return None
        first = start(self.plan)
        self.store.accept(run_id, inputs, first, {"plan": self.plan.digest, **data})
        run.loader = None
        if run.cancelled:
            self.store.cancel(run_id)
        return self._onward(run_id, first.ready)

    def _claim(self, run: RunUnderWay, job: Job, executable: Executable, slot: Slot[Job]) -> Job | None:
        claim = self.store.claim(job.run_id, job.instance, executable.wanted(job.instance))
        if claim is None:
            self._end_if_over(job.run_id)
            return None
        if claim.skip:
            return self._settle(job, executable, claim, skipped())
        context = TaskContext(job.run_id, job.instance, executable.task.params, "cpu", self._listener)
        attempt = Attempt(job, executable, claim, context, slot)
        run.attempts[job.instance, claim.token] = attempt
        context.cancelled = run.cancelled
        return self._execute(run, attempt)

    def _execute(self, run: RunUnderWay, attempt: Attempt) -> Job | None:
        job, executable, context = attempt.job, attempt.executable, attempt.context
        timeout = executable.task.timeout
        deadline = None
        answer: Executed | NodeError | TaskCancelled
        try:
            self._instances.examine(attempt.slot, executable.manifest)  # none of the task's time
            if timeout is not None:
                deadline = self._timer.after(timeout, partial(self._expired, attempt, timeout))
            node = self._instances.node(attempt.slot, executable.manifest, context)
            answer = self._watch.run(executable, node, attempt.claim.values, context, job)
        except (NodeError, TaskCancelled) as error:
            answer = error
        except BaseException as error:  # not even an exit hidden in what a node returned may end this thread
            log.exception("executing %s failed outside its node", job.instance)
            answer = NodeError(described(error), code="INTERNAL")
        if deadline is not None:
            self._timer.cancel(deadline)
        if run.attempts.pop((job.instance, attempt.claim.token), None) is None:
            return RETIRE  # given up meanwhile: another thread took this one's place
        if isinstance(answer, Executed):
            return self._settle(job, executable, attempt.claim, completed(answer))
        return self._failed(run, job, executable, attempt.claim, answer)

    def _settle(self, job: Job, executable: Executable, claim: Claim, ending: Ending) -> Job | None:
        settled = self.store.commit(
            job.run_id,
            job.instance,
            claim.token,
            kind=ending.kind,
            slots=ending.slots(executable.task),
            outputs=ending.outputs,
            effects=effects(self.plan, job.instance, ending.result),
            data=ending.data,
        )
        if settled is None:
            return None
        if settled.status in TERMINAL:
            self._end_if_over(job.run_id)
            return None
        if self._recorder is not None:
            self._recorder.moved(job.run_id, self.store)
        return self._onward(job.run_id, settled.ready)

    def _onward(self, run_id: str, ready: Sequence[Ready]) -> Job | None:
        """Queue what is ready but for one task, with which the caller's thread goes on: no hop for it."""
        mine: Job | None = None
        for entry in ready:
            for instance in entry.instances():
                if mine is None:
                    mine = Job(run_id, instance)
                else:
                    self._pool.submit(Job(run_id, instance))
        return mine

    # -- failures ----------------------------------------------------------------------------------------------------

    def _failed(
        self, run: RunUnderWay, job: Job, executable: Executable, claim: Claim, error: NodeError | TaskCancelled
    ) -> Job | None:
        if run.cancelled:
            self.store.release(job.run_id, job.instance, claim.token)
            self._end_if_over(job.run_id)
            return None
        error = attributed(error, job.instance, executable.task)
        body = error.to_json()
        verdict = after_failure(executable.task, claim.tries, error)
        match verdict.action:
            case "retry":
                data = {"error": body, "try": claim.tries, "delay_s": verdict.delay}
                if self.store.retry(job.run_id, job.instance, claim.token, data):
                    self._submit_later(run, job, verdict.delay)
            case "skip":
                return self._settle(job, executable, claim, skipped(body))
            case "branch":
                return self._settle(job, executable, claim, branched(body))
            case "fail":
                self.store.fail(job.run_id, job.instance, claim.token, body)
                self._end_if_over(job.run_id)
        return None

    def _submit_later(self, run: RunUnderWay, job: Job, delay: float) -> None:
        with self._lock:
            if not run.cancelled and delay > 0:
                run.delays[job.instance] = self._timer.after(delay, partial(self._delay_over, run, job))
                return
        self._pool.submit(job)

    def _delay_over(self, run: RunUnderWay, job: Job) -> None:
        run.delays.pop(job.instance, None)
        self._pool.submit(job)

    def _expired(self, attempt: Attempt, timeout: float) -> None:
        self._give_up(attempt, TaskTimeout(f"no result within {timeout:g} s"))

    def _give_up(self, attempt: Attempt, error: TaskTimeout | None) -> None:
        """End an attempt whose thread does not come back: by ``error``, or held for a resume."""
        job = attempt.job
        run = self._runs.get(job.run_id)
        if run is None or run.attempts.pop((job.instance, attempt.claim.token), None) is None:
            return
        attempt.context.cancelled = True
        self._pool.replace()
        for parked in self._instances.abandon(attempt.slot):
            self._pool.submit(parked)
        cause = error or TaskCancelled(f"{job.instance} did not stop when asked")
        if (onward := self._failed(run, job, attempt.executable, attempt.claim, cause)) is not None:
            self._pool.submit(onward)

    # -- the end of a run --------------------------------------------------------------------------------------------

    def _end_if_over(self, run_id: str) -> None:
        status = self.store.status(run_id)
        if status is None or status not in TERMINAL:
            return
        run = self._runs.pop(run_id, None)
        if run is None:  # another thread saw the end as well
            return
        result = self._result(run_id, status)
        run.result = result
        try:
            if self._recorder is not None:
                self._recorder.ended(result, self.plan, self.store)
        except Exception:  # who waits for the run must hear of its end, whatever became of its record
            log.exception("the record of run %s could not be closed", run_id)
        finally:
            self.store.forget(run_id)
            run.done.set()

    def _result(self, run_id: str, status: RunStatus) -> RunResult:
        outputs = {}
        for name, source in self.plan.outputs.items():
            value = self.store.read(run_id, locate(self.plan, self.plan.roots[0], source))
            outputs[name] = None if value is ABSENT else value
        store = self.store
        return RunResult(run_id, status, outputs, store.error(run_id), store.events(run_id))

    def _refuse(self, run_id: str, run: RunUnderWay, status: RunStatus, error: TyqiError | None) -> None:
        """End a run that never began."""
        self._runs.pop(run_id, None)
        run.result = RunResult(run_id, status, error=error.to_json() if error else None)
        run.done.set()
