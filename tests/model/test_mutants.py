"""Would these tests notice? Bugs are put into the scheduler and the store, one at a time; each must be caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import world
from corners import CASES
from world import hold

from tyqi_core import scheduler
from tyqi_core.errors import InternalError
from tyqi_core.scheduler import Effects, Verdict
from tyqi_core.stores import memory
from tyqi_core.stores.memory import MemoryStore


def hold_all() -> None:
    for one in CASES:
        hold(one, range(8))


# ---- bugs in the scheduler


def bent(change: Callable[..., Effects]) -> Callable[[pytest.MonkeyPatch], None]:
    """A mutant that does something to what ``effects`` works out."""
    right = scheduler.effects

    def apply(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(world, "effects", lambda plan, instance, result: change(right, plan, instance, result))

    return apply


def null_branch_does_not_release(right, plan, instance, result):
    done = right(plan, instance, result)
    stuck = result.outcome is not None and not done.ready
    beside = tuple(change for change in done.changes if change.key.endswith("R"))
    return replace(done, changes=beside) if stuck else done


def empty_list_is_not_released(right, plan, instance, result):
    done = right(plan, instance, result)
    return replace(done, changes=()) if result.count == 0 else done


def tails_are_counted_once(right, plan, instance, result):
    tails = {scope: tails if not scope else tails[:1] for scope, tails in plan.tails.items()}
    return right(replace(plan, tails=tails), instance, result)


def reading_is_waiting_for_the_end(right, plan, instance, result):
    def late(task):
        return replace(task, successors=(*task.successors, *task.beside), beside=())

    return right(replace(plan, tasks={name: late(task) for name, task in plan.tasks.items()}), instance, result)


def _with_start(prefix: str, start: int) -> Callable[..., Effects]:
    def mutant(right, plan, instance, result):
        done = right(plan, instance, result)
        changes = tuple(c._replace(start=start) if c.key.startswith(prefix) else c for c in done.changes)
        return replace(done, changes=changes)

    return mutant


def error_branch_is_not_waited_for(right, plan, instance, result):
    done = right(plan, instance, result)
    if result.kind != "failed":
        return done
    right_away = tuple(change for change in right(plan, instance, scheduler.Result("skipped")).changes)
    return replace(done, changes=right_away)


def skipped_foreach_collects_an_empty_list(right, plan, instance, result):
    foreach = plan.tasks[scheduler.task_id(instance)].foreach
    return right(
        plan, instance, scheduler.Result("completed", None, 0) if foreach and result.kind == "skipped" else result
    )


def last_item_is_left_out(right, plan, instance, result):
    done = right(plan, instance, result)
    return replace(done, ready=tuple(r._replace(items=r.items - 1) if r.items else r for r in done.ready))


def exports_of_items_are_reversed(right, plan, instance, result):
    done = right(plan, instance, result)
    return replace(done, exports=tuple(export._replace(at=export.at[::-1]) for export in done.exports))


def offers_climb_one_level_only(monkeypatch):
    monkeypatch.setattr(scheduler, "_climb", lambda *_: iter(()))


def tails_speak_for_one_level_only(monkeypatch):
    right = scheduler._fed

    def fed(plan, task, instance, delta):
        depth = instance.count("/")
        for change in right(plan, task, instance, delta):
            if change.key == "end" or change.key.count("/") >= depth - 1:
                yield change

    monkeypatch.setattr(scheduler, "_fed", fed)


def a_skipped_task_opens_its_branch(monkeypatch):
    right = scheduler._opened

    def opened(task, result):
        heads = [head for head in task.branches.values() if head]
        return (heads[0], 1) if result.kind == "skipped" and heads else right(task, result)

    monkeypatch.setattr(scheduler, "_opened", opened)


def _verdict(change: Callable[..., Verdict]) -> Callable[[pytest.MonkeyPatch], None]:
    right = scheduler.after_failure
    return lambda monkeypatch: monkeypatch.setattr(world, "after_failure", lambda *given: change(right, *given))


def one_retry_too_few(right, task, tries, error):
    return right(task, tries + 1, error)


def what_does_not_fit_is_tried_again(right, task, tries, error):
    return Verdict("retry") if tries <= task.retries else Verdict(task.on_error)


def skip_is_taken_for_fail(right, task, tries, error):
    found = right(task, tries, error)
    return Verdict("fail") if found.action == "skip" else found


# ---- bugs in the store


def skip_does_not_cascade(monkeypatch):
    right = MemoryStore.claim

    def claim(self, run_id, instance, wanted):
        return right(self, run_id, instance, [one._replace(required=False) for one in wanted])

    monkeypatch.setattr(MemoryStore, "claim", claim)


def a_late_attempt_is_accepted(monkeypatch):
    monkeypatch.setattr(memory, "_current", lambda run, instance, token: run.tasks.get(instance))


def an_error_branch_keeps_the_outputs(monkeypatch):
    right = MemoryStore.commit

    def commit(self, *given, **named):
        if named["kind"] == "task.failed":
            named["slots"] = {**(named["slots"] or {}), "x": 1}
        return right(self, *given, **named)

    monkeypatch.setattr(MemoryStore, "commit", commit)


def a_failing_run_makes_more_ready(monkeypatch):
    right = memory._make_ready

    def make_ready(run, ready):
        status, run.status = run.status, "running"
        made = right(run, ready)
        run.status = status
        return made

    monkeypatch.setattr(memory, "_make_ready", make_ready)


def a_failing_run_starts_what_is_ready(monkeypatch):
    right = MemoryStore.claim

    def claim(self, run_id, instance, wanted):
        run = self.state(run_id)
        status, run.status = run.status, "running"
        claimed = right(self, run_id, instance, wanted)
        run.status = status
        return claimed

    monkeypatch.setattr(MemoryStore, "claim", claim)


def slots_are_never_freed(monkeypatch):
    right = memory._apply

    def apply(run, effects):
        return right(run, Effects(tuple(c._replace(key=c.key.replace("free:", "end:")) for c in effects.changes)))

    monkeypatch.setattr(memory, "_apply", apply)


def joins_fire_one_early(monkeypatch):
    right = memory._apply

    def apply(run, effects):
        early = [c._replace(start=max(1, c.start - 1)) if c.key.startswith("ready:") else c for c in effects.changes]
        return right(run, Effects(tuple(early)))

    monkeypatch.setattr(memory, "_apply", apply)


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a null branch does not release": bent(null_branch_does_not_release),
    "an empty list is not released": bent(empty_list_is_not_released),
    "tails are counted once": bent(tails_are_counted_once),
    "who reads waits for the branch": bent(reading_is_waiting_for_the_end),
    "slots are freed by the first reader": bent(_with_start("free:", 1)),
    "a join fires at its first predecessor": bent(_with_start("ready:", 1)),
    "the run's end is counted wrongly": bent(_with_start("end", 9)),
    "an error branch is not waited for": bent(error_branch_is_not_waited_for),
    "a skipped foreach collects an empty list": bent(skipped_foreach_collects_an_empty_list),
    "the last item is left out": bent(last_item_is_left_out),
    "the order of indices is reversed": bent(exports_of_items_are_reversed),
    "offers climb one level only": offers_climb_one_level_only,
    "tails speak for one level only": tails_speak_for_one_level_only,
    "a skipped task opens its branch": a_skipped_task_opens_its_branch,
    "one retry too few": _verdict(one_retry_too_few),
    "what does not fit is tried again": _verdict(what_does_not_fit_is_tried_again),
    "skip is taken for fail": _verdict(skip_is_taken_for_fail),
    "a skip does not cascade": skip_does_not_cascade,
    "a late attempt is accepted": a_late_attempt_is_accepted,
    "an error branch keeps the outputs": an_error_branch_keeps_the_outputs,
    "a failing run makes more ready": a_failing_run_makes_more_ready,
    "a failing run starts what is ready": a_failing_run_starts_what_is_ready,
    "slots are never freed": slots_are_never_freed,
    "joins fire one early": joins_fire_one_early,
}


def test_without_a_bug_nothing_is_found():
    hold_all()


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_bug_is_found(mutant, monkeypatch):
    MUTANTS[mutant](monkeypatch)
    with pytest.raises((AssertionError, InternalError, LookupError, TypeError)):
        hold_all()
