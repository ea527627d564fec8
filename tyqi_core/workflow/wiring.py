"""The wiring proof: every input of every task that can run is bound, with a type that fits, on every path of outcomes.

One pass over the tasks, each after all that it may read. A path is never followed: what may be missing on one stands
with the slot concerned (``slots.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tyqi_core.catalog.manifest import Port
from tyqi_core.errors import InternalError
from tyqi_core.protocol.checks import JSON_TYPES
from tyqi_core.protocol.ports import checker
from tyqi_core.protocol.validation import nearest_name
from tyqi_core.workflow.conditions import path_fault
from tyqi_core.workflow.drafts import Draft
from tyqi_core.workflow.edges import forget, place_of
from tyqi_core.workflow.implicit import Candidate, Implicit
from tyqi_core.workflow.items import Items
from tyqi_core.workflow.model import Project, Report
from tyqi_core.workflow.plan import ON_ERROR, Binding, Source
from tyqi_core.workflow.references import Reference
from tyqi_core.workflow.scopes import ROOT
from tyqi_core.workflow.slots import ERROR_TYPE, Held, Slots, misfit
from tyqi_core.workflow.structure import Read, Structure, fault_of, leads_out


@dataclass(slots=True)
class Wired:
    """What the proof found: the bindings of each task, and all readings that they mean."""

    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    reads: dict[str, list[Read]] = field(default_factory=dict)
    outputs: dict[str, Source] = field(default_factory=dict)


class Wiring:
    """Proves one project."""

    def __init__(
        self,
        project: Project,
        drafts: Mapping[str, Draft],
        outputs: Mapping[str, Reference],
        structure: Structure,
        report: Report,
    ) -> None:
        self.project = project
        self.outputs = outputs
        self.drafts = drafts
        self.structure = structure
        self.report = report
        self.slots = Slots(drafts, structure)
        self.items = Items(drafts, structure)
        self.implicit = Implicit(drafts, structure, self.items)
        self.wired = Wired()

    def prove(self) -> Wired:
        """Go through all tasks and the outputs of the run."""
        for draft in self._walk():
            self._task(draft)
        for name, reference in self.outputs.items():
            self._output(name, reference)
        for draft in self.drafts.values():
            self._dangling(draft)
        return self.wired

    def _walk(self) -> Iterator[Draft]:
        """Each task after what it may read: a sub-chain follows the first task that uses it, before the next one."""
        members = self.structure.members
        done: set[str] = set()
        stack = [(ROOT, iter(members.get(ROOT, ())))]
        while stack:
            scope, rest = stack[-1]
            task = None if scope in done else next(rest, None)
            if task is None:
                stack.pop()
                if scope not in done:
                    done.add(scope)
                    self._close(scope)
                continue
            yield self.drafts[task]
            # One that waits on the stack already may be needed sooner here; what is done is not done again.
            stack += [(head, iter(members.get(head, ()))) for head in reversed(self.structure.opens[task])]
        yield from self._unreached(done)

    def _close(self, scope: str) -> None:
        if scope != ROOT:
            self.slots.close(scope)

    def _unreached(self, done: set[str]) -> Iterator[Draft]:
        """Tasks of sub-chains that nothing leads to: noted, but their own faults shall be told as well."""
        for scope, members in self.structure.members.items():
            if scope not in done:
                yield from (self.drafts[task] for task in members)
                self._close(scope)

    def _dangling(self, draft: Draft) -> None:
        """A task that nothing leads to or from belongs to no workflow; somebody forgot to connect it."""
        structure, name = self.structure, draft.id
        connected = structure.before[name] or structure.after[name] or structure.opens[name] or list(draft.reads())
        output = any(reference.task == name for reference in self.outputs.values())
        if connected or output or draft.faulty or structure.scope[name] != ROOT or len(self.drafts) == 1:
            return
        if draft.manifest is not None and name not in structure.doubtful and not draft.model.broken:
            message = f"{name} is connected to nothing: it reads nothing, and nothing waits for it or reads it."
            example = f"{name}.{next(iter(draft.outputs), 'PORT')}"
            remedy = f"Connect it, or name one of its outputs in 'outputs', for example {example}."
            self.report.add("DANGLING_TASK", message, "tasks", name, remedy=remedy)

    # ---- one task

    def _task(self, draft: Draft) -> None:
        if draft.manifest is None or draft.id in self.structure.doubtful:
            return
        bindings = []
        skippable = draft.model.on_error == "skip"
        for port in draft.manifest.inputs.values():
            binding, may_lack = self._port(draft, port)
            if binding is not None:
                bindings.append(binding)
                skippable |= may_lack and binding.required
        for text, reference in sorted(draft.whens.items()):
            binding, may_lack = self._when(draft, text, reference)
            if binding is not None:
                bindings.append(binding)
                skippable |= may_lack and binding.required
        self._own_whens(draft)
        if skippable:
            self.slots.skippable.add(draft.id)
        self.wired.bindings[draft.id] = bindings

    def _port(self, draft: Draft, port: Port) -> tuple[Binding | None, bool]:
        """The binding of an input port, and whether what feeds it may be missing because of a skip."""
        name = port.name
        if name in draft.constants:
            return self._constant(draft, port, draft.constants[name]), False
        if name in draft.unfed:
            if port.required:
                message = f"{draft.id}.{name} is required, and written null."
                self.report.add("MISSING_INPUT", message, "tasks", draft.id, "inputs", name)
            return None, False
        reference = draft.references.get(name)
        if reference is None:
            reference = self._unwritten(draft, port)
        if reference is None:
            return None, False
        held = self._held(draft, name, reference)
        if held is None:
            return None, False
        self._fits(draft, port, reference, held)
        self._note(draft, name, reference)
        return Binding(
            name, source_of(reference), port.required, None if port.required else port.default
        ), held.skippable

    def _note(self, draft: Draft, place: str, reference: Reference) -> None:
        self.wired.reads.setdefault(draft.id, []).append(Read(draft.id, place, reference))

    def _constant(self, draft: Draft, port: Port, value: Any) -> Binding | None:
        here = ("tasks", draft.id, "inputs", port.name)
        if port.type.name not in JSON_TYPES:
            message = f"{draft.id}.{port.name} takes {port.type}, which cannot be written as a constant."
            self.report.add("BAD_CONSTANT", message, *here, value=True)
            return None
        if (fault := checker(port.type)(value)) is not None:
            self.report.add(
                "BAD_CONSTANT", f"the constant does not fit {draft.id}.{port.name}: {fault}", *here, value=True
            )
            return None
        return Binding(port.name, Source("const", value=value), port.required, None if port.required else port.default)

    def _unwritten(self, draft: Draft, port: Port) -> Reference | None:
        """What a port that is not written is bound to; notes it if that is not clear or nothing."""
        if port.name in draft.faulty or "inputs" in draft.model.broken:
            return None
        found = self.implicit.find(draft, port)
        if len(found) == 1:
            return found[0].reference
        if found:
            names = ", ".join(str(candidate.reference) for candidate in found[:10])
            message = f"{draft.id}.{port.name} is not written, and several outputs would fit: {names}."
            remedy = f"Write inputs: {{{port.name}: {found[0].reference}}} or another of them."
            self.report.add("AMBIGUOUS_BINDING", message, "tasks", draft.id, remedy=remedy)
        elif port.required and not self.implicit.unclear(draft):
            self._missing(draft, port)
        return None

    def _missing(self, draft: Draft, port: Port) -> None:
        candidates: list[Candidate] = self.implicit.candidates(draft)
        offered = ", ".join(str(candidate.reference) for candidate in candidates[:10])
        at_hand = f"of what stands before it ({offered}) nothing fits" if offered else "nothing stands before it"
        message = f"{draft.id}.{port.name} is required ({port.type}) and not written, and {at_hand}."
        fitting = next(
            (one for one in self.project.inputs.values() if one.type and misfit(port.type, one.type) is None), None
        )
        example = f"$input.{fitting.name}" if fitting else "TASK.PORT"
        remedy = f"Write inputs: {{{port.name}: {example}}}."
        self.report.add("MISSING_INPUT", message, "tasks", draft.id, remedy=remedy)

    def _fits(self, draft: Draft, port: Port, reference: Reference, held: Held) -> None:
        here = place_of(draft, port.name)
        for given, origin in held.types.items():
            if (reason := misfit(port.type, given)) is not None:
                by = "" if origin == str(reference) else f" (from {origin})"
                message = f"{draft.id}.{port.name} cannot take {reference}{by}: {reason}."
                self.report.add("TYPE_MISMATCH", message.replace("..", "."), *here, value=True)
                return
        if held.absent and port.required:
            message = f"{draft.id}.{port.name} is required, but {reference} is absent on this path: {held.absent}."
            remedy = "Connect it to an input that is optional, or give every branch a value."
            self.report.add("ABSENT_ON_PATH", message, *here, value=True, remedy=remedy)

    # ---- what a reference holds

    def _held(self, draft: Draft, place: str, reference: Reference) -> Held | None:
        """What a reference gives this reader; notes why it gives nothing."""
        if reference.kind == "input":
            return self._run_input(reference)
        if reference.kind == "item":
            return self._item(draft, place, reference)
        return self._error(reference) if reference.kind == "error" else self._slot(draft, place, reference)

    def _slot(self, draft: Draft, place: str, reference: Reference) -> Held | None:
        held = self.slots.held(reference.task, reference.name)
        if held is None:
            return None
        if held.fault:
            message = f"{draft.id} cannot read {reference}: {held.fault}"
            self.report.add("NOT_OFFERED", message, *place_of(draft, place), value=True, remedy=held.remedy)
            return None
        if self.structure.scope[draft.id] != self.structure.scope[reference.task]:
            return self._from_within(draft, self.drafts[reference.task], held)
        return held

    def _run_input(self, reference: Reference) -> Held | None:
        declared = self.project.inputs[reference.name]
        if declared.type is None:
            return None
        absent = f"a run without the input '{declared.name}'" if declared.optional else ""
        return Held({declared.type: str(reference)}, absent=absent)

    def _item(self, draft: Draft, place: str, reference: Reference) -> Held | None:
        held = self.items.held(draft.id, reference.name)
        if held is not None and not held.fault:
            return held
        if held is None:
            known = self.items.known(draft.id)
            near = nearest_name(reference.name, known)
            message = f"{draft.id} is in no foreach whose item is called '{reference.name}'."
            self.report.add("UNKNOWN_ITEM", message, *place_of(draft, place), value=True, nearest=near)
        else:
            self.report.add("NOT_ON_EVERY_PATH", f"{draft.id}: {held.fault}", *place_of(draft, place), value=True)
        forget(draft, place)
        return None

    def _error(self, reference: Reference) -> Held:
        ordinary = next((use for use in self.structure.uses[reference.task] if use.outcome != ON_ERROR), None)
        absent = ""
        if ordinary:
            absent = f"{ordinary.user} -> {ordinary.outcome}" if ordinary.outcome else f"an item of {ordinary.user}"
        return Held({ERROR_TYPE: "$error"}, absent=absent)

    def _from_within(self, draft: Draft, holder: Draft, held: Held) -> Held:
        """What a task's output is to a reader further in.

        In a branch or body that only the holder opens, the holder has succeeded; in its error branch, it has failed.
        """
        structure, here = self.structure, self.structure.scope[draft.id]
        if holder.model.error_head and leads_out(structure, here, holder.model.error_head):
            return replace(held, absent=held.absent or f"{holder.id} fails")
        for head in structure.opens[holder.id]:
            if structure.scopes.encloses(head, here) and all(use.user == holder.id for use in structure.uses[head]):
                return replace(held, skippable=False)
        return held

    # ---- expressions

    def _when(self, draft: Draft, text: str, reference: Reference) -> tuple[Binding | None, bool]:
        place = f"when:{text}"
        held = self._held(draft, place, reference)
        if held is None or not self._json_only(draft, place, text, held):
            return None, False
        guarded = all(
            text in compiled.guarded for _, compiled in draft.rules if compiled and text in compiled.references
        )
        if held.absent and not guarded:
            message = f"the expression needs {reference}, which is absent on this path: {held.absent}."
            remedy = f"Ask first: has({reference}) && ..."
            self.report.add("ABSENT_ON_PATH", message, *place_of(draft, place), value=True, remedy=remedy)
        self._note(draft, place, reference)
        return Binding(place, source_of(reference), required=not guarded), held.skippable

    def _own_whens(self, draft: Draft) -> None:
        for _, compiled in draft.rules:
            for text in compiled.references if compiled else ():
                task, _, port = text.partition(".")
                held = self.slots.held(draft.id, port) if task == draft.id and "." not in port else None
                if held is not None:
                    self._json_only(draft, f"when:{text}", text, held)

    def _json_only(self, draft: Draft, place: str, text: str, held: Held) -> bool:
        """Whether an expression can read it; also looks for misspelt fields where the type tells them."""
        where = place_of(draft, place)
        for given in held.types:
            if given.name not in JSON_TYPES:
                message = f"{text} is {given}; expressions read JSON, measurements, detections and tables only."
                self.report.add("EXPR_TYPE", message, *where, value=True)
                return False
        for given in held.types:
            for _, compiled in draft.rules:
                for path in compiled.paths if compiled else ():
                    if path.reference != text or compiled is None:
                        continue
                    if found := path_fault(given, path, compared=path in compiled.compared):
                        self.report.add(
                            found.code, found.message, *where, value=True, nearest=found.nearest, remedy=found.remedy
                        )
                        return True
        return True

    # ---- outputs of the run

    def _output(self, name: str, reference: Reference) -> None:
        here = ("outputs", name)
        if reference.kind == "slot":
            if (fault := fault_of(self.structure, self.drafts, "", reference)) is not None:
                code, message, remedy = fault
                self.report.add(code, message, *here, value=True, remedy=remedy)
                return
            held = self.slots.held(reference.task, reference.name)
            if held is not None and held.fault:
                message = f"the run's output cannot be {reference}: {held.fault}"
                self.report.add("NOT_OFFERED", message, *here, value=True, remedy=held.remedy)
                return
        self.wired.outputs[name] = source_of(reference)


def source_of(reference: Reference) -> Source:
    """The plan's word for a reference."""
    if reference.kind == "param":
        raise InternalError(f"{reference} was not replaced by its value")
    return Source(reference.kind, reference.name, reference.task)
