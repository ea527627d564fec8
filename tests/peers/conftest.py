"""The runtimes under test."""

from __future__ import annotations

from trial_runs import ledger, run, trial_catalog, trial_folder

__all__ = ["ledger", "run", "trial_catalog", "trial_folder"]
