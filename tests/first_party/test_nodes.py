"""Every node of this repository's plugins does, through the runtime, what its manifest says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tyqi_core.app import node_project
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.inputs import read_example

pytestmark = pytest.mark.needs_plugins

PLUGINS = Path(__file__).parents[2] / "plugins"
CATALOG = Catalog.load()
OWN = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))
MANIFESTS = [entry.manifest for entry in CATALOG.entries() if entry.distribution in OWN and entry.manifest is not None]


def test_every_plugin_of_the_repository_is_installed_and_whole():
    assert {manifest.distribution for manifest in MANIFESTS} == set(OWN)
    assert not [entry.reason for entry in CATALOG.entries() if entry.distribution in OWN and entry.problems]


def test_every_node_has_an_example():
    assert not [manifest.reference for manifest in MANIFESTS if not manifest.examples]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.reference)
def test_the_examples_of_a_manifest_run(manifest):
    for example in manifest.examples:
        project = node_project(manifest.reference, CATALOG, example.get("params"))
        with InProcessRuntime(project.plan, CATALOG) as runtime:
            result = runtime.run(read_example(manifest, example))
        assert result.status == "completed", result.error
        assert result.outputs.keys() == manifest.outputs.keys()


@pytest.mark.parametrize("manifest", [one for one in MANIFESTS if one.deterministic], ids=lambda one: one.reference)
def test_what_is_declared_deterministic_gives_equal_outputs_twice(manifest):
    from tyqi_core.protocol.codecs import digest

    example = manifest.examples[0]
    digests = []
    for _ in range(2):
        project = node_project(manifest.reference, CATALOG, example.get("params"))
        with InProcessRuntime(project.plan, CATALOG) as runtime:
            result = runtime.run(read_example(manifest, example))
        digests.append({name: digest(manifest.outputs[name].type, value) for name, value in result.outputs.items()})
    assert digests[0] == digests[1]
