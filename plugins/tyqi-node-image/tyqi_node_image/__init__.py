"""Nodes that decode, filter, resize, cut up and put together pictures."""

__version__ = "1.0.0"
