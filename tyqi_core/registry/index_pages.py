"""The index that pip reads: pages of PEP 503 and, beside them, the same as documents of PEP 691 and 700.

pip asks for a folder and is answered with ``index.html`` everywhere: from a disk, a static host or a server. The
documents are for programs; keys that begin with an underscore are ours, as PEP 700 allows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final
from urllib.parse import quote

API: Final = "1.1"
PAGE: Final = "index.html"
DOCUMENT: Final = "index.json"


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One wheel in the index.

    Attributes:
        path: where it lies in the registry's folder, with ``/``.
        uploaded: ISO 8601.
        metadata_sha256: of the file of its metadata that lies beside it.
        yanked: the reason; empty if it is not.
        tier: what its evidence proves; empty for a library.
    """

    version: str
    path: str
    sha256: str
    size: int
    uploaded: str
    requires_python: str
    metadata_sha256: str
    yanked: str = ""
    tier: str = ""

    @property
    def filename(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    @property
    def url(self) -> str:
        """Where it lies, as seen from the page of its distribution."""
        return f"../../{quote(self.path)}"


def project_files(name: str, files: Sequence[IndexFile], quarantined: Mapping[str, str]) -> dict[str, bytes]:
    """Page and document of one distribution. What is quarantined is not among ``files``; the document tells why."""
    lines = "".join(f"    <a {_attributes(file)}>{escape(file.filename)}</a><br>\n" for file in files)
    body = {
        "meta": {"api-version": API},
        "name": name,
        "versions": sorted({file.version for file in files}),
        "files": [_file(file) for file in files],
    }
    withdrawn = {"_quarantined": dict(quarantined)} if quarantined else {}
    return {PAGE: _page(f"Links for {name}", lines), DOCUMENT: _json(body | withdrawn)}


def root_files(names: Iterable[str]) -> dict[str, bytes]:
    """Page and document of the whole index."""
    ordered = sorted(names)
    lines = "".join(f'    <a href="{quote(name)}/">{escape(name)}</a><br>\n' for name in ordered)
    body = {"meta": {"api-version": API}, "projects": [{"name": name} for name in ordered]}
    return {PAGE: _page("Simple index", lines), DOCUMENT: _json(body)}


def _attributes(file: IndexFile) -> str:
    metadata = f"sha256={file.metadata_sha256}"
    pairs = {"href": f"{file.url}#sha256={file.sha256}"}
    if file.requires_python:
        pairs["data-requires-python"] = file.requires_python
    pairs |= {"data-core-metadata": metadata, "data-dist-info-metadata": metadata}
    if file.yanked:
        pairs["data-yanked"] = file.yanked
    return " ".join(f'{name}="{escape(value)}"' for name, value in pairs.items())


def _file(file: IndexFile) -> dict[str, Any]:
    body: dict[str, Any] = {
        "filename": file.filename,
        "url": file.url,
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": file.uploaded,
        "core-metadata": {"sha256": file.metadata_sha256},
        "yanked": file.yanked or False,
    }
    if file.requires_python:
        body["requires-python"] = file.requires_python
    return body | ({"_tier": file.tier} if file.tier else {})


def _page(title: str, lines: str) -> bytes:
    return f"""\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="pypi:repository-version" content="{API}">
    <title>{escape(title)}</title>
  </head>
  <body>
{lines}  </body>
</html>
""".encode()


def _json(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, separators=(",", ":")) + "\n").encode()
