"""Checksums of large values, which two threads share: hashing and copying let go of Python's lock.

A checksum is the xxh3 of the xxh3s of the value's stripes, so that each stripe can be hashed by whoever has the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

import xxhash

from tyqi_core.protocol.pieces import Buffer

STRIPE: Final = 1 << 22
"""Bytes of a stripe. A value of one stripe is worth no second thread."""

Answer = TypeVar("Answer")
_helper: ThreadPoolExecutor | None = None


def checksum(pieces: Sequence[Buffer]) -> str:
    """The checksum of bytes that stand in pieces, one behind the other."""
    bounds = _bounds(pieces)
    middle = (len(bounds) + 1) // 2
    with beside(lambda: _digests(pieces, bounds[middle:]), worth_it=len(bounds) > 1) as others:
        digests = _digests(pieces, bounds[:middle])
    return _together([*digests, *others.result()])


@contextmanager
def checksum_beside(pieces: Sequence[Buffer]) -> Iterator[Future[str]]:
    """The checksum, worked out while the block does something else with the bytes."""
    bounds = _bounds(pieces)
    with beside(lambda: _together(_digests(pieces, bounds)), worth_it=len(bounds) > 1) as found:
        yield found


@contextmanager
def beside(work: Callable[[], Answer], *, worth_it: bool) -> Iterator[Future[Answer]]:
    """Do something in a second thread while the block runs, or before it. It has ended when the block has."""
    if worth_it:
        done = _second_thread().submit(work)
    else:
        done = Future()
        done.set_result(work())
    try:
        yield done
    finally:
        done.exception()  # waits: nobody looks at the bytes any more


def _together(digests: Sequence[bytes]) -> str:
    return xxhash.xxh3_64_hexdigest(b"".join(digests))


def _bounds(pieces: Sequence[Buffer]) -> list[tuple[int, int]]:
    size = sum(map(len, pieces))
    return [(start, min(size, start + STRIPE)) for start in range(0, size, STRIPE)]


def _digests(pieces: Sequence[Buffer], bounds: Sequence[tuple[int, int]]) -> list[bytes]:
    return [_digest(pieces, start, stop) for start, stop in bounds]


def _digest(pieces: Sequence[Buffer], start: int, stop: int) -> bytes:
    """The xxh3 of what stands between two places."""
    found, at = xxhash.xxh3_64(), 0
    for piece in pieces:
        first, last = max(start - at, 0), min(stop - at, len(piece))
        if first < last:
            found.update(memoryview(piece)[first:last])
        at += len(piece)
    return found.digest()


def _second_thread() -> ThreadPoolExecutor:
    global _helper  # noqa: PLW0603 - one a process
    if _helper is None:
        _helper = ThreadPoolExecutor(1, thread_name_prefix="tyqi-checksums")
    return _helper


def _forget() -> None:
    """A forked child has no threads: it starts one of its own."""
    global _helper  # noqa: PLW0603 - see above
    _helper = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
