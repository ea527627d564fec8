"""Synthetic defects on photographed surfaces, with exact ground truth."""

__version__ = "1.0.0"
