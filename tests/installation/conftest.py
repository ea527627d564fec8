from __future__ import annotations

import os
from pathlib import Path

import pytest
from trial_hosts import Host, RegistryOfTests, library

collect_ignore_glob = ["test_*.py"] if os.name != "posix" else []
"""They ask through a terminal, and isolated environments need workers."""


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip finds libraries: ``conflictlib`` 1 and 2."""
    folder = tmp_path_factory.mktemp("libraries")
    library(folder, "conflictlib", "1")
    library(folder, "conflictlib", "2")
    return folder


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> RegistryOfTests:
    """An empty registry; each test publishes plugins of its own names."""
    root = tmp_path_factory.mktemp("marketplace") / "registry"
    root.mkdir()
    return RegistryOfTests(root)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, registry: RegistryOfTests, libraries: Path) -> Host:
    """An environment for the tests of one file."""
    return Host(tmp_path_factory.mktemp("host"), registry.root, libraries)
