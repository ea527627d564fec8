"""What happens to a good node when its author slips is told by the right check, before it is published."""

from __future__ import annotations

from pathlib import Path

import pytest
from examining import GOOD_ONE, Examined, examine
from made_wheels import make_wheel, manifest_text
from mutations import BY_NAME, MUTATIONS

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.versions import version_results
from tyqi_core.errors import PublishRefused
from tyqi_core.registry.folder import RegistryFolder
from tyqi_core.registry.publishing import publish


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    return examine(MUTATIONS, tmp_path_factory.mktemp("mutations"))


@pytest.fixture(scope="module")
def registry(examined: Examined, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that holds the good package."""
    root = tmp_path_factory.mktemp("registry")
    publish(root, examined.wheels[GOOD_ONE], examined.evidence[GOOD_ONE])
    return root


def test_there_are_ten_and_more():
    assert len(MUTATIONS) >= 10


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutation_fails_by_the_right_check_and_by_no_other(examined, name):
    failed = examined.ended(name, "failed")
    assert BY_NAME[name].check in failed
    assert failed <= {BY_NAME[name].check} | BY_NAME[name].also


@pytest.mark.parametrize("name", [one.name for one in MUTATIONS if one.mode in {"static", "upgrade"}])
def test_a_registry_that_holds_the_good_release_refuses_the_mutation(examined, registry, name):
    with pytest.raises(PublishRefused) as refusal:
        publish(registry, examined.wheels[name], examined.evidence[name])
    assert BY_NAME[name].check in {problem.code for problem in refusal.value.problems}
    assert [release.version for release in RegistryFolder.open(registry).published()] == ["1.0.0"]


def test_the_good_node_itself_in_a_later_release_is_no_mutation(examined, tmp_path):
    """With the same manifest, and with one that says more in the way that its new version tells."""
    previous = Wheel(examined.wheels[GOOD_ONE])
    same = make_wheel(tmp_path, version="1.0.1")
    told = manifest_text(version="1.0.1", description="Brightens a picture.")
    other = make_wheel(tmp_path, version="1.0.2", files={"tyqi_node_good/brighten.node.yaml": told})
    for wheel in (same, other):
        assert {result.outcome for result in version_results(Wheel(wheel), previous)} == {"passed"}
