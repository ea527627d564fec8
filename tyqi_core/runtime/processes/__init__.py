"""Processes of one machine: supervision, boards on which they show what they hold, a Redis server of one's own.

Nothing here knows of runs or of Celery.
"""
