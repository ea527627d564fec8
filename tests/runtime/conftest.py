"""The runtimes under test."""

from __future__ import annotations

from trial_runs import ledger, run, trial_catalog, trial_folder
from trial_shell import shell

__all__ = ["ledger", "run", "shell", "trial_catalog", "trial_folder"]
