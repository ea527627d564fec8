"""``docs/zoo.md``: what was seen of each animal and each mutation. ``python tests/zoo/zoo_page.py FILE`` writes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.append(str(Path(__file__).parents[1] / "support"))  # as a program it is started without pytest's paths

from animals import ANIMALS, Animal
from examining import Examined, examine
from mutations import MUTATIONS

import tyqi_core

HEAD = """\
# The zoo

Packages that misbehave, made and installed for real by `tests/zoo`. All of them at once are installed beside a good
package: its node is listed, its project runs, in process and on workers, and `tyqi doctor` ends with a report. The
conformance kit examines each of them in an environment of its own; afterwards no process, no temporary file and no
changed function is left.

The kit *detects*; it is no sandbox. What a package does to the process that runs it, a patched `json` for one, is
told before it is published and before it is installed. Who installs it all the same, and uses it, runs its code; an
environment and workers of its own (`tyqi install --isolated`) keep it from other nodes.

`python3 scripts/zoo_page.py` writes this page from what the kit says; tests compare it.

"""
BETWEEN = """
## Mutations of a good package

A sound release, 1.0.0, and what its author may spoil in the next one. What bronze needs is not
published; without what silver needs it is, and stays below silver.

"""
_DONE = {"bronze": "refused", "silver": "never silver", "warned": "told"}


def page(zoo: Examined, mutations: Examined) -> str:
    """The whole page."""
    return HEAD + animals_table(zoo) + BETWEEN + mutations_table(mutations)


def animals_table(found: Examined) -> str:
    """What is spoilt, what the kit says, and what happens where the animal is installed all the same."""
    rows = [(*_row(animal, found), _installed(animal)) for animal in ANIMALS]
    return _table(("node", "what is spoilt", "check", "what the kit says", "installed all the same"), rows)


def mutations_table(found: Examined) -> str:
    """What is spoilt, and what the kit says."""
    return _table(("what is spoilt", "check", "what the kit says"), [_row(one, found)[1:] for one in MUTATIONS])


def _row(animal: Animal, found: Examined) -> tuple[str, ...]:
    (result,) = [one for one in found.evidence[animal.name].results if one.check == animal.check]
    first = result.findings[0]
    place = f"{first.file}{f':{first.line}' if first.line else ''}: " if first.file else ""
    said = f"{place}{first.message}".replace(f" {tyqi_core.__version__}.", " older.")
    done = _DONE[result.tier if result.outcome == "failed" else result.outcome]
    check = f"[{animal.check}](checks/{animal.check}.md) {done}"
    return (f"`{animal.node}`", animal.spoilt, check, said)


def _installed(animal: Animal) -> str:
    if not animal.installable:
        return "pip refuses it"
    parts = [f"listed as broken: {animal.listed}"] if animal.listed else []
    parts += [f"`tyqi doctor`: {animal.probed}"] if animal.probed else []
    parts += [f"its task fails: {animal.fails}"] if animal.fails else []
    parts += [f"on workers: {animal.fails_on_workers}"] if animal.fails_on_workers not in {"", animal.fails} else []
    parts += [animal.runs] if animal.runs else []
    return "; ".join(parts) or "listed; its code runs where a project names it"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Examine everything, and write the page."""
    with TemporaryDirectory() as folder:
        zoo, mutations = examine(ANIMALS, Path(folder) / "zoo"), examine(MUTATIONS, Path(folder) / "mutations")
        Path(sys.argv[1]).write_text(page(zoo, mutations), encoding="utf-8")


if __name__ == "__main__":
    main()
