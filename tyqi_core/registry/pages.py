"""The site: static pages from which people search, read and install, without any server or framework."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tyqi_core.errors import UsageError
from tyqi_core.registry import wording
from tyqi_core.registry.catalogue import Catalogue, Release
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
    pages = {page_of(offer.id): offer for offer in listed}
    data = catalogue_script(listed)
    texts = {STYLE: asset(STYLE), LIST_SCRIPT: asset(LIST_SCRIPT), DATA: data}
    found = _Evidence(root)
    texts |= {name: node_page(offer, catalogue.title, found.of(offer.current.release)) for name, offer in pages.items()}
    texts["index.html"] = list_page(catalogue.title, listed, stamped(DATA, data))
    write_files(root, _changed(root, texts))
    _remove_others(root, texts)


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


class _Evidence:
    """The evidence of releases, read once each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[str, str], Mapping[str, Any] | None] = {}

    def of(self, release: Release) -> Mapping[str, Any] | None:
        key = release.name, release.version
        if key not in self._known:
            self._known[key] = self._read(release_folder(self._root, *key) / EVIDENCE)
        return self._known[key]

    def _read(self, path: Path) -> Mapping[str, Any] | None:
        try:
            body = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return body if isinstance(body, dict) else None


def _changed(root: Path, texts: Mapping[str, str]) -> dict[str, bytes]:
    contents = {name: text.encode() for name, text in texts.items()}
    return {name: data for name, data in contents.items() if not _holds(root / name, data)}


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _remove_others(root: Path, texts: Mapping[str, str]) -> None:
    for path in (root / NODES).glob("*.html"):
        if f"{NODES}/{path.name}" not in texts:
            path.unlink(missing_ok=True)
