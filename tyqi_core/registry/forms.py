"""The body of an upload: files in ``multipart/form-data``, as browsers, curl and :mod:`sending` write it.

Read from a file that is mapped into memory, so that no more of it is held than its files. Strict: this is no reader of
mail, and what is not exactly of the form is refused.
"""

from __future__ import annotations

import mmap
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Final

from tyqi_core.errors import UsageError

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LONGEST_HEAD: Final = 4096
_MOST_PARTS: Final = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a form.

    Attributes:
        name: of the field.
        filename: as the sender says; empty if it says none.
        data: the content.
    """

    name: str
    filename: str
    data: bytes


def encoded(parts: Iterable[Part]) -> tuple[str, list[bytes]]:
    """The content type of a form, and its body in pieces."""
    boundary = f"tyqi-{secrets.token_hex(16)}"
    pieces: list[bytes] = []
    for part in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"; filename="{part.filename}"\r\n\r\n'
        pieces += [head.encode(), part.data, b"\r\n"]
    return f"multipart/form-data; boundary={boundary}", [*pieces, f"--{boundary}--\r\n".encode()]


def read_form(path: Path, content_type: str) -> Mapping[str, Part]:
    """The files of a form, by field.

    Args:
        path: where the body lies.
        content_type: of the body, with its boundary.

    Raises:
        UsageError: it is no such form (``BAD_FORM``).
    """
    boundary = _boundary(content_type)
    if not path.stat().st_size:
        raise _bad("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        parts = list(_parts(body, boundary))
    if len({part.name for part in parts}) != len(parts):
        raise _bad("a field is given twice")
    return {part.name: part for part in parts}


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    fits = isinstance(boundary, str) and _BOUNDARY.fullmatch(boundary)
    if header.get_content_type() != "multipart/form-data" or not fits:
        raise _bad("its content type is not multipart/form-data with a boundary")
    return f"--{boundary}".encode()


def _parts(body: mmap.mmap, boundary: bytes) -> Iterator[Part]:
    place = 0
    if body[: len(boundary)] != boundary:
        raise _bad("it does not begin with its boundary")
    for _ in range(_MOST_PARTS):
        place += len(boundary)
        if body[place : place + 2] == b"--":
            return
        if body[place : place + 2] != b"\r\n":
            raise _bad("a line of its boundary goes on")
        head_end = body.find(b"\r\n\r\n", place, place + _LONGEST_HEAD)
        end = body.find(b"\r\n" + boundary, head_end)
        if head_end < 0 or end < 0:
            raise _bad("a part has no end")
        yield _part(body[place + 2 : head_end + 2], body[head_end + 4 : end])
        place = end + 2
    raise _bad(f"it has more than {_MOST_PARTS} parts")


def _part(head: bytes, data: bytes) -> Part:
    for line in head.decode("utf-8", errors="replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            header = Message()
            header["Content-Disposition"] = value.strip()
            field = header.get_param("name", header="content-disposition")
            if isinstance(field, str) and field:
                return Part(field, str(header.get_filename() or ""), data)
    raise _bad("a part has no name")


def _bad(why: str) -> UsageError:
    remedy = "Send multipart/form-data with the fields 'wheel' and, if there is one, 'evidence'."
    return UsageError(f"this is no form that can be read: {why}", code="BAD_FORM", remedy=remedy)
