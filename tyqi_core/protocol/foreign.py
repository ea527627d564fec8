"""Libraries that the core uses only if somebody else has imported them: torch, numpy, OpenCV."""

from __future__ import annotations

import sys
from types import ModuleType


def imported(name: str) -> ModuleType | None:
    """The module if its import is over; ``None`` if nobody has begun it or another thread is still in it.

    A value of a library's own type cannot exist before, so ``None`` also means: no such value here.
    """
    module = sys.modules.get(name)
    return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module
