"""Asking the conformance kit about many wheels, and seeing that nothing of them stays."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from animals import GOOD, Animal
from made_wheels import VERSION, make_wheel

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance import probing
from tyqi_core.conformance.checks import Mode
from tyqi_core.conformance.evidence import Evidence
from tyqi_core.conformance.run import MODES, conform
from tyqi_core.conformance.versions import version_results

PATIENCE_S = 10.0
_MODES: Mapping[str, Sequence[Mode]] = {
    "static": ("static",),
    "probe": ("static", "probe"),
    "run": ("static", "run"),
    "upgrade": ("static",),
    "whole": MODES,
}


@dataclass(frozen=True)
class Examined:
    """What the kit says.

    Attributes:
        evidence: animal -> what is said of it.
        wheels: animal -> its wheel.
        children, files: processes and temporary files that were left behind.
    """

    evidence: Mapping[str, Evidence]
    wheels: Mapping[str, Path]
    children: set[int]
    files: Sequence[Path]

    def ended(self, name: str, outcome: str) -> set[str]:
        """The checks that ended so."""
        return {result.check for result in self.evidence[name].results if result.outcome == outcome}


def examine(animals: Sequence[Animal], folder: Path) -> Examined:
    """Ask the kit about animals, two at a time; imports that do not end are given up soon."""
    wheels = {animal.name: animal.wheel(folder / "wheels" / animal.name) for animal in animals}
    (temporary := folder / "temporary").mkdir(parents=True)
    before = children()
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as two:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setattr(probing, "TIMEOUT_S", PATIENCE_S)
        asked = {animal.name: two.submit(_examine, animal, wheels[animal.name]) for animal in reversed(animals)}
        evidence = {name: answer.result() for name, answer in asked.items()}
    return Examined(evidence, wheels, children() - before, list(temporary.iterdir()))


def _examine(animal: Animal, wheel: Path) -> Evidence:
    """What the kit says; of another release of the good package, also what a registry says that holds the first."""
    evidence = conform(wheel, modes=_MODES[animal.mode], known=animal.known or None)
    if animal.distribution != GOOD or animal.version == VERSION:
        return evidence
    own = {result.check: result for result in version_results(Wheel(wheel), Wheel(make_wheel(wheel.parent)))}
    rest = [result for result in evidence.results if result.check not in own]
    return replace(evidence, results=[*rest, *own.values()])


def children() -> set[int]:
    """The processes that were started here and have not ended, as far as the system tells."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()}
