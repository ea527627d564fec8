"""Dynamic batching: runs a second with a torch node that takes 16 items at once, against one item at a time.

Starts a redis-server, and worker processes that serve both nodes: the same small convolutional net with random weights
on pictures of 64x64. Both nodes take turns, with many runs in flight. On a GPU where torch sees one, else on the CPU.

    python benchmarks/batching.py --quick
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import generate_plugins
from _measure import REPOSITORY, Case, Size, main, pick, say
from settlement import server

sys.path.insert(0, str(REPOSITORY))

BATCH, SIDE, CHANNELS, LAYERS = 16, 64, 16, 8
PATIENCE_S = 300.0
MANIFEST = """\
tyqi_node: 1
name: {name}
version: 1.0.0
title: Small net, {name}
description: A small convolutional net with random weights, made to measure batching.
category: utility
licence: Apache-2.0
author: The TYQ-i core developers
requires_tyqi: ">=0.1"
inputs: {{image: {{type: image, description: "a picture of 64x64"}}}}
outputs: {{score: {{type: json, schema: {{type: number}}, description: "what the net says"}}}}
{batching}resources: {{device: any, cores: 1, memory_mb: 300, duration: short}}
idempotent: true
deterministic: true
"""
MODULE = f"""\
import numpy as np
import torch
from torch import nn

from tyqi_core import Node


class Generated(Node):
    def setup(self, ctx):
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, {CHANNELS}, 4, stride=4), nn.ReLU()]
        for _ in range({LAYERS}):
            layers += [nn.Conv2d({CHANNELS}, {CHANNELS}, 3, padding=1), nn.ReLU()]
        self.device = ctx.device
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear({CHANNELS}, 1))
        self.net = self.net.eval().to(self.device)

    def process_batch(self, items, ctxs):
        pictures = torch.from_numpy(np.stack([item["image"] for item in items])).to(self.device)
        with torch.inference_mode():
            scores = self.net(pictures.permute(0, 3, 1, 2).float() / 255)[:, 0].tolist()
        return [{{"score": score}} for score in scores]

    def process(self, inputs, ctx):
        return self.process_batch([inputs], [ctx])[0]
"""
PROJECT = """\
tyqi: 1
project: {name}
inputs: {{image: {{type: image}}}}
tasks:
  T: {{node: net.{name}, inputs: {{image: $input.image}}, queue: {queue}}}
outputs: {{score: T.score}}
"""
BATCHED, SINGLE = "batched", "single"


class Bench:
    """Workers on one store, and what is sent to them."""

    def __init__(self, url: str, folder: Path, device: str) -> None:
        from tyqi_core.client import Client  # noqa: PLC0415  (of the extra `workers`)
        from tyqi_core.settings import Settings  # noqa: PLC0415

        site, self._log = folder / "site", folder / "worker.log"
        limits = f"batching: {{max_batch: {BATCH}, max_wait_ms: 5}}\n"
        manifests = {
            BATCHED: MANIFEST.format(name=BATCHED, batching=limits),
            SINGLE: MANIFEST.format(name=SINGLE, batching=""),
        }
        generate_plugins.install(site, "net", manifests, module=MODULE)
        self._queue = "gpu.short" if device.startswith("cuda") else "cpu.short"
        self._settings = Settings(folder / "state", redis=url, broker=url[:-1] + "1")
        self._plans = _compiled(site, self._queue)
        self._pool = ("threads", "1") if device.startswith("cuda") else ("prefork", "2")
        path = os.pathsep.join(filter(None, (str(site), str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        self._variables = {"PYTHONPATH": path, "TYQI_REDIS": url, "TYQI_BROKER": self._settings.broker}
        self._variables |= {"TYQI_QUEUES": self._queue, "TYQI_CACHE": str(folder / "cache")}
        self._client = Client.connect(self._settings)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Workers run while within."""
        command = [sys.executable, "-m", "tyqi_core.worker", "-Q", self._queue, "-l", "WARNING"]
        command += ["-P", self._pool[0], "-c", self._pool[1]]
        with self._log.open("wb") as log:
            process = subprocess.Popen(command, env=os.environ | self._variables, stdout=log, stderr=log)
        try:
            yield
        finally:
            self._client.close()
            process.terminate()
            process.wait()

    def throughput(self, name: str, pictures: list[Any], in_flight: int) -> float:
        """Runs a second, with so many in flight all the time."""
        begun = time.perf_counter()
        waiting, left = [], iter(pictures)
        for picture in left:
            waiting.append(self._client.submit(self._plans[name], {"image": picture}))
            if len(waiting) == in_flight:
                break
        ended = 0
        while waiting:
            half = waiting[: max(1, len(waiting) // 2)]
            for run_id in half:
                if not list(self._client.wait_for([run_id], PATIENCE_S)):
                    raise RuntimeError(self._log.read_text(encoding="utf-8")[-2000:])
                self._client.forget(run_id)
            ended += len(half)
            del waiting[: len(half)]
            waiting += [
                self._client.submit(self._plans[name], {"image": one}) for _, one in zip(half, left, strict=False)
            ]
        return ended / (time.perf_counter() - begun)


def _compiled(site: Path, queue: str) -> Mapping[str, Any]:
    from tyqi_core.catalog.catalog import Catalog  # noqa: PLC0415
    from tyqi_core.workflow.compiler import compile_text  # noqa: PLC0415

    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    try:
        catalog = Catalog.load(cache=False)
        return {
            name: compile_text(PROJECT.format(name=name, queue=queue), f"{name}.yaml", catalog)
            for name in (BATCHED, SINGLE)
        }
    finally:
        sys.path.remove(str(site))


def cases(size: Size) -> list[Case]:
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415  (of the extra `torch`)

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    in_flight = pick(size, full=200, quick=200, tiny=8)
    runs, turns = pick(size, full=(2000, 5), quick=(600, 3), tiny=(16, 1))
    pictures = list(np.random.default_rng(0).integers(0, 255, (runs, SIDE, SIDE, 3), dtype=np.uint8))
    found: dict[str, list[float]] = {BATCHED: [], SINGLE: []}
    with tempfile.TemporaryDirectory() as folder, server() as url:
        bench = Bench(url, Path(folder), "cuda" if torch.cuda.is_available() else "cpu")
        with bench.working():
            for name in found:
                bench.throughput(name, pictures[:in_flight], in_flight)
            for turn in range(turns):
                for name, rates in found.items():
                    rates.append(bench.throughput(name, pictures, in_flight))
                    say(f"turn {turn + 1} of {turns}: {name}, {rates[-1]:.0f} runs/s")
    samples = {"ours": found[BATCHED], "one at a time": found[SINGLE]}
    name = f"net on {SIDE}x{SIDE}, max_batch {BATCH}, {in_flight} runs in flight, on {device}"
    return [Case(name, "runs/s", samples, "higher than one at a time", lambda _, ratio: ratio["one at a time"] > 1.0)]


if __name__ == "__main__":
    main(__doc__, cases)
