"""The real thing for the reference's numeric nodes: a catalog, a project's text, and a driver without threads."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml
from compare import assert_as_told
from numeric import Behaviour, NodeSpec, Table, compute
from reference import Reference
from telling import Told, tell

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import NodeError
from tyqi_core.node import LocalContext, Node, Outcome
from tyqi_core.runtime.execute import Executable, RunInputs
from tyqi_core.scheduler import ERROR_SLOT, Effects, Ready, Result, after_failure, effects, locate, start, task_id
from tyqi_core.stores.base import ABSENT, Claim
from tyqi_core.stores.memory import MemoryStore, check_invariants
from tyqi_core.workflow.compiler import compile_text
from tyqi_core.workflow.plan import Plan

RUN = "run"
MOST_STEPS = 5000

_NUMBER = {"type": "json", "schema": {"type": "number"}}
KINDS: dict[str, dict[str, Any]] = {
    "number": _NUMBER,
    "numbers": {**_NUMBER, "list": True},
    "sparse": {**_NUMBER, "list": True, "null_items": True},
    "list": {"type": "json", "list": True, "null_items": True},
    "any": {"type": "json"},
}


class _Plain(yaml.CSafeDumper):
    """Writes everything out, with no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class Case:
    """A project, its nodes, what a run is given and what its nodes do in it."""

    project: Mapping[str, Any]
    nodes: Mapping[str, NodeSpec]
    inputs: Mapping[str, Any]
    table: Mapping[str, tuple[Behaviour, ...]]

    @property
    def text(self) -> str:
        return yaml.dump(dict(self.project), Dumper=_Plain, sort_keys=False)

    def behaviour(self, instance: str) -> Behaviour:
        """Each task has some behaviours; which one applies in an instance follows from the items it is in."""
        choices = self.table.get(task_id(instance)) or (Behaviour(),)
        return choices[sum(items_of(instance)) % len(choices)]

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """How hypothesis shows a counterexample."""
        printer.text(f"\n{self.text}")
        for name, lines in (("input", self.inputs), ("node", self.nodes), ("table", self.table)):
            for key, value in lines.items():
                printer.text(f"# {name} {key}: {value}\n")


def items_of(instance: str) -> list[int]:
    return [int(part[: part.index("]")]) for part in instance.split("[")[1:]]


class Numeric(Node):
    """What :func:`numeric.compute` says; fails and decides as its table says."""

    spec: NodeSpec
    table: Callable[[str], Behaviour]

    def setup(self, ctx: Any) -> None:
        self.tries: dict[str, int] = {}

    def process(self, inputs: Mapping[str, Any], ctx: Any) -> Any:
        instance = ctx.effect_key.partition("/")[2]
        assert inputs.keys() == self.spec.inputs.keys()
        behaviour = self.table(instance)
        tried = self.tries[instance] = self.tries.get(instance, 0) + 1
        if tried <= behaviour.failures:
            raise ArithmeticError(f"attempt {tried} of {instance} fails")
        outputs = compute(task_id(instance), self.spec, inputs, behaviour)
        if behaviour.wrong:
            outputs = dict.fromkeys(outputs, "no number")
        return Outcome(behaviour.outcome or "", outputs) if self.spec.outcomes else outputs


def catalog_of(nodes: Mapping[str, NodeSpec], table: Callable[[str], Behaviour]) -> Catalog:
    return Catalog.of(*(local_node(name, spec, table) for name, spec in nodes.items()))


def local_node(
    name: str, spec: NodeSpec, table: Callable[[str], Behaviour], base: type = Numeric, more: Mapping[str, Any] = {}
) -> LocalNode:
    """A numeric node; ``more`` stands in its manifest beside what all of them have."""
    members = {"spec": spec, "table": staticmethod(table)}
    return LocalNode(_manifest(name, _body(name, spec, more)), type(base.__name__, (base,), members))


def _body(name: str, spec: NodeSpec, more: Mapping[str, Any]) -> str:
    inputs = {}
    for port, given in spec.inputs.items():
        inputs[port] = dict(KINDS[given.kind])
        if not given.required:
            inputs[port] |= {"required": False} if given.default is None else {"default": given.default}
    body = {
        "tyqi_node": 1,
        "name": name.partition(".")[2],
        "version": "1.0.0",
        "title": name,
        "description": "A node of the model tests.",
        "category": "utility",
        "licence": "Apache-2.0",
        "author": "Tests",
        "requires_tyqi": ">=0",
        "inputs": inputs,
        "outputs": {port: KINDS[kind] for port, kind in spec.outputs.items()},
    }
    if spec.outcomes:
        body["outcomes"] = dict.fromkeys(spec.outcomes, "what it decided")
    return json.dumps(body | more)


@lru_cache(maxsize=4096)
def _manifest(name: str, body: str) -> Manifest:
    namespace, _, local = name.partition(".")
    return Manifest.parse(
        body,
        f"{local}.node.yaml",
        namespace=namespace,
        local_id=local,
        entry_point="tests:Numeric",
        distribution=f"tyqi-node-{namespace}",
        distribution_version="1.0.0",
    )


def compiled(case: Case) -> tuple[Plan, Catalog]:
    catalog = catalog_of(case.nodes, case.behaviour)
    return compile_text(case.text, "project.yaml", catalog), catalog


@dataclass
class Driver:
    """Runs a plan on the scheduler and a store in one thread: whoever calls says what happens next.

    ``ready`` holds the instances that may be claimed, ``executing`` those that are claimed.
    """

    plan: Plan
    catalog: Catalog
    inputs: Mapping[str, Any]
    table: Callable[[str], Behaviour]
    store: MemoryStore = field(default_factory=MemoryStore)
    ready: list[str] = field(default_factory=list)
    executing: dict[str, Claim] = field(default_factory=dict)
    executables: dict[str, Executable] = field(default_factory=dict)

    def accept(self) -> None:
        first = start(self.plan)
        self.store.accept(RUN, RunInputs(self.plan).checked(self.inputs), first, {})
        self.add(first.ready)

    def add(self, ready: Iterable[Ready]) -> None:
        for entry in ready:
            self.ready.extend(entry.instances())

    def executable(self, instance: str) -> Executable:
        task = self.plan.tasks[task_id(instance)]
        if task.id not in self.executables:
            self.executables[task.id] = Executable(self.plan, task, self.catalog.find(task.node.id))
        return self.executables[task.id]

    def claim(self, instance: str) -> None:
        self.ready.remove(instance)
        claim = self.store.claim(RUN, instance, self.executable(instance).wanted(instance))
        if claim is not None:
            self.executing[instance] = claim
            self.late_answer(instance, claim.token - 1)
        check_invariants(self.store.state(RUN))

    def late_answer(self, instance: str, token: int) -> None:
        """An attempt that was given up comes back and settles the task in some other way: nothing may come of it."""
        if token:
            nothing = Effects(())
            late = self.store.commit(RUN, instance, token, kind="task.skipped", slots=None, outputs={}, effects=nothing)
            assert late is None, f"a late attempt of {instance} settled it"

    def finish(self, instance: str) -> None:
        """End the attempt under way, as the table has it."""
        claim = self.executing.pop(instance)
        executable = self.executable(instance)
        if claim.skip:
            self.settle(executable, instance, claim, "task.skipped", Result("skipped"), {})
        else:
            self.attempt(executable, instance, claim)
        check_invariants(self.store.state(RUN))

    def attempt(self, executable: Executable, instance: str, claim: Claim) -> None:
        node = self.catalog.activate(executable.manifest)()
        node.setup(None)
        node.tries[instance] = claim.tries - 1
        node.table = self.table
        try:
            done = executable.run(node, claim.values, LocalContext(effect_key=f"{RUN}/{instance}"))
        except NodeError as error:
            self.fail(executable, instance, claim, error)
        else:
            self.settle(executable, instance, claim, "task.completed", done.result, done.outputs)

    def fail(self, executable: Executable, instance: str, claim: Claim, error: NodeError) -> None:
        error.task = instance
        verdict = after_failure(executable.task, claim.tries, error)
        body = error.to_json()
        if verdict.action == "retry":
            assert self.store.retry(RUN, instance, claim.token, {"error": body})
            self.ready.append(instance)
        elif verdict.action == "skip":
            self.settle(executable, instance, claim, "task.skipped", Result("skipped"), {}, {"error": body})
        elif verdict.action == "branch":
            self.settle(
                executable, instance, claim, "task.failed", Result("failed"), {ERROR_SLOT: body}, {"error": body}
            )
        else:
            self.store.fail(RUN, instance, claim.token, body)

    def settle(
        self,
        executable: Executable,
        instance: str,
        claim: Claim,
        kind: str,
        result: Result,
        outputs: Mapping[str, Any],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        task = executable.task
        settled = self.store.commit(
            RUN,
            instance,
            claim.token,
            kind=kind,
            slots=outputs if task.readers or task.kept else None,
            outputs=outputs,
            effects=effects(self.plan, instance, result),
            data=data,
        )
        assert settled is not None, f"{instance} was fenced"
        self.add(settled.ready)

    @property
    def status(self) -> str:
        return self.store.status(RUN)

    def cancel(self, chance: random.Random) -> None:
        """Cancel the run; of what is executing, some finish and some are given back."""
        self.store.cancel(RUN)
        for instance in list(self.executing):
            if self.status == "cancelling" and chance.random() < 0.5:
                claim = self.executing.pop(instance)
                assert self.store.release(RUN, instance, claim.token) is not None
            check_invariants(self.store.state(RUN))

    def resume(self) -> None:
        assert not self.steps()
        self.add(self.store.resume(RUN))
        check_invariants(self.store.state(RUN))

    def steps(self) -> list[tuple[str, str]]:
        """All that may happen next."""
        return [("claim", name) for name in self.ready] + [("finish", name) for name in self.executing]

    def step(self, step: tuple[str, str]) -> None:
        action, instance = step
        (self.claim if action == "claim" else self.finish)(instance)

    def outputs(self) -> dict[str, Any]:
        """The run's outputs, ``None`` for what is absent."""
        found = {}
        for name, source in self.plan.outputs.items():
            value = self.store.read(RUN, locate(self.plan, self.plan.roots[0], source))
            found[name] = None if value is ABSENT else value
        return found

    def drive(self, chance: random.Random, watch: Callable[[], None] = lambda: None) -> None:
        """Go on in random order until nothing is left to do."""
        watch()
        for _ in range(MOST_STEPS):
            if not (steps := self.steps()):
                return
            self.step(chance.choice(steps))
            watch()
        raise AssertionError("the run does not come to an end")


@dataclass
class Watcher:
    """Looks at a driver's run after every step: what is ready, settled and still held is what the reference tells."""

    driver: Driver
    reference: Reference

    def __post_init__(self) -> None:
        self.table = self.driver.table

    def __call__(self) -> None:
        state = self.driver.store.state(RUN)
        settled = {name for name, task in state.tasks.items() if task.status == "settled"}
        told = tell(self.reference, self.driver.inputs, partial(self.table, settled))
        assert {name for name, fate in told.fates.items() if fate.settled} == settled
        ready = {name for name, fate in told.fates.items() if fate.kind == "ready"}
        at_hand = {*self.driver.ready, *self.driver.executing}
        held = {name for entry in state.held for name in entry.instances()}
        assert ready == at_hand | held, f"ready: {at_hand} {held}, due: {ready}"
        kept = {source.task for source in self.driver.plan.outputs.values()}
        late = state.slots.keys() - told.held - kept - {""}
        assert not late, f"{late} are held, though nobody can read them any more"


def hold(case: Case, seeds: Iterable[int]) -> Told:
    """Run a case in several orders and hold each against the reference, step by step and as a whole."""
    plan, catalog = compiled(case)
    reference = Reference(case.project, case.nodes)
    told = tell(reference, case.inputs, case.behaviour)
    for seed in seeds:
        driver = Driver(plan, catalog, case.inputs, case.behaviour)
        driver.accept()
        driver.drive(random.Random(seed), Watcher(driver, reference))  # noqa: S311 - an order, no secret
        assert_as_told(told, driver.status, driver.outputs(), driver.store.events(RUN))
    return told


def partial(table: Table, known: Iterable[str]) -> Table:
    """The table, as far as the instances ``known`` are concerned."""
    known = set(known)
    return lambda instance: table(instance) if instance in known else None
