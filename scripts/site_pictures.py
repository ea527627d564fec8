"""Take the pictures of docs/registry-site.md: ``.venv/bin/python scripts/site_pictures.py [REGISTRY]``.

A registry's site (default: ``registry/``, after ``scripts/registry.py``) is opened in the machine's Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

import _env

PICTURES = _env.ROOT / "docs" / "images"
LIST, NODE = "index.html", "nodes/crack.segment.html"
SHOTS = {
    "registry-list-light": (LIST, "light", (1200, 760)),
    "registry-list-dark": (f"{LIST}#input=image&tag=crack", "dark", (1200, 620)),
    "registry-node-light": (NODE, "light", (1200, 980)),
    "registry-node-dark": (f"{NODE}#example", "dark", (1200, 860)),
}


def main(registry: Path) -> None:
    """Write one PNG a shot, in few colours, so that they stay small."""
    PICTURES.mkdir(exist_ok=True)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        for name, (page, scheme, (width, height)) in SHOTS.items():
            tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
            tab.goto(f"{(registry / LIST).absolute().as_uri().removesuffix(LIST)}{page}")
            tab.screenshot(path=PICTURES / f"{name}.png")
            reduce_colours(PICTURES / f"{name}.png")
            tab.close()
        browser.close()


def reduce_colours(path: Path) -> None:
    """A picture of a page needs no more than 256 colours."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _env.ROOT / "registry")
