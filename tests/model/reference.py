"""A naive interpreter of projects, to hold the real one against.

It walks the parsed YAML recursively, one task after the other, and implements ``docs/rules.md`` and the design's words on
projects directly. It knows nothing of plans, counters, stores or threads, and it does nothing cleverly: a value that is
asked for is looked up by walking outward, and what a branch hands outward is looked up by walking inward again.

What a node does is told by a *table*: instance -> :class:`Behaviour`. For an instance that the table does not know it is
simply not told yet: the task stays ready and all that waits for it stays waiting. So one interpreter serves for a finished
run, for a run that a failure stopped, and for any state on the way.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple

ROOT = ""
ERROR = "$error"
ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "ABSENT"})()

Kind = Literal["number", "numbers", "sparse", "list", "any"]


@dataclass(frozen=True)
class PortSpec:
    """An input port: ``number``; ``numbers`` and ``sparse`` (lists, the latter with nulls); ``list`` (of anything)."""

    kind: Kind
    required: bool = True
    default: Any = None


@dataclass(frozen=True)
class NodeSpec:
    inputs: Mapping[str, PortSpec]
    outputs: Mapping[str, Kind]
    outcomes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Behaviour:
    """What a node does in one instance.

    ``failures`` attempts fail before one succeeds; ``wrong`` ones return what does not fit the port, which is never
    tried again. ``items`` is the length of the lists that it puts out.
    """

    failures: int = 0
    wrong: bool = False
    outcome: str | None = None
    items: int = 0


Table = Callable[[str], Behaviour | None]


def compute(task: str, spec: NodeSpec, inputs: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    """What every node here does: numbers in which each input has left its trace."""
    seed = zlib.crc32(task.encode()) % 89
    for name in sorted(inputs):
        seed = (seed * 31 + _trace(inputs[name]) + zlib.crc32(name.encode())) % 997
    outputs: dict[str, Any] = {}
    for name, kind in spec.outputs.items():
        number = (seed * 7 + zlib.crc32(name.encode())) % 101
        if kind == "number":
            outputs[name] = number
        else:
            holes = kind == "sparse"
            outputs[name] = [
                None if holes and at % 3 == 1 else (number + 13 * at) % 101 for at in range(behaviour.items)
            ]
    return outputs


def _trace(value: Any) -> int:
    if value is None:
        return 5
    if isinstance(value, list):
        return sum((at + 1) * _trace(element) for at, element in enumerate(value)) + 11
    if isinstance(value, dict):  # an error: only whose it is, its text is not ours to say
        return zlib.crc32(value["task"].encode()) % 61
    return int(value)


class Ref(NamedTuple):
    kind: str  # input, item, error, slot
    task: str
    slot: str

    @property
    def view(self) -> str:
        return self.slot.split(".")[0] if "." in self.slot else ""


@cache
def parse_ref(text: str) -> Ref:
    first, _, rest = text.partition(".")
    if first.startswith("$"):
        return Ref(first[1:], "", rest)
    return Ref("slot", first, rest)


class Use(NamedTuple):
    user: str
    how: str  # an outcome, ERROR, or "" for a foreach's body


@dataclass(frozen=True)
class Fate:
    """What became of one instance.

    ``waiting``: for something in ``waits``; ``ready``: the table does not know it yet; ``stopped``: it failed the run.
    """

    kind: Literal["completed", "skipped", "failed", "stopped", "ready", "waiting"]
    waits: frozenset[str]
    attempts: int = 0

    @property
    def settled(self) -> bool:
        return self.kind in ("completed", "skipped", "failed")


@dataclass(frozen=True)
class Told:
    """What the interpreter says of a run: the fate of every instance that came into being, outputs, status."""

    fates: Mapping[str, Fate]
    outputs: Mapping[str, Any]
    status: str
    held: frozenset[str]  # instances whose values somebody may still read


@dataclass
class Frame:
    """One use of a scope."""

    scope: str
    outer: Frame | None = None
    prefix: str = ""
    alias: str | None = None
    item: Any = None
    error: Any = ABSENT
    done: dict[str, Done] = field(default_factory=dict)


@dataclass
class Done:
    """What is known of a task in its frame."""

    fate: Fate
    outputs: Mapping[str, Any] = field(default_factory=dict)
    opened: list[Frame] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.fate.settled and all(inner.ended for frame in self.opened for inner in frame.done.values())


class Reference:
    """One project, given as its parsed YAML, and the nodes that it names."""

    def __init__(self, project: Mapping[str, Any], nodes: Mapping[str, NodeSpec]) -> None:
        self.project = project
        self.tasks: dict[str, dict[str, Any]] = {name: dict(task) for name, task in project["tasks"].items()}
        self.spec = {name: nodes[task["node"]] for name, task in self.tasks.items()}
        self.uses: dict[str, list[Use]] = {}
        for name in self.tasks:
            for how, head in self.heads(name):
                self.uses.setdefault(head, []).append(Use(name, how))
        self._scope: dict[str, str] = {}
        self.written = {name: self._written(name) for name in self.tasks}
        self.members: dict[str, list[str]] = {}
        for name in self.tasks:
            self.members.setdefault(self.scope(name), []).append(name)
        self.bound = {name: dict(self._bound(name)) for name in self.tasks}
        self.befores = {name: self._befores(name) for name in self.tasks}
        self.order = {scope: self._ordered(members) for scope, members in self.members.items()}
        self.tails = {scope: self._tails(members) for scope, members in self.members.items()}

    # ---- what the file says

    def heads(self, task: str) -> Iterator[tuple[str, str]]:
        """(how, head) of every sub-chain that a task may open."""
        body = self.tasks[task]
        branches = body.get("branches") or {}
        if isinstance(branches, list):
            branches = {_rule_name(at, rule): rule.get("to", rule.get("default")) for at, rule in enumerate(branches)}
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
            found += _words(rule.get("when", ""))
        return [text for text in dict.fromkeys(found) if parse_ref(text).task != task]

    def needed_to_decide(self, task: str) -> list[str]:
        """What an expression reads without asking ``has(...)`` first."""
        rules = [
            rule["when"] for rule in self.tasks[task].get("branches") or () if isinstance(rule, dict) and "when" in rule
        ]
        return [
            text
            for text in self._whens(task)
            if any(text in _words(rule) and f"has({text})" not in rule for rule in rules)
        ]

    def _explicit(self, task: str) -> Iterator[Ref]:
        """What a task reads by its own words."""
        for written in self.tasks[task].get("inputs", {}).values():
            if isinstance(written, str):
                yield parse_ref(written)
        yield from map(parse_ref, self._whens(task))

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
        named = [ref for (name, ref), kind in offers.items() if name == port and _fits(spec.kind, kind)]
        if not named and spec.required:
            taken = set(self._explicit(task))
            unwritten = self.spec[task].inputs.keys() - self.tasks[task].get("inputs", {}).keys()
            taken |= {ref for name, ref in offers if name in unwritten and self._takes(task, name, offers[name, ref])}
            named = [ref for (_, ref), kind in offers.items() if _fits(spec.kind, kind) and ref not in taken]
        if len(named) > 1:
            raise ValueError(f"{task}.{port} is ambiguous: {named}")
        return named[0] if named else None

    def _takes(self, task: str, port: str, kind: str) -> bool:
        return _fits(self.spec[task].inputs[port].kind, kind)

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

    def reads(self, task: str) -> list[Ref]:
        """All that a task reads itself."""
        return [ref for ref in self.bound[task].values() if isinstance(ref, Ref)] + [
            parse_ref(text) for text in self._whens(task)
        ]

    def reads_within(self, task: str) -> list[Ref]:
        """What is read within the sub-chains that a task may open."""
        found = []
        for _, head in self.heads(task):
            for member in self.members[head]:
                found += self.reads(member) + self.reads_within(member)
        return found

    def _befores(self, task: str) -> dict[str, bool]:
        """Task of the same scope -> whether its *end* is waited for (else: until it is settled)."""
        found = {name: True for name in self.written[task] if self.scope(name) == self.scope(task)}
        for ref in self.reads(task) + self.reads_within(task):
            if ref.kind == "slot" and ref.task != task and self.scope(ref.task) == self.scope(task):
                opens = any(True for _ in self.heads(ref.task))
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
            offered = [(how, self.providers(inner, port)) for how, inner in self.heads(tail) if how]
            due = [providers for how, providers in offered if providers or how != ERROR]
            if due and all(self.single(providers) for providers in due):
                found.append((tail, f"branch.{port}"))
        return found

    def single(self, providers: list[tuple[str, str]]) -> bool:
        """Whether a port is offered exactly once: by one slot, or by a task and, should it fail, its error branch."""
        tails = {tail for tail, _ in providers}
        return len(providers) == 1 or (len(tails) == 1 and "branches" not in self.tasks[tails.pop()])

    # ---- running

    def run(self, inputs: Mapping[str, Any], table: Table) -> Told:
        """Tell what becomes of a run."""
        return _Telling(self, inputs, table).tell()


class _Telling:
    """One run."""

    def __init__(self, reference: Reference, inputs: Mapping[str, Any], table: Table) -> None:
        self.reference = reference
        self.inputs = inputs
        self.table = table
        self.fates: dict[str, Fate] = {}

    def tell(self) -> Told:
        root = Frame(ROOT)
        self.scope(root)
        outputs = {}
        for name, text in self.reference.project.get("outputs", {}).items():
            value = self.value(root, parse_ref(text))
            outputs[name] = None if value is ABSENT else value
        kinds = {fate.kind for fate in self.fates.values()}
        status = "failed" if "stopped" in kinds else "running" if kinds & {"ready", "waiting"} else "completed"
        return Told(self.fates, outputs, status, frozenset(self.held(root)))

    def scope(self, frame: Frame) -> None:
        for task in self.reference.order[frame.scope]:
            self.task(frame, task)

    def task(self, frame: Frame, task: str) -> None:
        instance = frame.prefix + task
        waits, blocked = self.waits(frame, task)
        done = frame.done[task] = Done(Fate("waiting", waits))
        if not blocked:
            self.ready(frame, task, instance, done)
        self.fates[instance] = done.fate

    def waits(self, frame: Frame, task: str) -> tuple[frozenset[str], bool]:
        """The instances that must be settled before, and whether one of them is not, or not known yet."""
        found, blocked = set(), False
        if frame.outer is not None:
            found.add(re.sub(r"(\[\d+\])?/$", "", frame.prefix))
        for before, to_its_end in self.reference.befores[task].items():
            done = frame.done[before]
            found.add(frame.prefix + before)
            if to_its_end:
                found |= {f"{inner.prefix}{name}" for inner in _inside(done) for name in inner.done}
            blocked |= not (done.ended if to_its_end else done.fate.settled)
        return frozenset(found), blocked

    def ready(self, frame: Frame, task: str, instance: str, done: Done) -> None:
        behaviour = self.table(instance)
        if behaviour is None:
            done.fate = Fate("ready", done.fate.waits)
            return
        inputs, skip = self.bind(frame, task)
        if skip:
            done.fate = Fate("skipped", done.fate.waits)
            return
        body = self.reference.tasks[task]
        tries = 1 if behaviour.wrong else 1 + body.get("retries", 0)
        if behaviour.wrong or behaviour.failures >= tries:
            self.failed(frame, task, instance, done, tries)
            return
        done.fate = Fate("completed", done.fate.waits, behaviour.failures + 1)
        done.outputs = compute(task, self.reference.spec[task], inputs, behaviour)
        outcome = behaviour.outcome
        if isinstance(body.get("branches"), list):
            outcome = self.decide(frame, task)
        for how, head in self.reference.heads(task):
            if how == "":
                alias = body["foreach"].get("as", "item")
                for at, item in enumerate(done.outputs[body["foreach"]["over"]]):
                    self.open(done, Frame(head, frame, f"{instance}[{at}]/", alias, item))
            elif how == outcome:
                self.open(done, Frame(head, frame, f"{instance}/"))

    def open(self, done: Done, frame: Frame) -> None:
        done.opened.append(frame)
        self.scope(frame)

    def failed(self, frame: Frame, task: str, instance: str, done: Done, tries: int) -> None:
        policy = self.reference.tasks[task].get("on_error", "fail")
        if policy == "fail":
            done.fate = Fate("stopped", done.fate.waits, tries)
        elif policy == "skip":
            done.fate = Fate("skipped", done.fate.waits, tries)
        else:
            done.fate = Fate("failed", done.fate.waits, tries)
            self.open(done, Frame(policy["branch"], frame, f"{instance}/", error={"task": instance}))

    def bind(self, frame: Frame, task: str) -> tuple[dict[str, Any], bool]:
        """The inputs of a task, and whether one that it cannot do without is absent."""
        inputs, skip = {}, False
        for port, spec in self.reference.spec[task].inputs.items():
            source = self.reference.bound[task].get(port)
            if source is None:
                value = ABSENT
            else:
                value = self.value(frame, source) if isinstance(source, Ref) else source["value"]
            skip |= value is ABSENT and spec.required
            inputs[port] = spec.default if value is ABSENT else value
        skip |= any(self.value(frame, parse_ref(text)) is ABSENT for text in self.reference.needed_to_decide(task))
        return inputs, skip

    def decide(self, frame: Frame, task: str) -> str:
        """The first rule that holds; the expressions here are comparisons joined by && or by ||, never by both."""
        for at, rule in enumerate(self.reference.tasks[task]["branches"]):
            if "default" in rule:
                return _rule_name(at, rule)
            if " || " in rule["when"]:
                holds = any(self.compare(frame, part) for part in rule["when"].split(" || "))
            else:
                holds = all(self.compare(frame, part) for part in rule["when"].split(" && "))
            if holds:
                return _rule_name(at, rule)
        raise AssertionError("no default")

    def compare(self, frame: Frame, part: str) -> bool:
        if asked := re.fullmatch(r"has\((.+)\)", part):
            return self.value(frame, parse_ref(asked[1])) is not ABSENT
        text, sign, number = part.split(" ")
        value = self.value(frame, parse_ref(text))
        return value > int(number) if sign == ">" else value <= int(number)

    # ---- looking up

    def value(self, frame: Frame, ref: Ref) -> Any:
        """What a reference means here: in this frame or further out."""
        if ref.kind == "input":
            declared = self.reference.project["inputs"][ref.slot]
            given = self.inputs.get(ref.slot)
            return declared.get("default", ABSENT) if given is None else given
        if ref.kind == "slot":
            while ref.task not in frame.done:
                frame = frame.outer
            return self.slot(frame.done[ref.task], ref.task, ref.slot)
        if ref.kind == "item":
            while frame.alias != ref.slot:
                frame = frame.outer
            return ABSENT if frame.item is None else frame.item
        while all(use.how != ERROR for use in self.reference.uses[frame.scope]):
            frame = frame.outer
        return frame.error

    def slot(self, done: Done, task: str, slot: str) -> Any:
        if slot.startswith("branch."):
            if not done.opened or done.opened[0].alias is not None:
                return ABSENT  # it chose nothing; or it opened a body, which is no branch
            offered = self.reference.providers(done.opened[0].scope, slot[7:])
            values = [self.inside(done.opened[0], *provider) for provider in offered]
            return next((value for value in values if value is not ABSENT), ABSENT)
        if done.fate.kind != "completed":
            return ABSENT
        if slot.startswith("each."):
            inner = parse_ref(self.reference.tasks[task]["foreach"]["collect"][slot[5:]])
            values = [self.inside(frame, inner.task, inner.slot) for frame in done.opened]
            return [None if value is ABSENT else value for value in values]
        return done.outputs[slot]

    def inside(self, frame: Frame, task: str, slot: str) -> Any:
        return self.slot(frame.done[task], task, slot)

    # ---- lifetimes

    def held(self, frame: Frame) -> Iterator[str]:
        """The settled instances of which a reader has not ended, or which are read and have not ended themselves."""
        reference = self.reference
        for task, done in frame.done.items():
            for name in reference.members[frame.scope]:
                reads = reference.reads_within(name) + (reference.reads(name) if name != task else [])
                slots = any(ref.kind == "slot" and ref.task == task for ref in reads)
                reading = slots or (name == task and any(self.own(task, ref) for ref in reads))
                if reading and done.fate.settled and not (frame.done[name].ended and done.ended):
                    yield frame.prefix + task
            for inner in done.opened:
                yield from self.held(inner)

    def own(self, task: str, ref: Ref) -> bool:
        """Whether a task's own items or error are what is read within the sub-chains that it opens."""
        body = self.reference.tasks[task]
        if ref.kind == "item":
            return "foreach" in body and body["foreach"].get("as", "item") == ref.slot
        return ref.kind == "error" and isinstance(body.get("on_error"), dict)


def _inside(done: Done) -> Iterator[Frame]:
    for frame in done.opened:
        yield frame
        for inner in frame.done.values():
            yield from _inside(inner)


def _rule_name(at: int, rule: Mapping[str, Any]) -> str:
    return "default" if "default" in rule else f"when {at + 1}"


def _words(expression: str) -> list[str]:
    """The references in an expression."""
    return re.findall(r"[$A-Za-z]\w*(?:\.[A-Za-z]\w*)+", expression)


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _fits(port: str, given: str) -> bool:
    """Whether an input of kind ``port`` takes all that an output of kind ``given`` may hold."""
    lists = {"numbers": ["numbers"], "sparse": ["numbers", "sparse"], "list": ["numbers", "sparse", "list"]}
    return given in {"number": ["number"], "any": ["number", "any"], **lists}[port]
