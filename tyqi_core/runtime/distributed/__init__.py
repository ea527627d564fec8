"""Plans on Celery workers.

The broker is a wake-up call and the store is the truth: a message names a run and tasks, the worker that gets it claims
them in the store. A lost message is told again, a doubled one finds nothing to claim. docs/workers.md tells more.
"""
