"""What a project says, read naively: the scope of each task, what feeds it, whom it waits for, what is handed on.

It is taken from the parsed YAML by the words of ``docs/projects.md``, with no regard for speed, and shares nothing with
the compiler. :mod:`telling` goes on from here and tells what becomes of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from numeric import ERROR, ROOT, NodeSpec, PortSpec, Ref, fits, parse_ref, rule_name, words_of


class Use(NamedTuple):
    user: str
    how: str  # an outcome, ERROR, or "" for a foreach's body


class Reference:
    """One project, given as its parsed YAML, and the nodes that it names."""

    def __init__(self, project: Mapping[str, Any], nodes: Mapping[str, NodeSpec]) -> None:
        self.project = project
        self.tasks: dict[str, dict[str, Any]] = {name: dict(task) for name, task in project["tasks"].items()}
        self.spec = {name: nodes[task["node"]] for name, task in self.tasks.items()}
        self.heads = {name: list(self._heads(name)) for name in self.tasks}
        self.whens = {name: self._whens(name) for name in self.tasks}
        self.needed_to_decide = {name: self._unguarded(name) for name in self.tasks}
        self.uses: dict[str, list[Use]] = {}
        for name in self.tasks:
            for how, head in self.heads[name]:
                self.uses.setdefault(head, []).append(Use(name, how))
        self._scope: dict[str, str] = {}
        self.written = {name: self._written(name) for name in self.tasks}
        self.members: dict[str, list[str]] = {}
        for name in self.tasks:
            self.members.setdefault(self.scope(name), []).append(name)
        self.bound = {name: dict(self._bound(name)) for name in self.tasks}
        self.reads = {name: self._reads(name) for name in self.tasks}
        self.reads_within = {name: self._reads_within(name) for name in self.tasks}
        self.befores = {name: self._befores(name) for name in self.tasks}
        self.order = {scope: self._ordered(members) for scope, members in self.members.items()}
        self.tails = {scope: self._tails(members) for scope, members in self.members.items()}

    # ---- what the file says

    def _heads(self, task: str) -> Iterator[tuple[str, str]]:
        """(how, head) of every sub-chain that a task may open."""
        body = self.tasks[task]
        branches = body.get("branches") or {}
        if isinstance(branches, list):
            branches = {rule_name(at, rule): rule.get("to", rule.get("default")) for at, rule in enumerate(branches)}
        yield from ((outcome, head) for outcome, head in branches.items() if head is not None)
        if isinstance(body.get("on_error"), dict):
            yield ERROR, body["on_error"]["branch"]
        if body.get("foreach"):
            yield "", body["foreach"]["body"]

    def _written(self, task: str) -> list[str]:
        """Predecessors, from either side of the edge."""
        named = list(_names(self.tasks[task].get("predecessor")))
        return named + [name for name, body in self.tasks.items() if task in _names(body.get("successor"))]

    def _whens(self, task: str) -> list[str]:
        rules = self.tasks[task].get("branches")
        found = []
        for rule in rules if isinstance(rules, list) else ():
            found += words_of(rule.get("when", ""))
        return [text for text in dict.fromkeys(found) if parse_ref(text).task != task]

    def _unguarded(self, task: str) -> list[str]:
        """What an expression reads without asking ``has(...)`` first."""
        rules = [
            rule["when"] for rule in self.tasks[task].get("branches") or () if isinstance(rule, dict) and "when" in rule
        ]
        return [
            text
            for text in self.whens[task]
            if any(text in words_of(rule) and f"has({text})" not in rule for rule in rules)
        ]

    def _explicit(self, task: str) -> Iterator[Ref]:
        """What a task reads by its own words."""
        for written in written_ports(self.tasks[task]):
            if isinstance(written, str):
                yield parse_ref(written)
        yield from map(parse_ref, self.whens[task])

    # ---- where a task belongs

    def scope(self, task: str) -> str:
        """The head of its sub-chain: what a head reaches belongs to it."""
        if task not in self._scope:
            self._scope[task] = self._find_scope(task)
        return self._scope[task]

    def _find_scope(self, task: str) -> str:
        if task in self.uses:
            return task
        if self.written[task]:
            return self.scope(self.written[task][0])
        innermost = ROOT
        for ref in self._explicit(task):
            if ref.kind == "slot" and self.within(self.scope(ref.task), innermost):
                innermost = self.scope(ref.task)
        return innermost

    def within(self, inner: str, outer: str) -> bool:
        """Whether every way outward from ``inner`` leads through ``outer``."""
        if inner == outer:
            return True
        return inner != ROOT and all(self.within(self.scope(use.user), outer) for use in self.uses[inner])

    # ---- what is bound to a port

    def _bound(self, task: str) -> Iterator[tuple[str, Any]]:
        """(port, Ref or ``{"value": constant}``) for all ports that something feeds."""
        written = self.tasks[task].get("inputs", {})
        for port, spec in self.spec[task].inputs.items():
            if port in written:
                if written[port] is not None:
                    given = written[port]
                    yield port, parse_ref(given) if isinstance(given, str) else given
            elif (found := self._implicit(task, port, spec)) is not None:
                yield port, found

    def _implicit(self, task: str, port: str, spec: PortSpec) -> Ref | None:
        """By equal name, else, if required, the only one that fits and is not used for another port."""
        offers = self._offers_to(task)
        named = [ref for (name, ref), kind in offers.items() if name == port and fits(spec.kind, kind)]
        if not named and spec.required:
            taken = {parse_ref(given) for given in written_ports(self.tasks[task]) if isinstance(given, str)}
            unwritten = self.spec[task].inputs.keys() - self.tasks[task].get("inputs", {}).keys()
            taken |= {ref for name, ref in offers if name in unwritten and self._takes(task, name, offers[name, ref])}
            named = [ref for (_, ref), kind in offers.items() if fits(spec.kind, kind) and ref not in taken]
        if len(named) > 1:
            raise ValueError(f"{task}.{port} is ambiguous: {named}")
        return named[0] if named else None

    def _takes(self, task: str, port: str, kind: str) -> bool:
        return fits(self.spec[task].inputs[port].kind, kind)

    def _offers_to(self, task: str) -> dict[tuple[str, Ref], str]:
        """What stands directly before a task: (name, reference) -> kind."""
        if task not in self.uses:
            read = [ref.task for ref in self._explicit(task) if ref.kind == "slot"]
            near = [name for name in [*self.written[task], *read] if self.scope(name) == self.scope(task)]
            return {offer: kind for name in near for offer, kind in self._outputs_of(name)}
        offers = [dict(self._offers_of_use(use)) for use in self.uses[task]]
        return {offer: kind for offer, kind in offers[0].items() if all(offer in others for others in offers)}

    def _offers_of_use(self, use: Use) -> Iterator[tuple[tuple[str, Ref], str]]:
        if use.how == ERROR:
            yield ("error", Ref("error", "", "")), "any"
            return
        if use.how == "":
            foreach = self.tasks[use.user]["foreach"]
            alias = foreach.get("as", "item")
            yield (alias, Ref("item", "", alias)), "number"
        yield from self._outputs_of(use.user)

    def _outputs_of(self, task: str) -> Iterator[tuple[tuple[str, Ref], str]]:
        for port, kind in self.spec[task].outputs.items():
            yield (port, Ref("slot", task, port)), kind

    # ---- who waits for whom

    def _reads(self, task: str) -> list[Ref]:
        """All that a task reads itself."""
        return [ref for ref in self.bound[task].values() if isinstance(ref, Ref)] + [
            parse_ref(text) for text in self.whens[task]
        ]

    def _reads_within(self, task: str) -> list[Ref]:
        """What is read within the sub-chains that a task may open."""
        found = []
        for _, head in self.heads[task]:
            for member in self.members[head]:
                found += self.reads[member] + self._reads_within(member)
        return found

    def _befores(self, task: str) -> dict[str, bool]:
        """Task of the same scope -> whether its *end* is waited for (else: until it is settled)."""
        found = {name: True for name in self.written[task] if self.scope(name) == self.scope(task)}
        for ref in self.reads[task] + self.reads_within[task]:
            if ref.kind == "slot" and ref.task != task and self.scope(ref.task) == self.scope(task):
                opens = any(True for _ in self.heads[ref.task])
                found[ref.task] = found.get(ref.task, False) or bool(ref.view) or not opens
        return found

    def _ordered(self, members: list[str]) -> list[str]:
        order: list[str] = []
        while len(order) < len(members):
            order.append(next(t for t in members if t not in order and all(b in order for b in self.befores[t])))
        return order

    def _tails(self, members: list[str]) -> list[str]:
        """The tasks of a scope for whose end nobody waits."""
        return [task for task in members if not any(self.befores[other].get(task) for other in members)]

    # ---- what is handed outward

    def providers(self, head: str, port: str) -> list[tuple[str, str]]:
        """(tail, slot) of the tails of a sub-chain that offer ``port``."""
        found = []
        for tail in self.tails[head]:
            if port in self.spec[tail].outputs:
                found.append((tail, port))
            if port in (self.tasks[tail].get("foreach") or {}).get("collect", {}):
                found.append((tail, f"each.{port}"))
            offered = [(how, self.providers(inner, port)) for how, inner in self.heads[tail] if how]
            due = [providers for how, providers in offered if providers or how != ERROR]
            if due and all(self.single(providers) for providers in due):
                found.append((tail, f"branch.{port}"))
        return found

    def single(self, providers: list[tuple[str, str]]) -> bool:
        """Whether a port is offered exactly once: by one slot, or by a task and, should it fail, its error branch."""
        tails = {tail for tail, _ in providers}
        return len(providers) == 1 or (len(tails) == 1 and "branches" not in self.tasks[tails.pop()])


def written_ports(task: Mapping[str, Any]) -> list[Any]:
    """What is written for ports; a branch rule's expression is no port."""
    return list(task.get("inputs", {}).values())


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
