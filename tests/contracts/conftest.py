"""What the contracts of stores share."""

from __future__ import annotations

from shared_stores import clock, failpoint, store

__all__ = ["clock", "failpoint", "store"]
