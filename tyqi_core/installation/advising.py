"""How to get a node that is named and not installed: the line to type, if a registry at hand knows it."""

from __future__ import annotations

from tyqi_core.catalog.catalog import Advice
from tyqi_core.errors import TyqiError


def advice(registry: str) -> Advice | None:
    """What a catalog asks on its way to an error. Only a local folder is asked: no error waits for a network."""
    if not registry or registry.startswith(("http://", "https://")):
        return None

    def advised(reference: str, installed: bool) -> str | None:
        from tyqi_core.installation.releases import install_line  # noqa: PLC0415 - most commands meet no error
        from tyqi_core.registry.reading import open_registry  # noqa: PLC0415

        try:
            return install_line(open_registry(registry).catalogue(), reference, installed=installed)
        except (TyqiError, OSError, ValueError):  # that a registry cannot be read is another matter than this
            return None

    return advised
