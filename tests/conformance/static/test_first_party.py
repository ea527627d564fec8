"""The plugins of this repository reach every tier that reading can give."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tyqi_core.conformance.building import built
from tyqi_core.conformance.run import conform

PLUGINS = sorted(path.parent for path in (Path(__file__).parents[3] / "plugins").glob("*/pyproject.toml"))


@pytest.mark.slow
@pytest.mark.needs_plugins
@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_of_this_repository_passes_the_static_checks(plugin, tmp_path):
    project = shutil.copytree(plugin, tmp_path / plugin.name)
    evidence = conform(built(project, tmp_path / "dist"), modes=["static"], known={})
    told = {one.check: list(map(str, one.findings)) for one in evidence.results if one.outcome in {"failed", "warned"}}
    assert told == {}
