"""An environment in which the whole zoo is installed beside a good package."""

from __future__ import annotations

from pathlib import Path

import pytest
from animals import ANIMALS, GOOD
from made_wheels import make_wheel, picture
from places import Place


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Animal -> its wheel; the good package's stands under its distribution's name."""
    folder = tmp_path_factory.mktemp("wheels")
    return {animal.name: animal.wheel(folder) for animal in ANIMALS} | {GOOD: make_wheel(folder, GOOD)}


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, Path]) -> Place:
    """All animals that pip installs, beside the good package, with a picture and a project of the good node."""
    place = Place.make(tmp_path_factory.mktemp("zoo"))
    answer = place.install(wheels[GOOD], *(wheels[animal.name] for animal in ANIMALS if animal.installable))
    assert answer.code == 0, answer.err
    (place.folder / "wall.png").write_bytes(picture())
    return place
