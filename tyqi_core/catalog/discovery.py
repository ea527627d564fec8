"""Finding the nodes that are installed, without importing one of them.

A plugin announces each node as an entry point of the group ``tyqi.nodes``; the node's manifest stands beside the
module that the entry point names. It is looked up in the distribution's own file list; an editable install does not
list its data, so there the *top-level* package is located (locating a dotted name would import its parent) and the
rest of the way is joined on as folders.

Nothing here raises for what a plugin did: each entry point gives one :class:`Discovered`, with a manifest or with
problems.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import invalidate_caches, metadata
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from tyqi_core.catalog.discovered import MANIFEST_SUFFIX, Discovered, Origin
from tyqi_core.catalog.environment import Environment, MetadataFolder, Stamp, stamp_of
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import InvalidManifest, Problem

GROUP = "tyqi.nodes"
PREFIX = "tyqi-node-"

ENTRY_POINT = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<attribute>\w+(?:\.\w+)*)")
LOCAL_ID = re.compile(r"[a-z][a-z0-9_]*(?:\.v[1-9][0-9]*)?")
_SEPARATORS = re.compile(r"[-_.]+")


def normalised(distribution: str) -> str:
    """A distribution's name in the one form in which names are compared (as pip does)."""
    return _SEPARATORS.sub("-", distribution).lower()


def namespace_of(distribution: str) -> str:
    """The namespace of a distribution's nodes: ``tyqi-node-rail-track`` gives ``rail_track``."""
    return normalised(distribution).removeprefix(PREFIX).replace("-", "_")


def discover(environment: Environment | None = None) -> list[Discovered]:
    """All nodes that the distributions of ``environment`` announce, in the order in which they are installed."""
    environment = environment or Environment.scan()
    path = None if environment.own else environment.paths
    invalidate_caches()  # of a process that watched a plugin being installed
    found: list[Discovered] = []
    for distribution in _distributions(environment):
        found.extend(distribution.nodes(path))
    return _without_rivals(found)


@dataclass(frozen=True, slots=True)
class _Distribution:
    """An installed distribution that announces nodes."""

    metadata: metadata.Distribution
    name: str
    version: str
    entry_points: str
    watched: tuple[tuple[str, Stamp | None], ...]
    rivals: tuple[str, ...] = ()

    def nodes(self, path: Sequence[str] | None) -> Iterator[Discovered]:
        listed = self.metadata.read_text("RECORD") or ""
        files = {line.split(",", 1)[0] for line in listed.splitlines() if MANIFEST_SUFFIX in line}
        for local_id, target in _entry_points(self.entry_points):
            origin = Origin(namespace_of(self.name), local_id, target, self.name, self.version)
            try:
                node = self._node(origin, files, path)
            except Exception as error:  # noqa: BLE001 - whatever one plugin's files do, the others are listed
                node = _broken(origin, "UNREADABLE", f"reading its files failed: {type(error).__name__}: {error}.")
            node.watched += self.watched
            yield self._judged(node)

    def _node(self, origin: Origin, files: set[str], path: Sequence[str] | None) -> Discovered:
        target = ENTRY_POINT.fullmatch(origin.entry_point)
        if target is None:
            return _broken(origin, "BAD_ENTRY_POINT", f"'{origin.entry_point}' is not of the form module:Class.")
        if not LOCAL_ID.fullmatch(origin.local_id):
            message = f"'{origin.local_id}' is no node name: lower-case ASCII letters, digits and '_', a letter first."
            return _broken(origin, "BAD_NAME", message, "Rename the entry point.")
        module = target["module"].split(".")
        for candidate in _candidates(module, origin.local_id):
            if (listed := "/".join(candidate)) in files:
                return _read(origin, Path(str(self.metadata.locate_file(listed))))
        return _located(origin, module, path)

    def _judged(self, node: Discovered) -> Discovered:
        if not self.rivals:
            return node
        message = f"{self.name} is installed more than once in one folder: {', '.join(self.rivals)}."
        remedy = f"pip uninstall {self.name}, until none is left, and install it again."
        problem = Problem("DUPLICATE_DISTRIBUTION", message, node.file or "", remedy=remedy)
        return replace(node, problems=(*node.problems, problem))


def _distributions(environment: Environment) -> list[_Distribution]:
    """The distributions that announce nodes; of one that is installed in two folders, the one that Python imports."""
    by_name: dict[str, _Distribution] = {}
    folder_of: dict[str, str] = {}
    for folder in environment.folders:
        for place in folder.metadata:
            distribution = _distribution(place)
            if distribution is None:
                continue
            name = normalised(distribution.name)
            if folder_of.setdefault(name, folder.path) != folder.path:
                continue
            if (rival := by_name.get(name)) is not None:
                distribution = replace(distribution, rivals=(rival.version, distribution.version))
            by_name[name] = distribution
    return list(by_name.values())


def _distribution(place: MetadataFolder) -> _Distribution | None:
    if place.entry_points is None:
        return None
    path = Path(place.path)
    watched = _stamps(place.path)  # before reading: a change from now on is noticed
    try:
        text = (path / "entry_points.txt").read_text(encoding="utf-8")
        if GROUP not in text:
            return None
        distribution = metadata.PathDistribution(path)
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
    except (OSError, ValueError):
        return None
    # a folder whose METADATA was lost still says its name: tyqi_node_crack-1.0.0.dist-info
    guess = path.stem.split("-")
    return _Distribution(
        distribution, name or guess[0], version or (guess[1] if len(guess) > 1 else "0"), text, watched
    )


def _stamps(place: str) -> tuple[tuple[str, Stamp | None], ...]:
    """What to watch of a distribution's metadata beside its folder and entry points, which the environment looks at.

    An installer writes a ``.dist-info`` as a whole, and gives it and its files new stamps. The ``.egg-info`` of an
    editable installation is kept: a new version is written into it.
    """
    if not place.endswith(".egg-info"):
        return ()
    description = f"{place}{os.sep}PKG-INFO"
    return ((description, stamp_of(description)),)


def _entry_points(text: str) -> Iterator[tuple[str, str]]:
    """Name and target of each entry point of our group; a line that is none has an empty target."""
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif group == GROUP and line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.split("[")[0].replace(" ", "")


def _candidates(module: list[str], local_id: str) -> list[tuple[str, ...]]:
    """Where the manifest may stand, relative to the folder that holds the top-level package."""
    file = local_id + MANIFEST_SUFFIX
    return [(*module, file), (*module[:-1], file)]


def _located(origin: Origin, module: list[str], path: Sequence[str] | None) -> Discovered:
    spec = _spec_of(module[0], path)
    folders = _folders_of(spec)
    tried = [
        folder.joinpath(*candidate[1:])
        for folder in folders
        for candidate in _candidates(module, origin.local_id)
        if candidate[1:]
    ]
    if len(module) == 1 and spec is not None and not spec.submodule_search_locations:
        tried = [folder / (origin.local_id + MANIFEST_SUFFIX) for folder in folders]
    watched = tuple((str(file), stamp_of(file)) for file in tried)
    for file, stamp in watched:
        if stamp is not None:
            node = _read(origin, Path(file))
            break
    else:
        message = f"there is no '{origin.local_id}{MANIFEST_SUFFIX}' beside the module {'.'.join(module)}."
        if spec is None:
            message = f"the package '{module[0]}', which the entry point names, is not installed."
        node = _broken(origin, "NO_MANIFEST", message, "The plugin's author ships it as package data.")
    return replace(node, package=module[0], watched=(*watched, *node.watched))


def _spec_of(package: str, path: Sequence[str] | None) -> ModuleSpec | None:
    try:
        return find_spec(package) if path is None else PathFinder.find_spec(package, path)
    except (ImportError, ValueError, AttributeError):
        return None


def _folders_of(spec: ModuleSpec | None) -> list[Path]:
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(location) for location in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.origin and spec.has_location else []


def _read(origin: Origin, path: Path) -> Discovered:
    watched = ((str(path), stamp_of(path)),)  # before reading: a change from now on is noticed
    try:
        manifest = Manifest.read(path, origin)
    except InvalidManifest as error:
        return Discovered(origin, str(path), problems=tuple(error.problems), watched=watched)
    return Discovered.valid(manifest, watched)


def _broken(origin: Origin, code: str, message: str, remedy: str | None = None) -> Discovered:
    return Discovered(origin, problems=(Problem(code, message, remedy=remedy),))


def _without_rivals(found: list[Discovered]) -> list[Discovered]:
    """Where a name is claimed twice, all who claim it are broken, each told of the others.

    A namespace belongs to ``tyqi-node-NAME``: its nodes are not harmed by what packages called otherwise claim.
    """
    by_id: dict[str, list[Discovered]] = defaultdict(list)
    for node in found:
        by_id[node.origin.id].append(node)
    return [_with_rivals_told(node, by_id[node.origin.id]) for node in found]


def _with_rivals_told(node: Discovered, claims: list[Discovered]) -> Discovered:
    others = [claim for claim in claims if claim is not node and _collide(claim, node)]
    if not others:
        return node
    rivals = sorted({f"{other.origin.distribution} {other.origin.distribution_version}" for other in others})
    message = f"the name '{node.origin.id}' is claimed by {', '.join(rivals)} as well."
    remedy = "Uninstall one of them."
    if all(other.origin.distribution == node.origin.distribution for other in others):
        message = f"{node.origin.distribution} announces '{node.origin.id}' with this major version more than once."
        remedy = "The plugin's author removes one entry point."
    problem = Problem("DUPLICATE_ID", message, node.file or "", remedy=remedy)
    return replace(node, problems=(*node.problems, problem))


def _collide(one: Discovered, node: Discovered) -> bool:
    """Whether ``one`` stands in the way of ``node``.

    Two majors of a node may stand side by side, but only if one distribution ships both.
    """
    if one.origin.distribution != node.origin.distribution:
        return one.origin.owned
    majors = [claim.manifest.major if claim.manifest else claim.origin.major for claim in (one, node)]
    return majors[0] == majors[1]
