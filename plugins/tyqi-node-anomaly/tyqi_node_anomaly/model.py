"""The model file: safetensors, so that reading it executes nothing.

It holds the weights of :class:`~tyqi_node_anomaly.network.Detector` and ``levels``: the two logits that clean pictures
rarely pass, for one look and for the refined one (see :mod:`.scoring`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from tyqi_core.errors import InputError
from tyqi_node_anomaly.network import Detector, without_weights

LARGEST = 8 << 20
"""Bytes; a larger file is refused before it is read."""

_LEVELS = "levels"
_ADVICE = "Give a file that anomaly.train wrote, or leave the parameter empty for the shipped model."


@dataclass(frozen=True, slots=True)
class Model:
    """A detector with the logits at which its scores are 1."""

    detector: Detector
    level: float
    refined_level: float


def load(path: str, device: str) -> Model:
    """The model in the file, or the shipped one where ``path`` is empty.

    Raises:
        InputError: ``BAD_MODEL``, the file is missing, too large, no safetensors file or not of this network.
    """
    model = parse(_read(path), path or "the shipped model")
    model.detector.to(device)
    return model


def dump(model: Model) -> bytes:
    """The content of a model file; equal models give equal bytes."""
    weights = {name: tensor.contiguous() for name, tensor in model.detector.state_dict().items()}
    data: bytes = safetensors.save({**weights, _LEVELS: torch.tensor([model.level, model.refined_level])})
    return data


def parse(data: bytes, name: str) -> Model:
    """The model in a file's content; ``name`` is for messages.

    Raises:
        InputError: ``BAD_MODEL``, as for :func:`load`.
    """
    try:
        tensors = safetensors.load(data)
    except SafetensorError as error:
        raise _bad(name, f"it is no safetensors file ({error})") from error
    detector = without_weights()
    _check(tensors, detector, name)
    level, refined_level = tensors.pop(_LEVELS).tolist()
    detector.load_state_dict(tensors, assign=True)
    return Model(detector.eval().requires_grad_(False), level, refined_level)


def _read(path: str) -> bytes:
    if not path:
        return (resources.files("tyqi_node_anomaly") / "model.safetensors").read_bytes()
    file = Path(path)
    try:
        if not file.is_file():
            raise _bad(path, "there is no such file")
        size = file.stat().st_size
        if size > LARGEST:
            raise _bad(path, f"it has {size} bytes, and {LARGEST} are allowed")
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise _bad(path, str(error)) from error


def _check(tensors: dict[str, Tensor], detector: Detector, name: str) -> None:
    expected = {key: tuple(tensor.shape) for key, tensor in detector.state_dict().items()} | {_LEVELS: (2,)}
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())
        raise _bad(name, f"it is not a model of this network: tensor {odd[0]!r} is missing or too many")
    for key, shape in expected.items():
        found = tensors[key]
        if tuple(found.shape) != shape or found.dtype != torch.float32:
            raise _bad(name, f"tensor {key!r} should be float32 {shape}, found {found.dtype} {tuple(found.shape)}")
        if not bool(torch.isfinite(found).all()):
            raise _bad(name, f"tensor {key!r} holds values that are not finite")


def _bad(name: str, reason: str) -> InputError:
    return InputError(f"cannot use {name} as an anomaly model: {reason}.", code="BAD_MODEL", remedy=_ADVICE)
