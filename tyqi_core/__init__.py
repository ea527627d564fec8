"""TYQ-i core: inspection workflows as graphs of plug-in nodes.

Names are loaded on first use, so that ``import tyqi_core`` costs milliseconds and a node author's import pulls in
neither the compiler nor the runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tyqi_core.app import load_project, run_project
    from tyqi_core.node import Context, Inputs, Node, Outcome, Outputs, node

__version__ = "0.1.0"

_HOMES = {
    "Context": "tyqi_core.node",
    "Inputs": "tyqi_core.node",
    "Node": "tyqi_core.node",
    "Outcome": "tyqi_core.node",
    "Outputs": "tyqi_core.node",
    "node": "tyqi_core.node",
    "load_project": "tyqi_core.app",
    "run_project": "tyqi_core.app",
}

__all__ = ["Context", "Inputs", "Node", "Outcome", "Outputs", "__version__", "load_project", "node", "run_project"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tyqi_core' has no attribute '{name}'")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
