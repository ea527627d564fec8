"""Random projects: what compiles keeps the laws of a plan, what does not is refused with codes and places."""
# ruff: noqa: S311, E501 - the numbers only pick what to build; the values are a table

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InvalidProject, Problem
from tyqi_core.protocol.document import read_document
from tyqi_core.protocol.subset import outside_subset
from tyqi_core.workflow.compiler import compile_text
from tyqi_core.workflow.plan import Plan
from tyqi_core.workflow.shape import project_schema, shape_of

FACADE = Path(__file__).with_name("facade.yaml").read_text(encoding="utf-8")
CheckPlan = Callable[[Plan], None]


class Builder:
    """Builds projects that are valid by construction: scopes of tasks on pictures, opened by conditions and foreachs."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.tasks: dict[str, dict[str, Any]] = {}
        self.shared: list[str] = []

    def scope(self, depth: int, visible: list[str], head: str = "") -> str:
        """A scope of a few tasks that ends in one; returns that one, which puts out ``image``."""
        here: list[str] = []
        for _ in range(self.random.randint(1, 4)):
            name = head if head and not here else f"T{len(self.tasks)}"
            before = self.random.sample(here, self.random.randint(1, len(here))) if here else []
            task: dict[str, Any] = {"node": self.random.choice(["image.filter", "image.resize"])}
            self.tasks[name] = task
            task["inputs"] = {"image": self.source(before, visible, name == head)}
            if head:
                task["subchain"] = True
            if before and self.random.random() < 0.5:
                task["predecessor"] = before
            elif here and not before:
                task["predecessor"] = [here[0]]
            if here and "predecessor" not in task and str(task["inputs"]["image"]).split(".")[0] not in here:
                task["predecessor"] = [here[-1]]
            if self.random.random() < 0.15:
                task["on_error"] = "skip"
            if depth and self.random.random() < 0.5:
                self.open(task, name, depth, [*visible, *(f"{other}.image" for other in before)])
            here.append(name)
        last = f"T{len(self.tasks)}"
        self.tasks[last] = {"node": "image.filter", "predecessor": here, "inputs": {"image": f"{here[0]}.image"}}
        return last

    def source(self, before: list[str], visible: list[str], is_head: bool) -> str:
        if before and self.random.random() < 0.7:
            return f"{self.random.choice(before)}.image"
        return self.random.choice(visible)

    def open(self, task: dict[str, Any], name: str, depth: int, visible: list[str]) -> None:
        """Let a task decide, or run something per item."""
        if self.random.random() < 0.3:
            head = self.head(depth, ["$item.item"])
            task.update(node="image.tiles", foreach={"over": "tiles", "body": head})
            task["inputs"] = {"image": "$input.image"}
            self.after(name)
            return
        rules: list[dict[str, Any]] = []
        for _ in range(self.random.randint(1, 2)):
            reuse = self.shared and self.random.random() < 0.3
            head = self.random.choice(self.shared) if reuse else self.head(depth, visible)
            rules.append({"when": self.random.choice(["true", "1 > 2"]), "to": head})
        task.update(condition=True, branches=[*rules, {"default": None}])

    def head(self, depth: int, visible: list[str]) -> str:
        head = f"T{len(self.tasks)}"
        self.scope(depth - 1, visible, head)
        if visible == ["$input.image"]:
            self.shared.append(head)
        return head

    def after(self, name: str) -> None:
        """A foreach puts out no picture, so one follows it under its name's stead."""
        self.tasks[name]["description"] = "runs its body for each tile"


def project(seed: int) -> dict[str, Any]:
    builder = Builder(Random(seed))
    last = builder.scope(3, ["$input.image"])
    return {
        "tyqi": 1,
        "project": "random",
        "inputs": {"image": {"type": "image"}},
        "tasks": builder.tasks,
        "outputs": {"image": f"{last}.image"},
    }


def attempt(text: str, catalog: Catalog) -> Plan | list[Problem]:
    try:
        return compile_text(text, "x.yaml", catalog)
    except InvalidProject as error:
        return list(error.problems)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_projects_that_compile_keep_every_law_of_a_plan(seed: int, catalog: Catalog, check_plan: CheckPlan) -> None:
    body = project(seed)
    found = attempt(json.dumps(body), catalog)
    if isinstance(found, list):
        assert found
        assert all(problem.code and problem.line for problem in found)
        return
    check_plan(found)
    names = list(body["tasks"])
    Random(seed).shuffle(names)
    again = attempt(json.dumps({**body, "tasks": {name: body["tasks"][name] for name in names}}), catalog)
    assert isinstance(again, Plan)
    assert dict(again.tasks) == dict(found.tasks)


def test_the_random_projects_are_worth_their_time(catalog: Catalog) -> None:
    plans = [plan for seed in range(200) if isinstance(plan := attempt(json.dumps(project(seed)), catalog), Plan)]
    assert len(plans) > 60
    assert sum(len(plan.tails) > 3 for plan in plans) > 20
    assert sum(any(task.beside for task in plan.tasks.values()) for plan in plans) > 10


VALUES: list[Any] = [
    None, True, 0, -1, 2**62, 1.5, "", "T1", "T2a", "x" * 70, "$input.image", "$item.tile", "$param.wide_mm", "$error", "T1.branch.mask",
    "T4.each.scores", "T2a.mask", "a..b", "$", "when", [], {}, ["T1"], ["T1", "T2a", "T1"], {"value": 1}, {"branch": "T1"}, {"T1": None},
    [{"when": "T1.score > 1", "to": "T2a"}], [{"default": "T1"}], {"over": "tiles", "body": "T1"}, {"type": "image"}, "crack.width", "\ud7ff",
]  # fmt: skip


def mutated(random: Random) -> dict[str, Any]:
    """The example with a few values exchanged, taken out or added anywhere."""
    body: dict[str, Any] = read_document(FACADE).value
    for _ in range(random.randint(1, 4)):
        holder: Any = body
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(holder[key], dict | list) and random.random() < 0.8:
                holder = holder[key]
                continue
            change = random.random()
            if change < 0.2:
                del holder[key]
            elif change < 0.8 or isinstance(holder, list):
                holder[key] = deepcopy(random.choice(VALUES))
            else:
                holder[random.choice(["successor", "subchain", "foreach", "on_error", "branches", "x", "T3"])] = (
                    random.choice(VALUES)
                )
            break
    return body


@settings(max_examples=400, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_any_change_of_a_project_gives_a_sound_plan_or_coded_problems(
    seed: int, catalog: Catalog, check_plan: CheckPlan
) -> None:
    found = attempt(json.dumps(mutated(Random(seed))), catalog)
    if isinstance(found, Plan):
        check_plan(found)
        return
    assert found
    for problem in found:
        assert problem.code.isupper()
        assert problem.line >= 1
        assert problem.message.endswith(".") or problem.message.endswith(")")
        assert len(problem.message) < 2000


@settings(max_examples=300, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_the_walk_that_explains_agrees_with_the_schema(seed: int) -> None:
    document = read_document(json.dumps(mutated(Random(seed))))
    valid = jsonschema.Draft7Validator(project_schema()).is_valid(document.value)
    _, problems = shape_of(document)
    assert valid == (problems == [])


def test_the_project_schema_keeps_to_the_subset_and_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(project_schema())
    assert outside_subset(project_schema()) == []
