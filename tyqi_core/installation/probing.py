"""Seeing whether what was just installed can be used: each new node is imported in a process of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tyqi_core.catalog.catalog import Catalog, Entry
from tyqi_core.catalog.discovery import normalised
from tyqi_core.catalog.probe import Verdicts, probe


@dataclass(frozen=True, slots=True)
class Usable:
    """A node, and why it cannot be used; an empty reason: it can."""

    id: str
    version: str
    reason: str


def probed(catalog: Catalog, distributions: Collection[str], python: Path | None = None) -> Iterator[Usable]:
    """The nodes of these distributions, tried out.

    Args:
        catalog: of the environment as it is now.
        distributions: normalised names.
        python: the interpreter of an isolated environment; then only its nodes are meant.
    """
    verdicts = Verdicts.load()
    for entry in catalog.entries():
        if normalised(entry.distribution) in distributions and _isolated(entry) == (python is not None):
            yield _probed(entry, verdicts, python)


def _isolated(entry: Entry) -> bool:
    return bool(entry.found.origin.queue)


def _probed(entry: Entry, verdicts: Verdicts, python: Path | None) -> Usable:
    manifest = entry.manifest
    if manifest is None:
        return Usable(entry.id, "", entry.reason)
    verdict = probe(manifest, python=python)
    verdicts.keep(manifest, verdict)
    return Usable(entry.id, manifest.version, verdict.reason)
