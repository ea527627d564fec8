"""``<state>/history.json``: the histories of the nodes that ran here, kept from one command to the next.

Commands that end at the same time wait for each other at a lock file, so none loses what another wrote; the file is
replaced whole. It may be lost at any time: one that is damaged is set aside as ``history.json.damaged``, and what is
planned from it begins again with what the manifests declare.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tyqi_core.runtime.history import Fields, merge, parsed
from tyqi_core.runtime.keeping import write_whole

log = logging.getLogger("tyqi.history")
NAME: Final = "history.json"
FORM: Final = 1
MOST_NODES: Final = 1000
"""Nodes that the file holds; beyond it those that ran longest ago are dropped."""

_Entries = dict[str, dict[str, Any]]


def read_histories(state: Path) -> dict[str, Fields]:
    """The summaries by node and major version; none if there is no file, or a damaged one, which is told of."""
    path = state / NAME
    try:
        return {node: entry["fields"] for node, entry in _entries(path).items()}
    except (OSError, *_DAMAGE) as error:
        log.warning("%s cannot be used: %s", path, _reason(error))
        return {}


def add_histories(state: Path, summaries: Mapping[str, Fields]) -> None:
    """Merge what a command saw into the file. A history is no reason to fail: what goes wrong is a warning."""
    if not summaries:
        return
    path = state / NAME
    try:
        state.mkdir(parents=True, exist_ok=True)
        with _locked(state / f"{NAME}.lock"):
            entries = _usable(path)
            now = int(time.time())
            for node, fields in summaries.items():
                known: Fields = entries[node]["fields"] if node in entries else {}
                entries[node] = {"at": now, "fields": merge(known, fields)}
            write_whole(path, json.dumps({"form": FORM, "nodes": _youngest(entries)}, separators=(",", ":")))
    except OSError as error:
        log.warning("durations could not be added to %s: %s", path, _reason(error))


_DAMAGE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


def _usable(path: Path) -> _Entries:
    try:
        return _entries(path)
    except _DAMAGE as error:
        aside = path.with_name(f"{NAME}.damaged")
        path.replace(aside)
        log.warning("%s was damaged and is now %s: %s", path, aside.name, _reason(error))
        return {}


def _entries(path: Path) -> _Entries:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    if document["form"] != FORM:
        raise ValueError(f"its form is {document['form']!r}, expected {FORM}")
    return {node: {"at": int(one["at"]), "fields": parsed(one["fields"])} for node, one in document["nodes"].items()}


def _youngest(entries: _Entries) -> _Entries:
    if len(entries) <= MOST_NODES:
        return entries
    order = sorted(entries, key=lambda node: (-entries[node]["at"], node))
    return {node: entries[node] for node in order[:MOST_NODES]}


def _reason(error: BaseException) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with its holder, however that ends."""
    with path.open("ab") as file:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows has no fcntl

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            try:
                yield
            finally:
                file.seek(0)
                with suppress(OSError):
                    msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - and the others no msvcrt

            fcntl.flock(file, fcntl.LOCK_EX)
            yield
