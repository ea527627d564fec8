"""Mappings of files that a process keeps: to look up the pages of a new one costs as much as copying them does.

They hold no locks: who uses one locks the file by a descriptor of its own.
"""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final

_KEPT: Final = 16


class WarmMappings:
    """The latest mappings, by inode: a mapping keeps the inode's number from being given to another file."""

    def __init__(self) -> None:
        self._written: OrderedDict[int, mmap.mmap] = OrderedDict()
        self._read: OrderedDict[int, mmap.mmap] = OrderedDict()

    def to_write(self, handle: int) -> mmap.mmap:
        """A file that is locked exclusively, to write it through. The lock must be ended, not only closed, later."""
        inode = os.fstat(handle).st_ino
        mapping = self._written.get(inode) or mmap.mmap(handle, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        _keep(self._written, inode, mapping)
        return mapping

    def to_read(self, handle: int, path: Path) -> mmap.mmap | None:
        """A file that is locked shared; ``None``: it has just been moved, or is empty."""
        status = os.fstat(handle)
        mapping = self._read.get(status.st_ino)
        if mapping is None or len(mapping) != status.st_size:
            mapping = _mapped(path, status)
        if mapping is not None:
            _keep(self._read, status.st_ino, mapping)
        return mapping


def _mapped(path: Path, status: os.stat_result) -> mmap.mmap | None:
    """A mapping by another descriptor than the reader's, with which its lock would live on."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(handle)
        same = os.path.samestat(found, status) and found.st_size > 0
        return mmap.mmap(handle, found.st_size, prot=mmap.PROT_READ) if same else None
    finally:
        os.close(handle)


def _keep(known: OrderedDict[int, mmap.mmap], inode: int, mapping: mmap.mmap) -> None:
    known[inode] = mapping
    if len(known) > _KEPT:
        known.popitem(last=False)
