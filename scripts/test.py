"""Everything that must pass before a change is merged: ``python3 scripts/test.py [PYTEST ARGUMENT]...``.

Static checks first, then all tests of the core and of the plugins in one pytest run: files side by side, since most of
them wait for servers and processes. Arguments go to pytest: with ``-k scheduler`` only those tests run, with ``-n 0``
all in one process.
"""

from __future__ import annotations

import os
import sys

import _env
import lint

SIDE_BY_SIDE = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile", "--no-loadscope-reorder")

if __name__ == "__main__":
    _env.ensure("lint", "test")
    failed = lint.failing()
    _env.say("pytest")
    status = _env.run(_env.tool("python"), "-m", "pytest", *SIDE_BY_SIDE, *sys.argv[1:])
    if failed:
        print(f"failed before the tests: {', '.join(failed)}", file=sys.stderr)
    raise SystemExit(status or bool(failed))
