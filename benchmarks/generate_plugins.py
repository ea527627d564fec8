"""Fabricate installed plugins: distributions with metadata, a module and a manifest each, as pip would leave them.

    python benchmarks/generate_plugins.py FOLDER 100 [--nodes 1]

The folder can then be put on ``sys.path`` (``PYTHONPATH=FOLDER``). Nothing is built, so a hundred take a moment.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

MANIFEST = """\
tyqi_node: 1
name: {name}
version: {version}
title: Generated node {name}
description: >
  A node that was generated to measure how long catalogs take to load. It hands its picture on, and
  tells how bright it is on average.
category: utility
tags: [generated, benchmark]
licence: Apache-2.0
author: The TYQ-i core developers
requires_tyqi: ">=0.1"
inputs:
  image: {{type: image, description: "RGB picture"}}
  guide: {{type: mask, required: false, description: "where to look"}}
outputs:
  image: {{type: image, description: "the same picture"}}
  brightness: {{type: json, schema: {{type: number, minimum: 0, maximum: 255}}, description: "mean of all values"}}
params:
  gain: {{type: number, minimum: 0, maximum: 10, default: 1.0, description: "factor"}}
  model: {{type: string, default: "", setup: true, description: "file name"}}
resources: {{device: cpu, cores: 1, memory_mb: 100, duration: short}}
"""
MODULE = """\
from tyqi_core import Node


class Generated(Node):
    def process(self, inputs, ctx):
        image = inputs["image"]
        return {"image": image, "brightness": float(image.mean())}
"""


def install(
    site: Path,
    namespace: str,
    manifests: dict[str, str],
    *,
    module: str = MODULE,
    version: str = "1.0.0",
    distribution: str | None = None,
    listed: bool = True,
    classes: Mapping[str, str] | None = None,
) -> Path:
    """Write an installed distribution into ``site`` and return its package folder.

    Args:
        site: a folder of the search path.
        namespace: the node namespace; the package is called ``tyqi_node_<namespace>``.
        manifests: entry point name -> text of its manifest file.
        module: source of ``nodes.py``.
        version: of the distribution.
        distribution: its name, if it is not ``tyqi-node-<namespace>``.
        listed: whether RECORD names the manifests; editable installs do not.
        classes: entry point name -> class; those that are not named are ``Generated``.
    """
    name = distribution or f"tyqi-node-{namespace.replace('_', '-')}"
    package = site / f"tyqi_node_{namespace}"
    package.mkdir(parents=True, exist_ok=True)
    files = {"__init__.py": "", "nodes.py": module, **{f"{key}.node.yaml": text for key, text in manifests.items()}}
    for file, text in files.items():
        (package / file).write_text(text, encoding="utf-8")
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "INSTALLER").write_text("pip\n", encoding="utf-8")
    chosen = classes or {}
    entries = "".join(f"{key} = {package.name}.nodes:{chosen.get(key, 'Generated')}\n" for key in manifests)
    (info / "entry_points.txt").write_text(f"[tyqi.nodes]\n{entries}", encoding="utf-8")
    record = [f"{package.name}/{file},,\n" for file in files if listed or not file.endswith(".yaml")]
    (info / "RECORD").write_text("".join(record) + f"{info.name}/METADATA,,\n{info.name}/RECORD,,\n", encoding="utf-8")
    return package


def generate(site: Path, count: int, nodes: int = 1) -> None:
    """Install ``count`` plugins with ``nodes`` nodes each into ``site``."""
    for number in range(count):
        names = [f"node{index}" for index in range(nodes)]
        manifests = {name: MANIFEST.format(name=name, version="1.0.0") for name in names}
        install(site, f"generated_{number:04}", manifests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--nodes", type=int, default=1, help="nodes per plugin")
    arguments = parser.parse_args()
    generate(arguments.folder, arguments.count, arguments.nodes)
    print(f"{arguments.count} plugins in {arguments.folder}")


if __name__ == "__main__":
    main()
