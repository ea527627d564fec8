r"""Set up, inspect the example's pictures and print where the report is: ``python3 scripts/demo.py``.

The same three commands by hand, once ``.venv`` is active::

    python examples/facade-inspection/make_pictures.py examples/facade-inspection/pictures
    tyqi run examples/facade-inspection/project.yaml \
        --inputs-dir examples/facade-inspection/pictures --out out/facade-inspection
    # then open out/facade-inspection/index.html
"""

from __future__ import annotations

import _env

EXAMPLE = _env.ROOT / "examples" / "facade-inspection"
OUT = _env.ROOT / "out" / "facade-inspection"


def main() -> int:
    """Run the example; its last line on standard output is the report's path, which ``tyqi run`` prints."""
    _env.ensure()
    pictures, project = EXAMPLE / "pictures", EXAMPLE / "project.yaml"
    _env.say("drawing the pictures")
    if status := _env.run(_env.tool("python"), str(EXAMPLE / "make_pictures.py"), str(pictures)):
        return status
    _env.say("inspecting them")
    command = [_env.tool("tyqi"), "run", str(project), "--inputs-dir", str(pictures), "--out", str(OUT)]
    return _env.run(*command)


if __name__ == "__main__":
    raise SystemExit(main())
