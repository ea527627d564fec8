"""Make ``.venv`` with the core, all plugins and the tools for tests and checks: ``python3 scripts/setup.py``."""

from __future__ import annotations

import _env

if __name__ == "__main__":
    _env.ensure("lint", "test")
    _env.say(f"ready: {_env.tool('python')}")
