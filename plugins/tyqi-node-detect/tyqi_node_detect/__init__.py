"""Detection of compact defects: boxes with scores."""

__version__ = "1.0.0"
