"""What the catalogue says of one release, read from its wheel once and then kept beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.errors import RegistryError, UsageError
from tyqi_core.registry import layout
from tyqi_core.registry.catalogue import Listing, Release
from tyqi_core.registry.files import as_json, put, read_json
from tyqi_core.registry.folder import Published
from tyqi_core.registry.readme import rendered, renderer

FORMAT: Final = 1
"""Raised whenever a listing would come out otherwise, so that those that were kept are made again."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A release as the catalogue lists it, and the SHA-256 of its metadata as pip is told."""

    release: Release
    metadata_sha256: str


def listed(published: Published, *, keep: bool = True) -> Listed:
    """The listing of a release: the one that was kept, if the release's files are those it was made of.

    Args:
        published: the release.
        keep: write what had to be made; without it nothing is written.

    Raises:
        RegistryError: the release is damaged (``DAMAGED``).
    """
    made_of = _made_of(published)
    kept = _kept(published)
    if kept.get("made_of") != made_of or not metadata_path(published.wheel_path).exists():
        kept = _made(published, made_of, keep=keep)
    release = Release(**{**kept["release"], "nodes": [Listing(**node) for node in kept["release"]["nodes"]]})
    state = published.state
    withdrawn = replace(release, yanked=state.get("yanked", ""), quarantined=state.get("quarantined", ""))
    return Listed(withdrawn, kept["metadata_sha256"])


def metadata_path(wheel: Path) -> Path:
    """Where a wheel's metadata lies for pip."""
    return wheel.with_name(wheel.name + layout.METADATA_SUFFIX)


def listing_of(manifest: Manifest) -> Listing:
    """A node as the catalogue lists it."""
    body = manifest.body
    return Listing(
        id=manifest.id,
        version=manifest.version,
        title=manifest.title,
        description=manifest.description,
        category=manifest.category,
        tags=list(manifest.tags),
        licence=manifest.licence,
        author=manifest.author,
        device=manifest.resources.device,
        queue=manifest.queue,
        inputs=body.get("inputs") or {},
        outputs=body.get("outputs") or {},
        params=body.get("params") or {},
        outcomes=dict(manifest.outcomes),
        requires_tyqi=manifest.requires_tyqi,
    )


def release_of(wheel: Wheel, published: Mapping[str, Any], tier: str) -> Release:
    """A release as the catalogue lists it, from its wheel.

    Args:
        published: ``release.json``.
        tier: what its evidence proves.
    """
    metadata = wheel.metadata
    capabilities = {name for manifest in wheel.manifests for name in manifest.body.get("capabilities", ())}
    return Release(
        name=wheel.name,
        version=wheel.version,
        filename=wheel.path.name,
        sha256=str(published["sha256"]),
        size=int(published["size"]),
        published=str(published["published"]),
        requires_python=str(metadata["Requires-Python"] or ""),
        requires=[str(line) for line in metadata.get_all("Requires-Dist", [])],
        tier=tier,  # type: ignore[arg-type]
        capabilities=sorted(capabilities),
        nodes=[listing_of(manifest) for manifest in wheel.manifests],
        readme=rendered(_description(wheel), str(metadata["Description-Content-Type"] or "")),
        urls=_urls(metadata.get_all("Project-URL", [])),
    )


def _kept(published: Published) -> dict[str, Any]:
    """What was kept; nothing if it is not readable, since it can be made again."""
    try:
        return read_json(published.folder / layout.LISTING) or {}
    except RegistryError:
        return {}


def _made(published: Published, made_of: Mapping[str, Any], *, keep: bool) -> dict[str, Any]:
    """Read the wheel."""
    try:
        wheel = Wheel(published.wheel_path)
        if wheel.sha256 != published.record["sha256"]:
            message = f"{published.wheel_path} is not the file that was published: its SHA-256 is {wheel.sha256}"
            raise RegistryError(message, code="DAMAGED")
        evidence = published.evidence
        if evidence.sha256 != wheel.sha256:
            raise RegistryError(f"{published}: its evidence is about another file", code="DAMAGED")
        metadata = wheel.read(f"{wheel.dist_info}/METADATA")
        release = release_of(wheel, published.record, evidence.tier)
    except UsageError as error:
        raise RegistryError(error.message, code="DAMAGED") from error
    digest = hashlib.sha256(metadata).hexdigest()
    made = {"made_of": made_of, "metadata_sha256": digest, "release": asdict(release)}
    if keep:
        put(metadata_path(wheel.path), metadata)
        put(published.folder / layout.LISTING, as_json(made))
    return made


def _made_of(published: Published) -> dict[str, Any]:
    """Sizes and times of the files that a listing is made of."""
    files = (published.wheel_path, published.folder / layout.EVIDENCE, published.folder / layout.RELEASE)
    try:
        stats = [path.stat() for path in files]
    except OSError as error:
        raise RegistryError(f"{published}: {error.filename} is missing", code="DAMAGED") from error
    stamps = [[stat.st_size, stat.st_mtime_ns] for stat in stats]
    return {"format": FORMAT, "renderer": renderer(), "stamps": stamps}


def _description(wheel: Wheel) -> str:
    """The README: what follows the headers, as of core metadata 2.1. Mail's own parser would take it for ASCII."""
    return wheel.text(f"{wheel.dist_info}/METADATA").replace("\r\n", "\n").partition("\n\n")[2]


def _urls(lines: list[str]) -> dict[str, str]:
    """Name -> address. Only addresses that a browser may follow are kept."""
    pairs = (str(line).partition(",") for line in lines)
    urls = {name.strip(): url.strip() for name, _, url in pairs}
    return {name: url for name, url in urls.items() if url.startswith(("https://", "http://"))}
