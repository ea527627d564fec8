"""Array files from outside."""

import io

import numpy as np
import pytest

from tyqi_core.errors import InputError
from tyqi_core.protocol.arrays import read_npy


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_comes_back_as_it_was(order):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4, order=order)
    found = read_npy(npy(array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"not an array", "NOT_AN_ARRAY"),
        (npy(np.zeros(100))[:-8], "ARRAY_CORRUPT"),
        (npy(np.zeros(100)) + b"tail", "ARRAY_CORRUPT"),
        (npy(np.array([{}], dtype=object), allow_pickle=True), "TYPE_NOT_ALLOWED"),
    ],
    ids=["text", "cut", "longer", "objects"],
)
def test_what_is_no_honest_array_is_refused_with_its_code(data, code):
    with pytest.raises(InputError) as refused:
        read_npy(data)
    assert refused.value.code == code


def test_a_header_that_announces_terabytes_reserves_nothing():
    honest = npy(np.zeros(3))
    lying = honest.replace(b"(3,), }" + b" " * 12, b"(3000000000000,), }")
    assert len(lying) == len(honest)
    assert lying != honest
    with pytest.raises(InputError) as refused:
        read_npy(lying)
    assert refused.value.code == "ARRAY_CORRUPT"
