"""The nodes that can be used here.

A node is *registered* once its manifest is known, *enabled* when it is offered for use, *activated* when its code has
been imported. A *broken* one is listed with its reason and never stands in the way of the others. An *isolated* one
lives in an environment of its own: its manifest is known here, its code is imported by that environment's workers only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING, Literal

from tyqi_core.catalog.discovered import Discovered
from tyqi_core.catalog.index import load_nodes
from tyqi_core.catalog.local_state import disabled_here
from tyqi_core.errors import CatalogError, Problem
from tyqi_core.safety import safe_mode

if TYPE_CHECKING:  # a manifest's and a node's module are loaded when the first of them is looked at
    from tyqi_core.catalog.manifest import Manifest
    from tyqi_core.node import Node

State = Literal["registered", "enabled", "activated", "isolated", "broken"]
Advice = Callable[[str, bool], str | None]
"""Reference of a node that is not installed, and whether its plugin is, -> how to get it, if that is known."""
Quarantine = Callable[[str, str], str]
"""Normalised name and version of a distribution -> why its nodes must not be used; empty if they may."""
Caution = Callable[["Manifest"], str]
"""Asked before a node is imported: why this process would not survive that, or fail in it; empty if it may try."""

_REFERENCE = re.compile(r"(?P<id>[a-z0-9][a-z0-9_]*\.[a-z][a-z0-9_]*)(?:@(?P<major>0|[1-9][0-9]{0,8}))?")


@dataclass(frozen=True, slots=True)
class LocalNode:
    """A node that lives in memory: in a test, a notebook, a script."""

    manifest: Manifest
    node_class: type[Node]


@dataclass(frozen=True, slots=True)
class Entry:
    """One node as a list shows it.

    Attributes:
        id: for example ``crack.segment``.
        state: see the module's docstring.
        found: what discovery knows of it.
    """

    id: str
    state: State
    found: Discovered

    @property
    def manifest(self) -> Manifest | None:
        """The manifest; ``None`` for a broken node."""
        return self.found.manifest

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with it; empty unless it is broken."""
        return self.found.problems

    @property
    def reason(self) -> str:
        """Why it is broken, in a line for each problem; empty unless it is."""
        return "\n".join(map(str, self.found.problems))

    @property
    def distribution(self) -> str:
        """The distribution that announces it."""
        return self.found.origin.distribution


class Catalog:
    """The nodes of one environment (:meth:`load`) or of one test (:meth:`of`)."""

    def __init__(
        self,
        nodes: Iterable[Discovered],
        *,
        disabled: Collection[str] = (),
        advice: Advice | None = None,
        caution: Caution | None = None,
    ) -> None:
        self._nodes = list(nodes)
        self._by_id: Mapping[str, list[Discovered]] = _grouped(self._nodes)
        self._disabled = frozenset(disabled)
        self._advice = advice
        self._caution = caution
        self._active: dict[str, type[Node]] = {}
        self._examined: set[str] = set()
        self._replaced: Mapping[str, str] = {}
        self._lock = RLock()
        self._importing: dict[str, RLock] = {}

    @classmethod
    def load(
        cls,
        *,
        cache: bool = True,
        disabled: Collection[str] | None = None,
        isolated: Iterable[Discovered] = (),
        advice: Advice | None = None,
        quarantine: Quarantine | None = None,
        caution: Caution | None = None,
    ) -> Catalog:
        """The nodes that are installed in this environment. None of their code is imported, nothing is raised.

        Args:
            cache: False looks at everything again instead of trusting the index.
            disabled: ids of nodes, and namespaces of plugins, that are installed but not offered; by default what
                ``tyqi disable`` has switched off here.
            isolated: nodes of isolated environments; what is installed here goes before them.
            advice: how to get a node that is not installed.
            quarantine: why nodes of a plugin must not be used; they count as broken.
            caution: asked before a node is imported. Without it, one that ends its process ends this one.
        """
        nodes = _beside(load_nodes(cache=cache), isolated)
        if quarantine is not None:
            nodes = _without_quarantined(nodes, quarantine)
        switched_off = disabled_here() if disabled is None else disabled
        return cls(nodes, disabled=switched_off, advice=advice, caution=caution)

    @classmethod
    def of(cls, *nodes: LocalNode) -> Catalog:
        """A catalog of nodes in memory, which count as activated."""
        catalog = cls(_in_memory(node.manifest) for node in nodes)
        catalog._active = {node.manifest.reference: node.node_class for node in nodes}
        return catalog

    def replacing(self, replaced: Mapping[str, str]) -> Catalog:
        """The same nodes, but a search for one of these ids, whatever major is pinned, finds what takes its place.

        Args:
            replaced: node id -> reference, for example ``{"crack.segment": "crack.segment@2"}``.

        Raises:
            CatalogError: one of the references means no usable node.
        """
        for reference in replaced.values():
            self.find(reference)
        other = Catalog(self._nodes, disabled=self._disabled, advice=self._advice, caution=self._caution)
        other._active, other._examined = self._active, self._examined
        other._lock, other._importing = self._lock, self._importing
        other._replaced = dict(replaced)
        return other

    def entries(self) -> Sequence[Entry]:
        """All nodes, broken and disabled ones too, ordered by id."""
        ordered = sorted(self._nodes, key=lambda node: (node.origin.id, node.origin.local_id, node.origin.distribution))
        return [Entry(node.origin.id, self._state(node), node) for node in ordered]

    def find(self, reference: str) -> Manifest:
        """The manifest that ``crack.segment`` (its highest major version) or ``crack.segment@1`` means.

        Without a pin, one broken major version makes the node broken: taking another one instead would silently
        give other results.

        Raises:
            CatalogError: ``BAD_REFERENCE``, ``NODE_UNKNOWN``, ``NODE_MAJOR``, ``NODE_BROKEN`` or ``NODE_DISABLED``.
        """
        reference = self._replaced.get(reference.partition("@")[0], reference)
        asked = _REFERENCE.fullmatch(reference)
        if asked is None:
            raise self._no_reference(reference)
        claims = _owners(self._by_id.get(asked["id"], []))
        if not claims:
            raise self._unknown(asked["id"])
        offered = [claim for claim in claims if not self._is_off(claim)]
        if not offered:
            remedy = f"tyqi enable {self._switch(claims[0])}"
            raise CatalogError(f"the node '{asked['id']}' is disabled.", code="NODE_DISABLED", remedy=remedy)
        claims = offered
        usable = {manifest.major: manifest for claim in claims if (manifest := claim.manifest) is not None}
        if asked["major"] is not None:
            found = usable.get(int(asked["major"]))
        else:
            found = None if any(claim.problems for claim in claims) else usable[max(usable)]
        if found is None:
            raise self._unusable(reference, claims, sorted(usable))
        return found

    def nearest(self, reference: str) -> str | None:
        """The id of a usable node that ``reference`` was most likely meant to be."""
        from tyqi_core.protocol.validation import nearest_name  # noqa: PLC0415 - only on the way to an error

        known = [node.origin.id for node in self._nodes if not node.problems and not self._is_off(node)]
        return nearest_name(reference.partition("@")[0], known)

    def examine(self, manifest: Manifest) -> None:
        """See, before the node is activated, that this process would survive it; takes time at a plugin's first use.

        Raises:
            CatalogError: ``ACTIVATION_FAILED``, with what happened where it was tried out.
        """
        if self._caution is None or manifest.origin.queue or safe_mode():
            return
        with self._lock_of(manifest):
            if manifest.reference in self._active or manifest.reference in self._examined:
                return
            if reason := self._caution(manifest):
                from tyqi_core.catalog.loading import import_refused  # noqa: PLC0415 - only on the way to an error

                raise import_refused(manifest, reason)
            self._examined.add(manifest.reference)

    def activate(self, manifest: Manifest) -> type[Node]:
        """The class of a node; imports the plugin at first use.

        Raises:
            CatalogError: ``ACTIVATION_FAILED``: it cannot be imported, or is not what its manifest says;
                ``ISOLATED``: it lives in another environment; ``SAFE_MODE``: no plugin is loaded.
        """
        from tyqi_core.catalog.loading import load_node_class  # noqa: PLC0415 - lists of nodes need no Node class

        if manifest.origin.queue:
            raise isolated_error(manifest)
        if safe_mode():
            message = f"'{manifest.id}' is not loaded: in safe mode no plugin is."
            raise CatalogError(message, code="SAFE_MODE", remedy="Leave --safe out, and TYQI_SAFE unset.")
        with self._lock_of(manifest):  # the import of a large library keeps nobody from another node
            node_class = self._active.get(manifest.reference)
            if node_class is None:
                node_class = self._active[manifest.reference] = load_node_class(manifest)
            return node_class

    def _lock_of(self, manifest: Manifest) -> RLock:
        with self._lock:
            return self._importing.setdefault(manifest.reference, RLock())

    def _state(self, node: Discovered) -> State:
        if node.problems:
            return "broken"
        if self._is_off(node):
            return "registered"
        if node.origin.queue:
            return "isolated"
        active = bool(self._active) and node.manifest is not None and node.manifest.reference in self._active
        return "activated" if active else "enabled"

    def _is_off(self, node: Discovered) -> bool:
        return node.origin.id in self._disabled or node.origin.namespace in self._disabled

    def _switch(self, node: Discovered) -> str:
        """The word that switches a disabled node on again."""
        return node.origin.id if node.origin.id in self._disabled else node.origin.namespace

    def _no_reference(self, reference: str) -> CatalogError:
        near = self.nearest(reference)
        hint = f" Did you mean '{near}'?" if near else ""
        message = f"'{reference[:100]}' is no node; expected the form 'crack.segment' or 'crack.segment@1'.{hint}"
        return CatalogError(message, code="BAD_REFERENCE")

    def _unknown(self, node_id: str) -> CatalogError:
        near = self.nearest(node_id)
        hint = f" Did you mean '{near}'?" if near else ""
        namespace = node_id.partition(".")[0]
        siblings = next((node for node in self._nodes if node.origin.namespace == namespace), None)
        remedy: str | None = None
        if siblings is None and near is None:  # never advise to install what a slip of the finger spells
            remedy = f"pip install tyqi-node-{namespace.replace('_', '-')}"
        elif siblings is not None:
            installed = f"{siblings.origin.distribution} {siblings.origin.distribution_version}"
            remedy = f"{installed} has no such node; 'tyqi nodes' lists what there is."
        remedy = self._advised(node_id, installed=siblings is not None) or remedy
        return CatalogError(f"no node '{node_id}' is installed.{hint}", code="NODE_UNKNOWN", remedy=remedy)

    def _advised(self, reference: str, *, installed: bool) -> str | None:
        return self._advice(reference, installed) if self._advice is not None else None

    def _unusable(self, reference: str, claims: Sequence[Discovered], majors: Sequence[int]) -> CatalogError:
        """The error for a node that is announced, but not in a form that ``reference`` could mean."""
        distribution = claims[0].origin.distribution
        node_id, _, pinned = reference.partition("@")
        installed = ", ".join(f"{node_id}@{major}" for major in majors)
        broken = [problem for claim in claims for problem in claim.problems]
        if not broken:
            otherwise = f"Installed is {installed}; another version of {distribution} may hold it."
            remedy = self._advised(reference, installed=True) or otherwise
            return CatalogError(f"there is no '{reference}' here.", code="NODE_MAJOR", remedy=remedy)
        reason = "\n".join(map(str, broken))
        instead = f"Usable is {installed}." if installed and not pinned else None
        return CatalogError(f"the node '{reference}' is broken: {reason}", code="NODE_BROKEN", remedy=instead)


def isolated_error(manifest: Manifest) -> CatalogError:
    """The refusal to execute an isolated node in a process of this environment."""
    message = (
        f"'{manifest.id}' lives in an isolated environment; only the worker of queue {manifest.queue} executes it."
    )
    remedy = "Run the project on workers: 'tyqi up', then 'tyqi submit PROJECT --wait'."
    return CatalogError(message, code="ISOLATED", remedy=remedy)


def _owners(claims: Sequence[Discovered]) -> Sequence[Discovered]:
    """Those whose namespace it is; of an id that only others claim, they."""
    return [claim for claim in claims if claim.origin.owned] or claims


def _grouped(nodes: Iterable[Discovered]) -> dict[str, list[Discovered]]:
    by_id: dict[str, list[Discovered]] = defaultdict(list)
    for node in nodes:
        by_id[node.origin.id].append(node)
    return dict(by_id)


def _beside(own: list[Discovered], isolated: Iterable[Discovered]) -> list[Discovered]:
    """Nodes here and in isolated environments; a major version that is here already is not taken from there."""
    found = list(own)
    for node in isolated:
        rivals = [other for other in found if other.origin.id == node.origin.id]
        if _major(node) not in map(_major, rivals):
            found.append(node)
    return found


def _without_quarantined(nodes: list[Discovered], quarantine: Quarantine) -> list[Discovered]:
    """The nodes; those of quarantined plugins with the reason as what is wrong with them."""
    from tyqi_core.catalog.discovery import normalised  # noqa: PLC0415 - of no use with a warm index and no registry

    plugins = {(node.origin.distribution, node.origin.distribution_version) for node in nodes}
    reasons = {plugin: quarantine(normalised(plugin[0]), plugin[1]) for plugin in plugins}
    return [_told(node, reasons[node.origin.distribution, node.origin.distribution_version]) for node in nodes]


def _told(node: Discovered, reason: str) -> Discovered:
    if not reason:
        return node
    short = node.origin.namespace.replace("_", "-")
    message = f"{node.origin.distribution} {node.origin.distribution_version} is quarantined: {reason}."
    problem = Problem("QUARANTINED", message, node.file or "", remedy=f"tyqi upgrade {short}")
    return replace(node, problems=(*node.problems, problem))


def _major(node: Discovered) -> int | None:
    return node.manifest.major if node.manifest is not None else node.origin.major


def _in_memory(manifest: Manifest) -> Discovered:
    return Discovered.valid(manifest)
