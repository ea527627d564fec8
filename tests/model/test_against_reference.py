"""Random projects on the real scheduler, store and runtime, against the naive interpreter."""

import random
from collections import Counter
from dataclasses import replace

from compare import assert_as_told
from effort import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numeric import Ref
from projects import cases
from reference import Reference
from telling import tell
from world import RUN, Driver, Watcher, compiled, hold

from tyqi_core.runtime.inprocess import InProcessRuntime

SEEDS = st.integers(0, 2**32)


@examples(300)
@given(cases(), SEEDS)
def test_in_whatever_order_tasks_are_taken_the_run_is_what_the_reference_tells(case, seed):
    hold(case, [seed])


@examples(150)
@given(cases(), SEEDS)
def test_a_run_that_failed_or_was_cancelled_and_is_resumed_ends_like_one_that_was_not(case, seed):
    plan, catalog = compiled(case)
    reference = Reference(case.project, case.nodes)
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    driver = Driver(plan, catalog, case.inputs, case.behaviour)
    driver.accept()
    watcher = Watcher(driver, reference)
    for _ in range(chance.randrange(12)):
        if steps := driver.steps():
            driver.step(chance.choice(steps))
    driver.cancel(chance)
    driver.drive(chance, watcher)
    while driver.status != "completed":
        driver.table = watcher.table = _repaired(driver)
        driver.resume()
        driver.drive(chance, watcher)
    told = tell(reference, case.inputs, driver.table)
    assert_as_told(told, driver.status, driver.outputs(), driver.store.events(RUN))


def _repaired(driver):
    """The table without the failures of the tasks that were not settled, as if somebody had mended their nodes."""
    table = driver.table
    lasting = {name for name, task in driver.store.state(RUN).tasks.items() if task.status == "settled"}

    def repaired(instance):
        return table(instance) if instance in lasting else replace(table(instance), failures=0, wrong=False)

    return repaired


@examples(150)
@given(cases())
def test_threads_do_what_the_reference_tells(case):
    plan, catalog = compiled(case)
    with InProcessRuntime(plan, catalog, threads=4) as runtime:
        result = runtime.run(case.inputs)
    told = tell(Reference(case.project, case.nodes), case.inputs, case.behaviour)
    assert_as_told(told, result.status, result.outputs, result.events)


def test_the_random_projects_are_not_tame():
    seen = Counter()

    @settings(examples(300), phases=[Phase.generate])
    @given(cases())
    def look(case):
        reference = Reference(case.project, case.nodes)
        seen.update(_features(case, reference))
        told = tell(reference, case.inputs, case.behaviour)
        seen.update(f"a task that is {fate.kind}" for fate in told.fates.values())
        seen.update(f"depth {name.count('/')}" for name in told.fates)
        seen["attempts"] += sum(fate.attempts > 1 for fate in told.fates.values())

    look()
    due = {
        *(
            "outcomes",
            "rules",
            "null",
            "foreach",
            "collect",
            "skip",
            "error branch",
            "order",
            "shared",
            "several tails",
        ),
        *("implicit", "outward", "branch", "each", "item", "error", "optional input", "attempts", "depth 2", "depth 3"),
        *(f"a task that is {kind}" for kind in ("completed", "skipped", "failed", "stopped", "waiting")),
    }
    assert not (rare := {name: seen[name] for name in due if seen[name] < 10}), rare


def _features(case, reference):
    for name, body in case.project["tasks"].items():
        branches = body.get("branches") or {}
        heads = (
            branches.values()
            if isinstance(branches, dict)
            else [rule.get("to", rule.get("default")) for rule in branches]
        )
        yield "null" if None in heads else "choice"
        yield {dict: "outcomes", list: "rules"}[type(branches)] if branches else "plain"
        yield "error branch" if isinstance(body.get("on_error"), dict) else body.get("on_error", "fail")
        yield from (field for field in ("foreach",) if field in body)
        yield "collect" if "collect" in body.get("foreach", {}) else ""
        yield "order" if {"predecessor", "successor"} & body.keys() else ""
        for port, source in reference.bound[name].items():
            if isinstance(source, Ref):
                yield "implicit" if port not in body["inputs"] else "written"
                yield source.view or source.kind
                yield "optional input" if source.slot == "maybe" else ""
                if source.kind == "slot" and reference.scope(source.task) != reference.scope(name):
                    yield "outward"
    yield from ("shared" for uses in reference.uses.values() if len(uses) > 1)
    yield from ("several tails" for scope, tails in reference.tails.items() if scope and len(tails) > 1)
