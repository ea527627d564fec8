"""What ``$item.NAME`` means in each scope: the innermost foreach around it that calls its item so."""

from __future__ import annotations

from collections.abc import Mapping

from tyqi_core.workflow.drafts import Draft
from tyqi_core.workflow.model import Use
from tyqi_core.workflow.scopes import ROOT
from tyqi_core.workflow.slots import Held
from tyqi_core.workflow.structure import Structure

_Items = dict[str, Held]


class Items:
    """The items that the tasks of each scope see. A scope without any use sees nobody knows what: ``None``."""

    def __init__(self, drafts: Mapping[str, Draft], structure: Structure) -> None:
        self._drafts = drafts
        self._structure = structure
        self._seen: dict[str, _Items | None] = {ROOT: {}}
        for head in reversed(structure.inner_first):
            self._seen[head] = self._merged(head)

    def held(self, task: str, name: str) -> Held | None:
        """What the item called ``name`` is for a task; ``None`` if there is none."""
        seen = self._seen.get(self._structure.scope[task])
        return Held() if seen is None else seen.get(name)

    def known(self, task: str) -> list[str]:
        """The names of the items that a task sees."""
        return sorted(self._seen.get(self._structure.scope[task]) or ())

    def _merged(self, head: str) -> _Items | None:
        """A sub-chain sees the items that all its uses provide."""
        uses = self._structure.uses.get(head, ())
        by_use = [(use, self._through(use)) for use in uses]
        if not by_use or any(items is None for _, items in by_use):
            return None
        if len(by_use) == 1:
            return by_use[0][1]
        merged: _Items = {}
        for name in {name: None for _, items in by_use for name in items or ()}:
            merged[name] = held = Held()
            for use, items in by_use:
                one = (items or {}).get(name)
                if one is None:
                    held.fault = (
                        f"the sub-chain of {head} is also used by {use.user}, where no item is called '{name}'."
                    )
                else:
                    held.types.update(one.types)
                    held.skippable |= one.skippable
                    held.fault = held.fault or one.fault
        return merged

    def _through(self, use: Use) -> _Items | None:
        """The items that a sub-chain sees through one use of it."""
        outer = self._seen.get(self._structure.scope[use.user])
        user = self._drafts[use.user]
        if outer is None or not use.per_item or user.model.foreach is None:
            return outer
        port = user.manifest.outputs.get(user.model.foreach.over) if user.manifest else None
        held = Held()
        if port is not None and port.type.is_list:
            held.types[port.type.item()] = f"an element of {user.id}.{port.name}"
            held.skippable = port.type.null_items
        return {**outer, user.model.foreach.alias: held}
