"""Nodes that align pictures: registration to a reference, stitching of overlapping strips."""

__version__ = "1.0.0"
