"""Where things lie in a registry's folder.

==============================================  ================================================================
``registry.json``                               title and format of the registry: what describes it
``packages/NAME/VERSION/``                      one release, immutable but for ``state.json``:
  ``NAME-VERSION-....whl``                      the wheel
  ``evidence.json``                             what the conformance kit found
  ``release.json``                              when and by which key it was published, its SHA-256 and size
  ``state.json``                                yanked or quarantined, with the reason; absent if neither
  ``NAME-VERSION-....whl.metadata``             made of the wheel: its ``METADATA``, for pip (PEP 658)
  ``listing.json``                              made of the above: how the catalogue lists it, kept so that no wheel
                                                is read twice
``libraries/NAME/``                             in a mirror: wheels of what the nodes depend on, each with its
                                                ``.metadata``; in the index for pip, but not in the catalogue
``simple/``                                     made of the above: PEP 503 pages and PEP 691 documents for pip
``catalogue.json``, ``index.html``, ``nodes/``  made of the above: the catalogue and the website, with
                                                ``catalogue.js`` and ``site/`` for it
``.keys.json``                                  SHA-256 of the keys for publishing over HTTP; never served
``.lock``                                       held by whoever changes the folder
==============================================  ================================================================

``NAME`` is a distribution's normalised name. What is made can be made again at any time by ``tyqi registry build``.
Each file is written whole and moved to its place, a release as a whole folder, so that readers need no lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

DESCRIPTION: Final = "registry.json"
PACKAGES: Final = "packages"
LIBRARIES: Final = "libraries"
SIMPLE: Final = "simple"
CATALOGUE: Final = "catalogue.json"
EVIDENCE: Final = "evidence.json"
RELEASE: Final = "release.json"
STATE: Final = "state.json"
LISTING: Final = "listing.json"
LOCK: Final = ".lock"
METADATA_SUFFIX: Final = ".metadata"


def release_folder(root: Path, name: str, version: str) -> Path:
    """The folder of one release."""
    return root / PACKAGES / name / version
