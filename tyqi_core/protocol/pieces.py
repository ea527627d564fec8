"""What the codecs hand out: a value's bytes, whole or in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Buffer = bytes | bytearray | memoryview


class Encoded(NamedTuple):
    """A value as bytes, and how to read them."""

    media_type: str
    data: bytes


class Pieces(NamedTuple):
    """The bytes of a value in pieces, in order: buffers of arrays are not copied, and must not change meanwhile."""

    media_type: str
    pieces: Sequence[Buffer]

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(map(len, self.pieces))

    def joined(self) -> Encoded:
        """All of it in one piece."""
        first = self.pieces[0]
        whole = first if len(self.pieces) == 1 and type(first) is bytes else b"".join(self.pieces)
        return Encoded(self.media_type, whole)
