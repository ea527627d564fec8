"""Severity, annotated pictures, close-ups and report pages."""

__version__ = "1.0.0"
