"""Safe mode: no code of any plugin is loaded, neither of nodes nor of hook packages. For a host that does not start."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "TYQI_SAFE"
"""Set by ``tyqi --safe``, so that the processes it starts are in safe mode as well."""


def safe_mode() -> bool:
    """Whether this process is in safe mode."""
    return os.environ.get(VARIABLE, "") not in {"", "0"}
