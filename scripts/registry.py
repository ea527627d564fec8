"""Build the wheels of all plugins and publish them in ``registry/``: ``python3 scripts/registry.py [--fresh]``.

What is published already, in the same version, stays as it is; ``--fresh`` empties the folder first.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import _env

REGISTRY = _env.ROOT / "registry"
KEPT = {".gitignore", "README.md", "registry.json"}


def empty() -> None:
    """Remove all that was made in the registry's folder."""
    for path in REGISTRY.iterdir():
        if path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def published(wheel: Path) -> bool:
    """Whether this version of this package is in the registry."""
    name, version = wheel.name.split("-")[:2]
    return (REGISTRY / "packages" / name.replace("_", "-") / version).is_dir()


def main(arguments: list[str]) -> int:
    """Publish all plugins; the exit status is 1 if one was refused (its reasons are printed)."""
    _env.ensure("test")
    if "--fresh" in arguments:
        empty()
    refused = 0
    with tempfile.TemporaryDirectory(prefix="tyqi-wheels-") as name:
        for plugin in _env.plugins():
            _env.say(plugin.name)
            folder = str(Path(name) / plugin.name)
            build = (_env.tool("python"), "-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
            if _env.run(*build, str(plugin)):
                raise SystemExit(f"{plugin.name} cannot be built, see above")
            (wheel,) = Path(folder).glob("*.whl")
            if not published(wheel):
                refused += _env.run(_env.tool("tyqi"), "registry", "publish", str(wheel), "--registry", str(REGISTRY))
    return bool(refused) or _env.run(_env.tool("tyqi"), "registry", "build", "--registry", str(REGISTRY))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
