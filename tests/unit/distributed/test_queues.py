from __future__ import annotations

import json
import re

import pytest

from tyqi_core.catalog.manifest import Resources, queue_of
from tyqi_core.errors import UsageError
from tyqi_core.resources import data_folder
from tyqi_core.runtime.distributed.queues import CLASSES, QUEUES, check_queue, queue_class

GOOD = [*CLASSES, *(f"{name}.{number}" for name in CLASSES for number in (1, 2, 10))]
BAD = [
    "",
    "cpu",
    "cpu.shrot",
    "cpu.short.",
    "cpu.short.x",
    "CPU.short",
    "cpu.short.1.2",
    " io",
    "io\n",
    "env",
    "env.",
    "a" * 999,
]


@pytest.mark.parametrize("name", GOOD)
def test_classes_with_or_without_a_number_are_queue_names(name: str):
    assert check_queue(name) == name
    assert queue_class(name) in CLASSES
    assert name.startswith(queue_class(name))


def test_an_isolated_environment_has_a_private_queue():
    assert queue_class("env.3f9a0c") == "env"


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused(name: str):
    with pytest.raises(UsageError, match="BAD_QUEUE"):
        check_queue(name)


def test_the_refusal_tells_the_nearest_name():
    with pytest.raises(UsageError, match=r"Did you mean 'gpu\.long'"):
        check_queue("gpu.lnog")


def test_projects_accept_the_same_names_but_private_ones():
    schema = json.loads((data_folder("schemas") / "project.schema.json").read_text(encoding="utf-8"))
    pattern = re.compile(schema["definitions"]["queue"]["pattern"].removeprefix("^").removesuffix("$"))
    assert all(pattern.fullmatch(name) for name in GOOD)
    assert not any(pattern.fullmatch(name) for name in BAD)


@pytest.mark.parametrize("pool", ["", "io"])
@pytest.mark.parametrize("duration", ["short", "long", "heavy"])
@pytest.mark.parametrize("device", ["cpu", "gpu", "any"])
def test_every_manifest_leads_to_one_of_the_queues(device: str, duration: str, pool: str):
    assert queue_of(Resources(device=device, duration=duration, pool=pool)) in QUEUES
