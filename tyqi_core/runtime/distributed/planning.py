"""A proposal of queues: who shares one, how many processes serve it, which device holds which nodes. Pure.

What it holds to:

- Every node is in one queue. What takes less than a second shares ``cpu.short`` (or ``gpu.short``).
- In no queue does a node wait behind one that takes more than ten times as long as itself; below 0.1 s all are alike.
- With arrival rates, what needs more processes than a host has cores is split into queues of about equal load.
- A device's nodes fit in 90% of its memory all at once; the rest is for CUDA's context and fragmentation. The largest
  are packed first. A device that is left over doubles the busiest one.

It proposes and does nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from tyqi_core.errors import UsageError
from tyqi_core.runtime.distributed.needs import Host, Need, NodeLoad, need_of, shown_s
from tyqi_core.runtime.distributed.packing import balanced, bands, copies, first_fit

RATIO: Final = 10.0
ALIKE_S: Final = 0.1
HEADROOM: Final = 0.1
BUSY: Final = 0.7
"""How busy the processes of a queue may be on average; beyond it waiting grows steeply."""
PROCESS_MB: Final = 120
"""What a worker process takes before it has met a node: Python, numpy, the core."""
_IO_THREADS: Final = 32


class Device(NamedTuple):
    """A GPU, by the name that ``CUDA_VISIBLE_DEVICES`` knows it by."""

    name: str
    memory_mb: int

    @property
    def usable_mb(self) -> int:
        """What nodes may take of it."""
        return int(self.memory_mb * (1 - HEADROOM))


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a node goes, and why."""

    node: str
    queue: str
    declared_queue: str
    seconds: float
    memory_mb: int
    gpu_memory_mb: int
    devices: tuple[str, ...]
    reason: str

    @property
    def moved(self) -> bool:
        """Whether the project has to say so: the manifest leads to another queue."""
        return self.queue != self.declared_queue


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """A queue: who is in it, and who serves it.

    Attributes:
        processes: how many are wanted in all; of ``io`` threads.
        devices: of the GPUs that serve it.
    """

    name: str
    nodes: tuple[str, ...]
    processes: int
    devices: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a GPU holds, in MiB."""

    name: str
    memory_mb: int
    usable_mb: int
    used_mb: int
    nodes: tuple[str, ...]
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """All of it. ``warnings`` are what needs a person: nodes that fit nowhere, devices that stay idle."""

    placements: tuple[Placement, ...]
    queues: tuple[QueuePlan, ...]
    devices: tuple[DevicePlan, ...]
    warnings: tuple[str, ...]

    def overrides(self) -> dict[str, str]:
        """Node -> the line to put into each of its tasks in a project."""
        return {one.node: f"queue: {one.queue}" for one in self.placements if one.moved}

    def commands(self) -> list[str]:
        """The workers to start."""
        cpu = [f"tyqi worker --queues {one.name} --concurrency {one.processes}" for one in self._on_cpus()]
        gpu = [f"tyqi worker --queues {','.join(one.queues)} --devices {one.name}" for one in self.devices if one.nodes]
        return cpu + gpu

    def to_json(self) -> dict[str, Any]:
        """The proposal as a JSON object."""
        return {**asdict(self), "overrides": self.overrides(), "commands": self.commands()}

    def _on_cpus(self) -> list[QueuePlan]:
        return [one for one in self.queues if not one.name.startswith("gpu.")]


class _Group(NamedTuple):
    """The nodes of a queue to be, and the device that holds them."""

    kind: str
    device: str
    needs: list[Need]


def propose(
    nodes: Sequence[NodeLoad],
    devices: Sequence[Device] = (),
    rates: Mapping[str, float] | None = None,
    host: Host | None = None,
) -> Proposal:
    """Plan queues, workers and devices. The same for any order of ``nodes``.

    Args:
        nodes: each node and major version once.
        devices: the GPUs, in the order in which they are to be filled.
        rates: tasks that arrive a second, by node and major version; without them all nodes count alike.
        host: what the CPU workers run on.

    Raises:
        UsageError: a node or a device is named twice.
    """
    host = host or Host()
    _once([load.manifest.reference for load in nodes], "node")
    _once([device.name for device in devices], "device")
    ordered = sorted(nodes, key=lambda load: load.manifest.reference)
    needs = [need_of(load, host, None if rates is None else _rate(load, rates)) for load in ordered]
    rated = rates is not None
    packing = _Packing.of([need for need in needs if need.family == "gpu"], devices)
    groups = [*_groups(needs, host, rated=rated), *packing.groups()]
    kinds = Counter(group.kind for group in groups)
    named = list(zip(_names(groups), groups, strict=True))
    return Proposal(
        placements=tuple(sorted(_placements(named, packing), key=lambda one: one.node)),
        queues=tuple(_queue(name, group, packing, host, None if rated else kinds[group.kind]) for name, group in named),
        devices=tuple(packing.plan(device, named) for device in devices),
        warnings=tuple(packing.warnings()),
    )


class _Packing(NamedTuple):
    """Which device holds which nodes, which device doubles which, and who found no place."""

    devices: Mapping[str, Device]
    packed: Mapping[str, list[Need]]
    doubles: Mapping[str, str]
    homeless: list[Need]

    @classmethod
    def of(cls, needs: Sequence[Need], devices: Sequence[Device]) -> _Packing:
        room = {device.name: float(device.usable_mb) for device in devices}
        packed, homeless = first_fit(needs, _gpu_memory, room)
        doubles = copies(packed, room, _gpu_memory, _load)
        return cls({device.name: device for device in devices}, packed, doubles, homeless)

    def groups(self) -> list[_Group]:
        found = []
        for device, needs in [*self.packed.items(), ("", self.homeless)]:
            for kind in ("short", "long"):
                of_kind = [need for need in needs if need.kind == kind]
                found += [_Group(f"gpu.{kind}", device, band) for band in bands(of_kind, _length, RATIO)]
        return found

    def holding(self, device: str) -> tuple[str, ...]:
        """A device and its doubles."""
        return (device, *(one for one, other in self.doubles.items() if other == device)) if device else ()

    def plan(self, device: Device, named: Sequence[tuple[str, _Group]]) -> DevicePlan:
        source = self.doubles.get(device.name, device.name)
        needs = self.packed[source]
        queues = tuple(name for name, group in named if group.device == source)
        used = sum(need.gpu_memory_mb for need in needs)
        nodes = tuple(need.node for need in needs)
        return DevicePlan(device.name, device.memory_mb, device.usable_mb, used, nodes, queues)

    def warnings(self) -> list[str]:
        largest = max((device.usable_mb for device in self.devices.values()), default=0)
        found = [
            f"{need.node} needs {need.gpu_memory_mb} MiB of GPU memory and fits on no device"
            + (f": the roomiest has {largest} MiB for nodes, and what is packed on it" if self.devices else " given")
            for need in self.homeless
        ]
        idle = [name for name, needs in self.packed.items() if not needs and name not in self.doubles]
        why = "no other device's nodes fit on it" if any(self.packed.values()) else "no GPU node fits, or there is none"
        return found + [f"device {name} stays idle: {why}" for name in idle]


def _groups(needs: Sequence[Need], host: Host, *, rated: bool) -> list[_Group]:
    found = []
    for kind in ("cpu.short", "cpu.long", "cpu.heavy", "io"):
        members = [need for need in needs if _class(need) == kind]
        for band in [members] if kind == "io" and members else bands(members, _length, RATIO):
            wanted = math.ceil(sum(map(_load, band)) / BUSY / host.cores) if rated and kind != "io" else 1
            found += [_Group(kind, "", share) for share in balanced(band, _load, wanted)]
    return found


def _names(groups: Sequence[_Group]) -> list[str]:
    """``cpu.long`` where there is one such queue, else ``cpu.long.1``, ``cpu.long.2``."""
    kinds = [group.kind for group in groups]
    return [
        kind if kinds.count(kind) == 1 else f"{kind}.{kinds[: number + 1].count(kind)}"
        for number, kind in enumerate(kinds)
    ]


def _placements(named: Sequence[tuple[str, _Group]], packing: _Packing) -> list[Placement]:
    found = []
    for name, group in named:
        devices = packing.holding(group.device)
        for need in group.needs:
            where = ""
            if group.kind.startswith("gpu"):
                where = f"; {need.gpu_memory_mb} MiB on {' and '.join(devices) or 'no device'}"
            moved = f"; its manifest leads to {need.declared_queue}" if name != need.declared_queue else ""
            found.append(
                Placement(
                    need.node,
                    name,
                    need.declared_queue,
                    need.seconds,
                    need.memory_mb,
                    need.gpu_memory_mb,
                    devices,
                    f"{need.reason}{where}{moved}",
                )
            )
    return found


def _queue(name: str, group: _Group, packing: _Packing, host: Host, beside: int | None) -> QueuePlan:
    """What serves a queue. ``beside``: how many queues share the cores; ``None`` where rates say what is wanted."""
    devices = packing.holding(group.device)
    nodes = tuple(sorted(need.node for need in group.needs))
    if group.kind.startswith("gpu"):
        return QueuePlan(name, nodes, len(devices), devices, "one process a device, its nodes loaded together")
    if group.kind == "io":
        return QueuePlan(name, nodes, _IO_THREADS, (), "threads, which wait at no cost to each other")
    wanted, why = _wanted_for_rates(group) if beside is None else _wanted_of_host(group, host, beside)
    largest = PROCESS_MB + max(need.memory_mb for need in group.needs)
    room = max(1, int(host.memory_mb * (1 - HEADROOM) / largest))
    if beside is not None and wanted > room:
        wanted, why = room, f"{why}, but only {room} at {largest} MiB each fit in {host.memory_mb} MiB"
    seconds = [need.seconds for need in group.needs]
    ends = dict.fromkeys((shown_s(min(seconds)), shown_s(max(seconds))))
    return QueuePlan(name, nodes, wanted, (), f"{' to '.join(ends)}; {why}")


def _wanted_for_rates(group: _Group) -> tuple[int, str]:
    """Processes for a queue, and why so many."""
    load = sum(map(_load, group.needs))
    return max(1, math.ceil(load / BUSY)), f"{load:.2g} s of work arrive a second, {BUSY:.0%} busy"


def _wanted_of_host(group: _Group, host: Host, beside: int) -> tuple[int, str]:
    cores = max(need.cores for need in group.needs)
    shared = f", shared by {beside} queues of the class" if beside > 1 else ""
    return max(1, host.cores // cores // beside), f"{cores} of {host.cores} cores a process{shared}"


def _class(need: Need) -> str:
    return "io" if need.family == "io" else f"{need.family}.{need.kind}"


def _length(need: Need) -> float:
    return max(ALIKE_S, need.seconds)


def _load(need: Need) -> float:
    return need.load


def _gpu_memory(need: Need) -> float:
    return need.gpu_memory_mb


def _rate(load: NodeLoad, rates: Mapping[str, float]) -> float:
    return max(0.0, rates.get(load.manifest.reference, 0.0))


def _once(names: Sequence[str], what: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"the {what} {twice[0]} is given twice.", code="TWICE", remedy=f"Name each {what} once.")
