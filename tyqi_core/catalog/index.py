"""The kept result of discovery, so that a command that starts does not read a hundred manifests again.

One file per environment and search path. It is used only if nothing that discovery looked at has changed: the folders
of distributions and their entry points, the manifests themselves, and where editable packages would be imported
from. What changed within the last moments before discovery is not kept at all, because file times are too coarse to
tell such a change from the next one.
"""

from __future__ import annotations

import hashlib
import marshal
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple
from typing import Any

import tyqi_core
from tyqi_core.catalog.cache import environment_key, prune_cache, read_parts, write_cache
from tyqi_core.catalog.discovered import Discovered, Origin
from tyqi_core.catalog.environment import Environment, Stamp, stamp_of
from tyqi_core.errors import Problem

FORMAT = 3
_WITHOUT_REFERENCES = 2
"""The version of ``marshal`` that writes the same bytes for equal values, whichever objects they share."""
_COARSEST_CLOCK_NS = 2_000_000_000
"""FAT keeps times to two seconds; other file systems are finer."""
_KEPT_PER_ENVIRONMENT = 8
"""``python -m`` puts the current folder on the path, so one environment has an index for each such folder."""
_ISOLATED_KEPT = 64


def load_nodes(*, cache: bool = True, path: Sequence[str] | None = None) -> list[Discovered]:
    """All nodes that are announced in this environment, from the index if it is still true.

    Args:
        cache: False neither reads nor writes the index.
        path: the folders of another environment, instead of this one's.
    """
    environment = Environment.scan(path)
    if not cache:
        return _discovered(environment)
    kept = _read(environment)
    if kept is not None:
        return kept
    started = time.time_ns()
    nodes = _discovered(environment)
    if not _too_fresh(environment, nodes, started):
        _write(environment, nodes)
    return nodes


def _discovered(environment: Environment) -> list[Discovered]:
    from tyqi_core.catalog.discovery import discover  # noqa: PLC0415 - importlib.metadata alone costs 20 ms

    return discover(environment)


def _file_name(environment: Environment) -> str:
    return f"{_kind(environment)}-{environment_key()}-{environment_key(tyqi_core.__version__, *environment.paths)}.json"


def _kind(environment: Environment) -> str:
    return "catalog" if environment.own else "isolated"


def _read(environment: Environment) -> list[Discovered] | None:
    kept, contents = read_parts(_file_name(environment))
    try:
        if not _still_true(kept, environment):
            return None
        return [_node(record, content) for record, content in zip(kept["nodes"], contents, strict=True)]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # written by some other version of this module


def _still_true(kept: Any, environment: Environment) -> bool:
    return (
        isinstance(kept, dict)
        and kept["format"] == FORMAT
        and kept["seen"] == _seen(environment, kept["packages"], map(stamp_of, kept["watched"]))
    )


def _seen(environment: Environment, packages: Iterable[str], stamps: Iterable[Stamp | None]) -> str:
    """The digest of all that discovery looked at: another one, and it may find something else."""
    facts = [environment.facts, list(map(environment.holders, packages)), list(stamps)]
    return hashlib.sha256(marshal.dumps(facts, _WITHOUT_REFERENCES)).hexdigest()


def _too_fresh(environment: Environment, nodes: list[Discovered], started: int) -> bool:
    stamps = [*environment.stamps, *(stamp for node in nodes for _, stamp in node.watched if stamp)]
    now = time.time_ns()
    return any(started - _COARSEST_CLOCK_NS <= moment <= now for stamp in stamps for moment in stamp[:2])


def _write(environment: Environment, nodes: list[Discovered]) -> None:
    packages = sorted({node.package for node in nodes if node.package})
    watched = dict(file for node in nodes for file in node.watched)
    index = {
        "format": FORMAT,
        "seen": _seen(environment, packages, watched.values()),
        "packages": packages,
        "watched": list(watched),
        "nodes": [_record(node) for node in nodes],
    }
    if write_cache(_file_name(environment), index, [node.content or b"" for node in nodes]):
        kept = _KEPT_PER_ENVIRONMENT if environment.own else _ISOLATED_KEPT
        prune_cache(f"{_kind(environment)}-{environment_key()}-*.json", kept)


def _record(node: Discovered) -> tuple[Any, ...]:
    return astuple(node.origin), node.file, [asdict(problem) for problem in node.problems]


def _node(record: Sequence[Any], content: bytes) -> Discovered:
    origin, file, problems = record
    return Discovered(Origin(*origin), file, content or None, tuple(Problem(**problem) for problem in problems))
