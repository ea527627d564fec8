"""A project file as typed data: what was written, field by field, before any name in it is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tyqi_core.errors import Problem
from tyqi_core.protocol.document import Document, Key
from tyqi_core.protocol.ports import PortType, checker
from tyqi_core.workflow.plan import ON_ERROR
from tyqi_core.workflow.references import RESERVED
from tyqi_core.workflow.shape import Path, Shape

DEFAULT_ALIAS = "item"
DEFAULT_OUTCOME = "default"

OnError = Literal["fail", "skip", "branch"]


class Report:
    """The problems of one document, gathered while it is read."""

    def __init__(self, document: Document, problems: Sequence[Problem] = ()) -> None:
        self.document = document
        self.problems: list[Problem] = list(problems)

    def add(
        self,
        code: str,
        message: str,
        *path: Key,
        value: bool = False,
        nearest: str | None = None,
        remedy: str | None = None,
    ) -> None:
        """Note a problem at ``path``: at its key, or where its ``value`` begins."""
        problem = self.document.problem(code, message, path, value=value, nearest=nearest, remedy=remedy)
        if problem not in self.problems[-20:]:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class RunInput:
    """A declared input of a run; ``type`` is ``None`` where the declaration is faulty."""

    name: str
    type: PortType | None
    required: bool = True
    default: Any = None

    @property
    def optional(self) -> bool:
        """Whether a run may come without any value for it."""
        return not self.required and self.default is None

    def to_json(self) -> dict[str, Any]:
        """The declaration as a plan holds it."""
        body = self.type.to_json() if self.type else {}
        body["required"] = self.required
        if self.default is not None:
            body["default"] = self.default
        return body


@dataclass(frozen=True, slots=True)
class RuleModel:
    """One entry of an expression branch; ``expression`` is ``None`` for the default."""

    outcome: str
    expression: str | None
    head: str | None
    path: Path


@dataclass(frozen=True, slots=True)
class ForeachModel:
    """``foreach`` as it was written."""

    over: str
    alias: str
    body: str
    collect: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Use:
    """A task's use of a sub-chain: by ``outcome`` (``$error`` for its error branch), or per item."""

    user: str
    head: str
    path: Path
    outcome: str = ""

    @property
    def per_item(self) -> bool:
        """Whether it is the body of a foreach."""
        return not self.outcome


@dataclass(frozen=True, slots=True)
class TaskModel:
    """One task as it was written. ``None`` and empty mean: not there. ``broken``: fields that are there but unsound."""

    id: str
    node: str | None
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]
    predecessor: tuple[str, ...] | None
    successor: tuple[str, ...] | None
    condition: bool
    outcomes: Mapping[str, str | None] | None
    rules: tuple[RuleModel, ...]
    subchain: bool
    foreach: ForeachModel | None
    retries: int
    backoff: float
    timeout: float | None
    on_error: OnError
    error_head: str | None
    queue: str | None
    resources: Mapping[str, Any]
    broken: frozenset[str] = frozenset()
    uses: tuple[Use, ...] = ()

    @property
    def branching(self) -> bool:
        """Whether it has branches, by outcome or by expression."""
        return self.outcomes is not None or bool(self.rules)

    @property
    def branches(self) -> dict[str, str | None]:
        """Outcome -> head, as the plan has it."""
        heads = dict(self.outcomes or {})
        heads.update({rule.outcome: rule.head for rule in self.rules})
        if self.error_head:
            heads[ON_ERROR] = self.error_head
        return heads


@dataclass(frozen=True, slots=True)
class Project:
    """A project file.

    ``known`` holds the names that are there, sound or not: field -> names; ``None`` where the whole field is unsound.
    """

    name: str
    inputs: Mapping[str, RunInput]
    params: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, TaskModel]
    outputs: Mapping[str, str]
    known: Mapping[str, frozenset[str] | None]

    def knows(self, field: str, name: str) -> bool:
        """Whether ``name`` stands in a field, as far as can be told."""
        names = self.known[field]
        return names is None or name in names


def read_project(shape: Shape, report: Report) -> Project:
    """The model of a document whose shape is known; notes what the schema cannot say."""
    body = shape.value
    broken: dict[str, set[str]] = {}
    for path in shape.broken:
        if path[:1] == ("tasks",) and len(path) > 2:  # noqa: PLR2004 - tasks, name, field
            broken.setdefault(str(path[1]), set()).add(str(path[2]))
    raw = report.document.value if isinstance(report.document.value, dict) else {}
    return Project(
        name=body.get("project", ""),
        inputs={name: _run_input(name, declaration, report) for name, declaration in body.get("inputs", {}).items()},
        params=body.get("params", {}),
        tasks={
            name: _task(name, task, frozenset(broken.get(name, ())), report)
            for name, task in body.get("tasks", {}).items()
        },
        outputs=body.get("outputs", {}),
        known={
            name: frozenset(raw.get(name, ())) if isinstance(raw.get(name, {}), dict) else None
            for name in ("inputs", "params", "tasks")
        },
    )


def _run_input(name: str, declaration: Mapping[str, Any], report: Report) -> RunInput:
    default = declaration.get("default")
    required = declaration.get("required", True) and default is None
    try:
        port_type = PortType.parse(declaration)
    except ValueError as error:
        report.add("BAD_PORT_TYPE", f"{str(error).rstrip('.')}.", "inputs", name)
        return RunInput(name, None, required, default)
    if default is not None and (fault := checker(port_type)(default)) is not None:
        report.add("BAD_DEFAULT", f"the default of '{name}' does not fit its type: {fault}", "inputs", name, "default")
    return RunInput(name, port_type, required, default)


def _task(name: str, body: Mapping[str, Any], broken: frozenset[str], report: Report) -> TaskModel:
    if name in RESERVED:
        report.add("BAD_NAME", f"'{name}' is a word of the expression language, no name for a task.", "tasks", name)
    branches = body.get("branches")
    on_error = body.get("on_error", "fail")
    foreach = body.get("foreach")
    rules = tuple(_rules(name, branches, report)) if isinstance(branches, list) else ()
    if isinstance(branches, list) and len(rules) < len(branches):
        broken |= {"branches"}
    task = TaskModel(
        id=name,
        node=body.get("node"),
        inputs=body.get("inputs", {}),
        params=body.get("params", {}),
        predecessor=_names(body.get("predecessor")),
        successor=_names(body.get("successor")),
        condition=body.get("condition", False),
        outcomes=branches if isinstance(branches, dict) else None,
        rules=rules,
        subchain=body.get("subchain", False),
        foreach=_foreach(foreach) if foreach else None,
        retries=int(body.get("retries", 0)),
        backoff=float(body.get("backoff", 0)),
        timeout=None if body.get("timeout") is None else float(body["timeout"]),
        on_error="branch" if isinstance(on_error, dict) else on_error,
        error_head=on_error["branch"] if isinstance(on_error, dict) else None,
        queue=body.get("queue"),
        resources=body.get("resources", {}),
        broken=broken,
    )
    uses = tuple(_uses(task))
    return replace(task, uses=uses) if uses else task


def _names(value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)


def _foreach(body: Mapping[str, Any]) -> ForeachModel:
    return ForeachModel(body["over"], body.get("as", DEFAULT_ALIAS), body["body"], body.get("collect", {}))


def _rules(task: str, branches: Sequence[Mapping[str, Any]], report: Report) -> Iterator[RuleModel]:
    """The rules in order. Outcomes of rules are called ``when 1``, ``when 2``, ... and ``default``: no task is."""
    for position, rule in enumerate(branches):
        path: Path = ("tasks", task, "branches", position)
        if "default" in rule and len(rule) == 1:
            if position != len(branches) - 1:
                report.add("BAD_RULE", "rules after {default: ...} can never decide.", *path, remedy="Put it last.")
            yield RuleModel(DEFAULT_OUTCOME, None, rule["default"], path)
        elif rule.keys() == {"when", "to"}:
            yield RuleModel(f"when {position + 1}", rule["when"], rule["to"], path)
        else:
            report.add("BAD_RULE", "a rule is {when: EXPRESSION, to: HEAD} or {default: HEAD}.", *path)
    if branches and "default" not in branches[-1] and not any("default" in rule for rule in branches):
        report.add(
            "OUTCOME_WITHOUT_BRANCH",
            f"{task} says nothing of what happens when none of its expressions is true.",
            "tasks",
            task,
            "branches",
            remedy="Add {default: HEAD}, or {default: null} if nothing happens then.",
        )


def _uses(task: TaskModel) -> Iterator[Use]:
    here: Path = ("tasks", task.id)
    for outcome, head in (task.outcomes or {}).items():
        if head is not None:
            yield Use(task.id, head, (*here, "branches", outcome), outcome)
    for rule in task.rules:
        if rule.head is not None:
            key = "default" if rule.expression is None else "to"
            yield Use(task.id, rule.head, (*rule.path, key), rule.outcome)
    if task.foreach:
        yield Use(task.id, task.foreach.body, (*here, "foreach", "body"))
    if task.error_head:
        yield Use(task.id, task.error_head, (*here, "on_error", "branch"), ON_ERROR)
