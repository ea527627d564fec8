"""Checking a registry's folder: what lies in it is what was published, and what it shows is made of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.evidence import TIERS, Evidence
from tyqi_core.errors import Problem, RegistryError, UsageError
from tyqi_core.registry import layout
from tyqi_core.registry.building import catalogue_bytes, index_of, index_pages, libraries, quarantined_of, write_site
from tyqi_core.registry.catalogue import Catalogue
from tyqi_core.registry.folder import Published, RegistryFolder
from tyqi_core.registry.listings import Listed, listed, metadata_path
from tyqi_core.registry.publishing import NAMES_CHECK

_REGISTRYS_OWN: Final = {NAMES_CHECK, "V01", "V02"}
"""Checks whose results depend on what else was published at the time."""
_KNOWN: Final = {layout.EVIDENCE, layout.RELEASE, layout.STATE, layout.LISTING}


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at everything found: how many releases there are, and what is wrong."""

    releases: int
    problems: Sequence[Problem]


def verify(root: Path, advance: Callable[[], None] = lambda: None) -> Verified:
    """Look at every release and every page; nothing is changed.

    Args:
        root: the registry's folder.
        advance: called after each release.

    Raises:
        RegistryError: there is no registry.
    """
    folder = RegistryFolder.open(root)
    with folder.looked_at():
        problems: list[Problem] = []
        releases = folder.published()
        for release in releases:
            problems += _release_problems(release)
            advance()
        problems += _page_problems(folder, _shown(releases))
    return Verified(len(releases), problems)


def reproduce(release: Published, again: Evidence) -> list[Problem]:
    """Where a second run of the conformance kit ends otherwise than the evidence says.

    Args:
        release: the release.
        again: what the kit found now.
    """
    now = {result.check: result.outcome for result in again.results}
    then = {result.check: result.outcome for result in release.evidence.results}
    different = [
        (check, outcome, now[check])
        for check, outcome in then.items()
        if check in now and check not in _REGISTRYS_OWN and (outcome == "failed") != (now[check] == "failed")
    ]
    return [
        Problem("NOT_REPRODUCED", f"{check} is {outcome} in the evidence and {found} now.", str(release.folder))
        for check, outcome, found in different
    ]


def _shown(releases: Sequence[Published]) -> list[Listed]:
    """What a build would show."""
    found = []
    for release in releases:
        with suppress(RegistryError):  # told already
            found.append(listed(release, keep=False))
    return found


def _release_problems(release: Published) -> Iterator[Problem]:
    try:
        yield from _wheel_problems(release)
        yield from _evidence_problems(release)
        _ = release.state
    except (RegistryError, UsageError) as error:
        yield Problem(error.code, error.message, str(release.folder))


def _wheel_problems(release: Published) -> Iterator[Problem]:
    place, wheel = str(release.folder), Wheel(release.wheel_path)
    if wheel.sha256 != release.record["sha256"] or wheel.path.stat().st_size != release.record["size"]:
        yield Problem("HASH", f"{wheel.path.name} is not the file that was published.", place)
    if (wheel.name, wheel.version) != (release.name, release.version):
        yield Problem("MISPLACED", f"{wheel.path.name} lies under {release}.", place)
    copy, metadata = metadata_path(wheel.path), wheel.read(f"{wheel.dist_info}/METADATA")
    if _content(copy) != metadata:
        yield Problem("METADATA", f"{copy.name} is not the wheel's own metadata.", place)
    known = {*_KNOWN, wheel.path.name, copy.name}
    for strange in sorted({path.name for path in release.folder.iterdir()} - known):
        yield Problem("STRANGE_FILE", f"'{strange}' belongs to no release.", place)


def _evidence_problems(release: Published) -> Iterator[Problem]:
    place, evidence = str(release.folder / layout.EVIDENCE), release.evidence
    if evidence.sha256 != release.record["sha256"]:
        yield Problem("EVIDENCE", "it is about another file than the wheel beside it.", place)
    if TIERS.index(evidence.tier) < TIERS.index("bronze"):
        yield Problem("TIER", "it proves less than bronze.", place)


def _page_problems(folder: RegistryFolder, found: Sequence[Listed]) -> list[Problem]:
    """Pages of the index, and the catalogue, that are not what would be made of the releases now."""
    catalogue = Catalogue(folder.title, [one.release for one in found])
    wanted = {layout.CATALOGUE: catalogue_bytes(catalogue)}
    index = index_of(found, libraries(folder.root))
    pages = index_pages(index, quarantined_of(found))
    wanted |= {f"{layout.SIMPLE}/{path}": data for path, data in pages.items()}
    wanted |= _site(folder.root, catalogue)
    present = {path.relative_to(folder.root).as_posix() for path in (folder.root / layout.SIMPLE).rglob("*.*")}
    stale = [path for path, data in wanted.items() if _content(folder.root / path) != data]
    stray = sorted(present - set(wanted))
    remedy = f"tyqi registry build --registry {folder.root}"
    return [
        *(Problem("STALE", "it does not show what is published.", path, remedy=remedy) for path in stale),
        *(Problem("STRANGE_FILE", "it belongs to no distribution.", path, remedy=remedy) for path in stray),
    ]


def _site(root: Path, catalogue: Catalogue) -> dict[str, bytes]:
    """The files of the website as they would be made now: in another folder, from where the evidence is in sight."""
    with TemporaryDirectory(prefix="tyqi-verify-") as name:
        made = Path(name)
        (made / layout.PACKAGES).symlink_to((root / layout.PACKAGES).absolute(), target_is_directory=True)
        write_site(made, catalogue)
        files = [
            path for path in made.rglob("*") if path.is_file() and layout.PACKAGES not in path.relative_to(made).parts
        ]
        return {path.relative_to(made).as_posix(): path.read_bytes() for path in files}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
