"""Arrays as PNG files, without an imaging library.

The core writes pictures even where the extra ``images`` is not installed, and it writes what Pillow cannot: three
channels of 16 bits. Only the part of the standard that is needed is here.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025; filters in section 9, the choice
by the least sum of absolute differences in section 12.7.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3
_LEVEL = 6


def png(array: Array, palette: Sequence[tuple[int, int, int]] | None = None) -> bytes:
    """Encode a picture without loss; the same array gives the same bytes.

    Args:
        array: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8 or uint16.
        palette: RGB colours, 0 to 255; the array then holds indices into it, ``(H, W)`` uint8.

    Raises:
        ValueError: another shape or dtype, or no pixel at all.
    """
    kind = PALETTE if palette is not None else GREY if array.ndim == 2 else RGB  # noqa: PLR2004  # axes
    _check(array, kind)
    height, width = array.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, array.dtype.itemsize * 8, kind, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    if palette is not None:
        chunks.append(_chunk(b"PLTE", bytes(channel for colour in palette for channel in colour)))
    # Differences of palette indices mean nothing, so such rows go unfiltered, as the standard advises.
    rows = _filtered(array) if palette is None else _unfiltered(array)
    chunks.append(_chunk(b"IDAT", zlib.compress(rows, _LEVEL)))
    return SIGNATURE + b"".join([*chunks, _chunk(b"IEND", b"")])


def shrunk(array: Array, longest: int) -> Array:
    """A smaller copy for a preview: each pixel the mean of a square block, the longer side at most ``longest``.

    Args:
        array: ``(H, W)`` or ``(H, W, 3)``, any numeric dtype; returned unchanged if it is small enough.
    """
    factor = -(-max(array.shape[:2]) // longest)
    if factor <= 1:
        return array
    height, width = (max(1, side // factor) for side in array.shape[:2])
    tall, wide = min(factor, array.shape[0]), min(factor, array.shape[1])
    blocks = array[: height * tall, : width * wide].reshape(height, tall, width, wide, *array.shape[2:])
    mean: Array = blocks.mean(axis=(1, 3))
    return mean.astype(array.dtype)


def _check(array: Array, kind: int) -> None:
    shape_fits = array.ndim == 3 and array.shape[2] == 3 if kind == RGB else array.ndim == 2  # noqa: PLR2004  # axes
    dtypes = ("uint8",) if kind == PALETTE else ("uint8", "uint16")
    if not shape_fits or array.dtype.name not in dtypes or not array.size:
        raise ValueError(f"no PNG can hold an array of shape {array.shape} and type {array.dtype}")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _samples(array: Array) -> Array:
    """Rows of bytes, samples big-endian: ``(H, row length)`` uint8."""
    ordered = array.astype(array.dtype.newbyteorder(">"), order="C")
    rows: Array = ordered.view("uint8").reshape(array.shape[0], -1)
    return rows


def _unfiltered(array: Array) -> bytes:
    return np.pad(_samples(array), ((0, 0), (1, 0))).tobytes()


def _filtered(array: Array) -> bytes:
    """Each row as itself (0), as differences to its left (1) or to the row above (2), whichever varies least."""
    rows = _samples(array)
    step = array.dtype.itemsize * (1 if array.ndim == 2 else array.shape[2])  # noqa: PLR2004  # axes
    left, above = rows.copy(), rows.copy()
    left[:, step:] -= rows[:, :-step]
    above[1:] -= rows[:-1]
    candidates = (rows, left, above)
    # A difference is a signed byte: 255 is as near to nothing as 1.
    costs = [np.abs(candidate.view("int8").astype("int16")).sum(axis=1) for candidate in candidates]
    best = np.argmin(costs, axis=0)
    out = np.empty((rows.shape[0], rows.shape[1] + 1), "uint8")
    out[:, 0] = best
    for number, candidate in enumerate(candidates):
        out[best == number, 1:] = candidate[best == number]
    return out.tobytes()
