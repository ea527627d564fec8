"""Which distributions are installed, read from folder names and file times alone.

One look at the folders of ``sys.path`` serves twice: discovery reads the metadata that was found, and the index
compares the same facts with those it was built from. What discovery can see, the index therefore notices.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Stamp = tuple[int, int, int, int]
"""Modification time, change time (nanoseconds), size and inode. Any rewrite of a file changes at least one of them."""

_METADATA_ENDINGS = (".dist-info", ".egg-info")


def stamp_of(path: str | os.PathLike[str]) -> Stamp | None:
    """The stamp of a file or folder, ``None`` when there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - hundreds of calls within the milliseconds of a warm start
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


class MetadataFolder(NamedTuple):
    """A ``*.dist-info`` or ``*.egg-info`` folder, and whether it has entry points at all."""

    path: str
    stamp: Stamp | None
    entry_points: Stamp | None


@dataclass(frozen=True, slots=True)
class Folder:
    """One entry of ``sys.path``: the names in it, and the distributions' metadata among them."""

    path: str
    names: frozenset[str]
    metadata: tuple[MetadataFolder, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """The folders that modules and distributions are found in, in the order in which they are searched.

    ``own`` says that they are this interpreter's ``sys.path``, so that its import machinery knows more of them.
    """

    folders: tuple[Folder, ...]
    own: bool = True

    @classmethod
    def scan(cls, path: Sequence[str] | None = None) -> Environment:
        """Look at the folders of ``path``, by default those of ``sys.path``. Unreadable ones count as empty."""
        unique: dict[str, str] = {}  # a folder reached twice (lib and lib64) must not look like two installations
        for entry in sys.path if path is None else path:
            absolute = os.path.abspath(entry)  # noqa: PTH100 - quick; `resolve` is wanted for the comparison only
            unique.setdefault(os.path.realpath(absolute), absolute)
        return cls(tuple(_folder(entry) for entry in unique.values()), own=path is None)

    @property
    def paths(self) -> list[str]:
        """The folders' paths."""
        return [folder.path for folder in self.folders]

    @property
    def facts(self) -> list[tuple[str, list[tuple[object, ...]]]]:
        """Differ whenever a distribution was added, removed or replaced, or the search path is another one."""
        return [(folder.path, list(map(tuple, folder.metadata))) for folder in self.folders]

    @property
    def stamps(self) -> Iterable[Stamp]:
        """All stamps among the facts."""
        metadata = (entry for folder in self.folders for entry in folder.metadata)
        return (stamp for entry in metadata for stamp in (entry.stamp, entry.entry_points) if stamp)

    def holders(self, module: str) -> list[int]:
        """The positions of the folders from which the top-level ``module`` could be imported.

        An editable install is found by importing machinery; a folder of the same name earlier on the path would
        be found instead.
        """
        return [
            position
            for position, folder in enumerate(self.folders)
            if module in folder.names or f"{module}.py" in folder.names
        ]


def _folder(path: str) -> Folder:
    try:
        with os.scandir(path) as entries:
            paths = {entry.name: entry.path for entry in entries}
    except (OSError, ValueError):
        return Folder(path, frozenset(), ())
    metadata = tuple(_metadata(paths[name]) for name in sorted(filter(_is_metadata, paths)))
    return Folder(path, frozenset(paths), metadata)


def _is_metadata(name: str) -> bool:
    # pip renames what it is about to remove to "~..." and leaves it there when it is interrupted
    return name.endswith(_METADATA_ENDINGS) and not name.startswith("~")


def _metadata(path: str) -> MetadataFolder:
    return MetadataFolder(path, stamp_of(path), stamp_of(f"{path}{os.sep}entry_points.txt"))
