"""Write the page of the zoo, ``docs/zoo.md``, from what the conformance kit says: ``python3 scripts/zoo_page.py``."""

from __future__ import annotations

import _env


def main() -> int:
    """Examine all animals and mutations anew; tests compare the page."""
    _env.ensure()
    program = _env.ROOT / "tests" / "zoo" / "zoo_page.py"
    return _env.run(_env.tool("python"), str(program), str(_env.ROOT / "docs" / "zoo.md"))


if __name__ == "__main__":
    raise SystemExit(main())
