"""How long a registry of a thousand nodes takes: to build, to search, to list what is installed.

A thousand packages of one node each are generated and put into a folder as publishing would leave them. Building makes
everything that is made of them: index, catalogue and website. What is installed is measured as in catalog_load.py.

    python benchmarks/registry.py --quick
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from _measure import REPOSITORY, Case, Clocks, Size, below, interleaved, main, pick, process, say, scaled
from catalog_load import LOAD, SETTLED_S, _load
from generate_plugins import MANIFEST, MODULE, generate

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.evidence import Evidence, Result
from tyqi_core.conformance.run import checks_of
from tyqi_core.protocol.ports import PortType
from tyqi_core.registry import layout
from tyqi_core.registry.building import build
from tyqi_core.registry.catalogue import Catalogue
from tyqi_core.registry.folder import RegistryFolder
from tyqi_core.registry.pages import write_site
from tyqi_core.registry.reading import open_registry
from tyqi_core.registry.searching import Finder, Query

HUNDRED_S = 5.0
AGAIN_S = 2.0
SEARCH_MS = 10.0
OPEN_MS = 500.0
INSTALLED_MS = 50.0
"""Warm, for a thousand."""
WORDS = ("crack", "rust", "spall", "rail", "blade", "weld", "bolt", "joint", "paint", "leak")
IMAGE, MASK = PortType("image"), PortType("mask")
QUERIES = {
    "a word": Query(words=["crack"]),
    "two words, device and tier": Query(words=["rust", "generated"], device="cpu", tier="silver"),
    "what takes an image and gives an image": Query(inputs=[IMAGE], outputs=[IMAGE]),
    "what can follow an image and a mask": Query(after=[IMAGE, MASK]),
    "everything": Query(),
}


def cases(size: Size) -> list[Case]:
    count = pick(size, full=1000, quick=1000, tiny=5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"{count:,} packages are generated")
        root = published(folder / "registry", count)
        say("building")
        found = built(root, count, pick(size, full=5, quick=2, tiny=1))
        say("searching")
        found += searched(root, pick(size, full=300, quick=60, tiny=3))
        say("installed")
        return found + installed(folder, count, size)


def published(root: Path, count: int) -> Path:
    """A registry's folder with ``count`` releases, of which nothing is built yet."""
    folder = RegistryFolder.create(root)
    wheels = root.parent / "wheels"
    wheels.mkdir()
    results = [Result(check.id, check.tier, "passed") for check in checks_of()]
    for number in range(count):
        wheel = Wheel(_wheel(wheels, number))
        about = (wheel.path.name, wheel.sha256, wheel.name, wheel.version)
        folder.add(wheel, Evidence(*about, kit="0.1.0", python="3.11.0", results=results), "benchmark")
        wheel.path.unlink()
    return root


def _wheel(folder: Path, number: int) -> Path:
    word, package = WORDS[number % len(WORDS)], f"tyqi_node_generated_{number:04}"
    manifest = MANIFEST.format(name="node0", version="1.0.0").replace("Generated node", f"Generated {word} node")
    metadata = (
        f"Metadata-Version: 2.4\nName: {package.replace('_', '-')}\nVersion: 1.0.0\nLicense-Expression: Apache-2.0\n"
    )
    readme = f"Description-Content-Type: text/markdown\n\n# A node for {word}\n\n" + "It was generated. " * 50
    info = f"{package}-1.0.0.dist-info"
    path = folder / f"{package}-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{package}/__init__.py", "")
        archive.writestr(f"{package}/nodes.py", MODULE)
        archive.writestr(f"{package}/node0.node.yaml", manifest)
        archive.writestr(f"{info}/METADATA", metadata + readme)
        archive.writestr(f"{info}/entry_points.txt", f"[tyqi.nodes]\nnode0 = {package}.nodes:Generated\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


# ------------------------------------------------------------------------------------------------------ building


def built(root: Path, count: int, repetitions: int) -> list[Case]:
    """From nothing, again, and the website alone."""
    anew = _timed(lambda: build(root), repetitions, before=lambda: _forget(root))
    again = _timed(lambda: build(root), repetitions)
    catalogue = build(root).catalogue
    if len(catalogue.releases) != count:
        raise RuntimeError(f"{len(catalogue.releases)} of {count} releases were built")
    site = _timed(lambda: write_site(root, catalogue), repetitions, before=lambda: _forget_pages(root))
    name, hundreds = f"{count:,} nodes", max(1.0, count / 100)
    return [
        *_both(f"{name}: building everything", "s a hundred", anew, HUNDRED_S, 1 / hundreds),
        *_both(f"{name}: of that the website", "s a hundred", site, HUNDRED_S / 2, 1 / hundreds),
        *_both(f"{name}: building again, nothing has changed", "s", again, AGAIN_S, 1),
    ]


def _timed(call: Callable[[], object], repetitions: int, before: Callable[[], object] = lambda: None) -> Clocks:
    """Both clocks of some calls; ``before`` each, something unmeasured."""
    clocks = Clocks({"ours": []}, {"ours": []})
    for _ in range(repetitions):
        before()
        begun, used = time.perf_counter(), time.process_time()
        call()
        clocks.cpu["ours"].append(time.process_time() - used)
        clocks.wall["ours"].append(time.perf_counter() - begun)
    return clocks


def _both(name: str, unit: str, clocks: Clocks, limit: float, factor: float) -> list[Case]:
    """A case by each clock; the factor makes the unit of seconds."""
    pairs = {name: clocks.wall, f"{name}, processor time": clocks.cpu}
    return [_case(said, unit, scaled(samples, factor)["ours"], limit) for said, samples in pairs.items()]


def _forget(root: Path) -> None:
    """Remove whatever is made of the releases."""
    made = (layout.LISTING, f"*{layout.METADATA_SUFFIX}")
    for path in (path for pattern in made for path in (root / layout.PACKAGES).glob(f"*/*/{pattern}")):
        path.unlink()
    shutil.rmtree(root / layout.SIMPLE, ignore_errors=True)
    (root / layout.CATALOGUE).unlink(missing_ok=True)
    _forget_pages(root)


def _forget_pages(root: Path) -> None:
    for name in ("nodes", "site"):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("index.html", "catalogue.js"):
        (root / name).unlink(missing_ok=True)


# ----------------------------------------------------------------------------------------------------- searching


def searched(root: Path, repetitions: int) -> list[Case]:
    """What a search takes in a catalogue that was read, and what reading it takes."""
    finder = Finder(_catalogue(root))
    found = [case for name, query in QUERIES.items() for case in _search(finder, name, query, repetitions)]
    opened = interleaved({"ours": lambda: Finder(_catalogue(root))}, max(3, repetitions // 10))
    return [*found, *_both("reading the catalogue before the first search", "ms", opened, OPEN_MS, 1000)]


def _search(finder: Finder, name: str, query: Query, repetitions: int) -> list[Case]:
    if not finder.find(query):
        raise RuntimeError(f"the search for {name} finds nothing")
    clocks = interleaved({"ours": lambda: finder.find(query)}, repetitions)
    return _both(f"search: {name}", "ms", clocks, SEARCH_MS, 1000)


def _catalogue(root: Path) -> Catalogue:
    return open_registry(str(root)).catalogue()


# ----------------------------------------------------------------------------------------------------- installed


def installed(folder: Path, count: int, size: Size) -> list[Case]:
    """The catalog of an environment in which all of them are installed, warm."""
    site, cache = folder / "site", folder / "cache"
    site.mkdir()
    generate(site, count)
    environment = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(site)]), "TYQI_CACHE": str(cache)}
    script = folder / "load.py"
    script.write_text(LOAD, encoding="utf-8")
    arguments = ["-P", str(script)]
    process(arguments, environment)
    time.sleep(SETTLED_S)
    process(arguments, environment)
    loads = _load(arguments, pick(size, full=50, quick=15, tiny=2), environment, count)
    name = f"{count:,} installed, warm"
    return [
        _case(f"{name}: catalog load", "ms", loads.wall, INSTALLED_MS),
        _case(f"{name}: catalog load, processor time", "ms", loads.cpu, INSTALLED_MS),
    ]


def _case(name: str, unit: str, values: Sequence[float], limit: float) -> Case:
    return Case(name, unit, {"ours": values}, f"median under {limit:g} {unit}", below(limit))


if __name__ == "__main__":
    main(__doc__, cases)
