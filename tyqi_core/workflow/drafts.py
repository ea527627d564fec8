"""Tasks with every name in them looked up: node, ports, outcomes, references, expressions, parameters.

A name that means nothing is noted and left out; :attr:`Draft.faulty` remembers the ports concerned, so that a later
step does not report them a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.manifest import Manifest, queue_of
from tyqi_core.errors import CatalogError, ConditionError, InvalidProject
from tyqi_core.protocol.document import Key
from tyqi_core.protocol.json_values import echo
from tyqi_core.protocol.validation import nearest_name
from tyqi_core.workflow.expressions import Expression, compile_expression
from tyqi_core.workflow.model import Project, Report, RuleModel, TaskModel
from tyqi_core.workflow.parameters import Parameters
from tyqi_core.workflow.references import Reference, parse_reference

_MISSPELT = ("NODE_UNKNOWN", "BAD_REFERENCE")
"""What a slip of the finger leads to; a node that is broken or disabled was meant as it is written."""


@dataclass(slots=True)
class Draft:
    """A task on its way into the plan.

    Attributes:
        references: input port -> what was written for it.
        constants: input port -> a JSON value.
        unfed: ports that were written ``null``.
        rules: the expression branches; ``None`` stands for the default.
        whens: what the expressions read of other tasks, as they write it.
        collects: name -> reference into the foreach's body.
        faulty: ports of which something was noted already.
    """

    model: TaskModel
    manifest: Manifest | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    unfed: set[str] = field(default_factory=set)
    rules: list[tuple[RuleModel, Expression | None]] = field(default_factory=list)
    whens: dict[str, Reference] = field(default_factory=dict)
    collects: dict[str, Reference] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """The task's name."""
        return self.model.id

    @property
    def outputs(self) -> Sequence[str]:
        """Names of its output ports."""
        return list(self.manifest.outputs) if self.manifest else []

    @property
    def queue(self) -> str:
        """The queue that it is sent to. An isolated node's environment has the only workers that can execute it."""
        if self.manifest is not None and self.manifest.origin.queue:
            return self.manifest.origin.queue
        if self.model.queue or self.manifest is None:
            return self.model.queue or ""
        return queue_of(replace(self.manifest.resources, **self.model.resources))

    def reads(self) -> Iterator[tuple[str, Reference]]:
        """What the task reads: the place of it (a port, or ``when:...``), and the reference."""
        yield from self.references.items()
        for text, reference in self.whens.items():
            yield f"when:{text}", reference


class Drafting:
    """Looks up the names of one project."""

    def __init__(self, project: Project, catalog: Catalog, parameters: Parameters, report: Report) -> None:
        self.project = project
        self.catalog = catalog
        self.parameters = parameters
        self.report = report
        self._manifests: dict[str, Manifest | CatalogError] = {}
        self.drafts = {name: Draft(task) for name, task in project.tasks.items()}

    def all(self) -> dict[str, Draft]:
        """Every task of the project, looked up."""
        for draft in self.drafts.values():
            self._node(draft)
        for draft in self.drafts.values():
            self._neighbours(draft)
            self._inputs(draft)
            self._branches(draft)
            self._rules(draft)
            self._foreach(draft)
        return self.drafts

    def outputs(self) -> dict[str, Reference]:
        """The run's outputs, looked up."""
        found: dict[str, Reference] = {}
        for name, text in self.project.outputs.items():
            reference = self.reference(text, "outputs", name)
            if reference is None:
                continue
            if reference.kind in ("slot", "input"):
                found[name] = reference
            else:
                forms = "TASK.PORT, TASK.branch.PORT, TASK.each.NAME or $input.NAME"
                message = f"an output of the run is {forms}, not {reference}."
                self.report.add("BAD_REFERENCE", message, "outputs", name, value=True)
        return found

    # ---- node and parameters

    def _node(self, draft: Draft) -> None:
        name = draft.model.node
        if name is None:
            return
        if name not in self._manifests:
            self._manifests[name] = self._found(name)
        found = self._manifests[name]
        if isinstance(found, CatalogError):
            near = self.catalog.nearest(name) if found.code in _MISSPELT else None
            message = found.message.partition(" Did you mean")[0]  # said again by `nearest`
            self.report.add(
                found.code, message, "tasks", draft.id, "node", value=True, nearest=near, remedy=found.remedy
            )
            return
        draft.manifest = found
        if "params" not in draft.model.broken:
            draft.params = self.parameters.of_task(draft.id, found, draft.model.params)

    def _found(self, name: str) -> Manifest | CatalogError:
        try:
            return self.catalog.find(name)
        except CatalogError as error:
            return error

    # ---- names of tasks

    def task(self, name: str, *path: Key) -> bool:
        """Whether ``name`` is a task; notes it otherwise."""
        if name in self.drafts:
            return True
        if not self.project.knows("tasks", name):
            near = nearest_name(name, list(self.drafts))
            self.report.add("UNKNOWN_TASK", f"there is no task '{name[:80]}'.", *path, value=True, nearest=near)
        return False

    def _neighbours(self, draft: Draft) -> None:
        model = draft.model
        for name in ("predecessor", "successor"):
            here: tuple[Key, ...] = ("tasks", model.id, name)
            listed = isinstance(self._written(*here), list)
            for position, other in enumerate(getattr(model, name) or ()):
                self.task(other, *here, *((position,) if listed else ()))
        for use in model.uses:
            self.task(use.head, *use.path)

    def _written(self, *path: Key) -> Any:
        value = self.report.document.value
        for key in path:
            value = value.get(key)
        return value

    # ---- inputs

    def _inputs(self, draft: Draft) -> None:
        for port, written in draft.model.inputs.items():
            here = ("tasks", draft.id, "inputs", port)
            if draft.manifest and port not in draft.manifest.inputs:
                ports = list(draft.manifest.inputs)
                message = f"{draft.manifest.id} has no input '{port[:80]}'" + _listed(ports)
                near = nearest_name(port, [name for name in ports if name not in draft.model.inputs])
                self.report.add("UNKNOWN_PORT", message, *here, nearest=near)
            elif written is None:
                draft.unfed.add(port)
            elif isinstance(written, dict):
                self._constant(draft, port, written["value"], *here, "value")
            else:
                self._input(draft, port, written, *here)

    def _constant(self, draft: Draft, port: str, value: Any, *path: Key) -> None:
        try:
            draft.constants[port] = self.parameters.filled(value, *path)
        except LookupError:
            draft.faulty.add(port)

    def _input(self, draft: Draft, port: str, text: str, *path: Key) -> None:
        reference = self.reference(text, *path)
        if reference is None:
            draft.faulty.add(port)
        elif reference.kind == "param":
            draft.constants[port] = self.parameters.values[reference.name]
        else:
            draft.references[port] = reference

    def reference(self, text: str, *path: Key) -> Reference | None:
        """The reference that ``text`` is, if all names in it mean something."""
        found = parse_reference(text)
        if isinstance(found, str):
            self.report.add("BAD_REFERENCE", found, *path, value=True)
            return None
        return found if self.resolves(found, *path) else None

    def resolves(self, reference: Reference, *path: Key) -> bool:
        """Whether all names in a reference mean something."""
        if reference.kind == "param":
            return self.parameters.known(reference.name, *path)
        if reference.kind == "input" and reference.name not in self.project.inputs:
            if not self.project.knows("inputs", reference.name):
                near = nearest_name(reference.name, list(self.project.inputs))
                message = f"the project has no input '{reference.name}'."
                self.report.add("UNKNOWN_INPUT", message, *path, value=True, nearest=near)
            return False
        if reference.kind == "slot":
            return self.task(reference.task, *path) and self._slot(reference, *path)
        return True

    def _slot(self, reference: Reference, *path: Key) -> bool:
        holder = self.drafts[reference.task]
        if reference.view == "branch":
            if holder.model.branching or holder.model.error_head or "branches" in holder.model.broken:
                return True
            message = f"{holder.id} has no branches; {reference} can never be there."
            self.report.add("BAD_REFERENCE", message, *path, value=True)
            return False
        if reference.view == "each":
            names = list(holder.model.foreach.collect) if holder.model.foreach else []
            what = "collects no"
            sound = "foreach" not in holder.model.broken
        else:
            names, sound = list(holder.outputs), holder.manifest is not None
            what = f"({holder.manifest.id}) has no output" if holder.manifest else ""
        if reference.port in names or not sound:
            return True
        message = f"{holder.id} {what} '{reference.port}'" + _listed(names)
        self.report.add("UNKNOWN_PORT", message, *path, value=True, nearest=nearest_name(reference.port, names))
        return False

    # ---- decisions

    def _branches(self, draft: Draft) -> None:
        model, manifest = draft.model, draft.manifest
        here = ("tasks", draft.id)
        if manifest is None or model.broken & {"branches", "condition", "foreach"}:
            return
        if model.foreach and model.branching:
            self.report.add(
                "FOREACH_WITH_BRANCHES",
                f"{draft.id} has both 'foreach' and 'branches'.",
                *here,
                "foreach",
                remedy="Let a task of its own decide, before it or in the body.",
            )
            return
        if model.branching and not model.condition:
            message = f"{draft.id} has branches, but is not marked as a condition."
            self.report.add("UNMARKED_CONDITION", message, *here, "branches", remedy="Write condition: true.")
        if model.outcomes is not None:
            self._outcomes(draft, manifest, model.outcomes)
        elif manifest.outcomes and not model.rules:
            missing = ", ".join(manifest.outcomes)
            message = f"{manifest.id} decides between {missing}, and {draft.id} has no branches for them."
            remedy = "Write condition: true and branches; null where nothing happens."
            self.report.add("OUTCOME_WITHOUT_BRANCH", message, *here, remedy=remedy)
        elif model.condition and not model.rules:
            message = f"{draft.id} is a condition without branches."
            remedy = "Write branches: a list of {when: EXPRESSION, to: HEAD} that ends with {default: HEAD}."
            self.report.add("CONDITION_WITHOUT_BRANCHES", message, *here, "condition", remedy=remedy)

    def _outcomes(self, draft: Draft, manifest: Manifest, outcomes: Iterable[str]) -> None:
        here = ("tasks", draft.id, "branches")
        if not manifest.outcomes:
            remedy = "Decide by expressions: a list of {when: EXPRESSION, to: HEAD} that ends with {default: HEAD}."
            self.report.add("UNKNOWN_OUTCOME", f"{manifest.id} declares no outcomes.", *here, remedy=remedy)
            return
        for outcome in outcomes:
            if outcome not in manifest.outcomes:
                message = f"{manifest.id} has no outcome {echo(outcome, 80)}" + _listed(list(manifest.outcomes))
                near = nearest_name(outcome, [name for name in manifest.outcomes if name not in outcomes])
                self.report.add("UNKNOWN_OUTCOME", message, *here, outcome, nearest=near)
                if near:
                    outcomes = [*outcomes, near]  # one misspelt outcome is one problem
        for outcome in manifest.outcomes:
            if outcome not in outcomes:
                message = f"the outcome '{outcome}' of {manifest.id} has no branch."
                remedy = f"Write {outcome}: HEAD, or {outcome}: null if nothing happens then."
                self.report.add("OUTCOME_WITHOUT_BRANCH", message, *here, remedy=remedy)

    def _rules(self, draft: Draft) -> None:
        for rule in draft.model.rules:
            if rule.expression is None:
                draft.rules.append((rule, None))
                continue
            compiled = self._expression(rule.expression, *rule.path, "when")
            if compiled is None:
                continue
            draft.rules.append((rule, compiled))
            for text in compiled.references:
                reference = parse_reference(text)
                if isinstance(reference, str):
                    self.report.add("BAD_REFERENCE", reference, *rule.path, "when", value=True)
                elif self.resolves(reference, *rule.path, "when") and (reference.task != draft.id or reference.view):
                    draft.whens[text] = reference

    def _expression(self, text: str, *path: Key) -> Expression | None:
        """The expression with the project's parameters written into it."""
        try:
            compiled = compile_expression(text)
            if not compiled.params:
                return compiled
            known = [
                self.parameters.known(use.name, *path) for use in compiled.params
            ]  # all of them: each may be noted
            if not all(known):
                return None
            return compile_expression(compiled.with_params(self.parameters.values))
        except InvalidProject as error:
            fault = error.problems[0]
            message = f"{fault.message} (character {fault.column} of '{echo(text, 80)[1:-1]}')"
            self.report.add(fault.code, message, *path, value=True, nearest=fault.nearest)
        except ConditionError as error:
            self.report.add("EXPR_TYPE", error.message, *path, value=True)
        return None

    # ---- foreach

    def _foreach(self, draft: Draft) -> None:
        foreach = draft.model.foreach
        if foreach is None:
            return
        here = ("tasks", draft.id, "foreach")
        if draft.manifest:
            port = draft.manifest.outputs.get(foreach.over)
            if port is None:
                names = list(draft.outputs)
                message = f"{draft.id} ({draft.manifest.id}) has no output '{foreach.over}'" + _listed(names)
                near = nearest_name(foreach.over, names)
                self.report.add("UNKNOWN_PORT", message, *here, "over", value=True, nearest=near)
            elif not port.type.is_list:
                message = f"{draft.id}.{foreach.over} is {port.type}, not a list; nothing can be run for each of it."
                self.report.add("NOT_A_LIST", message, *here, "over", value=True)
        for name, text in foreach.collect.items():
            reference = self.reference(text, *here, "collect", name)
            if reference is not None and reference.kind != "slot":
                message = f"{reference} is no output of a task in the body."
                self.report.add("BAD_REFERENCE", message, *here, "collect", name, value=True)
            elif reference is not None:
                draft.collects[name] = reference


def _listed(names: Sequence[str]) -> str:
    return f"; it has {', '.join(names[:30])}." if names else "; it has none."
