"""Plans on Celery workers.

The broker is a wake-up call and the store is the truth: a message names a run and a task, the worker that gets it
claims the task in the store. A lost message is told again, a doubled one finds nothing to claim. ``queues`` has the
names of queues, ``broker`` the Celery application, ``publisher`` the way of a wake-up into the broker.
"""
