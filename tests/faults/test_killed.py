"""Workers are killed at every place that matters; what they were about is done, once, and the story says so."""

from __future__ import annotations

import itertools

import pytest
from trial_runs import entries
from workforce import Crew, Work, mix

GROUPS = [("CP4", "CP5", "CP7", "CP8"), ("CP9", "CP10", "CP12", "board", "beat")]


@pytest.mark.parametrize("points", GROUPS, ids="-".join)
def test_workers_that_die_at_points_of_the_contract(employ, redis_broker, trial_catalog, points):
    check_dying(employ, redis_broker, trial_catalog, points)


def test_workers_of_rabbitmq_that_die_at_points_of_the_contract(employ, rabbit_broker, trial_catalog):
    check_dying(employ, rabbit_broker, trial_catalog, ("CP5", "CP8", "CP10", "CP12"))


def check_dying(employ, broker, catalog, points):
    """Each worker dies at its point when it gets there for the second time; runs go on until all have."""
    work = Work(mix(10), catalog)
    with employ(broker, *(Crew(point, failpoint=f"{point}:kill9:2") for point in points)) as workforce:
        first = {point: workforce.pid(point) for point in points}
        for x in itertools.count():
            if all(workforce.pid(point) != first[point] for point in points):
                break
            assert x < 2000, workforce.log()
            workforce.wait(work.submit(workforce, {"x": x % 6}), work.submit(workforce, {"x": x % 6}))
        work.check(workforce)


CHAIN = """
tyqi: 1
project: chain
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: trial.add, inputs: {x: $input.x}, params: {plus: 1}}
  T2: {node: trial.harm, inputs: {x: T1.sum}, params: {how: HOW, file: "FILE"}}
  T3: {node: trial.add, inputs: {x: T2.value}, params: {plus: 1}}
outputs: {value: T3.sum}
"""


@pytest.mark.parametrize("how", ["dies_in_setup", "dies"])
def test_killed_in_a_task_that_it_went_on_with(employ, broker, trial_catalog, tmp_path, how):
    ledger, story = died_once(employ, broker, trial_catalog, tmp_path, how, warm=0)
    assert len(ledger) == 1
    assert lost_workers_of(story) == ["T2"]
    assert sum((event.kind, event.subject) == ("task.started", "T2") for event in story) == 2


def test_killed_in_a_short_task_that_it_went_on_with_in_memory(employ, redis_broker, trial_catalog, tmp_path):
    """The task was executed under the claim of the one before it, which is repeated with it, by itself."""
    ledger, story = died_once(employ, redis_broker, trial_catalog, tmp_path, "dies", warm=30)
    assert len(ledger) == 1
    assert lost_workers_of(story) == ["T1"]
    assert [event.subject for event in story if event.kind == "task.started"] == ["T1", "T1", "T2", "T3"]


def lost_workers_of(story):
    return [event.subject for event in story if (event.data or {}).get("error", {}).get("code") == "WORKER_LOST"]


def died_once(employ, broker, catalog, folder, how, warm):
    """A run whose second task kills its worker once, after ``warm`` runs that tell how short the task is."""
    ledger = folder / "ledger"
    tame = Work(CHAIN.replace("HOW", "nothing").replace("FILE", ""), catalog)
    work = Work(CHAIN.replace("HOW", how).replace("FILE", str(ledger)), catalog)
    with employ(broker, Crew(count=1)) as workforce:
        for x in range(warm):
            workforce.wait(tame.submit(workforce, {"x": x}))
        run_id = work.submit(workforce, {"x": 1})
        workforce.wait(run_id)
        story, written = workforce.client.events(run_id), entries(ledger)
        for one in tame.runs:
            workforce.client.forget(one)
        work.check(workforce)
        return written, story
