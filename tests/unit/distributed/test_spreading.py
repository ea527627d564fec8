"""What a worker keeps of ready tasks and what it sends: each once, nothing foreign kept, messages of a fair size."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.runtime.distributed.spreading import (
    HOP_S,
    KEEP_S,
    MOST_ITEMS,
    PARTS,
    TASK_S,
    Spread,
    Stretch,
    messages,
    spread,
    stretches,
)
from tyqi_core.scheduler import Ready
from tyqi_core.workflow.plan import NodePin, Plan, PlanTask

PLAIN, RANGES = ("T1", "T2", "T3", "T4"), ("B1", "B2", "B3")
SECONDS = st.none() | st.sampled_from([0.0, 1e-6, 0.0005, 0.0029, HOP_S, 0.004, 0.5, 60.0])


class Case:
    """A plan, tasks of it that are ready, which queues are served, how long nodes take."""

    def __init__(
        self, tasks: Sequence[PlanTask], ready: Sequence[Stretch], served: frozenset[str], took: dict[str, float | None]
    ) -> None:
        self.plan = Plan("p", {}, {}, {task.id: task for task in tasks}, (), {})
        self.ready, self.served, self.took = ready, served, took

    def task(self, stretch: Stretch) -> PlanTask:
        return self.plan.tasks[stretch.path.rpartition("/")[2]]

    def serves(self, stretch: Stretch) -> bool:
        return self.task(stretch).queue in self.served

    def expected(self, task: PlanTask) -> float | None:
        return self.took[task.node.id]

    def seconds(self, stretch: Stretch) -> float | None:
        return self.expected(self.task(stretch))

    def short(self, stretch: Stretch) -> bool:
        """Known to be shorter than a hop, and of a node that takes no batches."""
        seconds = self.seconds(stretch)
        return seconds is not None and seconds < HOP_S and not self.task(stretch).max_batch

    def spread(self, *, idle: bool) -> Spread:
        return spread(self.plan, self.ready, self.serves, self.expected, idle=idle)


@st.composite
def cases(draw: Callable) -> Case:
    """Any few tasks and ranges of few nodes and queues."""
    tasks = [
        PlanTask(
            name,
            "",
            NodePin(draw(st.sampled_from(["n.one", "n.two", "n.three"])), "1.0.0", "d"),
            queue=draw(st.sampled_from(["cpu.short", "gpu.long", "io"])),
            max_batch=draw(st.sampled_from([0, 0, 0, 1, 8])),
        )
        for name in PLAIN + RANGES
    ]
    names = draw(st.lists(st.sampled_from(PLAIN + RANGES), unique=True))
    ready = [
        Stretch(name) if name in PLAIN else Stretch(f"T0[*]/{name}", 0, draw(st.integers(1, 400))) for name in names
    ]
    served = draw(st.frozensets(st.sampled_from(["cpu.short", "gpu.long", "io"])))
    return Case(tasks, ready, served, {node: draw(SECONDS) for node in ("n.one", "n.two", "n.three")})


def instances(given_stretches: Sequence[Stretch]) -> Counter[str]:
    return Counter(instance for stretch in given_stretches for instance in stretch.instances())


def sent(found: Spread) -> list[Stretch]:
    return [part for _, parts in found.send for part in parts]


# -- what holds of every division -------------------------------------------------------------------------------------


@given(cases(), st.booleans())
def test_every_ready_task_is_either_kept_or_sent_and_exactly_once(case, idle):
    found = case.spread(idle=idle)
    everything = instances([*found.keep, *sent(found)])
    assert everything == instances(case.ready)
    assert set(everything.values()) <= {1}


@given(cases(), st.booleans())
def test_nothing_of_a_foreign_queue_is_kept(case, idle):
    assert all(case.serves(stretch) for stretch in case.spread(idle=idle).keep)


@given(cases())
def test_idle_hands_keep_something_whenever_something_may_be_kept(case):
    found = case.spread(idle=True)
    assert bool(found.keep) == any(case.serves(stretch) for stretch in case.ready)


@given(cases())
def test_idle_hands_keep_at_most_one_task_or_one_batch_that_may_be_long(case):
    kept = [stretch for stretch in case.spread(idle=True).keep if not case.short(stretch)]
    assert len(kept) <= 1
    assert all(stretch.size <= max(1, case.task(stretch).max_batch) for stretch in kept)


@given(cases())
def test_busy_hands_keep_nothing_that_may_be_long(case):
    assert all(case.short(stretch) for stretch in case.spread(idle=False).keep)


@given(cases(), st.booleans())
def test_what_is_kept_of_short_tasks_fills_the_time_of_a_few_hops_and_no_more(case, idle):
    kept = [stretch for stretch in case.spread(idle=idle).keep if case.short(stretch)]
    cost = [(case.seconds(stretch) + TASK_S) * stretch.size for stretch in kept]
    longest = max(((case.seconds(stretch) + TASK_S) for stretch in kept), default=0.0)
    assert sum(cost) < KEEP_S + longest + 1e-9, "more than one task beyond the limit"


@given(cases(), st.booleans())
def test_the_tasks_of_a_message_have_one_node_and_one_queue(case, idle):
    for task, parts in case.spread(idle=idle).send:
        assert parts
        assert {(case.task(part).node.id, case.task(part).queue) for part in parts} == {(task.node.id, task.queue)}


@given(cases(), st.booleans())
def test_a_message_holds_no_more_than_fits_its_tasks(case, idle):
    """A batch; short tasks for the time of a few hops; items that nobody knows, a part of the loop; else one task."""
    sizes = {stretch.path: stretch.size for stretch in case.ready}
    for task, parts in case.spread(idle=idle).send:
        size, seconds = sum(part.size for part in parts), case.expected(task)
        if task.max_batch:
            assert size <= task.max_batch
        elif seconds is None:
            assert size <= math.ceil(sizes[parts[0].path] / PARTS)
        elif size > 1:
            assert (size - 1) * (seconds + TASK_S) < KEEP_S


@given(cases(), st.booleans())
def test_the_number_of_messages_is_bounded_by_the_time_that_their_tasks_take(case, idle):
    """Tiny items do not become a flood: of a loop of n items there are about n * item / KEEP_S messages."""
    found = case.spread(idle=idle)
    for stretch in case.ready:
        task, seconds = case.task(stretch), case.seconds(stretch)
        together = [parts for _, parts in found.send if any(part.path == stretch.path for part in parts)]
        if task.max_batch or stretch.stop is None:
            continue
        if seconds is None:
            assert len(together) <= PARTS
        else:
            fitting = max(1, int(KEEP_S / (seconds + TASK_S)))
            assert len(together) <= math.ceil(stretch.size / fitting) + 1


@given(cases())
def test_sending_alone_sends_everything_once(case):
    away = [(case.task(stretch), stretch) for stretch in case.ready]
    made = list(messages(away, case.expected))
    assert instances([part for _, parts in made for part in parts]) == instances(case.ready)


# -- a few divisions by example ---------------------------------------------------------------------------------------


def example(seconds: float | None, *ready: Stretch, served: str = "cpu.short", batch: int = 0) -> Case:
    tasks = [
        PlanTask(name, "", NodePin("n.one", "1.0.0", "d"), queue="cpu.short", max_batch=batch)
        for name in PLAIN + RANGES
    ]
    return Case(tasks, ready, frozenset({served}), {"n.one": seconds})


def test_of_items_that_nobody_knows_idle_hands_keep_the_first_and_send_the_rest_in_parts():
    found = example(None, Stretch("T0[*]/B1", 0, 1601)).spread(idle=True)
    assert found.keep == [Stretch("T0[*]/B1", 0, 1)]
    assert [part.size for part in sent(found)] == [100] * PARTS


def test_long_items_are_sent_one_by_one():
    found = example(2.0, Stretch("T0[*]/B1", 0, 5)).spread(idle=True)
    assert found.keep == [Stretch("T0[*]/B1", 0, 1)]
    assert sent(found) == [Stretch("T0[*]/B1", item, item + 1) for item in range(1, 5)]


def test_single_short_tasks_share_a_message():
    found = example(0.001, *map(Stretch, PLAIN), served="io").spread(idle=True)
    assert [[part.path for part in parts] for _, parts in found.send] == [list(PLAIN)]


def test_short_tasks_beyond_what_is_kept_are_sent_to_others():
    found = example(0.0, Stretch("T0[*]/B1", 0, 100)).spread(idle=False)
    fitting = int(KEEP_S / TASK_S)
    assert found.keep == [Stretch("T0[*]/B1", 0, fitting)]
    assert [part.size for part in sent(found)] == [fitting, fitting, 100 - 3 * fitting]


def test_items_that_share_batches_are_sent_a_batch_a_message():
    found = example(0.0001, Stretch("T0[*]/B1", 0, 20), batch=8).spread(idle=False)
    assert [part.size for part in sent(found)] == [8, 8, 4]


def test_nothing_ready_is_nothing_kept_and_nothing_sent():
    assert example(None).spread(idle=True) == Spread()


# -- stretches --------------------------------------------------------------------------------------------------------

RANGE = st.tuples(st.integers(0, MOST_ITEMS - 1), st.integers(1, 1000)).map(
    lambda pair: Stretch("T1[2]/T4[*]/B", pair[0], min(pair[0] + pair[1], MOST_ITEMS))
)


@given(st.sampled_from([Stretch("T1"), Stretch("T1[3]/B/C")]) | RANGE)
def test_a_stretch_comes_out_of_a_message_as_it_went_in(stretch):
    assert Stretch.from_json(json.loads(json.dumps(stretch.to_json()))) == stretch


@given(RANGE, st.integers(1, 1200))
def test_a_stretch_that_is_split_is_the_same_tasks_in_the_same_order(stretch, size):
    first, rest = stretch.split(size)
    assert first.size <= size
    assert [*first.instances(), *(rest.instances() if rest else ())] == list(stretch.instances())


def test_the_instances_of_a_stretch_are_paths_of_its_items():
    assert list(Stretch("T1[2]/T4[*]/B/C", 3, 5).instances()) == ["T1[2]/T4[3]/B/C", "T1[2]/T4[4]/B/C"]
    assert list(Stretch("T1/T2").instances()) == ["T1/T2"]


def test_ready_tasks_and_ranges_become_stretches():
    assert stretches([Ready("T1"), Ready("T1[*]/B", 4)]) == [Stretch("T1"), Stretch("T1[*]/B", 0, 4)]


@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        [],
        ["T1[*]/B"],
        ["T1[*]/B", 0],
        ["T1[*]/B", 2, 2],
        ["T1[*]/B", 3, 2],
        ["T1[*]/B", -1, 2],
        ["T1[*]/B", 0, MOST_ITEMS + 1],
        ["T1[*]/B", "0", "2"],
        ["T1[*]/B", 0, 2.5],
        ["T1", 0, 2],
        ["T1[*]/B[*]/C", 0, 2],
        {"path": "T1"},
        ["T1[*]/B", 0, 2, 3],
    ],
)
def test_what_is_no_stretch_is_refused(body):
    with pytest.raises(ValueError, match="names no tasks"):
        Stretch.from_json(body)
