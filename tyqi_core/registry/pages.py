"""The site: static pages from which people search, read and install, without any server or framework."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from tyqi_core.errors import UsageError
from tyqi_core.registry import wording
from tyqi_core.registry.catalogue import Catalogue, Release
from tyqi_core.registry.evidence_part import known_checks
from tyqi_core.registry.frame import DATA, LIST_SCRIPT, STYLE, asset, stamped
from tyqi_core.registry.layout import EVIDENCE, release_folder
from tyqi_core.registry.list_page import list_page
from tyqi_core.registry.node_page import node_page
from tyqi_core.registry.offers import Offer, offers, state_of
from tyqi_core.results.files import write_files

NODES: Final = "nodes"
_NODE_ID: Final = re.compile(r"[a-z0-9][a-z0-9_]*\.[a-z][a-z0-9_]*")
_LONGEST_ID: Final = 200


def write_site(root: Path, catalogue: Catalogue) -> None:
    """Write the site into a registry's folder: ``index.html``, ``catalogue.js``, ``site/`` and ``nodes/``.

    What has not changed is not written again; pages of nodes that are no longer listed are removed.

    Args:
        root: the registry's folder; evidence is read from it where it is there.
        catalogue: what the site shows.

    Raises:
        UsageError: a node's id could be no file name (``BAD_CATALOGUE``).
        OutputError: the folder cannot be written to.
    """
    listed = offers(catalogue)
    data = catalogue_script(listed)
    texts = {STYLE: asset(STYLE), LIST_SCRIPT: asset(LIST_SCRIPT), DATA: data}
    texts["index.html"] = list_page(catalogue.title, listed, stamped(DATA, data))
    contents = {name: text.encode() for name, text in texts.items()}
    changed = {name: data for name, data in contents.items() if not _holds(root / name, data)}
    write_files(root, changed | _node_pages(root, catalogue.title, listed))
    _remove_others(root, {page_of(offer.id) for offer in listed})


def page_of(node_id: str) -> str:
    """Where a node's page lies in a registry's folder.

    Raises:
        UsageError: this is no node's id (``BAD_CATALOGUE``).
    """
    if not _NODE_ID.fullmatch(node_id) or len(node_id) > _LONGEST_ID:
        remedy = "Such an id cannot have been published; rebuild the catalogue from the packages."
        raise UsageError(f"{node_id[:80]!r} is no node's id.", code="BAD_CATALOGUE", remedy=remedy)
    return f"{NODES}/{node_id}.html"


def catalogue_script(listed: Sequence[Offer]) -> str:
    """What the list's script knows of the nodes: a script itself, because a page from a folder may fetch nothing."""
    text = json.dumps([_row(offer) for offer in listed], separators=(",", ":")).replace("<", "\\u003c")
    return f"window.TYQI_NODES={text};\n"


def _row(offer: Offer) -> Mapping[str, Any]:
    release, listing = offer.current.release, offer.current.listing
    return {
        "id": listing.id,
        "title": listing.title,
        "text": listing.description,
        "category": listing.category,
        "tag": list(listing.tags),
        "device": listing.device,
        "licence": listing.licence,
        "tier": release.tier,
        "input": sorted({wording.type_name(port) for port in listing.inputs.values()}),
        "output": sorted({wording.type_name(port) for port in listing.outputs.values()}),
        "version": listing.version,
        "package": release.name,
        "author": listing.author,
        "outcomes": list(listing.outcomes),
        "state": state_of(release),
        "reason": release.quarantined or release.yanked,
        "page": page_of(offer.id),
    }


def _node_pages(root: Path, title: str, listed: Sequence[Offer]) -> dict[str, bytes]:
    """The pages that are not there as they should be, which a digest at the end of each tells: of all it is made of."""
    found, evidence, maker = {}, _Evidence(root), _maker(title)
    for offer in listed:
        name, proof = page_of(offer.id), evidence.of(offer.current.release)
        parts = (maker, json.dumps(offer, default=_fields).encode(), proof)
        stamp = f"<!-- {hashlib.sha256(b'|'.join(parts)).hexdigest()} -->\n".encode()
        if not _ends_with(root / name, stamp):
            found[name] = node_page(offer, title, _parsed(proof)).encode() + stamp
    return found


def _fields(part: Any) -> dict[str, Any]:
    return {one.name: getattr(part, one.name) for one in fields(part)}


def _maker(title: str) -> bytes:
    """Stands for everything but the node that a page depends on: the code, the style, the words for the checks."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    checks = sorted(f"{name} {check.title}".encode() for name, check in known_checks().items())
    return hashlib.sha256(b"|".join([title.encode(), asset(STYLE).encode(), *sources, *checks])).digest()


class _Evidence:
    """The evidence of releases, read once each; of those that have none it is empty."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[str, str], bytes] = {}

    def of(self, release: Release) -> bytes:
        key = release.name, release.version
        if key not in self._known:
            path = release_folder(self._root, *key) / EVIDENCE
            self._known[key] = path.read_bytes() if path.is_file() else b""
        return self._known[key]


def _parsed(proof: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(proof)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _ends_with(path: Path, stamp: bytes) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-len(stamp), os.SEEK_END)
            return file.read() == stamp
    except OSError:
        return False


def _remove_others(root: Path, pages: AbstractSet[str]) -> None:
    for path in (root / NODES).glob("*.html"):
        if f"{NODES}/{path.name}" not in pages:
            path.unlink(missing_ok=True)
