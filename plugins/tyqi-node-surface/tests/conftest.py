from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import yaml


@pytest.fixture
def defaults():
    """The parameters of a node as its manifest fills them in: ``defaults("triage", min_clean=0.9)``."""

    def of(manifest: str, **given: Any) -> dict[str, Any]:
        text = (files("tyqi_node_surface") / f"{manifest}.node.yaml").read_text(encoding="utf-8")
        declared = yaml.safe_load(text)["params"]
        return {name: schema["default"] for name, schema in declared.items()} | given

    return of


@pytest.fixture
def plaster():
    """A fine-grained light grey wall, 160 x 200, whose light falls off to the right."""
    rng = np.random.default_rng(3)
    light = 190 - 40 * np.linspace(0, 1, 200)[None, :] + rng.normal(0, 3, (160, 200))
    image = np.repeat(light[:, :, None], 3, axis=2).clip(0, 255).astype(np.uint8)
    image.setflags(write=False)
    return image
