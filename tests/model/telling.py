"""A naive interpreter of projects, to hold the real one against.

It walks the tasks recursively, one after the other, and implements ``docs/rules.md`` directly. It knows nothing of
plans, counters, stores or threads, and it does nothing cleverly: a value that is asked for is looked up by walking
outward, and what a branch hands outward is looked up by walking inward again.

What a node does is told by a *table*: instance -> :class:`numeric.Behaviour`. For an instance that the table does not
know it is not told yet: the task stays ready and all that waits for it stays waiting. So one interpreter serves
for a finished run, for a run that a failure stopped, and for any state on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numeric import ABSENT, ERROR, ROOT, Ref, Table, compute, parse_ref, rule_name
from reference import Reference  # noqa: TC002 - a module beside this one


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


def tell(reference: Reference, inputs: Mapping[str, Any], table: Table) -> Told:
    """What becomes of a run that is given ``inputs``, as far as the table goes."""
    return _Telling(reference, inputs, table).tell()


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
        for how, head in self.reference.heads[task]:
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
        skip |= any(self.value(frame, parse_ref(text)) is ABSENT for text in self.reference.needed_to_decide[task])
        return inputs, skip

    def decide(self, frame: Frame, task: str) -> str:
        """The first rule that holds; the expressions here are comparisons joined by && or by ||, never by both."""
        for at, rule in enumerate(self.reference.tasks[task]["branches"]):
            if "default" in rule:
                return rule_name(at, rule)
            if " || " in rule["when"]:
                holds = any(self.compare(frame, part) for part in rule["when"].split(" || "))
            else:
                holds = all(self.compare(frame, part) for part in rule["when"].split(" && "))
            if holds:
                return rule_name(at, rule)
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
                reads = reference.reads_within[name] + (reference.reads[name] if name != task else [])
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
