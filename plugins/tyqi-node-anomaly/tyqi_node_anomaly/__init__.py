"""Anomaly detection on surface textures."""

__version__ = "1.0.0"
