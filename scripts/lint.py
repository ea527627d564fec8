"""All static checks, each run to its end: ``python3 scripts/lint.py``."""

from __future__ import annotations

import _env


def checks() -> dict[str, list[str]]:
    """Name -> command of each static check."""
    python = _env.tool("python")
    packages = sorted(str(path.parent) for path in _env.ROOT.glob("plugins/*/tyqi_node_*/__init__.py"))
    commands = {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy"],
        "lint-imports": [_env.tool("lint-imports")],
    }
    if packages:
        commands["mypy of the plugins"] = [python, "-m", "mypy", *packages]
    return commands


def failing() -> list[str]:
    """Run every check; the names of those that found something."""
    failed = []
    for name, command in checks().items():
        _env.say(name)
        if _env.run(*command):
            failed.append(name)
    return failed


if __name__ == "__main__":
    _env.ensure("lint")
    found = failing()
    raise SystemExit(f"failed: {', '.join(found)}" if found else 0)
