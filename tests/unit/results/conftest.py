"""Plans and stories to draw, made by hand: what is drawn must not depend on the compiler."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tyqi_core.workflow.plan import ON_ERROR, Foreach, NodePin, Plan, PlanTask, Rule, Source


@dataclass
class Step:
    status: str = "completed"
    outcome: str | None = None
    duration_ms: float = 12.0


def task(name, scope="", after=(), node=None, **fields):
    """A task as the compiler would write it, but for ``after``, which names whom it waits for."""
    node_id = node or f"demo.{name.lower()}"
    return PlanTask(name, scope, NodePin(node_id, "1.0.0", "0" * 64), **fields), tuple(after)


def plan(*tasks, project="demo", inputs=("image",), outputs=()):
    successors: dict[str, list[str]] = {}
    for entry, after in tasks:
        for name in after:
            successors.setdefault(name, []).append(entry.id)
    from dataclasses import replace

    done = {
        entry.id: replace(
            entry,
            successors=(*entry.successors, *successors.get(entry.id, ())),
            waits=len(after),
            tail=entry.id not in successors,
        )
        for entry, after in tasks
    }
    return Plan(
        project=project,
        inputs={name: {"type": "image"} for name in inputs},
        outputs={name: Source("slot", name, holder) for name, holder in outputs},
        tasks=done,
        roots=tuple(entry.id for entry, after in tasks if not after and not entry.scope),
        tails={"": tuple(entry.id for entry in done.values() if entry.tail and not entry.scope)},
    ).sealed()


@pytest.fixture
def build():
    """``build.plan(build.task(...), ...)`` and ``build.Step(...)``."""

    class Build:
        pass

    Build.plan, Build.task, Build.Step = staticmethod(plan), staticmethod(task), Step
    return Build


@pytest.fixture
def facade():
    """The example's shape: a branch in a branch, a loop with a decision in it, a parallel join."""
    return plan(
        task("T1", node="surface.triage", branches={"crack": "T2a", "spall": "T2b", "clean": None}),
        task("T2a", "T2a", node="crack.segment"),
        task("T2a1", "T2a", ["T2a"], node="crack.skeleton"),
        task(
            "T2a2",
            "T2a",
            ["T2a1"],
            node="crack.width",
            branches={"T2a3": "T2a3", "default": None},
            rules=(Rule("T2a2.measurements.max_width.value > 3.5", "T2a3"), Rule(None, "default")),
        ),
        task("T2a3", "T2a3", node="report.closeup"),
        task("T2b", "T2b", node="spall.segment"),
        task("T2b1", "T2b", ["T2b"], node="spall.area", on_error="branch", branches={ON_ERROR: "T2e"}),
        task("T2e", "T2e", node="report.apology"),
        task("T4", node="image.tiles", foreach=Foreach("tiles", "tile", "T5")),
        task("T5", "T5", node="anomaly.score", branches={"odd": "T5a", "fine": None}),
        task("T5a", "T5a", node="anomaly.refine"),
        task("T5b", "T5", ["T5"], node="anomaly.grade"),
        task("T6", after=["T4"], node="anomaly.map"),
        task("T7", after=["T1"], node="report.severity", retries=2, timeout=5.0),
        task("T8", after=["T1", "T6"], node="report.annotate"),
        task("T9", after=["T7", "T8", "T1"], node="report.page"),
        project="facade-inspection",
        outputs=(("page", "T9"), ("report", "T9"), ("annotated", "T8")),
    )


@pytest.fixture
def crack_story():
    """One run of ``facade``: a wide crack, three tiles of which one is odd."""
    story = {
        "T1": Step(outcome="crack", duration_ms=8.3),
        "T1/T2a": Step(),
        "T1/T2a1": Step(),
        "T1/T2a2": Step(outcome="T2a3"),
        "T1/T2a2/T2a3": Step(duration_ms=1234.5),
        "T4": Step(),
        "T6": Step(),
        "T7": Step("failed"),
        "T8": Step("skipped"),
    }
    for number, outcome in enumerate(["fine", "odd", "fine"]):
        story[f"T4[{number}]/T5"] = Step(outcome=outcome)
        story[f"T4[{number}]/T5b"] = Step()
    story["T4[1]/T5/T5a"] = Step()
    return story
