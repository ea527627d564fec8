"""Importing a node's class, and seeing that it is what its manifest says.

The one place where a plugin's code is run by the catalog. A plugin that raises, or calls ``sys.exit``, gives a
:class:`~tyqi_core.errors.CatalogError`; one that hangs or ends the process cannot be held here, which is why
``probe.py`` imports in a process of its own first.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import CatalogError
from tyqi_core.node import Node


def load_node_class(manifest: Manifest) -> type[Node]:
    """Import the class that the manifest's entry point names.

    Raises:
        CatalogError: ``ACTIVATION_FAILED``, with the reason.
    """
    value = _imported(manifest)
    if (fault := mismatch(manifest, value)) is not None:
        remedy = f"The authors of {manifest.distribution} repair it; another version may work."
        raise CatalogError(f"{_what(manifest)} cannot be used: {fault}.", code="ACTIVATION_FAILED", remedy=remedy)
    return value  # type: ignore[no-any-return]  # `mismatch` has seen that it is a Node class


def import_refused(manifest: Manifest, reason: str) -> CatalogError:
    """The refusal to import a node that a process of its own could not import."""
    message = f"{_what(manifest)} cannot be used: {reason}."
    short = manifest.distribution.removeprefix("tyqi-node-")
    remedy = f"tyqi upgrade {short}, or tell its authors; 'tyqi doctor' tries all nodes."
    return CatalogError(message, code="ACTIVATION_FAILED", remedy=remedy)


def mismatch(manifest: Manifest, value: Any) -> str | None:
    """Why ``value`` is not the node that ``manifest`` declares; ``None`` if it is."""
    if not isinstance(value, type) or not issubclass(value, Node):
        expected = "a subclass of tyqi_core.Node, or a function made one by @node"
        return f"{manifest.entry_point} is {_kind(value)}, expected {expected}"
    batches = value.process_batch is not Node.process_batch
    if value.process is Node.process and not batches:
        return f"{manifest.entry_point} defines neither process nor process_batch"
    if manifest.batching and not batches:
        return f"its manifest declares batching, but {manifest.entry_point} defines no process_batch"
    return _signature_mismatch(manifest, value)


def _signature_mismatch(manifest: Manifest, value: type[Node]) -> str | None:
    """A function made a node names its ports and parameters itself: they must be the manifest's."""
    ports, parameters = getattr(value, "ports", None), getattr(value, "parameters", None)
    if not hasattr(value, "function") or ports is None or parameters is None:
        return None
    for kind, written, declared in (
        ("input ports", ports, manifest.inputs),
        ("parameters", parameters, manifest.params_schema["properties"]),
    ):
        if set(written) != set(declared):
            return f"the function takes the {kind} {_listed(written)}, its manifest declares {_listed(declared)}"
    return None


def _imported(manifest: Manifest) -> Any:
    module, _, attribute = manifest.entry_point.partition(":")
    try:
        value: Any = import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except KeyboardInterrupt:
        raise
    except BaseException as cause:  # sys.exit() in a plugin must not end the host
        message = f"{_what(manifest)} cannot be imported: {reason_of(cause)}."
        raise CatalogError(message, code="ACTIVATION_FAILED", remedy=_remedy(manifest, cause)) from cause
    return value


def reason_of(cause: BaseException) -> str:
    """An exception of a plugin's import in one line."""
    if isinstance(cause, SystemExit):
        return f"it called sys.exit({'' if cause.code is None else repr(cause.code)})"
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {text[:500]}" if text else type(cause).__name__


def _remedy(manifest: Manifest, cause: BaseException) -> str:
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        return f"Install what it needs: pip install --upgrade {manifest.distribution}"
    return f"pip install --upgrade {manifest.distribution}, or tell its authors."


def _what(manifest: Manifest) -> str:
    return f"'{manifest.id}' of {manifest.distribution} {manifest.distribution_version}"


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _listed(names: Iterable[str]) -> str:
    return "(" + ", ".join(sorted(names)) + ")"
