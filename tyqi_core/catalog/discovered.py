"""An announced node: where it comes from, and its manifest or what is wrong with it.

This is what discovery finds and what the index keeps. It costs nothing to import: a command that starts from a warm
index pays for manifests only when it looks at one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyqi_core.catalog.environment import Stamp
from tyqi_core.errors import Problem

if TYPE_CHECKING:
    from tyqi_core.catalog.manifest import Manifest

MANIFEST_SUFFIX = ".node.yaml"
_MAJOR_SUFFIX = re.compile(r"\.v([1-9][0-9]*)")
_OWNER = re.compile(r"tyqi[-_.]+node[-_.]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a node comes from: the part of a manifest that its file does not say.

    Attributes:
        namespace: first half of the node's id.
        local_id: the entry point's name, ``segment`` or ``segment.v2``.
        entry_point: ``module:attribute``.
        distribution: name of the installed distribution, as it writes itself.
        distribution_version: its version.
        queue: the private queue of the isolated environment that it lives in; empty for a node of this environment.
    """

    namespace: str
    local_id: str
    entry_point: str
    distribution: str
    distribution_version: str
    queue: str = ""

    @property
    def name(self) -> str:
        """The local id without a major version."""
        if "." not in self.local_id:  # nearly all, and asked for each node of every list
            return self.local_id
        return _MAJOR_SUFFIX.split(self.local_id)[0]

    @property
    def major(self) -> int | None:
        """The major version that the entry point's name claims, if it claims one."""
        found = _MAJOR_SUFFIX.search(self.local_id)
        return int(found.group(1)) if found else None

    @property
    def id(self) -> str:
        """The node's id."""
        return f"{self.namespace}.{self.name}"

    @property
    def owned(self) -> bool:
        """Whether the namespace is the distribution's own: it is called ``tyqi-node-NAME``."""
        return _OWNER.match(self.distribution) is not None


@dataclass(slots=True)
class Discovered:
    """One entry point: a node with its manifest, or what is wrong with it.

    Attributes:
        origin: who announces it, under which name.
        file: the manifest's file, if there is one.
        content: what the manifest says, if it is valid, as JSON. It is decoded when somebody asks for it.
        problems: why the node cannot be used; empty for one that can.
        package: the top-level package that was located because no file list names the manifest, else empty.
        watched: the files that this result was read from, as they were at that time.
    """

    origin: Origin
    file: str | None = None
    content: bytes | None = None
    problems: tuple[Problem, ...] = ()
    package: str = ""
    watched: tuple[tuple[str, Stamp | None], ...] = ()
    _manifest: Manifest | None = field(default=None, repr=False, compare=False)

    @classmethod
    def valid(cls, manifest: Manifest, watched: tuple[tuple[str, Stamp | None], ...] = ()) -> Discovered:
        """A node without problems."""
        content = json.dumps(manifest.body, separators=(",", ":")).encode()
        return cls(manifest.origin, str(manifest.path), content, watched=watched, _manifest=manifest)

    @property
    def path(self) -> Path | None:
        """The manifest's file, if there is one."""
        return Path(self.file) if self.file else None

    @property
    def manifest(self) -> Manifest | None:
        """The manifest, built at first use; ``None`` for a node with problems."""
        if self.problems or self.content is None or self.file is None:
            return None
        if self._manifest is None:
            from tyqi_core.catalog.manifest import Manifest  # noqa: PLC0415 - see the module's docstring

            self._manifest = Manifest.build(json.loads(self.content), self.origin, Path(self.file))
        return self._manifest
