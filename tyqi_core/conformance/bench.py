"""One node, made ready to be tried in this process by the functions that the runtimes execute tasks with."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.inputs import Case, boundary, examples, plain
from tyqi_core.errors import InputError, TyqiError
from tyqi_core.node import Node
from tyqi_core.protocol.codecs import digest, encode_any, sha256
from tyqi_core.runtime.context import TaskContext
from tyqi_core.runtime.execute import Executable, RunInputs
from tyqi_core.runtime.instances import Instances, Slot, instance_key
from tyqi_core.runtime.watch import Watch
from tyqi_core.stores.base import ABSENT
from tyqi_core.workflow.compiler import compile_text
from tyqi_core.workflow.plan import Plan
from tyqi_core.workflow.single import TASK, single_node_project

RUN: Final = "conformance"


@dataclass(frozen=True, slots=True)
class Tried:
    """How one execution ended.

    Attributes:
        case: what was tried.
        outputs: by port; empty if it failed.
        outcome: of a condition node.
        error: why it failed.
        entered: how often the node's own code was entered.
    """

    case: Case
    outputs: Mapping[str, Any] = field(default_factory=dict)
    outcome: str | None = None
    error: TyqiError | None = None
    entered: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """The project of this node alone, with certain parameters."""

    plan: Plan
    executable: Executable
    inputs: RunInputs

    def values(self, inputs: Mapping[str, Any]) -> list[Any]:
        """What the task's bindings take, in their order."""
        sources = (binding.source for binding in self.executable.task.bindings if binding.source.kind == "input")
        return [inputs.get(source.name, ABSENT) for source in sources]


class Bench:
    """Tries one node.

    Args:
        catalog: of this environment.
        manifest: the node.
        own: the files and folders of its package.
        announce: told of what is tried next, so that somebody knows if this process does not survive it.
    """

    def __init__(
        self,
        catalog: Catalog,
        manifest: Manifest,
        own: Sequence[Path] = (),
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.catalog = catalog
        self.manifest = manifest
        self.announce = announce
        self.own = tuple(map(str, own))
        self._prepared: dict[str, Prepared] = {}
        self._entered = 0
        self._guarding = False
        self.instances: Instances[str] = Instances(catalog)
        self._watch = Watch(None)
        self.modified: list[str] = []
        """The inputs into which the last attempt wrote."""

    def on_device(self, device: Any) -> Bench:
        """The same node, told to compute elsewhere."""
        resources = replace(self.manifest.resources, device=device)
        return Bench(self.catalog, replace(self.manifest, resources=resources), [Path(own) for own in self.own])

    def prepared(self, params: Mapping[str, Any]) -> Prepared:
        """The node's project with these parameters.

        Raises:
            InvalidProject: they do not fit.
        """
        key = json.dumps(params, sort_keys=True, default=str)
        if key not in self._prepared:
            source = single_node_project(self.manifest, params)
            plan = compile_text(source, f"<{self.manifest.id}>", self.catalog)
            executable = Executable(plan, plan.tasks[TASK], self.manifest)
            self._prepared[key] = Prepared(plan, executable, RunInputs(plan))
        return self._prepared[key]

    def attempt(self, case: Case, *, writable: bool = False) -> Tried:
        """Execute it once.

        Args:
            case: inputs and parameters.
            writable: hand in arrays that can be written to, and see whether they are.
        """
        self.announce(case.name)
        self._entered, self.modified, self._guarding = 0, [], writable
        try:
            prepared = self.prepared(case.params)
            inputs = _copies(case.inputs) if writable else prepared.inputs.checked(case.inputs)
            executed = self._executed(prepared, prepared.values(inputs))
        except TyqiError as error:
            return Tried(case, error=error, entered=self._entered)
        return Tried(case, executed.outputs, executed.result.outcome, entered=self._entered)

    def digests(self, tried: Tried) -> dict[str, str]:
        """What came out, in a form that can be compared; the error's words if it failed."""
        if tried.error is not None:
            return {"error": tried.error.code}
        found = {name: digest(self.manifest.outputs[name].type, value) for name, value in tried.outputs.items()}
        return found | ({"outcome": tried.outcome} if tried.outcome else {})

    def enter(self, prepared: Prepared) -> tuple[Slot[str], Node, TaskContext]:
        """The living instance for these parameters, and a context; ``instances.leave`` gives it back."""
        context = TaskContext(RUN, TASK, prepared.executable.task.params, "cpu")
        slot = self.instances.enter(instance_key(prepared.executable.task, self.manifest), self.manifest, "")
        assert slot is not None  # noqa: S101 - one thread alone uses these instances
        try:
            built = slot.node is None
            node = self.instances.node(slot, self.manifest, context)
        except BaseException:
            self.instances.leave(slot)
            raise
        if built:
            self._look_on(node)
        return slot, node, context

    def fresh(self) -> None:
        """Tear the instances down; what is tried next is tried on new ones."""
        self.instances.close()

    @cached_property
    def examples(self) -> list[Case]:
        """The manifest's examples; those that cannot be read are left out."""
        try:
            return list(examples(self.manifest))
        except InputError:
            return []

    @property
    def quick(self) -> bool:
        """Whether it is declared short, so that it may be executed often."""
        return self.manifest.resources.duration == "short"

    @cached_property
    def completed(self) -> list[Tried]:
        """Executions that it completed, each case once: its examples first, then at most four made-up ones.

        Of a node that is not short its first example alone.
        """
        made_up = [plain(self.manifest), plain(self.manifest, (33, 47)), *boundary(self.manifest)]
        cases = [case for case in made_up if case is not None][:4]
        chosen = [*self.examples, *cases] if self.quick or not self.examples else self.examples[:1]
        return [tried for tried in map(self.attempt, chosen) if tried.error is None]

    @property
    def working(self) -> list[Case]:
        """The cases of :attr:`completed`."""
        return [tried.case for tried in self.completed]

    def finding(self, tried: Tried, message: str = "") -> Finding:
        """A failure, with the plugin's line that raised it."""
        text = f"{tried.error.code}: {tried.error.message}" if tried.error else ""
        file, line = self._raised_at(tried.error)
        return Finding(
            f"{tried.case.name}: {message}{text}"[:1000], file, line, (tried.error and tried.error.remedy) or ""
        )

    def _executed(self, prepared: Prepared, values: list[Any]) -> Any:
        slot, node, context = self.enter(prepared)
        try:
            return self._watch.run(prepared.executable, node, values, context, (RUN, TASK))
        finally:
            self.instances.leave(slot)

    def _look_on(self, node: Node) -> None:
        """Count how often its code is entered, and compare its inputs afterwards."""
        process, process_batch = node.process, node.process_batch

        def one(inputs: Any, ctx: Any) -> Any:
            with _Guard(self, [inputs]):
                return process(inputs, ctx)

        def several(items: Any, ctxs: Any) -> Any:
            with _Guard(self, items):
                return process_batch(items, ctxs)

        node.process, node.process_batch = one, several  # type: ignore[method-assign]

    def _raised_at(self, error: TyqiError | None) -> tuple[str, int]:
        cause = getattr(error, "__cause__", None)
        for frame in reversed(traceback.extract_tb(cause.__traceback__) if cause else []):
            root = next((own for own in self.own if frame.filename.startswith(own)), None)
            if root is not None:
                return Path(frame.filename).relative_to(Path(root).parent).as_posix(), frame.lineno or 0
        return "", 0


class _Guard:
    """Around the node's own code."""

    def __init__(self, bench: Bench, items: Sequence[Mapping[str, Any]]) -> None:
        self._bench = bench
        self._items = items

    def __enter__(self) -> None:
        self._bench._entered += 1  # noqa: SLF001 - a part of the bench
        self._before = [_states(inputs) for inputs in self._items] if self._bench._guarding else []  # noqa: SLF001

    def __exit__(self, *_: object) -> None:
        for before, inputs in zip(self._before, self._items, strict=False):
            after = _states(inputs)
            changed = [name for name in before | after if before.get(name) != after.get(name)]
            self._bench.modified += changed


def _states(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {name: _state(value) for name, value in inputs.items()}


def _state(value: Any) -> str:
    try:
        encoded = encode_any(value)
    except TyqiError:  # it is no longer a value that a port can hold
        return "damaged"
    return sha256(encoded.media_type.encode(), encoded.data)


def _copies(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with arrays of their own, which can be written to."""
    return {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}
