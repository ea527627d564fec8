"""TYQ-i core: inspection workflows as graphs of plug-in nodes.

What a node's author needs is here at once. What runs projects is loaded on first use, so that an author's import
pulls in neither the compiler nor the runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not on first use: importing the submodule `node`, by whomever, would leave the module under the decorator's name.
from tyqi_core.node import Context, Inputs, Node, Outcome, Outputs, node

if TYPE_CHECKING:
    from tyqi_core.app import load_project, run_project
    from tyqi_core.client import Client

__version__ = "0.1.0"

_HOMES = {
    "Client": "tyqi_core.client",
    "load_project": "tyqi_core.app",
    "run_project": "tyqi_core.app",
}

__all__ = [
    "Client",
    "Context",
    "Inputs",
    "Node",
    "Outcome",
    "Outputs",
    "__version__",
    "load_project",
    "node",
    "run_project",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tyqi_core' has no attribute '{name}'")
    try:
        value = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name in {"redis", "celery", "kombu", "amqp"}:
            raise ImportError(f"{name} needs more packages: pip install 'tyqi-core[workers]'") from error
        raise
    globals()[name] = value
    return value
