"""The files that are no code: JSON schemas and templates.

They stand at the repository's root, where people look for them, and inside the wheel, where programs need them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def data_folder(name: str) -> Path:
    """The folder ``schemas`` or ``templates``: the packaged copy if there is one, else the repository's.

    Raises:
        FileNotFoundError: neither is there; the installation is incomplete.
    """
    package = Path(str(files("tyqi_core")))
    for candidate in (package / "_data" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"tyqi-core's folder '{name}' is missing; install tyqi-core again")
