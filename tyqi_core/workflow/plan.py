"""A project, compiled: immutable, validated, hashed. What the scheduler walks and what travels to workers.

Vocabulary
----------
*Scope*: the root workflow, or one sub-chain; a template that is stored once, however many tasks use it. Every task
belongs to exactly one scope. The root scope's name is ``""``, a sub-chain's name is the id of its head.

*Instance*: one task in one use of its scope, written as a path: ``T1`` (root), ``T1/T2a`` (T2a in the sub-chain that
T1 chose), ``T4[3]/T5`` (T5 in item 3 of T4's foreach), ``T4[3]/T5/T5a``, ``T4[3]/T5[0]/T6``. Everything before the
last ``/`` names the *user*: the instance whose outcome, error or foreach opened the scope.

*Slot*: a named value that an instance holds: an output port (``mask``), what a chosen branch hands outward
(``branch.measurements``) or what a foreach collected (``each.scores``). Consumers read slots of instances in their own
scope or in a scope that encloses it, so availability is lexical.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

PLAN_FORMAT = 1
ON_ERROR = "$error"
"""The outcome under which ``branches`` holds the head of an ``on_error: {branch: ...}``."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_SCALARS = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True, slots=True)
class NodePin:
    """Exactly which node a task runs: id, version and the digest of its manifest."""

    id: str
    version: str
    digest: str

    @property
    def major(self) -> int:
        """The version's first number."""
        return int(self.version.split(".", 1)[0])


@dataclass(frozen=True, slots=True)
class Source:
    """Where one value comes from.

    ==========  =====================================================================================
    kind        meaning of the other fields
    ==========  =====================================================================================
    ``input``   run input ``name``
    ``slot``    slot ``name`` of task ``task``, in the consumer's scope or the nearest enclosing one that has it
    ``item``    the current item of the nearest enclosing foreach whose alias is ``name``
    ``error``   the error (JSON object) that opened the error branch whose head is ``task``
    ``const``   ``value``, a JSON value
    ==========  =====================================================================================

    A source names no distance: one sub-chain may be used at several depths. ``scheduler.locate`` finds the holder
    by walking outward along the consumer's path.
    """

    kind: Literal["input", "slot", "item", "error", "const"]
    name: str = ""
    task: str = ""
    value: Any = None


@dataclass(frozen=True, slots=True)
class Binding:
    """An input port and its source. An absent required source skips the task; an absent optional one gives ``default``.

    A name that starts with ``when:`` is no port of the node but a value that only the branch rules read; the rest of
    the name is the reference as the expression writes it (``when:T0.score``).
    """

    port: str
    source: Source
    required: bool = True
    default: Any = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of an expression branch: the first rule whose expression is true gives the outcome.

    ``expression`` is the source text; ``None`` is the default. ``outcome`` is its key in ``branches``.
    """

    expression: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Foreach:
    """Run the sub-chain ``body`` once for each element of output port ``over``."""

    over: str
    alias: str
    body: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A slot of a task inside an opened scope that is handed outward to a slot of the scope's user.

    ``slot`` is the user's slot that is filled (``branch.measurements``, ``each.scores``).
    """

    task: str
    source_slot: str
    slot: str


@dataclass(frozen=True, slots=True)
class PlanTask:
    """One task of the plan.

    Attributes:
        id: unique in the project (``T2a1``).
        scope: ``""`` or the head of the sub-chain it belongs to.
        node: the pinned node.
        params: parameters with defaults filled in and project parameters resolved; JSON.
        bindings: where its inputs come from.
        successors: tasks of the same scope that wait for its end, so also for the branch or foreach that it opens.
        beside: tasks of the same scope that only read its outputs: they wait until it is settled, and run beside the
            branch or foreach that it opens. Always empty for a task that can open nothing.
        waits: how many tasks of the same scope it waits for, in either way.
        tail: True when nothing in its scope waits for its end.
        branches: outcome -> head of the sub-chain, ``None`` for a null branch. Includes :data:`ON_ERROR`.
        rules: expression branches in order; empty when the node itself returns the outcome.
        foreach: set on a task that runs a body per item.
        offers: head of an opened scope -> what that scope hands outward to this task.
        frees: tasks of the same scope (it may name itself) whose slots this task, or a scope that it opens, reads.
            Once all readers have ended, the slots can be freed. Reading ``$error`` in its error branch counts too.
        readers: how many tasks of the same scope read this one's slots; the start value of that count.
        kept: its slots feed the run's outputs and live until the run's end.
        retries: how many times a failed attempt is repeated.
        backoff: seconds before the first repeat; doubles with each further one.
        timeout: seconds one attempt may take, or ``None``.
        on_error: what a final failure does: fail the run, skip the task, or take ``branches[ON_ERROR]``.
        queue: Celery queue, for example ``cpu.short``.
        outcomes: the outcomes that the node may return; empty for a node that is no condition.
        max_batch: how many tasks of this node may be executed at once; 0 for a node that takes no batches.
        max_wait_ms: how long the first task of a batch that is not full waits for others.
    """

    id: str
    scope: str
    node: NodePin
    params: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    bindings: tuple[Binding, ...] = ()
    successors: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    waits: int = 0
    tail: bool = True
    branches: Mapping[str, str | None] = field(default_factory=lambda: _EMPTY)
    rules: tuple[Rule, ...] = ()
    foreach: Foreach | None = None
    offers: Mapping[str, tuple[Offer, ...]] = field(default_factory=lambda: _EMPTY)
    frees: tuple[str, ...] = ()
    readers: int = 0
    kept: bool = False
    retries: int = 0
    backoff: float = 0.0
    timeout: float | None = None
    on_error: Literal["fail", "skip", "branch"] = "fail"
    queue: str = "cpu.short"
    outcomes: tuple[str, ...] = ()
    max_batch: int = 0
    max_wait_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled project.

    Attributes:
        project: its name.
        inputs: run input -> port declaration as JSON (see ``protocol.ports.PortType.to_json``), plus ``required``
            and ``default``.
        outputs: run output -> source in the root scope, or a run input.
        tasks: all tasks of all scopes by id, in file order.
        roots: tasks of the root scope that wait for nothing.
        tails: scope -> its tails; ``tails[""]`` are the root scope's.
        params: project parameters as they were resolved for this plan.
        digest: SHA-256 of the canonical JSON form, hexadecimal.
    """

    project: str
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Source]
    tasks: Mapping[str, PlanTask]
    roots: tuple[str, ...]
    tails: Mapping[str, tuple[str, ...]]
    params: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    digest: str = ""

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON; :meth:`from_json` gives an equal plan back. Defaults are left out."""
        return {
            "format": PLAN_FORMAT,
            "project": self.project,
            "params": dict(self.params),
            "inputs": {name: dict(declaration) for name, declaration in self.inputs.items()},
            "outputs": {name: _lean(source) for name, source in self.outputs.items()},
            "roots": list(self.roots),
            "tails": {scope: list(tails) for scope, tails in self.tails.items()},
            "tasks": [_lean(task) for task in self.tasks.values()],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Plan:
        """Read back what :meth:`to_json` wrote.

        Raises:
            ValueError: the plan was written in another format.
        """
        if body.get("format") != PLAN_FORMAT:
            raise ValueError(f"plan format {body.get('format')!r} is not {PLAN_FORMAT}; compile the project again")
        tasks = [_task_from_json(task) for task in body["tasks"]]
        return cls(
            project=body["project"],
            inputs=body["inputs"],
            outputs={name: Source(**source) for name, source in body["outputs"].items()},
            tasks={task.id: task for task in tasks},
            roots=tuple(body["roots"]),
            tails={scope: tuple(tails) for scope, tails in body["tails"].items()},
            params=body["params"],
        ).sealed()

    def sealed(self) -> Plan:
        """The same plan with its digest computed."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return Plan(self.project, self.inputs, self.outputs, self.tasks, self.roots, self.tails, self.params, digest)


def _lean(value: Any) -> Any:
    """A dataclass as JSON without the fields that hold their default."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if is_dataclass(kind):
        return {name: _lean(held) for name, default in _defaults(kind) if (held := getattr(value, name)) != default}
    if isinstance(value, tuple | list):
        return [_lean(element) for element in value]
    if isinstance(value, Mapping):
        return {key: _lean(element) for key, element in value.items()}
    return value


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """The fields of a dataclass and their defaults, :data:`dataclasses.MISSING` where there is none.

    Looked up once a class: a plan of thousands of tasks asks for them all the time.
    """
    return tuple(
        (known.name, known.default if known.default_factory is MISSING else known.default_factory())
        for known in fields(kind)
    )


def _task_from_json(body: Mapping[str, Any]) -> PlanTask:
    fields = dict(body)
    fields["node"] = NodePin(**fields["node"])
    fields["bindings"] = tuple(
        Binding(**{**binding, "source": Source(**binding["source"])}) for binding in fields.get("bindings", ())
    )
    fields["rules"] = tuple(Rule(**{"expression": None, **rule}) for rule in fields.get("rules", ()))
    if fields.get("foreach"):
        fields["foreach"] = Foreach(**fields["foreach"])
    fields["offers"] = {
        head: tuple(Offer(**offer) for offer in offers) for head, offers in fields.get("offers", {}).items()
    }
    for name in ("successors", "beside", "frees", "outcomes"):
        fields[name] = tuple(fields.get(name, ()))
    return PlanTask(**fields)
