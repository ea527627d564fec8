"""Nodes that find spalls, places where material broke off, in pictures of surfaces, and measure them."""

__version__ = "0.1.0"
