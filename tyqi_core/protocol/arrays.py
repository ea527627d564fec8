"""Array files: NumPy's ``.npy``, read without trusting a word of them."""

from __future__ import annotations

import io
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from tyqi_core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(data: bytes) -> NDArray[Any]:
    """The array of a ``.npy`` file; read-only, a view of ``data``. Nothing is unpickled, nothing is reserved ahead.

    Raises:
        InputError: it is no such file (``NOT_AN_ARRAY``), or holds something else than its header says
            (``ARRAY_CORRUPT``), or Python objects (``TYPE_NOT_ALLOWED``).
    """
    file = io.BytesIO(data)
    try:
        shape, fortran, dtype = _READERS[npy.read_magic(file)](file)
    except (ValueError, KeyError) as error:
        raise InputError(f"this is no .npy file of version 1 or 2: {error}", code="NOT_AN_ARRAY") from error
    if dtype.hasobject:
        raise InputError("an array of Python objects is not read", code="TYPE_NOT_ALLOWED")
    due, held = prod(shape) * dtype.itemsize, len(data) - file.tell()
    if min(shape, default=0) < 0 or due != held:
        raise InputError(f"the header announces {due} bytes of values, the file holds {held}", code="ARRAY_CORRUPT")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return np.ascontiguousarray(flat.reshape(shape, order="F" if fortran else "C"))
