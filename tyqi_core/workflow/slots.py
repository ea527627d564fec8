"""What the slots of tasks may hold: types, and on which path of outcomes nothing at all.

The facts are gathered scope by scope, inner ones first, and kept once per slot: what a sub-chain's tails offer is known
when the sub-chain has been gone through, however many tasks use it and however many paths lead there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from tyqi_core.protocol.ports import PortType
from tyqi_core.workflow.drafts import Draft
from tyqi_core.workflow.plan import ON_ERROR
from tyqi_core.workflow.structure import Structure

ERROR_TYPE = PortType.parse(
    {
        "type": "json",
        "schema": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "message", "task")},
            "required": ["code", "message", "task"],
        },
    }
)
"""What ``$error`` is."""


@lru_cache(maxsize=4096)
def misfit(wanted: PortType, given: PortType) -> str | None:
    """``wanted.accepts(given)``, remembered: a project asks the same few questions over and over."""
    return wanted.accepts(given)


@dataclass(slots=True)
class Held:
    """What may be found in one slot.

    Attributes:
        types: each type that a value may have -> from where.
        absent: a path of outcomes on which there is no value, because the file says so; empty if there is none.
        skippable: there may be no value because a task was skipped or failed; whoever needs it is then skipped too.
        fault: why the slot cannot be read at all; empty if it can.
        remedy: what to do about ``fault``.
    """

    types: dict[PortType, str] = field(default_factory=dict)
    absent: str = ""
    skippable: bool = False
    fault: str = ""
    remedy: str = ""

    @property
    def nullable(self) -> bool:
        """Whether there may be no value, for whatever reason."""
        return bool(self.absent) or self.skippable


class Slots:
    """What the slots of one project hold, as far as its scopes have been gone through."""

    def __init__(self, drafts: Mapping[str, Draft], structure: Structure) -> None:
        self._drafts = drafts
        self._structure = structure
        self._held: dict[tuple[str, str], Held | None] = {}
        self._offers: dict[str, dict[str, list[tuple[str, str]]]] = {}
        self.skippable: set[str] = set()
        self.unclear: set[str] = set(structure.doubtful)

    def held(self, task: str, slot: str) -> Held | None:
        """What a slot may hold; ``None`` where something noted elsewhere keeps it from being known."""
        key = (task, slot)
        if key not in self._held:
            self._held[key] = self._of(self._drafts[task], slot)
        return self._held[key]

    def _of(self, draft: Draft, slot: str) -> Held | None:
        view, _, name = slot.rpartition(".")
        if view == "branch":
            return self._branch(draft, name)
        if view == "each":
            return self._each(draft, name)
        if draft.manifest is None or slot not in draft.manifest.outputs:
            return None
        return Held({draft.manifest.outputs[slot].type: f"{draft.id}.{slot}"}, skippable=self._may_lack(draft))

    def _may_lack(self, draft: Draft) -> bool:
        """Whether the task may have no outputs of its own: it is skipped, or it fails and takes its error branch."""
        return draft.id in self.skippable or draft.model.on_error == "branch"

    def _each(self, draft: Draft, name: str) -> Held | None:
        reference = draft.collects.get(name)
        inner = self.held(reference.task, reference.name) if reference else None
        if inner is None or inner.fault:
            return inner
        held = Held(skippable=self._may_lack(draft))
        for item, origin in inner.types.items():
            kind = item.collected(inner.nullable)
            if kind is None:
                held.fault = f"{draft.id}.each.{name} would be a list of lists of {item.name}, which no port takes."
                held.remedy = "Let a task of the body make one value of the inner list."
            else:
                held.types[kind] = origin
        return held

    def _branch(self, draft: Draft, port: str) -> Held | None:
        if "branches" in draft.model.broken:
            return None
        held = Held(skippable=draft.id in self.skippable)
        if not draft.model.branching:
            held.absent = f"{draft.id} succeeds"
        for outcome, head in draft.model.branches.items():
            way = f"{draft.id} fails" if outcome == ON_ERROR else f"{draft.id} -> {outcome}"
            if head is None:
                held.absent = held.absent or way
            elif head not in self._offers or head in self.unclear:
                return None
            elif port in self._offers[head] or outcome != ON_ERROR:
                if not self._merge(held, way, head, port):
                    return None
            else:
                held.absent = held.absent or way
        return held

    def _merge(self, held: Held, way: str, head: str, port: str) -> bool:
        """Add what the sub-chain of ``head`` offers under ``port``; False if that cannot be known."""
        providers = self._offers[head].get(port, [])
        if len(providers) != 1 and not self._instead(providers):
            self._no_single(held, way, head, port, providers)
            return True
        inner = self.held(*providers[0])
        for provider in providers[1:]:
            inner = self._either(inner, provider[0], port)
        if inner is None:
            return False
        held.types.update({kind: origin for kind, origin in inner.types.items() if kind not in held.types})
        held.skippable |= inner.skippable
        if inner.absent and not held.absent:
            held.absent = f"{way}, {inner.absent}"
        if inner.fault and not held.fault:
            held.fault, held.remedy = f"on {way}, {inner.fault}", inner.remedy
        return True

    def _instead(self, providers: list[tuple[str, str]]) -> bool:
        """Whether these are a task's output and, should it fail, what its error branch offers in its place."""
        tasks = {task for task, _ in providers}
        draft = self._drafts[next(iter(tasks))] if len(tasks) == 1 else None
        return draft is not None and draft.model.error_head is not None and not draft.model.branching

    def _either(self, own: Held | None, task: str, port: str) -> Held | None:
        """What a task puts out itself or, should it fail, its error branch in its place."""
        instead = Held(skippable=task in self.skippable)
        head = self._drafts[task].model.error_head or ""
        if own is None or not self._merge(instead, f"{task} fails", head, port):
            return None
        return replace(instead, types={**instead.types, **own.types})

    def _no_single(self, held: Held, way: str, head: str, port: str, providers: list[tuple[str, str]]) -> None:
        if held.fault:
            return
        if providers:
            names = " and ".join(f"{task}.{slot}" for task, slot in providers[:4])
            held.fault = f"on {way}, the sub-chain of {head} offers '{port}' more than once: {names}."
            held.remedy = "Let the sub-chain end in one task that has it."
            return
        offered = ", ".join(sorted(self._offers[head])[:20]) or "nothing"
        held.fault = f"on {way}, no task at the end of the sub-chain of {head} offers '{port}'; there is {offered}."
        held.remedy = "Let its last task put it out, or make the branch null."

    def close(self, head: str) -> None:
        """Note what the sub-chain of ``head`` offers, now that all its tasks have been gone through."""
        if head in self._offers:
            return
        candidates: dict[str, list[tuple[str, str]]] = {}
        for member in self._structure.members.get(head, ()):
            draft = self._drafts[member]
            for name in draft.collects:
                self.held(member, f"each.{name}")  # now, while what it rests on is known: it need not recurse later
            if not self._structure.follows[member]:
                for port, slot in self._offered_by(draft):
                    candidates.setdefault(port, []).append((member, slot))
        self._offers[head] = {port: self._sound(providers) for port, providers in candidates.items()}

    def _sound(self, providers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Of several providers, those that do hand something outward on each of their own branches."""
        held = {provider: self.held(*provider) for provider in providers}  # also keeps `held` from recursing deeply
        sound = [provider for provider, what in held.items() if what is None or not what.fault]
        return sound or providers[:1]

    def _offered_by(self, tail: Draft) -> list[tuple[str, str]]:
        if tail.manifest is None or tail.model.broken & {"branches", "foreach"}:
            self.unclear.add(self._structure.scope[tail.id])
        offered = [(port, port) for port in tail.outputs]
        offered += [(name, f"each.{name}") for name in tail.collects]
        inner: dict[str, None] = {}
        for head in tail.model.branches.values():
            if head is not None:
                inner.update(dict.fromkeys(self._offers.get(head, ())))
                if head in self.unclear or head not in self._offers:
                    self.unclear.add(self._structure.scope[tail.id])
        return offered + [(port, f"branch.{port}") for port in inner]

    def providers(self, task: str, slot: str) -> list[tuple[str, str, str]]:
        """Who may fill a slot that is no output: (head of the opened scope, task in it, that task's slot)."""
        draft = self._drafts[task]
        view, _, name = slot.rpartition(".")
        if view == "each" and draft.model.foreach:
            return [(draft.model.foreach.body, draft.collects[name].task, draft.collects[name].name)]
        heads = dict.fromkeys(head for head in draft.model.branches.values() if head is not None)
        return [(head, *provider) for head in heads for provider in self._offers[head].get(name, ())]
