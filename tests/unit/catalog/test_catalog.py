from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import CatalogError
from tyqi_core.node import Node, node

Install = Callable[..., Path]
Text = Callable[..., str]
Parse = Callable[..., Manifest]

FUNCTION = """
from tyqi_core import node

@node(output="image")
def Generated(image, guide, *, {parameters}):
    return image
"""


class Brighten(Node):
    def process(self, inputs, ctx):
        return dict(inputs)


def failure(action: Callable[[], object]) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        action()
    return caught.value


@pytest.fixture
def memory(parse: Parse, manifest_text: Text) -> Catalog:
    """crack.segment in versions 1 and 2, and crack.width, in memory."""
    manifests = [
        parse(manifest_text()),
        parse(manifest_text(version="2.3.4"), local_id="segment.v2"),
        parse(manifest_text("width"), local_id="width"),
    ]
    return Catalog.of(*(LocalNode(manifest, Brighten) for manifest in manifests))


@pytest.fixture
def installed(site: Path, install: Install, manifest_text: Text) -> Callable[..., Catalog]:
    """Installs crack.segment with this source as its module, and loads the catalog."""

    def load(source: str | None = None, **changes: str) -> Catalog:
        keywords = {} if source is None else {"module": source}
        install(site, "crack", {"segment": manifest_text(**changes)}, **keywords)
        return Catalog.load()

    return load


def state_of(catalog: Catalog, node_id: str) -> str:
    return next(entry.state for entry in catalog.entries() if entry.id == node_id)


def test_a_plain_id_means_the_highest_major_and_a_pin_means_itself(memory: Catalog) -> None:
    assert memory.find("crack.segment").version == "2.3.4"
    assert memory.find("crack.segment@1").version == "1.0.0"


def test_an_unknown_node_tells_the_nearest_and_what_to_install(memory: Catalog) -> None:
    error = failure(lambda: memory.find("crack.segmemt"))
    assert error.code == "NODE_UNKNOWN"
    assert "Did you mean 'crack.segment'?" in error.message
    error = failure(lambda: memory.find("rail_track.align"))
    assert (error.code, error.remedy) == ("NODE_UNKNOWN", "pip install tyqi-node-rail-track")


@pytest.mark.parametrize(
    "reference", ["segment", "crack.segment@", "crack.segment@v1", "Crack.Segment", "", "a.b\n", "crack.segment@01"]
)
def test_a_malformed_reference_is_told_the_form(memory: Catalog, reference: str) -> None:
    error = failure(lambda: memory.find(reference))
    assert (error.code, "crack.segment@1" in error.message) == ("BAD_REFERENCE", True)


def test_a_major_that_is_not_installed_names_those_that_are(memory: Catalog) -> None:
    error = failure(lambda: memory.find("crack.segment@3"))
    assert (error.code, "crack.segment@1, crack.segment@2" in str(error.remedy)) == ("NODE_MAJOR", True)


def test_nodes_in_memory_are_active(memory: Catalog) -> None:
    assert {entry.state for entry in memory.entries()} == {"activated"}
    assert memory.activate(memory.find("crack.width")) is Brighten


def test_an_installed_node_is_enabled_until_it_is_activated(installed: Callable[..., Catalog]) -> None:
    catalog = installed()
    assert state_of(catalog, "crack.segment") == "enabled"
    assert "tyqi_node_crack" not in sys.modules
    node_class = catalog.activate(catalog.find("crack.segment"))
    assert issubclass(node_class, Node)
    assert state_of(catalog, "crack.segment") == "activated"
    assert catalog.activate(catalog.find("crack.segment")) is node_class


def test_a_disabled_node_is_registered_but_not_found(installed: Callable[..., Catalog], site: Path) -> None:
    installed()
    catalog = Catalog.load(disabled=["crack.segment"])
    assert state_of(catalog, "crack.segment") == "registered"
    error = failure(lambda: catalog.find("crack.segment"))
    assert (error.code, error.remedy) == ("NODE_DISABLED", "tyqi enable crack.segment")
    assert catalog.nearest("crack.segmnt") is None


def test_a_broken_node_tells_its_reason_when_it_is_asked_for(site: Path, install: Install, manifest_text: Text) -> None:
    install(site, "crack", {"segment": "a: [\n"})
    install(site, "spall", {"segment": manifest_text()})
    catalog = Catalog.load()
    entry = next(entry for entry in catalog.entries() if entry.id == "crack.segment")
    assert (entry.state, entry.manifest, entry.distribution) == ("broken", None, "tyqi-node-crack")
    assert "YAML_SYNTAX" in entry.reason
    error = failure(lambda: catalog.find("crack.segment"))
    assert (error.code, "YAML_SYNTAX" in error.message) == ("NODE_BROKEN", True)
    assert catalog.find("spall.segment")


def test_a_broken_major_is_never_silently_replaced_by_another(
    site: Path, install: Install, manifest_text: Text
) -> None:
    install(site, "crack", {"segment": manifest_text(), "segment.v2": "broken: true\n"})
    catalog = Catalog.load()
    error = failure(lambda: catalog.find("crack.segment"))
    assert (error.code, error.remedy) == ("NODE_BROKEN", "Usable is crack.segment@1.")
    assert catalog.find("crack.segment@1").major == 1
    assert failure(lambda: catalog.find("crack.segment@2")).code == "NODE_BROKEN"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_at_all\n", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("import sys\nsys.exit(3)\n", "it called sys.exit(3)"),
        ("raise SystemExit\n", "it called sys.exit()"),
        ("raise BaseException('odd')\n", "BaseException: odd"),
        ("def Generated(:\n", "SyntaxError"),
        ("x = 1\n", "AttributeError: module 'tyqi_node_crack.nodes' has no attribute 'Generated'"),
        ("Generated = 5\n", "is a int, expected a subclass of tyqi_core.Node"),
        ("class Generated: pass\n", "is the class Generated, expected a subclass of tyqi_core.Node"),
        ("from tyqi_core import Node\nclass Generated(Node): pass\n", "defines neither process nor process_batch"),
        (FUNCTION.format(parameters="gain"), "takes the parameters (gain), its manifest declares (gain, model)"),
    ],
)
def test_a_plugin_that_cannot_be_activated_is_refused_with_its_reason(
    installed: Callable[..., Catalog], source: str, reason: str
) -> None:
    catalog = installed(source)
    error = failure(lambda: catalog.activate(catalog.find("crack.segment")))
    assert error.code == "ACTIVATION_FAILED"
    assert reason in error.message
    assert error.remedy
    assert state_of(catalog, "crack.segment") == "enabled"


def test_an_interrupt_during_an_import_stays_an_interrupt(installed: Callable[..., Catalog]) -> None:
    catalog = installed("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        catalog.activate(catalog.find("crack.segment"))


def test_declared_batching_needs_process_batch(installed: Callable[..., Catalog]) -> None:
    catalog = installed(batching="batching: {max_batch: 4}")
    error = failure(lambda: catalog.activate(catalog.find("crack.segment")))
    assert "defines no process_batch" in error.message


def test_a_function_is_a_node_if_its_signature_is_the_manifests(installed: Callable[..., Catalog]) -> None:
    catalog = installed(FUNCTION.format(parameters="gain=1.0, model=''"))
    node_class = catalog.activate(catalog.find("crack.segment"))
    assert issubclass(node_class, Node)


def test_a_function_with_other_ports_is_refused(parse: Parse, manifest_text: Text) -> None:
    from tyqi_core.catalog.loading import mismatch

    @node(output="image")
    def segment(picture, guide, *, gain=1.0, model=""):
        return picture

    fault = mismatch(parse(manifest_text()), segment)
    assert fault == "the function takes the input ports (guide, picture), its manifest declares (guide, image)"


def test_a_replaced_node_is_found_under_the_old_name_whatever_major_is_pinned(memory: Catalog) -> None:
    swapped = memory.replacing({"crack.width": "crack.segment@1"})
    assert swapped.find("crack.width@1").reference == "crack.segment@1"
    assert memory.find("crack.width").reference == "crack.width@1"
    assert failure(lambda: memory.replacing({"crack.width": "crack.no"})).code == "NODE_UNKNOWN"
