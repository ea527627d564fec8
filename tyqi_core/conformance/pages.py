"""The documentation of the checks, made of the checks: one page each, and a list of all.

``python -m tyqi_core.conformance.pages FOLDER`` writes them; ``scripts/check_pages.py`` does so for ``docs/checks``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from tyqi_core.conformance.checks import CHECKS, Check, Mode
from tyqi_core.conformance.run import in_order

INDEX: Final = "README.md"
_MARK: Final = "@check("
_HOW: Final[Mapping[Mode, str]] = {
    "static": "reads the wheel; none of its code runs",
    "probe": "imports the wheel in a process of its own, in a fresh environment",
    "run": "executes the wheel's nodes, in a fresh environment",
}
_PLACES: Final[Mapping[str, str]] = {
    "M": "the manifests",
    "P": "the package",
    "I": "the import",
    "T": "the contract of inputs and outputs",
    "R": "the runtime",
    "V": "versions",
    "D": "what people read",
    "S": "safety",
    "U": "installing and removing",
}


def pages() -> Mapping[str, str]:
    """File name -> content, of every page."""
    _load_all()
    halves: dict[str, list[Check]] = {}
    for check in sorted(in_order(CHECKS.values()), key=lambda one: ("".join(_PLACES).find(one.id[0]), one.id)):
        halves.setdefault(check.id, []).append(check)
    return {INDEX: _index(halves), **{f"{id_}.md": _page(id_, checks) for id_, checks in halves.items()}}


def write_pages(folder: Path) -> None:
    """Write all pages, and remove those of checks that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


def _load_all() -> None:
    """Import every module of this package that holds checks, those of publishing too."""
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if f"\n{_MARK}" in file.read_text(encoding="utf-8"):
            import_module(f"tyqi_core.conformance.{file.stem}")


def _index(halves: Mapping[str, Sequence[Check]]) -> str:
    rows = [
        f"| [{id_}]({id_}.md) | {_modes(checks)} | {checks[0].tier} | {_title(checks)} |"
        for id_, checks in halves.items()
    ]
    themes = ", ".join(
        f"{letter} {theme}" for letter, theme in _PLACES.items() if any(id_[0] == letter for id_ in halves)
    )
    return "\n".join(
        [
            "# Checks",
            "",
            "Made by `python3 scripts/check_pages.py` of the checks themselves. What tiers and evidence are:",
            f"[conformance.md](../conformance.md). The letters: {themes}.",
            "",
            "| check | mode | tier | what holds of a wheel that passes |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _page(id_: str, checks: Sequence[Check]) -> str:
    ways = "; ".join(f"`{check.mode}` ({_HOW[check.mode]})" for check in checks)
    return "\n".join(
        [
            f"# {id_}: {_title(checks)}",
            "",
            f"Mode: {ways}. Needed for: {checks[0].tier}. It is about {_PLACES.get(id_[0], 'the wheel')}.",
            "",
            "## Why",
            *_unlike(check.reason for check in checks),
            "",
            "## What to do",
            *_unlike(check.remedy for check in checks),
            "",
            *_reproduce(checks),
            "",
            "[All checks](README.md), [tiers and evidence](../conformance.md).",
            "",
        ]
    )


def _reproduce(checks: Sequence[Check]) -> list[str]:
    if checks[0].id[0] == "V":
        return [
            "## How to reproduce",
            "`tyqi registry publish WHEEL` compares with the last release, and refuses what fails.",
        ]
    modes = " ".join(f"--mode {check.mode}" for check in checks)
    command = f"tyqi conform dist/tyqi_node_NAME-1.0.0-py3-none-any.whl {modes}"
    return ["## How to reproduce", "```sh", command, "```"]


def _modes(checks: Sequence[Check]) -> str:
    return ", ".join(check.mode for check in checks)


def _title(checks: Sequence[Check]) -> str:
    return checks[0].title.rstrip(".")


def _unlike(texts: Iterable[str]) -> list[str]:
    """The texts, each once, as paragraphs."""
    return "\n\n".join(dict.fromkeys(texts)).split("\n")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
