"""A node called by itself, without a run, as Celery users call any task.

::

    app.send_task("tyqi.node.crack.segment", kwargs={"inputs": {...}, "params": {...}}, queue="cpu.short").get()

JSON values travel as they are, all others in the inline form of their type: ``{"media_type": ..., "base64": ...}``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final

from tyqi_core.errors import InputError
from tyqi_core.protocol.codecs import Encoded, decode_any, encode_any
from tyqi_core.protocol.ports import PortType
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.inputs import decode_input
from tyqi_core.runtime.keeping import JSON_LIKE

_KEPT: Final = 8
"""Nodes that are kept ready to be called, with their parameters."""
_PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/tiff", "image/bmp", "image/webp", "image/gif"})

Open = Callable[[str, Mapping[str, Any]], InProcessRuntime]


class CallError(Exception):
    """A direct call failed; Celery hands the text to the caller."""


class DirectCalls:
    """Calls nodes.

    Args:
        open_runtime: makes a runtime of the one-node project for a node and its parameters.
    """

    def __init__(self, open_runtime: Open) -> None:
        self._open = open_runtime
        self._ready: OrderedDict[str, InProcessRuntime] = OrderedDict()
        self._lock = Lock()

    def call(self, node_id: str, inputs: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of a node, by port, as JSON.

        Raises:
            CallError: the node failed.
            TyqiError: the inputs or parameters do not fit.
        """
        runtime = self._runtime(node_id, params)
        types = {name: PortType.parse(declaration) for name, declaration in runtime.plan.inputs.items()}
        values = {name: from_inline(value, types.get(name)) for name, value in inputs.items()}
        result = runtime.run(values)
        if result.status != "completed":
            error = result.error or {}
            raise CallError(f"{error.get('code')}: {error.get('message')}")
        return {name: to_inline(value) for name, value in result.outputs.items()}

    def close(self) -> None:
        """Tear the nodes down."""
        with self._lock:
            while self._ready:
                self._ready.popitem()[1].close()

    def _runtime(self, node_id: str, params: Mapping[str, Any]) -> InProcessRuntime:
        key = json.dumps([node_id, params], sort_keys=True)
        with self._lock:
            runtime = self._ready.pop(key, None) or self._open(node_id, params)
            self._ready[key] = runtime
            if len(self._ready) > _KEPT:
                self._ready.popitem(last=False)[1].close()
            return runtime


def from_inline(value: Any, port_type: PortType | None) -> Any:
    """The value of an inline form; JSON stays as it is.

    Raises:
        InputError: the form cannot be read.
    """
    if port_type is None or port_type.name in JSON_LIKE or not (isinstance(value, dict) and "base64" in value):
        return value
    try:
        data = base64.b64decode(value["base64"], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise InputError(f"an inline form does not hold base64: {error}", code="WRONG_TYPE") from error
    media_type = value.get("media_type", "")
    return decode_input(data, port_type) if media_type in _PICTURES else decode_any(Encoded(media_type, data))


def to_inline(value: Any) -> Any:
    """The inline form of a value that is no JSON."""
    encoded = encode_any(value)
    if encoded.media_type == "application/json":
        return value
    return {"media_type": encoded.media_type, "base64": base64.b64encode(encoded.data).decode("ascii")}
