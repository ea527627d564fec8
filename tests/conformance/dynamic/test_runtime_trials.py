"""Trials of a node in the runtimes, on nodes that live in this process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.conformance import runtime_trials
from tyqi_core.conformance.bench import Bench
from tyqi_core.conformance.evidence import Finding
from tyqi_core.node import Node

if TYPE_CHECKING:
    import pytest

MANIFEST = """\
tyqi_node: 1
name: slow
version: 1.0.0
title: Slow
description: Takes its time.
category: utility
licence: Apache-2.0
author: Test
requires_tyqi: ">=0.1,<1"
inputs: {n: {type: json, schema: {type: integer}, description: A number}}
outputs: {n: {type: json, schema: {type: integer}, description: The same}}
"""


class Slow(Node):
    def process(self, inputs: Any, ctx: Any) -> Any:
        time.sleep(0.002)
        return {"n": inputs["n"]}


def test_a_node_that_is_too_slow_for_a_thousand_calls_has_proved_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest.parse(
        MANIFEST,
        "slow.node.yaml",
        namespace="trial",
        local_id="slow",
        entry_point="x:Slow",
        distribution="tyqi-node-trial",
        distribution_version="1.0.0",
    )
    monkeypatch.setattr(runtime_trials, "CALLING_S", 1.0)
    bench = Bench(Catalog.of(LocalNode(manifest, Slow)), manifest)
    told = [str(one) for one in runtime_trials.keeps_its_size(bench) if isinstance(one, Finding)]
    assert [text for text in told if "1000 calls at 0.0" in text]
