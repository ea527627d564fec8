"""Runs on workers: queues and their planning, Celery, recovery."""
