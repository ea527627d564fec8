"""Nodes that find cracks in pictures of surfaces, thin them and measure them."""

__version__ = "0.1.0"
