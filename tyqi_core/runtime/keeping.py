"""Values and files of a record: written whole or not at all, read back only if they are what was written."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tyqi_core.errors import ReplayRefused
from tyqi_core.protocol.codecs import Encoded, decode_any, encode_any, sha256
from tyqi_core.scheduler import Ready
from tyqi_core.stores.base import ABSENT
from tyqi_core.stores.memory import RunState, TaskState

JSON_LIKE = frozenset({"json", "measurements", "detections", "table"})
"""The types whose values are JSON."""
_INLINE = 4_096


def freeze(run: RunState, folder: Path) -> dict[str, Any]:
    """A stopped run's state as JSON; its values are kept in ``folder``."""
    return {
        "id": run.id,
        "status": run.status,
        "ended": run.ended,
        "error": run.error,
        "counters": run.counters,
        "tasks": {instance: asdict(task) for instance, task in run.tasks.items()},
        "held": [list(entry) for entry in run.held],
        "slots": {
            instance: {slot: store(folder, value) for slot, value in slots.items() if value is not ABSENT}
            for instance, slots in run.slots.items()
        },
    }


def thaw(body: Mapping[str, Any], folder: Path) -> RunState:
    """The state that :func:`freeze` kept.

    Raises:
        ReplayRefused: a value is missing or damaged.
    """
    return RunState(
        id=body["id"],
        status=body["status"],
        ended=body["ended"],
        error=body["error"],
        counters=body["counters"],
        tasks={instance: TaskState(**task) for instance, task in body["tasks"].items()},
        held=[Ready(*entry) for entry in body["held"]],
        slots={
            instance: {slot: load(folder, reference) for slot, reference in slots.items()}
            for instance, slots in body["slots"].items()
        },
    )


def keep_input(folder: Path, type_name: str, value: Any) -> dict[str, Any]:
    """A run input: what is JSON and small stands in the header itself."""
    if type_name in JSON_LIKE and len(json.dumps(value)) <= _INLINE:
        return {"value": value}
    return store(folder, value)


def store(folder: Path, value: Any) -> dict[str, str]:
    """Keep a value under the digest of its bytes."""
    encoded = encode_any(value)
    name = sha256(encoded.data)
    path = folder / "payloads" / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_whole(path, encoded.data)
    return {"sha256": name, "media_type": encoded.media_type}


def load(folder: Path, reference: Mapping[str, Any]) -> Any:
    """The value that was kept.

    Raises:
        ReplayRefused: it is missing, or not what was kept.
    """
    if "value" in reference:
        return reference["value"]
    try:
        data = (folder / "payloads" / reference["sha256"]).read_bytes()
    except OSError as error:
        raise ReplayRefused(f"a payload of {folder.name} is missing: {error.strerror}") from error
    if sha256(data) != reference["sha256"]:
        raise ReplayRefused(f"payload {reference['sha256'][:12]} of {folder.name} is damaged")
    return decode_any(Encoded(reference["media_type"], data))


def append_whole(path: Path, text: str) -> None:
    """Append lines: all of them, or, on a full disk, none."""
    data = text.encode()
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(data) != len(data):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and move it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
