"""Torch tensors on tensor ports. The core does not depend on torch; these tests run where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tyqi_core.errors import ContractViolation
from tyqi_core.protocol import codecs
from tyqi_core.protocol.codecs import decode, decode_any, digest, encode, encode_any
from tyqi_core.protocol.ports import PortType, checker

torch = pytest.importorskip("torch")


def port(name: str, **rest: Any) -> PortType:
    return PortType.parse({"type": name, **rest})


def test_a_torch_tensor_fits_a_tensor_port_and_no_other() -> None:
    tensor = torch.zeros(2, 3)
    assert checker(port("tensor", shape=[None, 3]))(tensor) is None
    assert "found shape (2, 3)" in (checker(port("tensor", shape=[1, 3]))(tensor) or "")
    assert "found dtype torch.float64" in (checker(port("tensor"))(tensor.double()) or "")
    assert "return x.cpu().numpy()" in (checker(port("anomaly_map"))(tensor) or "")
    assert "return x.tolist()" in (checker(port("json"))(tensor) or "")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_a_tensor_comes_back_as_it_was(dtype: str, shape: tuple[int, ...]) -> None:
    tensor = torch.arange(max(1, int(np.prod(shape)))).to(getattr(torch, dtype))[: int(np.prod(shape))].reshape(shape)
    back = decode_any(encode_any(tensor))
    assert back.dtype == tensor.dtype
    assert torch.equal(back, tensor)


def test_a_transposed_tensor_with_gradients_is_stored_row_by_row() -> None:
    tensor = torch.arange(6.0, requires_grad=True).reshape(2, 3).T
    assert torch.equal(decode_any(encode_any(tensor)), tensor.detach())


def test_tensor_and_array_of_the_same_content_have_the_same_digest() -> None:
    kind = port("tensor")
    assert digest(kind, torch.ones(2, 3)) == digest(kind, np.ones((2, 3), np.float32))


def test_sparse_tensors_are_not_encoded() -> None:
    with pytest.raises(ContractViolation, match="dense"):
        encode_any(torch.sparse_coo_tensor([[0], [1]], [1.0], (2, 2), check_invariants=True))


def test_where_torch_is_missing_a_tensor_becomes_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode(port("tensor"), torch.ones(2, 3))
    monkeypatch.setattr(codecs, "_torch_installed", lambda: False)
    array = decode(port("tensor"), encoded)
    assert isinstance(array, np.ndarray)
    assert array.tolist() == [[1.0] * 3] * 2
