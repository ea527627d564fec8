"""A catalog in memory with the first-party nodes' ids, ports and outcomes; nothing need be installed to compile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import InvalidProject, Problem
from tyqi_core.node import Node
from tyqi_core.protocol.document import read_document
from tyqi_core.workflow.compiler import compile_text
from tyqi_core.workflow.plan import ON_ERROR, Plan, PlanTask, Source

NODES = """
surface.triage: {in: {image: image}, out: {score: fraction}, outcomes: [crack, spall, clean]}
crack.segment: {in: {image: image}, out: {mask: mask}}
crack.skeleton: {in: {mask: mask}, out: {skeleton: mask}}
crack.width:
  in: {mask: mask, skeleton: mask}
  out: {measurements: measurements, mask: mask}
  params: {mm_per_px: {type: number, minimum: 0, default: 0, description: "mm"}}
spall.segment: {in: {image: image}, out: {mask: mask}}
spall.area: {in: {mask: mask}, out: {measurements: measurements, mask: mask}}
image.decode: {in: {data: bytes}, out: {image: image}}
image.filter: {in: {image: image}, out: {image: image}}
image.resize: {in: {image: image}, out: {image: image}}
image.tiles: {in: {image: image}, out: {tiles: image*, grid: object}}
align.register:
  in: {image: image, reference: image}
  out: {image: image, transform: object, measurements: measurements}
align.stitch: {in: {strips: image*}, out: {image: image, measurements: measurements}}
anomaly.score: {in: {image: image}, out: {score: positive, map: anomaly_map}, outcomes: [odd, fine]}
anomaly.refine: {in: {image: image}, out: {finding: object}}
anomaly.grade: {in: {score: number, finding: object?}, out: {score: number}}
anomaly.map: {in: {scores: numbers_or_null, grid: object}, out: {map: anomaly_map}}
detect.blobs: {in: {image: image}, out: {detections: detections}}
report.severity: {in: {measurements: measurements?, score: number?}, out: {severity: severity}}
report.annotate: {in: {image: image, mask: mask?, map: anomaly_map?, detections: detections?}, out: {image: image}}
report.closeup: {in: {image: image, mask: mask}, out: {closeup: image}}
report.page:
  in:
    image: image
    annotated: image?
    closeup: image?
    measurements: measurements?
    severity: object?
    map: anomaly_map?
    detections: detections?
  out: {page: html, report: object}
synth.texture: {in: {}, out: {image: image}}
"""

TYPES: dict[str, dict[str, Any]] = {
    "fraction": {"type": "json", "schema": {"type": "number", "minimum": 0, "maximum": 1}},
    "positive": {"type": "json", "schema": {"type": "number", "minimum": 0}},
    "number": {"type": "json", "schema": {"type": "number"}},
    "object": {"type": "json", "schema": {"type": "object"}},
    "severity": {
        "type": "json",
        "schema": {
            "type": "object",
            "properties": {"level": {"type": "integer"}, "label": {"type": "string"}},
            "additionalProperties": False,
        },
    },
    "numbers_or_null": {"type": "json", "list": True, "null_items": True, "schema": {"type": "number"}},
    "html": {"type": "bytes", "media_type": ["text/html"]},
}


def port(text: str) -> dict[str, Any]:
    """``mask?`` is an optional mask, ``image*`` a list of images."""
    name = text.rstrip("?*")
    declaration = dict(TYPES.get(name, {"type": name}))
    if text.endswith("*"):
        declaration["list"] = True
    if text.endswith("?"):
        declaration["required"] = False
    return declaration


def manifest(node: str, body: dict[str, Any], version: str = "1.0.0") -> Manifest:
    namespace, _, name = node.partition(".")
    content = {
        "tyqi_node": 1,
        "name": name,
        "version": version,
        "title": name,
        "description": "A node of a test.",
        "category": "utility",
        "licence": "Apache-2.0",
        "author": "Tests",
        "requires_tyqi": ">=0",
        "inputs": {key: port(text) for key, text in body["in"].items()},
        "outputs": {key: port(text) for key, text in body["out"].items()},
        "params": body.get("params", {}),
        "resources": body.get("resources", {}),
    }
    if "outcomes" in body:
        content["outcomes"] = dict.fromkeys(body["outcomes"], "what it decided")
    return Manifest.parse(
        json.dumps(content),
        f"{node}.node.yaml",
        namespace=namespace,
        local_id=name,
        entry_point="tests:Nothing",
        distribution=f"tyqi-node-{namespace}",
        distribution_version=version,
    )


def catalog_of(nodes: str) -> Catalog:
    table = read_document(nodes).value
    return Catalog.of(*(LocalNode(manifest(node, body), Node) for node, body in table.items()))


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return catalog_of(NODES)


Compile = Callable[..., Plan]


@pytest.fixture
def compiled(catalog: Catalog) -> Compile:
    """Compile tasks (and more) given as YAML; ``inputs: {image}`` is there unless said otherwise."""

    def compile_it(text: str, **params: Any) -> Plan:
        plan = compile_text(whole(text), "project.yaml", catalog, params)
        check_plan(plan)
        return plan

    return compile_it


@pytest.fixture
def problems(catalog: Catalog) -> Callable[..., list[Problem]]:
    """The problems of a project; fails if it has none."""

    def problems_of(text: str, **params: Any) -> list[Problem]:
        with pytest.raises(InvalidProject) as raised:
            compile_text(whole(text), "project.yaml", catalog, params)
        return list(raised.value.problems)

    return problems_of


@pytest.fixture(name="check_plan", scope="session")
def check_plan_fixture() -> Callable[[Plan], None]:
    return check_plan


def check_plan(plan: Plan) -> None:
    """What holds for every plan, worked out anew from the plan alone."""
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.digest == plan.digest
    _check_order(plan)
    users = _users(plan)
    _check_scopes(plan, users)
    _check_sources(plan, users)
    _check_offers(plan)


def _check_order(plan: Plan) -> None:
    waits = dict.fromkeys(plan.tasks, 0)
    for task in plan.tasks.values():
        assert not set(task.successors) & set(task.beside)
        assert task.tail == (not task.successors)
        opens = any(task.branches.values()) or task.foreach
        assert opens or not task.beside, f"{task.id} opens nothing, so nobody runs beside it"
        for after in (*task.successors, *task.beside):
            assert plan.tasks[after].scope == task.scope
            waits[after] += 1
    assert waits == {task.id: task.waits for task in plan.tasks.values()}
    ready = [task for task, count in waits.items() if not count]
    for task in ready:
        for after in (*plan.tasks[task].successors, *plan.tasks[task].beside):
            waits[after] -= 1
            if not waits[after]:
                ready.append(after)
    assert len(ready) == len(plan.tasks), "a cycle"


def _users(plan: Plan) -> dict[str, list[tuple[str, str]]]:
    """Head -> (user, how)."""
    users: dict[str, list[tuple[str, str]]] = {}
    for task in plan.tasks.values():
        for outcome, head in task.branches.items():
            if head is not None:
                users.setdefault(head, []).append((task.id, outcome))
        if task.foreach:
            users.setdefault(task.foreach.body, []).append((task.id, "each"))
    return users


def _check_scopes(plan: Plan, users: dict[str, list[tuple[str, str]]]) -> None:
    members: dict[str, list[PlanTask]] = {}
    for task in plan.tasks.values():
        members.setdefault(task.scope, []).append(task)
    assert set(members) == {"", *users} == set(plan.tails)
    for scope, tasks in members.items():
        starts = sorted(task.id for task in tasks if not task.waits)
        assert starts == (sorted(plan.roots) if scope == "" else [scope])
        assert sorted(plan.tails[scope]) == sorted(task.id for task in tasks if task.tail)


def _check_sources(plan: Plan, users: dict[str, list[tuple[str, str]]]) -> None:
    """Each source is held on every way outward, settled before its reader is ready, and freed by whom it passes."""
    frees: dict[str, set[str]] = {task: set() for task in plan.tasks}
    for task in plan.tasks.values():
        for binding in task.bindings:
            for reader, holder in _passes(plan, users, task.id, binding.source):
                if not plan.tasks[holder].kept:
                    frees[reader].add(holder)
    assert frees == {task.id: set(task.frees) for task in plan.tasks.values()}
    for task in plan.tasks.values():
        assert task.readers == sum(task.id in free for free in frees.values())
        assert task.kept == any(source.task == task.id for source in plan.outputs.values())


def _passes(plan: Plan, users: dict[str, list[tuple[str, str]]], reader: str, source: Source) -> set[tuple[str, str]]:
    """(task in the holder's scope through which a reading passes, holder), over all ways outward."""
    passed: set[tuple[str, str]] = set()
    if source.kind in ("input", "const"):
        return passed
    waiting = [(reader, "")]
    seen = set(waiting)
    while waiting:
        task, inner = waiting.pop()
        scope = plan.tasks[task].scope
        if source.kind == "slot" and plan.tasks[source.task].scope == scope:
            assert task == source.task or _before(plan, source.task, task), f"{task} does not wait for {source}"
            assert task != source.task or (inner and "." not in source.name)
            passed.add((task, source.task))
            continue
        assert scope, f"{reader}: nobody holds {source}"
        for user, how in users[scope]:
            foreach = plan.tasks[user].foreach
            item = source.kind == "item" and how == "each" and foreach and foreach.alias == source.name
            if item or (source.kind == "error" and scope == source.task):
                passed.add((user, user))
            elif (user, scope) not in seen:
                seen.add((user, scope))
                waiting.append((user, scope))
    return passed


def _before(plan: Plan, first: str, then: str) -> bool:
    return then in plan.tasks[first].successors or then in plan.tasks[first].beside


def _check_offers(plan: Plan) -> None:
    """Every slot that is read and is no output is filled on each branch that is not null, down to an output."""
    read = [(source.task, source.name) for source in plan.outputs.values()]
    for task in plan.tasks.values():
        read += [(binding.source.task, binding.source.name) for binding in task.bindings]
    waiting = sorted({(task, slot) for task, slot in read if task and "." in slot})
    seen = set(waiting)
    while waiting:
        task, slot = waiting.pop()
        holder = plan.tasks[task]
        each = slot.startswith("each.")
        heads = (
            [holder.foreach.body]
            if each and holder.foreach
            else [head for outcome, head in holder.branches.items() if head and outcome != ON_ERROR]
        )
        for head in heads:
            assert any(offer.slot == slot for offer in holder.offers.get(head, ())), (
                f"{task} gets no {slot} from {head}"
            )
        for head, offers in holder.offers.items():
            for offer in offers:
                assert plan.tasks[offer.task].scope == head
                assert each or plan.tasks[offer.task].tail
                inner = (offer.task, offer.source_slot)
                if "." in offer.source_slot and inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)


def whole(text: str) -> str:
    head = "tyqi: 1\nproject: p\n"
    if "\ninputs:" not in f"\n{text}":
        head += "inputs: {image: {type: image}}\n"
    return head + text
