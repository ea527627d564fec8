"""Bring all Python files into the project's form and mend what ruff can mend: ``python3 scripts/format.py``."""

from __future__ import annotations

import _env

if __name__ == "__main__":
    _env.ensure("lint")
    fixed = _env.run(_env.tool("python"), "-m", "ruff", "check", "--fix", "--quiet", ".")
    raise SystemExit(_env.run(_env.tool("python"), "-m", "ruff", "format", ".") or fixed)
