"""Compiles a project: document -> shape -> model -> names -> graph -> wiring proof -> :class:`Plan`.

Every step notes what is wrong and goes on with what is sound, so that all problems of a file are told at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InternalError, InvalidProject
from tyqi_core.protocol.document import Document, read_document, read_file
from tyqi_core.workflow.drafts import Draft, Drafting
from tyqi_core.workflow.model import Project, Report, read_project
from tyqi_core.workflow.parameters import Parameters
from tyqi_core.workflow.plan import Binding, Foreach, NodePin, Offer, Plan, PlanTask, Rule
from tyqi_core.workflow.scopes import ROOT
from tyqi_core.workflow.shape import shape_of
from tyqi_core.workflow.slots import Slots
from tyqi_core.workflow.structure import Structure, outward, structure_of
from tyqi_core.workflow.wiring import Wired, Wiring


def compile_file(path: Path | str, catalog: Catalog, params: Mapping[str, Any] | None = None) -> Plan:
    """Compile the project file at ``path``.

    Args:
        path: the YAML file.
        catalog: the nodes that its tasks may run.
        params: values for project parameters, instead of their defaults.

    Raises:
        InvalidProject: with every problem of the file, in its order.
    """
    return compile_document(read_file(path, error=InvalidProject), catalog, params)


def compile_text(text: str | bytes, file: str, catalog: Catalog, params: Mapping[str, Any] | None = None) -> Plan:
    """Compile a project from its text; ``file`` is the name that problems carry. See :func:`compile_file`."""
    return compile_document(read_document(text, file, error=InvalidProject), catalog, params)


def compile_document(document: Document, catalog: Catalog, params: Mapping[str, Any] | None = None) -> Plan:
    """Compile a project that was read already. See :func:`compile_file`."""
    shape, problems = shape_of(document)
    report = Report(document, problems)
    if not shape.value:
        raise InvalidProject(report.problems)
    project = read_project(shape, report)
    parameters = Parameters(project, params or {}, report)
    drafting = Drafting(project, catalog, parameters, report)
    drafts = drafting.all()
    outputs = drafting.outputs()
    structure = structure_of(drafts, report)
    wiring = Wiring(project, drafts, outputs, structure, report)
    wired = wiring.prove()
    if report.problems:
        raise InvalidProject(report.problems)
    return Assembly(project, drafts, structure, slots=wiring.slots, wired=wired, params=parameters.values).plan()


class Assembly:
    """Puts the plan together from what was proved."""

    def __init__(
        self,
        project: Project,
        drafts: Mapping[str, Draft],
        structure: Structure,
        *,
        slots: Slots,
        wired: Wired,
        params: Mapping[str, Any],
    ) -> None:
        self.project = project
        self.drafts = drafts
        self.structure = structure
        self.slots = slots
        self.wired = wired
        self.params = params
        self.kept = {source.task for source in wired.outputs.values() if source.kind == "slot"}
        self.read_by: dict[str, set[str]] = {name: set() for name in drafts}
        self.frees: dict[str, set[str]] = {name: set() for name in drafts}
        self.offers: dict[str, dict[str, set[Offer]]] = {name: {} for name in drafts}

    def plan(self) -> Plan:
        """The plan, with its digest."""
        self._lifetimes()
        self._hand_outward()
        self._hold_open()
        tails = {
            scope: tuple(sorted(task for task in members if not self.structure.follows[task]))
            for scope, members in sorted(self.structure.members.items())
        }
        return Plan(
            project=self.project.name,
            inputs={name: declared.to_json() for name, declared in sorted(self.project.inputs.items())},
            outputs=dict(sorted(self.wired.outputs.items())),
            tasks={name: self._task(draft) for name, draft in self.drafts.items()},
            roots=tuple(sorted(task for task in self.structure.members[ROOT] if not self.structure.before[task])),
            tails=tails,
            params=self.params,
        ).sealed()

    def _lifetimes(self) -> None:
        """Who reads whose slots, in the scope where they are held."""
        for reader, read in outward(self.structure, self.drafts, self.wired.reads):
            holder = read.reference.task if read.reference.kind == "slot" else reader
            if holder not in self.kept:
                self.read_by[holder].add(reader)
                self.frees[reader].add(holder)

    def _hand_outward(self) -> None:
        """The offers that fill every slot that is read and is no output, down to the tasks whose outputs they are."""
        waiting = [
            (read.reference.task, read.reference.name)
            for reads in self.wired.reads.values()
            for read in reads
            if read.reference.view
        ]
        waiting += [(source.task, source.name) for source in self.wired.outputs.values() if "." in source.name]
        seen = set(waiting)
        while waiting:
            task, slot = waiting.pop()
            for head, inner, inner_slot in self.slots.providers(task, slot):
                self.offers[task].setdefault(head, set()).add(Offer(inner, inner_slot, slot))
                if "." in inner_slot and (inner, inner_slot) not in seen:
                    seen.add((inner, inner_slot))
                    waiting.append((inner, inner_slot))

    def _hold_open(self) -> None:
        """Who is filled from within keeps its slots until its own end, also when all that read them run beside it."""
        for task, offers in self.offers.items():
            if offers and self.read_by[task] and self.read_by[task].isdisjoint(self.structure.follows[task]):
                self.read_by[task].add(task)
                self.frees[task].add(task)

    def _bindings(self, draft: Draft) -> list[Binding]:
        """The bindings of a task. That a reference is bound to nothing, and nobody complained, is a bug of ours."""
        bindings = self.wired.bindings[draft.id]
        lost = {place for place, _ in draft.reads()} - {binding.port for binding in bindings}
        if lost:
            raise InternalError(f"the compiler lost what {draft.id} reads at {sorted(lost)}")
        return bindings

    def _task(self, draft: Draft) -> PlanTask:
        model, manifest = draft.model, draft.manifest
        if manifest is None:
            raise InternalError(f"task {draft.id} has no manifest")
        name = draft.id
        foreach = model.foreach
        return PlanTask(
            id=name,
            scope=self.structure.scope[name],
            node=NodePin(manifest.id, manifest.version, manifest.digest),
            params=draft.params,
            bindings=tuple(self._bindings(draft)),
            successors=tuple(sorted(self.structure.follows[name])),
            beside=tuple(sorted(self.structure.after[name] - self.structure.follows[name])),
            waits=len(self.structure.before[name]),
            tail=not self.structure.follows[name],
            branches=model.branches,
            rules=tuple(_rules(draft)),
            foreach=Foreach(foreach.over, foreach.alias, foreach.body) if foreach else None,
            offers={head: _in_order(offers) for head, offers in sorted(self.offers[name].items())},
            frees=tuple(sorted(self.frees[name])),
            readers=len(self.read_by[name]),
            kept=name in self.kept,
            retries=model.retries,
            backoff=model.backoff,
            timeout=model.timeout,
            on_error=model.on_error,
            queue=draft.queue,
            outcomes=tuple(manifest.outcomes),
            max_batch=manifest.batching.max_batch if manifest.batching else 0,
            max_wait_ms=manifest.batching.max_wait_ms if manifest.batching else 0.0,
        )


def _rules(draft: Draft) -> Iterator[Rule]:
    for rule, compiled in draft.rules:
        yield Rule(compiled.text if compiled else None, rule.outcome)


def _in_order(offers: set[Offer]) -> tuple[Offer, ...]:
    return tuple(sorted(offers, key=lambda offer: (offer.slot, offer.task, offer.source_slot)))
