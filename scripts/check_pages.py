"""Write the pages of the conformance checks, ``docs/checks``, of the checks: ``python3 scripts/check_pages.py``."""

from __future__ import annotations

import _env


def main() -> int:
    """Make the pages anew; a test compares them with the checks."""
    _env.ensure()
    return _env.run(_env.tool("python"), "-m", "tyqi_core.conformance.pages", str(_env.ROOT / "docs" / "checks"))


if __name__ == "__main__":
    raise SystemExit(main())
