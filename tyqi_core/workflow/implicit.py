"""What a port that is not written is bound to.

Candidates are the outputs of the direct predecessors: tasks of the same scope that the task names as predecessors or
reads from. The head of a sub-chain has none; its candidates are what every use of it has in common: the outputs of
the one task that opens it, the item of a foreach, the error of an error branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tyqi_core.catalog.manifest import Port
from tyqi_core.protocol.ports import PortType
from tyqi_core.workflow.drafts import Draft
from tyqi_core.workflow.items import Items
from tyqi_core.workflow.model import Use
from tyqi_core.workflow.plan import ON_ERROR
from tyqi_core.workflow.references import Reference
from tyqi_core.workflow.slots import ERROR_TYPE, misfit
from tyqi_core.workflow.structure import Structure


class Candidate(NamedTuple):
    """An output that a port may be bound to without being told."""

    name: str
    reference: Reference
    types: tuple[PortType, ...]

    def fits(self, port: Port) -> bool:
        """Whether the port takes every value that this may have."""
        return bool(self.types) and all(misfit(port.type, given) is None for given in self.types)


class Implicit:
    """Finds the candidates of one project's tasks."""

    def __init__(self, drafts: Mapping[str, Draft], structure: Structure, items: Items) -> None:
        self._drafts = drafts
        self._structure = structure
        self._items = items
        self._known: tuple[str, list[Candidate]] = ("", [])

    def find(self, draft: Draft, port: Port) -> list[Candidate]:
        """By equal name; else, if the port is required, whatever fits and is not taken for another port.

        One candidate is the answer, several are an ambiguity.
        """
        candidates = self.candidates(draft)
        named = [candidate for candidate in candidates if candidate.name == port.name and candidate.fits(port)]
        if named or not port.required or not candidates:
            return named
        taken = self._taken(draft, candidates)
        return [candidate for candidate in candidates if candidate.reference not in taken and candidate.fits(port)]

    def candidates(self, draft: Draft) -> list[Candidate]:
        """All candidates of a task, in the file's order of the tasks they come from."""
        if self._known[0] != draft.id:
            uses = self._structure.uses.get(draft.id)
            found = self._of_head(uses) if uses else self._of_member(draft)
            self._known = (draft.id, found)
        return self._known[1]

    def unclear(self, draft: Draft) -> bool:
        """Whether a task that would bring candidates is itself not understood, which was noted."""
        uses = self._structure.uses.get(draft.id)
        sources = [use.user for use in uses] if uses else self._structure.direct[draft.id]
        orphan = not uses and self._structure.scope[draft.id] == draft.id
        unsound = draft.faulty or draft.model.broken & {"predecessor", "inputs"}
        missing = any(task not in self._drafts for task in draft.model.predecessor or ())
        return bool(orphan or unsound or missing) or any(self._drafts[source].manifest is None for source in sources)

    def _taken(self, draft: Draft, candidates: list[Candidate]) -> set[Reference]:
        taken = set(draft.references.values())
        ports = draft.manifest.inputs if draft.manifest else {}
        for candidate in candidates:
            port = ports.get(candidate.name)
            if port is not None and candidate.name not in draft.model.inputs and candidate.fits(port):
                taken.add(candidate.reference)
        return taken

    def _of_member(self, draft: Draft) -> list[Candidate]:
        before = dict.fromkeys(sorted(self._structure.direct[draft.id]))
        return [candidate for task in before for candidate in self._outputs(task)]

    def _of_head(self, uses: list[Use]) -> list[Candidate]:
        common: dict[Reference, Candidate] | None = None
        for use in uses:
            offered = {candidate.reference: candidate for candidate in self._of_use(use)}
            if common is None:
                common = offered
            else:
                common = {
                    reference: candidate._replace(types=(*candidate.types, *offered[reference].types))
                    for reference, candidate in common.items()
                    if reference in offered
                }
        return list((common or {}).values())

    def _of_use(self, use: Use) -> Iterator[Candidate]:
        if use.outcome == ON_ERROR:
            yield Candidate("error", Reference("error", "", use.head), (ERROR_TYPE,))
            return
        foreach = self._drafts[use.user].model.foreach
        if use.per_item and foreach:
            held = self._items.held(use.head, foreach.alias)
            yield Candidate(foreach.alias, Reference("item", foreach.alias), tuple(held.types) if held else ())
        yield from self._outputs(use.user)

    def _outputs(self, task: str) -> Iterator[Candidate]:
        manifest = self._drafts[task].manifest
        for port in manifest.outputs.values() if manifest else ():
            yield Candidate(port.name, Reference("slot", port.name, task), (port.type,))
