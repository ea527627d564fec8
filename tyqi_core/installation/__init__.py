"""Nodes in an environment: installed under the host's constraints, on or off, isolated where they conflict."""
