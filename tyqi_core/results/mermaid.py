"""A plan as Mermaid text, for places that draw it themselves: READMEs, wikis, issue threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tyqi_core.results.scene import Part, Place, Scope, scene
from tyqi_core.results.tally import Story, state_of, tally
from tyqi_core.workflow.plan import Plan

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-,:/")
_LOOKS = {
    "completed": "fill:#e5f5ec,stroke:#167a46,color:#17202c,stroke-width:2px",
    "failed": "fill:#fdeceb,stroke:#c02d24,color:#17202c,stroke-width:3px",
    "skipped": "fill:#fbf3df,stroke:#8a6200,color:#17202c,stroke-dasharray:6 3",
    "running": "fill:#e8f0fc,stroke:#1f5fbf,color:#17202c,stroke-width:2px",
    "idle": "fill:#f5f6f8,stroke:#b3bcc8,color:#7b8794,stroke-dasharray:3 4",
}


def plan_mermaid(plan: Plan, story: Story | None = None) -> str:
    """Write a plan as a Mermaid flowchart.

    Args:
        plan: what to write.
        story: one finished run of it; each task then says how it ended, and what was not reached is grey.

    Returns:
        The text, without a fence. Names appear in labels only, with every character escaped that could be syntax;
        the ids are our own.
    """
    writer = _Writer()
    lines = ["flowchart TD", *writer.scope(scene(plan, None if story is None else tally([story])), "  ")]
    lines += [f"  classDef {name} {look}" for name, look in _LOOKS.items()] if story is not None else []
    for name in _LOOKS:
        if members := writer.classes.get(name):
            lines.append(f"  class {','.join(members)} {name}")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A label: whatever could end it, open markup or mean something to Mermaid is written as a character number."""
    return '"' + "".join(char if char in _PLAIN else f"#{ord(char)};" for char in text) + '"'


@dataclass(slots=True)
class _Writer:
    count: int = 0
    classes: dict[str, list[str]] = field(default_factory=dict)

    def scope(self, scope: Scope, indent: str) -> Iterator[str]:
        ids = {place.task.id: self._new() for place in scope.places}
        for place in scope.places:
            yield indent + ids[place.task.id] + self._box(place, ids[place.task.id])
        for place in scope.places:
            yield from self._ways(place, ids, indent)

    def _ways(self, place: Place, ids: dict[str, str], indent: str) -> Iterator[str]:
        """The arrows out of a task: into what it opens, and on to what waits for it."""
        own = ids[place.task.id]
        followers = [ids[name] for name in place.followers]
        for name in place.beside:
            yield f"{indent}{own} --> {ids[name]}"
        for part in place.parts:
            yield from self._part(part, own, followers, indent)
        if not place.parts:
            yield from (f"{indent}{own} --> {follower}" for follower in followers)

    def _part(self, part: Part, own: str, followers: list[str], indent: str) -> Iterator[str]:
        label = quoted(part.label if part.taken is None else f"{part.label} x{part.taken}")
        if part.scope is None:
            name = self._new()
            yield f"{indent}{name}([{quoted(part.head + ': not drawn here' if part.head else 'nothing to do')}])"
            yield f"{indent}{own} -->|{label}| {name}"
            yield from (f"{indent}{name} --> {follower}" for follower in followers)
            return
        frame = self._new()
        position = [place.task.id for place in part.scope.places].index(part.head)
        head = f"n{self.count + position}"  # ids are given in the scope's order, see there
        yield f"{indent}subgraph {frame}[{label}]"
        yield from self.scope(part.scope, indent + "  ")
        yield f"{indent}end"
        yield f"{indent}{own} -->|{label}| {head}"
        yield from (f"{indent}{frame} --> {follower}" for follower in followers)

    def _box(self, place: Place, name: str) -> str:
        task = place.task
        label = f"{task.id}: {task.node.id}"
        if place.tally is not None:
            told = ", ".join(f"{count} {status}" for status, count in place.tally.statuses.most_common())
            label += f" - {told or 'not reached'}"
            self.classes.setdefault(state_of(place.tally), []).append(name)
        return f"{{{{{quoted(label)}}}}}" if place.decides else f"[{quoted(label)}]"

    def _new(self) -> str:
        self.count += 1
        return f"n{self.count - 1}"
