"""Runs on several processes: workers, their supervision, the services of one machine."""
