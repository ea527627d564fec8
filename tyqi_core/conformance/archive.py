"""The archive of a wheel against its ``RECORD``: what pip does not look at before it writes the files."""

from __future__ import annotations

import base64
import csv
import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.evidence import Finding

LARGEST_UNPACKED: Final = 8 * 1024**3
"""Bytes that a wheel may hold unpacked."""
_BLOCK: Final = 1 << 20
_UNLISTED: Final = ("RECORD.jws", "RECORD.p7s")
_STRONG: Final = ("sha256", "sha384", "sha512")


def members_of(wheel: Wheel) -> Sequence[zipfile.ZipInfo]:
    """Every entry of the archive, in its order, repeated ones too."""
    with zipfile.ZipFile(wheel.path) as archive:
        return archive.infolist()


def misfits(wheel: Wheel) -> Iterator[Finding]:
    """Where ``RECORD`` and the archive disagree, and entries that are no plain files."""
    members = members_of(wheel)
    record = f"{wheel.dist_info}/RECORD"
    if sum(info.file_size for info in members) > LARGEST_UNPACKED:
        yield Finding(f"Unpacked it is larger than {LARGEST_UNPACKED} bytes.")
        return
    yield from _odd_entries(members)
    if f"{wheel.dist_info}/WHEEL" not in wheel.files:
        yield Finding("There is no WHEEL, so pip does not take it.", f"{wheel.dist_info}/WHEEL")
    if record not in wheel.files:
        yield Finding("There is no RECORD, so nobody can tell whether the wheel is whole.", record)
        return
    listed = _listed(wheel.text(record))
    files = [info.filename for info in members if not info.is_dir()]
    unlisted = (record, *(f"{wheel.dist_info}/{name}" for name in _UNLISTED))
    for name in files:
        if name not in listed and name not in unlisted:
            yield Finding("RECORD does not list it.", name)
    for name, (line, _) in listed.items():
        if name not in files:
            yield Finding(f"RECORD lists '{name}', which is not in the wheel.", record, line)
    yield from _wrong_contents(wheel, record, listed)


def _odd_entries(members: Sequence[zipfile.ZipInfo]) -> Iterator[Finding]:
    for name, count in Counter(info.filename for info in members).items():
        if count > 1:
            yield Finding(
                f"The archive holds it {count} times, so what is checked need not be what is installed.", name
            )
    for info in members:
        mode = info.external_attr >> 16
        if mode and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and stat.S_IFMT(mode):
            yield Finding("It is a link or a device, no plain file.", info.filename)


def _listed(text: str) -> Mapping[str, tuple[int, str]]:
    """File -> its line in ``RECORD`` and its hash."""
    rows = enumerate(csv.reader(text.splitlines()), 1)
    return {row[0]: (line, row[1] if len(row) > 1 else "") for line, row in rows if row}


def _wrong_contents(wheel: Wheel, record: str, listed: Mapping[str, tuple[int, str]]) -> Iterator[Finding]:
    with zipfile.ZipFile(wheel.path) as archive:
        for name, (line, told) in listed.items():
            if name == record or name not in wheel.files:
                continue
            algorithm, _, digest = told.partition("=")
            if algorithm not in _STRONG:
                yield Finding(f"RECORD gives no SHA-256 (or stronger) of '{name}'.", record, line)
            elif _digest(archive, name, algorithm) != digest:
                yield Finding(f"'{name}' is not what RECORD says: another hash, or damaged.", record, line)


def _digest(archive: zipfile.ZipFile, name: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    try:
        with archive.open(name) as member:
            while block := member.read(_BLOCK):
                digest.update(block)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError):
        return ""
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
