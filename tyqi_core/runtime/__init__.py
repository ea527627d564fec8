"""Executing plans: one task, one process, and what a run leaves behind."""
