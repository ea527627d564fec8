"""Nodes for the tests of TYQ-i's runtimes."""

__version__ = "1.0.0"
