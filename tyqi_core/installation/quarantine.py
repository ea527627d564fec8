"""Whether an installed plugin is a release that its registry has quarantined since."""

from __future__ import annotations

import json
from pathlib import Path

from tyqi_core.catalog.catalog import Quarantine
from tyqi_core.registry.layout import STATE, release_folder


def quarantine(registry: str) -> Quarantine | None:
    """What a catalog asks of each plugin. Only a local folder is asked: no list of nodes waits for a network.

    Args:
        registry: the setting: a folder or a URL.
    """
    from tyqi_core.registry.reading import folder_of  # noqa: PLC0415 - of no use where there is no registry

    root = folder_of(registry) if registry else None
    return None if root is None else lambda name, version: _reason(root, name, version)


def _reason(root: Path, name: str, version: str) -> str:
    try:
        return str(json.loads((release_folder(root, name, version) / STATE).read_bytes()).get("quarantined", ""))
    except (OSError, ValueError, AttributeError):  # it is not withdrawn, or not from there
        return ""
