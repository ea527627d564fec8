"""A run's outputs as files that people and other programs open without this framework.

===============  ==================================================================
output           files
===============  ==================================================================
image            ``NAME.png``; ``NAME.npy`` beside it when samples are float32
mask             ``NAME.png``: grey when it holds 0 and 255 alone, else one colour a label (the index is the label)
anomaly map      ``NAME.png``, a heat picture, and ``NAME.npy`` with the values
tensor           ``NAME.npy``
video frame      ``NAME.png`` and ``NAME.json`` with index and time
bytes            ``NAME`` with the suffix of its media type
all others       ``NAME.json``
list of these    ``NAME/0000``, ``NAME/0001`` ... as above; of plain JSON types, one ``NAME.json``
===============  ==================================================================

An output that the run did not produce (``None``) leaves no file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tyqi_core.errors import OutputError
from tyqi_core.results.colours import heat, label_palette
from tyqi_core.results.files import write_files
from tyqi_core.results.media import suffix_of
from tyqi_core.results.names import safe_names
from tyqi_core.results.png import png

if TYPE_CHECKING:
    from tyqi_core.protocol.ports import PortType

Parts = Iterator[tuple[str, bytes]]
"""Suffix and content of each file that one value becomes."""


def write_outputs(folder: Path, outputs: Mapping[str, Any], types: Mapping[str, PortType]) -> list[Path]:
    """Write outputs to files named after them.

    Args:
        folder: made if need be; what else it holds is left alone.
        outputs: output name -> value as the TP data type says; ``None`` for one that was not produced.
        types: the type of each output.

    Returns:
        The files written, in the order of the outputs.

    Raises:
        OutputError: see :func:`~tyqi_core.results.files.write_files`; or a value cannot be put into a file.
    """
    contents: dict[str, bytes] = {}
    for (name, value), stem in zip(outputs.items(), safe_names(outputs), strict=True):
        try:
            for suffix, data in _files_of(types[name], value):
                contents[stem + suffix] = data
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            message = f"output '{name}' is no {types[name]} that could be written: {error}"
            raise OutputError(message, code="OUTPUT_NOT_ENCODABLE") from error
    return write_files(folder, contents)


def _files_of(port_type: PortType, value: Any) -> Parts:
    if value is None:
        return
    encode = _ENCODERS.get(port_type.name)
    if encode is None:
        yield ".json", json_bytes(value)
    elif not port_type.is_list:
        yield from encode(port_type, value)
    else:
        for number, element in enumerate(value):
            if element is not None:
                yield from ((f"/{number:04d}{suffix}", data) for suffix, data in encode(port_type, element))


def json_bytes(value: Any) -> bytes:
    """JSON for a file: indented, UTF-8, no NaN, a line break at the end."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _image(_: PortType, array: Any) -> Parts:
    if array.dtype.kind != "f":
        yield ".png", png(array)
        return
    yield ".png", png((array.clip(0.0, 1.0) * 255).round().astype("uint8"))
    yield ".npy", _npy(array)


def _mask(_: PortType, array: Any) -> Parts:
    binary = bool(np.isin(array, (0, 255)).all())
    yield ".png", png(array) if binary else png(array, label_palette())


def _anomaly_map(_: PortType, array: Any) -> Parts:
    yield ".png", png(heat(array))
    yield ".npy", _npy(array)


def _tensor(_: PortType, value: Any) -> Parts:
    if hasattr(value, "detach"):  # a torch tensor; torch itself is not needed to ask it
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    yield ".npy", _npy(value)


def _video_frame(port_type: PortType, frame: Mapping[str, Any]) -> Parts:
    yield from _image(port_type, frame["image"])
    yield ".json", json_bytes({"index": frame["index"], "timestamp_s": frame["timestamp_s"]})


def _bytes(port_type: PortType, data: bytes) -> Parts:
    yield suffix_of(data, port_type.constraints.get("media_type")), bytes(data)


def _npy(array: Any) -> bytes:
    """NumPy's own format, version 1: a header in plain text, then the values. No pickle in it."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


_ENCODERS: dict[str, Callable[[PortType, Any], Parts]] = {
    "image": _image,
    "mask": _mask,
    "anomaly_map": _anomaly_map,
    "tensor": _tensor,
    "video_frame": _video_frame,
    "bytes": _bytes,
}
