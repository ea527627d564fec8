"""What happens to a good node when its author slips is told by the right check, before it is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from animals import BY_NAME as ANIMALS
from animals import GOOD, Animal
from examining import Examined, examine
from made_wheels import make_wheel, manifest_text
from mutations import BY_NAME, MUTATIONS

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.versions import version_results
from tyqi_core.errors import PublishRefused
from tyqi_core.registry.folder import RegistryFolder
from tyqi_core.registry.publishing import publish
from zoo_page import mutations_table

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"
SOUND = Animal("sound", "nothing", "", "whole", named=GOOD)
ACTIVE, NEAR = replace(ANIMALS["writes"], mode="whole"), ANIMALS["goood"]
BELOW_BRONZE = {"D02", "T04"}
"""Checks of the silver tier: without them a node is published, and called bronze."""


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    return examine([*MUTATIONS, NEAR, ACTIVE, SOUND], tmp_path_factory.mktemp("mutations"))


@pytest.fixture(scope="module")
def registry(examined: Examined, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that holds the good package."""
    root = tmp_path_factory.mktemp("registry")
    publish(root, examined.wheels[SOUND.name], examined.evidence[SOUND.name])
    return root


def test_the_good_package_fails_nothing_and_is_gold(examined):
    assert examined.ended(SOUND.name, "failed") == set()
    assert examined.evidence[SOUND.name].tier == "gold"


def test_there_are_ten_and_more():
    assert len(MUTATIONS) >= 10


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutation_fails_by_the_right_check_and_by_no_other(examined, name):
    failed = examined.ended(name, "failed")
    assert BY_NAME[name].check in failed
    assert failed <= {BY_NAME[name].check} | BY_NAME[name].also


@pytest.mark.parametrize("name", [one.name for one in MUTATIONS if one.check not in BELOW_BRONZE])
def test_a_registry_that_holds_the_good_release_refuses_the_mutation(examined, registry, name):
    with pytest.raises(PublishRefused) as refusal:
        publish(registry, examined.wheels[name], examined.evidence[name])
    assert {problem.code for problem in refusal.value.problems} & ({BY_NAME[name].check} | BY_NAME[name].also)
    assert [release.version for release in RegistryFolder.open(registry).published()] == ["1.0.0"]


def test_a_registry_refuses_a_name_one_letter_off_a_published_one(examined, registry):
    with pytest.raises(PublishRefused) as refusal:
        publish(registry, examined.wheels[NEAR.name], examined.evidence[NEAR.name])
    assert "M04" in {problem.code for problem in refusal.value.problems}


def test_a_script_in_a_readme_is_shown_to_nobody(examined, tmp_path):
    publish(tmp_path, examined.wheels[ACTIVE.name], examined.evidence[ACTIVE.name])
    pages = [page.read_text(encoding="utf-8") for page in tmp_path.rglob("*") if page.suffix in {".html", ".json"}]
    readmes = [page for page in pages if "tyqi nodes run writes.brighten" in page]
    assert readmes
    assert [page for page in readmes if "alert(" in page] == []


def test_the_page_of_the_zoo_tells_what_happens(examined):
    assert mutations_table(examined) in PAGE.read_text(encoding="utf-8")


def test_the_good_node_itself_in_a_later_release_is_no_mutation(examined, tmp_path):
    """With the same manifest, and with one that says more in the way that its new version tells."""
    previous = Wheel(examined.wheels[SOUND.name])
    same = make_wheel(tmp_path, version="1.0.1")
    told = manifest_text(version="1.0.1", description="Brightens a picture.")
    other = make_wheel(tmp_path, version="1.0.2", files={"tyqi_node_good/brighten.node.yaml": told})
    for wheel in (same, other):
        assert {result.outcome for result in version_results(Wheel(wheel), previous)} == {"passed"}
