"""Random projects on the real scheduler, store and runtime, against the naive interpreter."""

import random
from dataclasses import replace

from effort import examples
from compare import assert_as_told
from hypothesis import given
from hypothesis import strategies as st
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
    chance = random.Random(seed)
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
