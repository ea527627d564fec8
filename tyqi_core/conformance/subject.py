"""What static checks are given: a wheel, its manifests with their lines, and what others have published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tyqi_core.catalog.discovered import Discovered
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.sources import Source, read_source
from tyqi_core.errors import InvalidManifest, Problem, UsageError
from tyqi_core.protocol.document import Document, Key, read_document

NATIVE: Final = (".so", ".pyd", ".dll", ".dylib")
"""How machine code is called; ``.so.3`` counts too."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A node that the wheel announces, with its manifest as a document; ``None`` where there is none or no mapping."""

    node: Discovered
    document: Document | None

    @property
    def file(self) -> str:
        """The manifest's name in the wheel."""
        return self.node.path.as_posix() if self.node.path else ""

    @property
    def body(self) -> Mapping[str, Any]:
        """The manifest's content, whether it is valid or not."""
        return self.document.value if self.document else {}

    def mapping(self, field: str) -> Mapping[str, Any]:
        """A field that should be a mapping of mappings: what of it is that."""
        value = self.body.get(field)
        return {key: part for key, part in value.items() if isinstance(part, dict)} if isinstance(value, dict) else {}

    def finding(self, message: str, *path: Key, remedy: str = "") -> Finding:
        """A finding at a place of the manifest."""
        line = self.document.at(path)[0] if self.document else 0
        return Finding(message, self.file, line, remedy)


class Examined(Wheel):
    """A wheel that is being checked.

    Args:
        path: the file.
        known: node id -> the distribution that publishes it; ``None`` if nobody knows.
    """

    def __init__(self, path: Path, known: Mapping[str, str] | None = None) -> None:
        super().__init__(path)
        self.known = known

    @property
    def package(self) -> str:
        """The one top-level module that it may bring: the distribution's name with underscores."""
        return self.name.replace("-", "_")

    @property
    def entry_points_file(self) -> str:
        """Where its entry points stand."""
        return f"{self.dist_info}/entry_points.txt"

    @cached_property
    def declared(self) -> Sequence[Declared]:
        """The nodes that it announces, with their manifests."""
        return [Declared(node, self._document(node)) for node in self.nodes]

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """What any of its manifests declares."""
        values = (one.body.get("capabilities") for one in self.declared)
        return frozenset(word for value in values if isinstance(value, list) for word in value if isinstance(word, str))

    @cached_property
    def sources(self) -> Sequence[tuple[str, Source | str]]:
        """Its Python sources, each read; where one cannot be, the text that says why."""
        return [(file, self._source(file)) for file in self.files if file.endswith((".py", ".pyw"))]

    @property
    def native_files(self) -> list[str]:
        """Its members that are machine code."""
        return [name for name in self.files if name.endswith(NATIVE) or re.search(r"\.so\.[0-9.]+$", name)]

    def line_of(self, file: str, wanted: str) -> int:
        """The first line of a text member that matches a pattern; 0 if none does."""
        lines = self.text(file).splitlines() if file in self.files else []
        return next((number for number, line in enumerate(lines, 1) if re.search(wanted, line)), 0)

    def header(self, name: str) -> tuple[str, int]:
        """The metadata file, and the line of a header in it: the place that a finding names."""
        file = f"{self.dist_info}/METADATA"
        return file, self.line_of(file, rf"(?i)^{re.escape(name)}\s*:")

    def requirement(self, text: str) -> tuple[str, int]:
        """The metadata file, and the line of one ``Requires-Dist`` in it."""
        file = f"{self.dist_info}/METADATA"
        return file, self.line_of(file, rf"(?i)^Requires-Dist:\s*{re.escape(text)}\s*$")

    def texts(self, *endings: str) -> Iterator[tuple[str, str]]:
        """Its members of these endings as text; what is too large or damaged is left out."""
        for name in self.files:
            if name.endswith(endings):
                try:
                    yield name, self.text(name)
                except UsageError:
                    continue

    def _source(self, file: str) -> Source | str:
        try:
            return read_source(file, self.read(file))
        except (ValueError, UsageError) as error:
            return str(error).rstrip(".")

    def _document(self, node: Discovered) -> Document | None:
        if node.path is None:
            return None
        try:
            document = read_document(self.read(node.path.as_posix()), node.path.as_posix(), error=InvalidManifest)
        except (InvalidManifest, UsageError):
            return None
        return document if isinstance(document.value, dict) else None


def of_problem(problem: Problem) -> Finding:
    """What the catalog found wrong with a manifest, as a finding."""
    hint = f" Did you mean '{problem.nearest}'?" if problem.nearest else ""
    message = f"{problem.path}: {problem.message}{hint}" if problem.path != "$" else f"{problem.message}{hint}"
    return Finding(f"{problem.code}: {message}", problem.file, problem.line, problem.remedy or "")
