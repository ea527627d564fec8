"""Living nodes: one instance for each (node version, device, setup parameters), built once, evicted when idle.

An instance that is not thread-safe is *entered* by one attempt at a time. Who finds it busy does not wait: the job is
parked with the instance, and whoever leaves it hands the job back to be run.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import OrderedDict, deque
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import NodeError, TyqiError
from tyqi_core.node import Node
from tyqi_core.protocol.foreign import imported
from tyqi_core.runtime.context import TaskContext
from tyqi_core.runtime.execute import described
from tyqi_core.runtime.measuring import Meter
from tyqi_core.workflow.plan import PlanTask

Key = tuple[str, str, str, str]
Job = TypeVar("Job")
"""What is parked: whatever a runtime calls one thing to do."""
log = logging.getLogger("tyqi.instances")


@dataclass(slots=True, eq=False)
class Slot(Generic[Job]):
    """One instance and who is in it."""

    key: Key
    memory_mb: int
    thread_safe: bool
    node: Node | None = None
    device: str = "cpu"
    users: int = 0
    parked: deque[Job] = field(default_factory=deque)
    building: threading.Lock = field(default_factory=threading.Lock)


class Instances(Generic[Job]):
    """The nodes that live in this process.

    Args:
        catalog: where classes come from.
        memory_mb: how much declared memory idle instances may hold; beyond it the least recently used are torn down.
        meter: measures what building them takes.
    """

    def __init__(self, catalog: Catalog, memory_mb: int | None = None, meter: Meter | None = None) -> None:
        self._meter = meter
        self._catalog = catalog
        self._limit = memory_mb or _half_of_memory()
        self._slots: OrderedDict[Key, Slot[Job]] = OrderedDict()
        self._lock = threading.Lock()
        self._cores = 0

    def enter(self, key: Key, manifest: Manifest, job: Job) -> Slot[Job] | None:
        """Take the instance for ``job``. ``None``: it is busy; the job is parked and comes back from :meth:`leave`."""
        return self._enter(key, manifest, job)

    def _enter(self, key: Key, manifest: Manifest, job: Job | None) -> Slot[Job] | None:
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = Slot(key, manifest.resources.memory_mb, manifest.thread_safe)
                self._evict()
            else:
                self._slots.move_to_end(key)
            if slot.users and not slot.thread_safe:
                if job is not None:
                    slot.parked.append(job)
                return None
            slot.users += 1
            return slot

    def enter_if_free(self, key: Key, manifest: Manifest) -> Slot[Job] | None:
        """As :meth:`enter`, for one who does something else while it is busy: nothing is parked."""
        return self._enter(key, manifest, None)

    def has_room(self, key: Key, manifest: Manifest) -> bool:
        """Whether an instance is not there yet and could be, without any other being torn down for it."""
        with self._lock:
            held = sum(slot.memory_mb for slot in self._slots.values())
            return key not in self._slots and held + manifest.resources.memory_mb <= self._limit

    def leave(self, slot: Slot[Job]) -> Job | None:
        """Give the instance back. Returns a parked job, which now must be run by the caller's runtime."""
        with self._lock:
            slot.users -= 1
            abandoned = not slot.users and self._slots.get(slot.key) is not slot
            job = slot.parked.popleft() if slot.parked else None
        if abandoned:
            _tear_down(slot)
        return job

    def abandon(self, slot: Slot[Job]) -> list[Job]:
        """Give up an instance whose attempt never came back. Its parked jobs are returned; a new one serves them."""
        with self._lock:
            if self._slots.get(slot.key) is slot:
                del self._slots[slot.key]
            parked = list(slot.parked)
            slot.parked.clear()
            return parked

    def examine(self, slot: Slot[Job], manifest: Manifest) -> None:
        """See that the node of an entered slot can be imported here; its first use on this machine takes longer.

        Raises:
            NodeError: it cannot.
        """
        if slot.node is None:
            try:
                self._catalog.examine(manifest)
            except TyqiError as error:
                raise NodeError(error.message, code=error.code, remedy=error.remedy) from error

    def node(self, slot: Slot[Job], manifest: Manifest, ctx: TaskContext) -> Node:
        """The living node of an entered slot, built on first use; ``ctx`` is told its device.

        Raises:
            NodeError: the plugin cannot be imported, or ``setup`` failed.
        """
        if slot.node is None:
            with slot.building:
                if slot.node is None:
                    with self._meter.building(manifest.reference) if self._meter else nullcontext():
                        slot.node = self._build(slot, manifest, ctx)
        ctx.device = slot.device
        return slot.node

    def close(self) -> None:
        """Tear all idle instances down."""
        with self._lock:
            slots = [slot for slot in self._slots.values() if not slot.users]
            self._slots.clear()
        for slot in slots:
            _tear_down(slot)

    def _build(self, slot: Slot[Job], manifest: Manifest, ctx: TaskContext) -> Node:
        try:
            node = self._catalog.activate(manifest)()
            self._limit_threads(manifest.resources.cores)
            ctx.device = slot.device = _device(manifest)
            node.setup(ctx)
        except NodeError:
            raise
        except TyqiError as error:
            raise NodeError(error.message, code=error.code, remedy=error.remedy) from error
        except BaseException as error:
            raise NodeError(f"setup failed: {described(error)}", code="SETUP_FAILED") from error
        return node

    def _limit_threads(self, cores: int) -> None:
        """Let numeric libraries use as many threads as the hungriest node here declares, not one a core each."""
        self._cores = max(cores, self._cores)
        if torch := imported("torch"):
            torch.set_num_threads(self._cores)
        if cv2 := imported("cv2"):
            cv2.setNumThreads(self._cores)

    def _evict(self) -> None:
        """Tear down idle instances, oldest first, until the declared memory fits. The lock is held."""
        total = sum(slot.memory_mb for slot in self._slots.values())
        for key in list(self._slots):
            if total <= self._limit:
                return
            slot = self._slots[key]
            if not slot.users and slot.node is not None:
                del self._slots[key]
                total -= slot.memory_mb
                _tear_down(slot)


def instance_key(task: PlanTask, manifest: Manifest) -> Key:
    """The identity of the instance that serves a task."""
    setup = {name: task.params[name] for name in manifest.setup_params if name in task.params}
    return (manifest.id, manifest.version, manifest.resources.device, json.dumps(setup, sort_keys=True))


def _device(manifest: Manifest) -> str:
    """The device a node runs on here: a GPU if it can use one and there is one, else the CPU where that is allowed.

    Call it once the node's module is imported: whether there is a GPU is asked of the torch that it uses.

    Raises:
        NodeError: the node needs a GPU and there is none.
    """
    wanted = manifest.resources.device
    if wanted == "cpu":
        return "cpu"
    torch = imported("torch")
    if torch is not None and torch.cuda.is_available():
        return "cuda:0"
    if wanted == "gpu":
        raise NodeError(
            f"{manifest.id} needs a GPU and none is visible here",
            code="NO_DEVICE",
            remedy="Run it on a machine with a GPU, or use a node that declares device: any.",
        )
    return "cpu"


def _tear_down(slot: Slot[Job]) -> None:
    if slot.node is None:
        return
    try:
        slot.node.teardown()
    except BaseException:  # it may not end the thread that happens to clean up
        log.exception("teardown of %s failed", slot.key[0])
    slot.node = None


def _half_of_memory() -> int:
    """Half of the machine's memory in MiB; 2 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (2 * 1024 * 1024)
    except (AttributeError, ValueError, OSError):
        return 2048
