"""The isolated environments of a state folder, and the nodes in them. Nothing of them is ever imported here.

``<state>/envs/<digest>/`` is one plugin with what it needs, found by the digest of its lock. It is put together under
another name and renamed, so it is there whole or not at all::

    environment.json   what it is
    venv/              a virtual environment: the plugin, and the packages that it does not share with the host
    host/              links to the host's tyqi-core and what that stands on
"""

from __future__ import annotations

import hashlib
import json
import os
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from tyqi_core.catalog.discovered import Discovered
from tyqi_core.catalog.index import load_nodes

FOLDER: Final = "envs"
RECORD: Final = "environment.json"
VENV: Final = "venv"
HOST: Final = "host"
_DIGITS: Final = 32
_QUEUE_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Isolated:
    """One isolated environment.

    Attributes:
        folder: its folder; the name is the digest of the lock.
        distribution, version: the plugin that it is for.
        lock: what was installed into it, ``name==version --hash=sha256:...``, sorted.
        shared: what it takes from the host: name -> version when it was made.
        host: ``sys.prefix`` of the host.
    """

    folder: Path
    distribution: str
    version: str
    lock: tuple[str, ...]
    shared: Mapping[str, str]
    host: str

    @property
    def name(self) -> str:
        """As people call it: ``crack``."""
        return self.distribution.removeprefix("tyqi-node-")

    @property
    def queue(self) -> str:
        """The private queue of its nodes."""
        return f"env.{self.folder.name[:_QUEUE_DIGITS]}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return python_of(self.folder)

    def nodes(self, *, cache: bool = True) -> list[Discovered]:
        """The plugin's nodes, marked as isolated."""
        found = load_nodes(cache=cache, path=[str(site_of(self.folder))])
        mine = [node for node in found if node.origin.namespace == self.name.replace("-", "_")]
        return [replace(node, origin=replace(node.origin, queue=self.queue), _manifest=None) for node in mine]

    def to_json(self) -> dict[str, Any]:
        """As it is recorded."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}


def digest_of(lock: Sequence[str]) -> str:
    """The name of the environment that holds these packages."""
    return hashlib.sha256("\n".join(sorted(lock)).encode()).hexdigest()[:_DIGITS]


def python_of(folder: Path) -> Path:
    """The interpreter of the environment in ``folder``."""
    return folder / VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_of(folder: Path) -> Path:
    """Where the packages of the environment in ``folder`` lie."""
    return folder / VENV / _site_in_venv()


@cache
def _site_in_venv() -> Path:
    """Asking costs as much as reading the environment's index, and the answer is the same for all of them."""
    return Path(sysconfig.get_path("purelib", "venv", vars={"base": VENV, "platbase": VENV})).relative_to(VENV)


def environments(state: Path) -> list[Isolated]:
    """The isolated environments of a state folder, the newest first; one that is half made or damaged is none."""
    found: list[tuple[int, Isolated]] = []
    try:
        folders = list((state / FOLDER).iterdir())
    except OSError:
        return []
    for folder in folders:
        try:
            body = json.loads((folder / RECORD).read_bytes())
            one = Isolated(folder, **{**body, "lock": tuple(body["lock"])})
            found.append(((folder / RECORD).stat().st_mtime_ns, one))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    found.sort(key=lambda pair: (-pair[0], pair[1].folder.name))
    return [one for _, one in found]


def isolated_nodes(state: Path, *, cache: bool = True) -> list[Discovered]:
    """The nodes of all isolated environments of a state folder."""
    return [node for environment in environments(state) for node in environment.nodes(cache=cache)]
