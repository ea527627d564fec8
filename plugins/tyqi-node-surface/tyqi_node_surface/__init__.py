"""A node that decides what kind of damage a picture of a surface shows."""

__version__ = "0.1.0"
