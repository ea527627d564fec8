"""Proposals of queues: laws that hold for any nodes, and the cases that people meet."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.catalog.manifest import Manifest, Resources
from tyqi_core.errors import UsageError
from tyqi_core.runtime.distributed.needs import Host, NodeLoad
from tyqi_core.runtime.distributed.planning import ALIKE_S, RATIO, Device, propose
from tyqi_core.runtime.history import NodeHistory
from tyqi_core.workflow.compiler import compile_text

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "project.schema.json").read_text(encoding="utf-8"))
QUEUE = re.compile(SCHEMA["definitions"]["queue"]["pattern"])
PLAIN = Manifest.parse(
    "tyqi_node: 1\nname: n\nversion: 1.0.0\ntitle: N\ndescription: D.\ncategory: utility\nlicence: Apache-2.0\n"
    'author: A\nrequires_tyqi: ">=0.1,<1"\noutputs: {out: {type: json, description: "O"}}\n',
    "n.node.yaml",
    namespace="a",
    local_id="n",
    entry_point="a:N",
    distribution="tyqi-node-a",
    distribution_version="1.0.0",
)


def load(name, history=None, **resources):
    return NodeLoad(replace(PLAIN, id=f"a.{name}", name=name, resources=Resources(**resources)), history)


def seen(p95, *, mean=None, recent=100, memory=None, gpu=None):
    mean = p95 if mean is None else mean
    return NodeHistory(recent, 0, recent, mean, mean, p95, p95, memory, gpu)


def gpu_node(name, declared, history=None, duration="short"):
    return load(name, history, device="gpu", gpu_memory_mb=declared, duration=duration)


def queues(proposal):
    return {one.node: one.queue for one in proposal.placements}


resources = st.builds(
    dict,
    device=st.sampled_from(["cpu", "gpu", "any"]),
    gpu_memory_mb=st.integers(0, 40_000),
    memory_mb=st.integers(1, 40_000),
    cores=st.integers(1, 16),
    duration=st.sampled_from(["short", "long", "heavy"]),
    pool=st.sampled_from(["", "io"]),
)
histories = st.none() | st.builds(
    seen,
    st.floats(1e-5, 1e4),
    mean=st.floats(1e-5, 1e4),
    recent=st.integers(0, 500),
    memory=st.none() | st.integers(0, 40_000),
    gpu=st.none() | st.integers(0, 40_000),
)
cases = st.fixed_dictionaries(
    {
        "nodes": st.lists(st.tuples(histories, resources), max_size=12).map(
            lambda given: [load(f"n{number}", history, **one) for number, (history, one) in enumerate(given)]
        ),
        "devices": st.lists(st.integers(1, 80_000), max_size=4).map(
            lambda sizes: [Device(str(number), size) for number, size in enumerate(sizes)]
        ),
        "rates": st.none() | st.dictionaries(st.sampled_from([f"a.n{n}@1" for n in range(12)]), st.floats(0, 500)),
        "host": st.builds(Host, st.integers(1, 64), st.integers(512, 500_000)),
    }
)


@given(cases)
def test_every_node_is_in_exactly_one_queue_whose_name_a_project_may_use(case):
    proposal = propose(**case)
    placed = [node for queue in proposal.queues for node in queue.nodes]
    assert sorted(placed) == sorted(one.manifest.reference for one in case["nodes"])
    assert queues(proposal) == {node: queue.name for queue in proposal.queues for node in queue.nodes}
    assert all(QUEUE.match(queue.name) and queue.nodes for queue in proposal.queues)
    for queue in proposal.queues:
        assert queue.processes == len(queue.devices) if queue.name.startswith("gpu.") else queue.processes >= 1
    assert len({queue.name for queue in proposal.queues}) == len(proposal.queues)


@given(cases)
def test_no_node_waits_behind_one_that_takes_more_than_ten_times_as_long(case):
    lengths = {}
    for one in propose(**case).placements:
        lengths.setdefault(one.queue, []).append(max(ALIKE_S, one.seconds))
    for queue, found in lengths.items():
        assert queue == "io" or max(found) <= RATIO * min(found) * (1 + 1e-9)


@given(cases)
def test_no_device_is_overfilled_and_gpu_nodes_are_on_one_or_told_of(case):
    proposal = propose(**case)
    needs = {one.node: one for one in proposal.placements}
    for device in proposal.devices:
        assert sum(needs[node].gpu_memory_mb for node in device.nodes) == device.used_mb <= 0.9 * device.memory_mb
        assert {needs[node].queue for node in device.nodes} == set(device.queues)
    for one in proposal.placements:
        holders = {device.name for device in proposal.devices if one.node in device.nodes}
        assert holders == set(one.devices)
        if one.queue.startswith("gpu."):
            assert holders or any(one.node in warning for warning in proposal.warnings)


@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_the_nodes_changes_nothing(case, chance):
    shuffled = list(case["nodes"])
    chance.shuffle(shuffled)
    assert propose(**{**case, "nodes": shuffled}) == propose(**case)


@given(cases)
def test_a_proposal_is_one_json_document_and_names_all_workers(case):
    proposal = propose(**case)
    document = json.loads(json.dumps(proposal.to_json(), allow_nan=False))
    served = {name for line in document["commands"] for name in line.split("--queues ")[1].split()[0].split(",")}
    unserved = {queue.name for queue in proposal.queues} - served
    assert all(not queue.devices for queue in proposal.queues if queue.name in unserved)
    assert all(name.startswith("gpu.") for name in unserved)
    assert set(document["overrides"]) == {one.node for one in proposal.placements if one.moved}


def test_without_history_nodes_go_where_their_manifests_lead():
    nodes = [load(duration, duration=duration) for duration in ("short", "long", "heavy")]
    nodes += [load("net", pool="io"), gpu_node("seg", 500), load("either", device="any")]
    proposal = propose(nodes, [Device("0", 8000)])
    assert queues(proposal) == {one.manifest.reference: one.manifest.queue for one in nodes}
    assert proposal.overrides() == {}
    assert "declared short, too little measured yet" in proposal.placements[-1].reason


def test_a_node_that_is_slower_than_declared_is_moved_and_the_project_is_told_how():
    proposal = propose([load("quick", seen(0.02)), load("lame", seen(4.0))])
    assert queues(proposal) == {"a.quick@1": "cpu.short", "a.lame@1": "cpu.long"}
    assert proposal.overrides() == {"a.lame@1": "queue: cpu.long"}
    (lame,) = (one for one in proposal.placements if one.node == "a.lame@1")
    assert lame.reason == "95% of 100 executions took less than 4 s; its manifest leads to cpu.short"


def test_a_line_that_is_proposed_for_a_project_compiles(tmp_path):
    from tyqi_core.catalog.catalog import Catalog, LocalNode
    from tyqi_core.node import Node

    line = propose([load("n", seen(4.0))]).overrides()["a.n@1"]
    catalog = Catalog.of(LocalNode(PLAIN, Node))
    plan = compile_text(f"tyqi: 1\nproject: p\ntasks:\n  T1:\n    node: a.n\n    {line}\n", "p.yaml", catalog)
    assert plan.tasks["T1"].queue == "cpu.long"


def test_too_few_executions_change_nothing():
    assert queues(propose([load("new", seen(4.0, recent=4))])) == {"a.new@1": "cpu.short"}


def test_long_nodes_of_different_length_get_queues_of_their_own():
    proposal = propose([load("a", seen(1.5)), load("b", seen(9.0)), load("c", seen(50.0))], host=Host(8, 64_000))
    assert queues(proposal) == {"a.a@1": "cpu.long.1", "a.b@1": "cpu.long.1", "a.c@1": "cpu.long.2"}
    assert {one.name: one.processes for one in proposal.queues} == {"cpu.long.1": 4, "cpu.long.2": 4}


def test_what_needs_many_cores_or_much_memory_is_heavy_however_short():
    nodes = [load("wide", cores=4), load("big", memory_mb=9000), load("plain")]
    found = {one.node: one for one in propose(nodes, host=Host(4, 16_000)).placements}
    assert {node: one.queue for node, one in found.items()} == {
        "a.wide@1": "cpu.heavy",
        "a.big@1": "cpu.heavy",
        "a.plain@1": "cpu.short",
    }
    assert "keeps 4 of 4 cores busy" in found["a.wide@1"].reason
    assert "takes 9000 MiB" in found["a.big@1"].reason


def test_rates_split_a_queue_that_one_host_cannot_serve_into_equal_loads():
    nodes = [load(name, seen(5.0)) for name in "abcd"]
    proposal = propose(nodes, rates={f"a.{name}@1": 1.0 for name in "abcd"}, host=Host(16, 64_000))
    assert sorted(len(queue.nodes) for queue in proposal.queues) == [2, 2]
    assert [queue.processes for queue in proposal.queues] == [15, 15]


def test_processes_are_as_many_as_fit_in_memory():
    (queue,) = propose([load("fat", memory_mb=3600)], host=Host(8, 16_000)).queues
    assert (queue.name, queue.processes) == ("cpu.short", 3)
    assert "only 3 at 3720 MiB" in queue.reason


def test_gpu_nodes_are_packed_the_largest_first_and_the_rest_of_the_devices_double():
    nodes = [gpu_node("big", 6000), gpu_node("mid", 4000), gpu_node("small", 1000)]
    proposal = propose(nodes, [Device("0", 8000), Device("1", 8000), Device("2", 8000)])
    assert {one.name: one.nodes for one in proposal.devices} == {
        "0": ("a.big@1", "a.small@1"),
        "1": ("a.mid@1",),
        "2": ("a.big@1", "a.small@1"),
    }
    assert queues(proposal) == {"a.big@1": "gpu.short.1", "a.small@1": "gpu.short.1", "a.mid@1": "gpu.short.2"}
    assert proposal.commands() == [
        "tyqi worker --queues gpu.short.1 --devices 0",
        "tyqi worker --queues gpu.short.2 --devices 1",
        "tyqi worker --queues gpu.short.1 --devices 2",
    ]


def test_measured_gpu_memory_goes_before_declared_once_there_is_enough_of_it():
    few, many = seen(0.1, recent=10, gpu=1000), seen(0.1, recent=50, gpu=1000)
    device = [Device("0", 4000)]
    assert propose([gpu_node("n", 3000, few)], device).devices[0].used_mb == 3000
    assert propose([gpu_node("n", 3000, many)], device).devices[0].used_mb == 1000
    more = propose([gpu_node("n", 500, few)], device)
    assert more.devices[0].used_mb == 1000
    assert "took 1000 MiB of GPU memory, declares 500" in more.placements[0].reason


def test_a_gpu_node_that_fits_nowhere_is_told_and_keeps_its_queue():
    proposal = propose([gpu_node("huge", 7500)], [Device("0", 8000)])
    assert queues(proposal) == {"a.huge@1": "gpu.short"}
    assert any("a.huge@1 needs 7500 MiB" in warning and "7200" in warning for warning in proposal.warnings)


def test_gpu_nodes_without_devices_are_told_of():
    assert "no device given" in " ".join(propose([gpu_node("n", 10)]).warnings)


def test_a_spare_device_that_is_too_small_stays_idle_and_is_told():
    proposal = propose([gpu_node("n", 7000)], [Device("0", 8000), Device("1", 2000)])
    assert any("device 1 stays idle" in warning for warning in proposal.warnings)


def test_nothing_installed_is_an_empty_proposal():
    proposal = propose([])
    assert (proposal.placements, proposal.queues, proposal.warnings, proposal.commands()) == ((), (), (), [])


@pytest.mark.parametrize(("nodes", "devices"), [([load("a"), load("a")], []), ([], [Device("0", 10), Device("0", 20)])])
def test_naming_something_twice_is_refused(nodes, devices):
    with pytest.raises(UsageError, match="TWICE"):
        propose(nodes, devices)
