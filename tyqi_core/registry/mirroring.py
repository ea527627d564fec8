"""A registry for a machine without network: all that some projects need, nodes and libraries, in one folder.

The nodes come from the registry, each as the very file that it names. Their libraries come from where pip takes them on
this machine; pip is given the nodes as files, so that no other index is asked for a name that the registry owns.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement

from tyqi_core.catalog.discovery import normalised
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.errors import InvalidProject, RegistryError
from tyqi_core.protocol.document import read_file
from tyqi_core.registry import layout
from tyqi_core.registry.building import Built, rebuild
from tyqi_core.registry.catalogue import Catalogue, Release
from tyqi_core.registry.files import as_json, put_folder, read_json, unusable
from tyqi_core.registry.folder import FORMAT, WITHDRAWALS, RegistryFolder
from tyqi_core.registry.reading import Registry
from tyqi_core.registry.searching import offered, offering

CORE = "tyqi-core"
EXTRAS = ("images",)
"""Without it the core reads no picture files."""


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a mirror holds now."""

    releases: Sequence[Release]
    libraries: Sequence[str]
    built: Built


def nodes_of(project: Path) -> list[str]:
    """The references of all nodes that a project's file names, in its order.

    Raises:
        InvalidProject: it cannot be read, or has no tasks.
    """
    document = read_file(project, error=InvalidProject)
    tasks = document.value.get("tasks") if isinstance(document.value, dict) else None
    if not isinstance(tasks, dict):
        raise InvalidProject([document.problem("NO_TASKS", "a project has tasks.", ("tasks",))])
    named = [task["node"] for task in tasks.values() if isinstance(task, dict) and isinstance(task.get("node"), str)]
    return list(dict.fromkeys(named))


def needed(catalogue: Catalogue, references: Iterable[str]) -> list[Release]:
    """The releases that offer these nodes, and those that they in turn require of the registry.

    Raises:
        RegistryError: a node that nobody offers.
    """
    found = {hit.release.name: hit.release for hit in (offering(catalogue, one) for one in references)}
    by_name = {release.name: release for release in offered(catalogue)}
    waiting = list(found.values())
    while waiting:
        for name in _required(waiting.pop()):
            if name in by_name and name not in found:
                found[name] = by_name[name]
                waiting.append(by_name[name])
    return list(found.values())


def mirror(
    registry: Registry,
    root: Path,
    releases: Sequence[Release],
    *,
    extras: Sequence[str] = EXTRAS,
    constraints: Sequence[Path] = (),
    step: Callable[[str], None] = lambda _: None,
) -> Mirrored:
    """Bring releases and everything that they depend on into a folder that is a registry of its own.

    Args:
        registry: where the releases are published.
        root: the folder; what it holds already stays.
        releases: what to bring.
        extras: extras of tyqi-core that are brought as well, if the releases need it.
        constraints: files to which pip holds the libraries; without any they come in the versions installed here.
        step: told what is done next.

    Raises:
        RegistryError: something cannot be had; pip's own words say why.
    """
    folder = RegistryFolder.create(root, title=f"Mirror of {registry.location}")
    with tempfile.TemporaryDirectory(prefix="tyqi-mirror-") as name, folder.locked():
        wheels = [_fetched(registry, release, Path(name) / "nodes", step) for release in releases]
        step("libraries, by pip download")
        fetched = _libraries(wheels, Path(name), extras, constraints or [_as_here(Path(name), releases)])
        for release, wheel in zip(releases, wheels, strict=True):
            _take(registry, folder, release, wheel)
        _withdraw_alike(registry.catalogue(), folder)
        libraries = [_keep(root, path) for path in fetched]
        step("index and pages")
        built = rebuild(folder)
    return Mirrored(releases, libraries, built)


def _required(release: Release) -> list[str]:
    """The names that a release requires here, without extras."""
    return _names(release.requires)


def _names(requires: Iterable[str]) -> list[str]:
    lines = [Requirement(line) for line in requires]
    return [normalised(one.name) for one in lines if one.marker is None or one.marker.evaluate({"extra": ""})]


def _needs(wheel: Path) -> list[str]:
    return _names(map(str, Wheel(wheel).metadata.get_all("Requires-Dist", [])))


def _as_here(scratch: Path, releases: Sequence[Release]) -> Path:
    """Constraints that hold libraries to what runs here; local suffixes such as ``+cpu`` are on no index."""
    named = {release.name for release in releases}
    here = {normalised(str(one.metadata["Name"])): one.version.partition("+")[0] for one in distributions()}
    lines = [f"{name}=={version}\n" for name, version in sorted(here.items()) if name not in named]
    path = scratch / "constraints.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _fetched(registry: Registry, release: Release, folder: Path, step: Callable[[str], None]) -> Path:
    step(f"{release.name} {release.version}")
    folder.mkdir(exist_ok=True)
    return registry.download(release, folder)


def _libraries(wheels: Sequence[Path], scratch: Path, extras: Sequence[str], constraints: Sequence[Path]) -> list[Path]:
    """The wheels of everything that the nodes' wheels depend on."""
    target = scratch / "libraries"
    target.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--only-binary", ":all:", "--dest", str(target)]
    if any(CORE in _needs(wheel) for wheel in wheels):
        command += [*_core_options(scratch), f"{CORE}[{','.join(extras)}]"]
    for file in constraints:
        command += ["--constraint", str(file)]
    _pip([*command, *map(str, wheels)])
    own = {wheel.name for wheel in wheels}
    return sorted(path for path in target.glob("*.whl") if path.name not in own)


def _core_options(scratch: Path) -> list[str]:
    """Where pip finds the core, if it was installed from a folder or a file and may be on no index."""
    source = _core_source()
    if source is None:
        return []
    made = scratch / "core"
    _pip(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(made), *_isolation(), source]
    )
    return ["--find-links", str(made)]


def _core_source() -> str | None:
    """The folder or file that the core was installed from (PEP 610); ``None`` if it came from an index."""
    try:
        told = distribution(CORE).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    url = str(json.loads(told).get("url", "")) if told else ""
    path = url2pathname(urlsplit(url).path) if url.startswith("file://") else ""
    return path if path and Path(path).exists() else None


def _isolation() -> list[str]:
    """Build with the tools of this environment where they are there: a mirror may be made without an index at hand."""
    return ["--no-build-isolation"] if find_spec("hatchling") else []


def _pip(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR"))
        remedy = "pip takes libraries from its own index; see 'pip config list'."
        raise RegistryError(f"pip could not get everything: {reason or done.stderr[-500:]}", code="PIP", remedy=remedy)


def _take(registry: Registry, folder: RegistryFolder, release: Release, wheel: Path) -> None:
    """Add a release as the other registry has it; one that is here stays."""
    place = layout.release_folder(folder.root, release.name, release.version)
    if (kept := read_json(place / layout.RELEASE)) is None:
        record = {
            "tyqi_release": FORMAT,
            "published": release.published,
            "key": f"mirror of {registry.location}",
            "filename": release.filename,
            "sha256": release.sha256,
            "size": release.size,
        }
        contents = {layout.RELEASE: as_json(record), layout.EVIDENCE: as_json(registry.evidence(release).to_json())}
        try:
            put_folder(place, contents, {release.filename: wheel})
        except OSError as error:
            raise unusable(folder.root, error) from error
    elif kept.get("sha256") != release.sha256:
        message = f"the mirror holds another {release.name} {release.version} than {registry.location}"
        raise RegistryError(message, code="VERSION_EXISTS", remedy="Mirror into an empty folder.")


def _withdraw_alike(catalogue: Catalogue, folder: RegistryFolder) -> None:
    """Withdraw here what was withdrawn there, of older releases too."""
    there = {(release.name, release.version): release for release in catalogue.releases}
    for published in folder.published():
        release = there.get((published.name, published.version))
        for how in WITHDRAWALS if release else ():
            folder.withdraw(published, how, getattr(release, how))


def _keep(root: Path, path: Path) -> str:
    """Put a library's wheel into the mirror."""
    wheel = Wheel(path)
    target = root / layout.LIBRARIES / wheel.name / path.name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".{path.name}.part")
        shutil.copyfile(path, staged)
        staged.replace(target)
    return f"{wheel.name} {wheel.version}"
