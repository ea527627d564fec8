"""Random projects that must compile, with what their nodes do.

The generator writes a project from its first task to its last. At every point it knows what may be read there
(``Seen``): the tasks before it in the same scope and in those around it, the items, the error, the run's inputs, and
whether a value may be absent because a branch is null. It follows docs/projects.md; a project of its making that the
compiler refuses is a fault of one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st
from numeric import Behaviour, NodeSpec, PortSpec, Ref, fits, parse_ref, words_of
from world import KINDS, Case

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[T]], T]

ERROR = "$error"
MAX_DEPTH = 3
OUTPUTS = ("x", "y", "z")
RUN_INPUTS: Mapping[str, dict[str, Any]] = {
    "n": KINDS["number"],
    "maybe": {**KINDS["number"], "required": False},
    "seven": {**KINDS["number"], "default": 7},
    "nums": KINDS["numbers"],
}


@dataclass(frozen=True)
class Seen:
    """Something that may be read: of which kind, whether it may be absent; ``token`` tells whose ``$error`` it is."""

    kind: str
    absent: bool = False
    token: int = 0


Visible = dict[str, Seen]


@dataclass
class Chain:
    """A finished sub-chain: its head, what it reads of its surroundings, what it offers, its tasks' slots."""

    head: str
    needs: Visible = field(default_factory=dict)
    offers: dict[str, Seen | None] = field(default_factory=dict)  # None: more than once
    slots: Visible = field(default_factory=dict)
    own_error: bool = False
    shared: bool = True


@dataclass
class Scope:
    """The scope that is being written."""

    visible: Visible
    depth: int = 0
    error: int = 0  # the token of the error that opened it
    members: list[str] = field(default_factory=list)
    followed: set[str] = field(default_factory=set)  # tasks whose end somebody waits for
    slots: Visible = field(default_factory=dict)
    needs: Visible = field(default_factory=dict)
    own_error: bool = False

    def reads(self, text: str, seen: Seen, reader: Writer) -> None:
        """Note that a task here, or a sub-chain that one opens, reads ``text``."""
        ref = parse_ref(text)
        if ref.kind == "error" and seen.token == self.error:
            self.own_error = True
        elif ref.kind != "slot" or ref.task not in self.members:
            old = self.needs.get(text)
            self.needs[text] = Seen(seen.kind, seen.absent and (old is None or old.absent), seen.token)
        elif ref.view or not reader.opens(ref.task):
            self.followed.add(ref.task)


class Writer:
    """Writes one project."""

    def __init__(self, draw: Draw[Any], budget: int) -> None:
        self.draw = draw
        self.budget = budget
        self.tasks: dict[str, dict[str, Any]] = {}
        self.nodes: dict[str, NodeSpec] = {}
        self.table: dict[str, tuple[Behaviour, ...]] = {}
        self.chains: list[Chain] = []
        self.heads: dict[str, dict[str, Chain | None]] = {}
        self.edges: list[tuple[str, str]] = []
        self.tokens = 0

    # ---- chance; everything shrinks towards the first option, and towards no

    def pick(self, options: Sequence[T]) -> T:
        return options[0] if len(options) == 1 else self.draw(st.sampled_from(options))

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def opens(self, task: str) -> bool:
        return any(self.heads[task].values())

    # ---- the whole

    def case(self) -> Case:
        root = Scope({f"$input.{name}": _seen_input(given) for name, given in RUN_INPUTS.items()})
        while self.budget > 0 and (not root.members or self.chance(93)):
            self.task(root, first=False)
        self.written()
        readable = sorted(root.slots)
        outputs = {f"o{at}": self.pick(readable) for at in range(self.draw(st.integers(0, 3)))} if readable else {}
        outputs |= {f"alone{at}": text for at, text in enumerate(self.alone(root))}
        names = self.draw(st.permutations(list(self.tasks)))
        project = {
            "tyqi": 1,
            "project": "random",
            "inputs": {name: dict(given) for name, given in RUN_INPUTS.items()},
            "tasks": {name: self.tasks[name] for name in names},
            "outputs": outputs,
        }
        inputs: dict[str, Any] = {"n": self.draw(st.integers(0, 99)), "nums": [1, 2, 3]}
        if self.chance(50):
            inputs["maybe"] = 4
        return Case(project, self.nodes, inputs, self.table)

    def alone(self, root: Scope) -> list[str]:
        """Outputs of the tasks that nothing leads to or from: a project must say what they are for."""
        linked = {task for edge in self.edges for task in edge}
        for name, body in self.tasks.items():
            reads = [parse_ref(text) for text in body["inputs"].values() if isinstance(text, str)]
            linked |= {name} if reads or any(self.heads[name].values()) else set()
            linked |= {ref.task for ref in reads}
        return [
            next(text for text in root.slots if text.startswith(f"{name}."))
            for name in root.members
            if name not in linked
        ]

    def written(self) -> None:
        """Write each order edge on one side, or on both; a side that is there must be complete."""
        sides = [(edge, self.pick(["predecessor", "successor", "both"])) for edge in dict.fromkeys(self.edges)]
        for (first, then), side in sides:
            if side != "successor":
                self.tasks[then].setdefault("predecessor", [])
            if side != "predecessor":
                self.tasks[first].setdefault("successor", [])
        for (first, then), _ in sides:
            for name, other, at in ((then, first, "predecessor"), (first, then, "successor")):
                if at in self.tasks[name]:
                    self.tasks[name][at].append(other)

    # ---- sub-chains

    def chain(self, scope: Scope, opener: str, extra: Visible, how: str) -> Chain:
        """A sub-chain for ``opener``: one that is there already, if it can be used here, or a new one."""
        visible = {**scope.visible, **extra}
        usable = [chain for chain in self.chains if _usable(chain, visible, how)]
        if usable and self.chance(35):
            chain = self.pick(usable)
        else:
            chain = self.fresh(visible, scope.depth + 1, how)
            self.chains.append(chain)
        for text, need in chain.needs.items():
            ref = parse_ref(text)
            if ref.task != opener and not (ref.kind == "item" and text in extra):
                scope.reads(text, need, self)
        return chain

    def fresh(self, visible: Visible, depth: int, how: str) -> Chain:
        inner = Scope(visible, depth)
        if how == ERROR:
            self.tokens += 1
            inner.error = self.tokens
            inner.visible = {**visible, ERROR: Seen("any", token=self.tokens)}
        if self.chance(25):  # one that looks at nothing around it can be used anywhere
            kept = ("$input", ERROR) if how == ERROR else ("$input",)
            inner.visible = {text: seen for text, seen in inner.visible.items() if text.startswith(kept)}
        head = self.task(inner, first=True)
        while self.budget > 0 and self.chance(45):
            self.task(inner, first=False)
        offers = self.offered(inner)
        return Chain(head, inner.needs, offers, inner.slots, inner.own_error)

    def offered(self, scope: Scope) -> dict[str, Seen | None]:
        """What the tails of a scope offer, each once; with ``None`` for what is offered more than once."""
        found: dict[str, list[Seen]] = {}
        for tail in scope.members:
            if tail in scope.followed:
                continue
            own = {name: Seen(kind) for name, kind in self.nodes[f"t.{tail.lower()}"].outputs.items()}
            own |= {
                name: scope.slots[f"{tail}.each.{name}"]
                for name in self.tasks[tail].get("foreach", {}).get("collect", {})
            }
            branch = self.branch(tail)
            listed = {name for chain in self.heads[tail].values() if chain for name in chain.offers}
            for name in {*own, *listed}:
                instead = self.instead(tail, name, own[name]) if name in own else None
                if name in own:
                    found.setdefault(name, []).append(instead or own[name])
                if name in listed and not instead:
                    found.setdefault(name, []).append(branch.get(name, Seen("nothing")))
        return {name: ones[0] if len(ones) == 1 and ones[0].kind != "nothing" else None for name, ones in found.items()}

    def instead(self, tail: str, name: str, own: Seen) -> Seen | None:
        """What a task, or its error branch in its place, offers, if both do."""
        error = self.heads[tail].get(ERROR)
        given = error.offers.get(name) if error else None
        return given if given and given.kind == own.kind and "branches" not in self.tasks[tail] else None

    def branch(self, task: str) -> Visible:
        """What may be read as ``TASK.branch.NAME``."""
        heads = dict(self.heads[task])
        heads.pop("", None)
        error = heads.pop(ERROR, None)
        ordinary = [chain for chain in heads.values() if chain is not None]
        found: Visible = {}
        for name in {name for chain in [*ordinary, *([error] if error else [])] for name in chain.offers}:
            given = [chain.offers.get(name) for chain in ordinary]
            absent = None in heads.values() or not heads
            if error and name in error.offers:
                given.append(error.offers[name])
            elif error:
                absent = True
            if all(given):
                kinds = {seen.kind for seen in given if seen}
                kind = kinds.pop() if len(kinds) == 1 else "list"
                found[name] = Seen(kind, absent or any(seen.absent for seen in given if seen))
        return found

    # ---- one task

    def task(self, scope: Scope, *, first: bool) -> str:
        self.budget -= 1
        name = f"T{len(self.tasks)}"
        body = self.tasks[name] = {"node": f"t.{name.lower()}"}
        if first and scope.depth:
            body["subchain"] = True
        self.heads[name] = {}
        deep = scope.depth >= MAX_DEPTH or self.budget <= 0
        shape = self.pick(["plain", "outcomes", "rules", "foreach"]) if not deep else "plain"
        outputs: dict[str, Any] = {"x": "number", **{port: "number" for port in OUTPUTS[1:] if self.chance(40)}}
        if shape == "foreach":
            outputs["items"] = self.pick(["numbers", "sparse"])
        before = self.befores(scope, name, first=first)
        inputs = self.inputs(scope, body, before, attached=first or not scope.depth or bool(before))
        outcomes = ("p", "q", "r")[: self.draw(st.integers(1, 3))] if shape == "outcomes" else ()
        self.nodes[f"t.{name.lower()}"] = NodeSpec(inputs, outputs, outcomes)
        own = {f"{name}.{port}": Seen(kind) for port, kind in outputs.items()}
        if shape == "outcomes":
            body |= {"condition": True, "branches": self.branches(scope, name, outcomes, own)}
        elif shape == "rules":
            body |= {"condition": True, "branches": self.rules(scope, name, own)}
        elif shape == "foreach":
            body["foreach"] = self.foreach(scope, name, own)
        self.policy(scope, name, body, own)
        self.leave_out(scope, name, inputs, body)
        scope.members.append(name)
        slots = {**own, **{f"{name}.branch.{port}": seen for port, seen in self.branch(name).items()}}
        for port, text in body.get("foreach", {}).get("collect", {}).items():
            inner = self.heads[name][""].slots[text].kind
            slots[f"{name}.each.{port}"] = Seen("sparse" if inner == "number" else "list")
        scope.slots |= slots
        scope.visible |= slots
        self.table[name] = tuple(self.behaviour(body, outcomes) for _ in range(self.draw(st.integers(1, 3))))
        return name

    def befores(self, scope: Scope, name: str, *, first: bool) -> list[str]:
        """Predecessors that are written."""
        if first or not scope.members or not self.chance(45):
            return []
        before = self.draw(st.lists(st.sampled_from(scope.members), min_size=1, max_size=2, unique=True))
        self.edges += [(other, name) for other in before]
        scope.followed.update(before)
        return before

    def inputs(
        self, scope: Scope, body: dict[str, Any], before: Sequence[str], *, attached: bool
    ) -> dict[str, PortSpec]:
        """Ports and what feeds them; at least one reads within the scope unless the task hangs in it anyway."""
        ports: dict[str, PortSpec] = {}
        body["inputs"] = {}
        if not attached:
            self.fed(scope, "near", self.pick(sorted(scope.slots)), ports, body)
        for other in before:  # what may then be left out, being bound by its name
            port = self.pick([port for port in self.nodes[f"t.{other.lower()}"].outputs if port in OUTPUTS])
            if port not in ports and self.chance(50):
                self.fed(scope, port, f"{other}.{port}", ports, body)
        for port in ("a", "b", "x", "y"):
            if port in ports or not self.chance(40):
                continue
            choice = self.pick(["read", "read", "read", "read", "read", "constant", "null", "open"])
            if choice == "read":
                self.fed(scope, port, self.source(scope), ports, body)
            elif choice == "constant":
                ports[port] = PortSpec("number", required=self.chance(50))
                body["inputs"][port] = {"value": self.draw(st.integers(0, 9))}
            else:
                ports[port] = PortSpec("number", required=False, default=self.pick([None, 8]))
                if choice != "open" or port in OUTPUTS:
                    body["inputs"][port] = None
        return ports

    def source(self, scope: Scope) -> str:
        """Something to read; what was handed outward and what is new is more interesting than the rest."""
        views = [text for text in scope.slots if parse_ref(text).view]
        near = [text for text in scope.slots if parse_ref(text).task in scope.members[-2:]]
        around = [text for text in scope.visible if text not in scope.slots and not text.startswith("$input")]
        return self.pick(self.pick([some for some in (sorted(scope.visible), near, views, around) if some]))

    def fed(self, scope: Scope, port: str, text: str, ports: dict[str, PortSpec], body: dict[str, Any]) -> None:
        seen = scope.visible[text]
        kind = self.pick([kind for kind in ("list", "sparse", "numbers", "any", "number") if _takes(kind, seen.kind)])
        required = not seen.absent and self.chance(65)
        default = 3 if kind == "number" and not required and self.chance(40) else None
        ports[port] = PortSpec(kind, required, default)
        body["inputs"][port] = text
        scope.reads(text, Seen(seen.kind, not required, seen.token), self)

    def leave_out(self, scope: Scope, name: str, ports: Mapping[str, PortSpec], body: dict[str, Any]) -> None:
        """Leave out what is bound to the same thing without being written."""
        before = [first for first, then in self.edges if then == name]
        rules = body.get("branches", {})
        decides = [text for rule in rules if isinstance(rule, dict) for text in words_of(rule.get("when", ""))]
        for port, text in list(body["inputs"].items()):
            ref = parse_ref(text) if isinstance(text, str) else None
            if ref is None or ref.view or ref.task not in before or not self.chance(60):
                continue
            near = {*before, *(parse_ref(t).task for t in [*body["inputs"].values(), *decides] if isinstance(t, str))}
            offers = [
                Ref("slot", task, given)
                for task in near & {*scope.members}
                for given, kind in self.nodes[f"t.{task.lower()}"].outputs.items()
                if fits(ports[port].kind, kind)
            ]
            named = [offer for offer in offers if offer.slot == port]
            texts = [other for other in body["inputs"].values() if other == text]
            taken = len(texts) > 1 or (ref.slot in ports and ref.slot not in body["inputs"])
            if named == [ref] or (not named and not taken and ports[port].required and offers == [ref]):
                del body["inputs"][port]

    # ---- what a task opens

    def branches(self, scope: Scope, name: str, outcomes: Sequence[str], own: Visible) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for outcome in outcomes:
            found[outcome] = self.opened(scope, name, own, outcome)
        return found

    def opened(self, scope: Scope, name: str, extra: Visible, how: str) -> str | None:
        if self.budget <= 0 or self.chance(25):
            self.heads[name][how] = None
            return None
        chain = self.heads[name][how] = self.chain(scope, name, extra, how)
        return chain.head

    def rules(self, scope: Scope, name: str, own: Visible) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for at in range(self.draw(st.integers(1, 2))):
            when = self.expression(scope, own)
            found.append({"when": when, "to": self.opened(scope, name, own, f"when {at + 1}")})
        found.append({"default": self.opened(scope, name, own, "default")})
        return found

    def expression(self, scope: Scope, own: Visible) -> str:
        numbers = {text: seen for text, seen in {**scope.visible, **own}.items() if seen.kind == "number"}
        parts = []
        either = self.chance(30)
        for text in self.draw(st.lists(st.sampled_from(sorted(numbers)), min_size=1, max_size=2, unique=True)):
            seen = numbers[text]
            asks = seen.absent or (not either and text not in own and self.chance(30))
            if asks and either:
                continue
            if text not in own:
                scope.reads(text, Seen("number", absent=asks), self)
            comparison = f"{text} {self.pick(['>', '<='])} {self.draw(st.integers(0, 100))}"
            parts += [f"has({text})", comparison] if asks else [comparison]
        return (" || " if either else " && ").join(parts) or f"{min(own)} > 50"

    def foreach(self, scope: Scope, name: str, own: Visible) -> dict[str, Any]:
        alias = self.pick(["item", "k", "m"])
        chain = self.heads[name][""] = self.chain(scope, name, {**own, f"$item.{alias}": Seen("number")}, "")
        collect = {}
        for at in range(self.draw(st.integers(0, 2))):
            collect[f"c{at}"] = self.pick(sorted(chain.slots))
        body: dict[str, Any] = {"over": "items", "as": alias, "body": chain.head}
        return body | ({"collect": collect} if collect else {})

    def policy(self, scope: Scope, name: str, body: dict[str, Any], own: Visible) -> None:
        policy = self.pick(["fail", "fail", "skip", "branch"])
        if policy == "skip":
            body["on_error"] = "skip"
        elif policy == "branch" and self.budget > 0 and scope.depth < MAX_DEPTH:
            lost = {text: Seen(seen.kind, absent=True) for text, seen in own.items()}
            chain = self.heads[name][ERROR] = self.chain(scope, name, lost, ERROR)
            body["on_error"] = {"branch": chain.head}
        if self.chance(30):
            body["retries"] = self.draw(st.integers(1, 2))

    def behaviour(self, body: Mapping[str, Any], outcomes: Sequence[str]) -> Behaviour:
        failures, wrong = 0, False
        if self.chance(40 if "on_error" in body else 6) or ("retries" in body and self.chance(50)):
            wrong = self.chance(20)
            failures = (
                0 if wrong else self.draw(st.integers(1, 3 if "on_error" in body else body.get("retries", 0) or 1))
            )
        likely = [outcome for outcome in outcomes if body["branches"][outcome]] if self.chance(70) else []
        outcome = self.pick(likely or outcomes) if outcomes else None
        return Behaviour(failures, wrong, outcome, self.pick([2, 1, 3, 2, 0]) if "foreach" in body else 0)


def _usable(chain: Chain, visible: Visible, how: str) -> bool:
    """Whether a sub-chain that is there finds all that it reads, also where it would be used now."""
    if chain.own_error and how != ERROR:
        return False
    for text, need in chain.needs.items():
        here = visible.get(text)
        if here is None or here.kind != need.kind or (here.absent and not need.absent) or here.token != need.token:
            return False
        if need.token and how == ERROR:
            return False
    return True


def _takes(port: str, seen: str) -> bool:
    return fits(port, seen) if port != "any" else seen == "any"


def _seen_input(given: Mapping[str, Any]) -> Seen:
    return Seen("numbers" if given.get("list") else "number", absent=not given.get("required", True))


@st.composite
def cases(draw: Draw[Any], most: int = 16) -> Case:
    """A project of up to ``most`` tasks, the nodes that it names, inputs, and what the nodes do."""
    return Writer(draw, draw(st.integers(1, most) | st.just(most))).case()
