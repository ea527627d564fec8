"""Which suffix a file of bytes gets: by its declared media type, or by its first bytes where that says little."""

from __future__ import annotations

from collections.abc import Sequence

_SUFFIXES = {
    "application/gzip": ".gz",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/vnd.safetensors": ".safetensors",
    "application/x-safetensors": ".safetensors",
    "application/xml": ".xml",
    "application/yaml": ".yaml",
    "application/zip": ".zip",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
}
"""Our own table: the system's differs from machine to machine."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"%PDF-", ".pdf"),
    (b"PK\x03\x04", ".zip"),
    (b"\x1f\x8b", ".gz"),
)
_LENGTH_BYTES = 8


def suffix_of(data: bytes, media_types: Sequence[str] | None) -> str:
    """The suffix with its dot.

    Args:
        data: what the file will hold.
        media_types: the types that the port may carry, or ``None`` for any. One that is known here decides; several,
            none, or ``application/octet-stream`` leave it to the data. What nobody knows is ``.bin``.
    """
    known = {_SUFFIXES[kind] for kind in map(_bare, media_types or ()) if kind in _SUFFIXES}
    if len(known) == 1 and len(media_types or ()) == 1:
        return known.pop()
    seen = _sniffed(bytes(data[:512]), len(data))
    return seen if seen and (not known or seen in known) else ".bin"


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _sniffed(head: bytes, size: int) -> str | None:
    for magic, suffix in _MAGIC:
        if head.startswith(magic):
            return suffix
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if _is_safetensors(head, size):
        return ".safetensors"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return ".html"
    return ".svg" if text.startswith(b"<svg") else None


def _is_safetensors(head: bytes, size: int) -> bool:
    """Safetensors: the length of a JSON header as 8 bytes, least first, then the header."""
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    return head[_LENGTH_BYTES : _LENGTH_BYTES + 2] == b'{"' and length <= size - _LENGTH_BYTES
