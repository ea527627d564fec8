"""Messages that come too often, too early, too late, or mean nothing; messages that nobody can work off."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from workforce import Crew, Work, Workforce, eventually, lost_workers, mix

from tyqi_core.app import open_celery
from tyqi_core.runtime.distributed.publisher import Publisher, Wakeup
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.scheduler import task_id

ROOT = Path(__file__).parents[2]
TIMES = 5


@pytest.fixture
def publish():
    """Publishes wake-ups at a workforce's broker."""
    opened = []

    def published(workforce, wakeups):
        opened.append(Publisher(open_celery(workforce.settings)))
        opened[-1].publish(wakeups)

    yield published
    for publisher in opened:
        publisher.close()


def wakeups_of(work, run_id):
    """A message for each task that the run is going to execute."""
    plan = work.project.plan
    for event in work.expected(work.runs[run_id]).events:
        if event.kind == "task.started":
            task = plan.tasks[task_id(event.subject)]
            yield Wakeup(task.node.id, task.queue, (run_id, plan.digest, Stretch(event.subject).to_json()))


def test_every_message_comes_five_times_early_and_late(employ, broker, trial_catalog, publish):
    work = Work(mix(20), trial_catalog)
    with employ(broker, Crew("w1"), Crew("w2", pool="prefork")) as workforce:
        for x in range(3):
            work.submit(workforce, {"x": x})
        every = [wakeup for run_id in work.runs for wakeup in wakeups_of(work, run_id)] * TIMES
        publish(workforce, every)
        workforce.wait(*work.runs)
        publish(workforce, every)
        workforce.wait(work.submit(workforce, {"x": 1}))
        work.check(workforce)
        publish(workforce, every)  # of runs that are forgotten by now
        workforce.wait(work.submit(workforce, {"x": 2}))
        work.check(workforce)


def test_messages_that_mean_nothing_are_dropped(employ, broker, trial_catalog, publish):
    work = Work(mix(), trial_catalog)
    digest = work.project.plan.digest
    with employ(broker, Crew(count=1)) as workforce:
        first = workforce.pid()
        run_id = work.submit(workforce, {"x": 1})
        whole = ("no such run", digest, "T1"), (run_id, "no such plan", "T1"), (run_id, digest, "no such task")
        parts = (run_id, digest, ["T1", 0, "x"]), (run_id, digest), (run_id,), (1, 2, 3), (run_id, digest, "F[9]/I")
        publish(workforce, [Wakeup("trial.add", "cpu.short", arguments) for arguments in (*whole, *parts)])
        publish(workforce, [Wakeup("no.such.node", "cpu.short", (run_id, digest, "T1"))])
        workforce.wait(work.submit(workforce, {"x": 2}))
        work.check(workforce)
        assert workforce.pid() == first


@pytest.mark.parametrize("lacks", ["plugin", "version"])
def test_a_task_waits_for_a_worker_that_is_able_to_execute_it(
    employ, broker, trial_catalog, trial_folder, tmp_path, lacks
):
    work = Work(mix(), trial_catalog)
    other = str(ROOT) if lacks == "plugin" else os.pathsep.join((str(changed(trial_folder, tmp_path)), str(ROOT)))
    with employ(broker, Crew(count=1, env={"PYTHONPATH": other, "TYQI_CACHE": str(tmp_path / "cache")})) as workforce:
        run_id = work.submit(workforce, {"x": 1})
        eventually(lambda: "NO_CAPABLE_WORKER" in workforce.client.notes(run_id).get("T1", ""), workforce.log)
        assert workforce.client.status(run_id) == "running"
    with Workforce(tmp_path / "able", workforce.state, broker) as able:
        able.wait(run_id)
        assert lost_workers(able, run_id) == []
        work.check(able)


def changed(site, folder):
    """The plugin as a later release would be, with another manifest."""
    copy = Path(shutil.copytree(site, folder / "site"))
    for manifest in copy.glob("tyqi_node_trial/*.node.yaml"):
        manifest.write_text(manifest.read_text().replace("version: 1.0.0", "version: 1.0.1"))
    return copy
