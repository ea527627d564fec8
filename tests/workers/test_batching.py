"""Batches on workers: formed across runs, bounded, of equal parameters; everything else stays with each item."""

from __future__ import annotations

from collections import Counter

import pytest
from trial_runs import NUMBER, entries, subjects, wait_for

MAX_BATCH = 4
ONE = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T: {{node: trial.sized, inputs: {{x: $input.n}}, params: {{file: "FILE", name: NAME, gate: "GATE"}}, MORE}}
outputs: {{out: T.value}}
"""
ITEMS = f"""
inputs: {{n: {NUMBER}}}
tasks:
  L: {{node: trial.items, inputs: {{n: $input.n}}, foreach: {{over: items, body: B, collect: {{all: B.value}}}}}}
  B: {{node: trial.sized, subchain: true, inputs: {{x: $item.item}}, params: {{file: "FILE", name: item}}}}
outputs: {{all: L.each.all}}
"""


class Batching:
    """Runs of one task that takes batches, and the batches that were seen."""

    def __init__(self, site, ledger):
        self._site = site
        self._ledger = ledger
        self._gate = ledger.with_name("gate")

    def submit(self, *numbers, name="a", gated=True, more="retries: 0"):
        gate = str(self._gate) if gated else ""
        text = ONE.replace("FILE", str(self._ledger)).replace("GATE", gate).replace("NAME", name).replace("MORE", more)
        return [self._site.submit(text, n=n) for n in numbers]

    def submit_items(self, count):
        return self._site.submit(ITEMS.replace("FILE", str(self._ledger)), n=count)

    def hold(self, number, name="a"):
        """Have one batch begin, of this number alone, which does not end before the gate opens."""
        held = self.submit(number, name=name)
        self.until_begun(number, name=name)
        return held

    def until_begun(self, *numbers, name="a", times=1):
        wait_for(self._ledger, f"{name} {' '.join(format(one, 'g') for one in sorted(numbers))}", times)

    def open_gate(self):
        self._gate.touch()

    @property
    def batches(self):
        """Name and numbers of each batch so far."""
        return [(line.split()[0], line.split()[1:]) for line in entries(self._ledger)]

    @property
    def sizes(self):
        return [len(numbers) for _, numbers in self.batches]

    @property
    def seen(self):
        """How often each number was in a batch."""
        return Counter(number for _, numbers in self.batches for number in numbers)


@pytest.fixture
def batching(site, ledger):
    return Batching(site, ledger)


def one_thread(site):
    return site.worker("-P", "threads", "-c", "1")


def outs(site, runs):
    return [outputs["out"] for outputs in site.outputs(*runs)]


def test_batches_are_formed_across_runs_and_never_larger_than_the_manifest_allows(site, batching):
    one_thread(site)
    runs = batching.hold(0) + batching.submit(*range(1, 10))
    batching.open_gate()
    assert outs(site, runs) == list(range(10))
    assert batching.sizes == [1, 4, 4, 1]


def test_a_batch_holds_tasks_of_equal_parameters_only(site, batching):
    one_thread(site)
    runs = batching.hold(0, name="a")
    for number in range(1, 7):
        runs += batching.submit(number, name="ab"[number % 2])
    batching.open_gate()
    assert outs(site, runs) == list(range(7))
    assert sorted(batching.batches) == [("a", ["0"]), ("a", ["2", "4", "6"]), ("b", ["1", "3", "5"])]


def test_errors_retries_and_outcomes_stay_with_each_item(site, batching):
    one_thread(site)
    held = batching.hold(0)
    first, negative, half = batching.submit(1, -1, 0.5, more="retries: 1, backoff: 0")
    batching.open_gate()
    assert outs(site, [*held, first]) == [0, 1]
    assert site.wait(negative).error["code"] == "NODE_ERROR"
    assert "-1 is negative" in site.wait(negative).error["message"]
    assert site.wait(half).error["code"] == "CONTRACT_VIOLATION"
    assert len(subjects(site.wait(negative), "task.retried")) == 1
    assert batching.batches[1] == ("a", ["-1", "0.5", "1"])
    assert batching.seen["1"] == 1
    assert batching.seen["-1"] == 2


def test_messages_too_many_find_nothing_to_claim(site, batching):
    one_thread(site)
    runs = batching.hold(0) + batching.submit(*range(1, 30))
    batching.open_gate()
    outs(site, runs)
    (last,) = batching.submit(30)  # taken after all messages of those before
    outs(site, [last])
    assert batching.seen == Counter(map(str, range(31)))


def test_items_of_a_loop_are_batched(site, batching):
    site.worker("-P", "threads", "-c", "2")
    assert site.outputs(batching.submit_items(12)) == [{"all": list(range(12))}]
    assert batching.seen == Counter(map(str, range(12)))
    assert batching.sizes == [4, 4, 4]


def test_a_batch_whose_worker_was_killed_is_repeated_and_every_item_settled_once(site, batching):
    runs = batching.submit(1, 2, 3, 4)
    worker = one_thread(site)  # now: all four wait already
    batching.until_begun(1, 2, 3, 4)
    worker.kill()
    batching.open_gate()
    one_thread(site)
    assert outs(site, runs) == [1, 2, 3, 4]
    assert all(subjects(site.wait(run_id), "task.completed") == ["T"] for run_id in runs)
    assert [batching.seen[str(number)] for number in (1, 2, 3, 4)] == [2, 2, 2, 2]


def test_the_leases_of_all_items_are_kept(site, batching):
    runs = batching.submit(1, 2, 3, 4)
    one_thread(site)  # now: all four wait already
    batching.until_begun(1, 2, 3, 4)
    site.until_leases_were_renewed(*((run_id, "T") for run_id in runs))
    batching.open_gate()
    assert outs(site, runs) == [1, 2, 3, 4]
    assert batching.sizes == [4]


def test_a_cancel_of_one_run_leaves_the_others_of_its_batch_alone(site, batching):
    runs = batching.submit(1, 2, 3, 4)
    one_thread(site)  # now: all four wait already
    batching.until_begun(1, 2, 3, 4)
    site.client.cancel(runs[1], 0.1)
    batching.open_gate()
    assert site.wait(runs.pop(1)).status == "cancelled"
    assert outs(site, runs) == [1, 3, 4]
    assert batching.sizes == [4]


def test_processes_that_serve_one_group_share_its_tasks(site, batching):
    site.worker("-P", "prefork", "-c", "2")
    runs = batching.submit(*range(40), gated=False)
    assert outs(site, runs) == list(range(40))
    assert batching.seen == Counter(map(str, range(40)))
    assert max(batching.sizes) <= MAX_BATCH
