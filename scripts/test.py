"""Everything that must pass before a change is merged: ``python3 scripts/test.py [PYTEST ARGUMENT]...``.

Static checks first, then all tests of the core and of the plugins in one pytest run. Arguments go to pytest: with
``-k scheduler`` only those tests run.
"""

from __future__ import annotations

import sys

import _env
import lint

if __name__ == "__main__":
    _env.ensure("lint", "test")
    failed = lint.failing()
    _env.say("pytest")
    status = _env.run(_env.tool("python"), "-m", "pytest", *sys.argv[1:])
    if failed:
        print(f"failed before the tests: {', '.join(failed)}", file=sys.stderr)
    raise SystemExit(status or bool(failed))
