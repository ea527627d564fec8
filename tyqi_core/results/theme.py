"""The look of a drawing: colours for light and dark, and the signs of the statuses."""

from __future__ import annotations

from tyqi_core.results.svg import FACES

_LIGHT = {
    "ground": "#ffffff",
    "box": "#ffffff",
    "frame": "#f3f6fa",
    "edge": "#8a96a6",
    "ink": "#17202c",
    "soft": "#526071",
    "faint": "#b3bcc8",
    "accent": "#1f5fbf",
    "completed": "#167a46",
    "failed": "#c02d24",
    "skipped": "#8a6200",
}
_DARK = {
    "ground": "#12161c",
    "box": "#1b2129",
    "frame": "#171c24",
    "edge": "#6f7c8d",
    "ink": "#e8edf4",
    "soft": "#a5b1c0",
    "faint": "#3f4a58",
    "accent": "#6ea8ff",
    "completed": "#4cc38a",
    "failed": "#ff7b72",
    "skipped": "#e0b252",
}


def _variables(colours: dict[str, str]) -> str:
    return ".tyqi-plan{" + "".join(f"--{name}:{value};" for name, value in colours.items()) + "}"


_RULES = """
text{fill:var(--ink);font-family:FACES}
.ground{fill:var(--ground)}
.name{font-size:13px;font-weight:600}
.small,.label{font-size:11px;fill:var(--soft)}
.label{fill:var(--ink);font-weight:600}
.box,.pill{fill:var(--box);stroke:var(--edge);stroke-width:1.3}
.box.completed{stroke:var(--completed);stroke-width:2}
.box.failed{stroke:var(--failed);stroke-width:2.4}
.box.skipped{stroke:var(--skipped);stroke-width:1.6;stroke-dasharray:6 3}
.box.running{stroke:var(--accent);stroke-width:2}
.box.idle{stroke:var(--faint);stroke-dasharray:3 4}
.small.completed{fill:var(--completed)}
.small.failed{fill:var(--failed);font-weight:600}
.small.skipped{fill:var(--skipped)}
.frame{fill:var(--frame);stroke:var(--edge);stroke-width:1}
.frame.error{stroke:var(--failed);stroke-dasharray:7 4}
.frame.null{stroke-dasharray:3 4}
.frame.idle{stroke:var(--faint);stroke-dasharray:3 4}
.line{fill:none;stroke:var(--edge);stroke-width:1.5}
.line.on{stroke:var(--accent);stroke-width:3}
.line.off{stroke:var(--faint);stroke-dasharray:3 4}
.tip{fill:var(--edge)}
.tip.on{fill:var(--accent)}
.tip.off{fill:var(--faint)}
.sign{stroke:var(--box);stroke-width:1.8;fill:none;stroke-linecap:round;stroke-linejoin:round}
.disc.completed{fill:var(--completed)}
.disc.failed{fill:var(--failed)}
.disc.skipped{fill:var(--skipped)}
.disc.running{fill:var(--accent)}
"""


def _style() -> str:
    rules = _RULES.replace("FACES", FACES).strip().splitlines()
    # Every selector is bound to the drawing, because a page's own style and the drawing's share one document.
    bound = [",".join(f".tyqi-plan {part}" for part in rule.split("{")[0].split(",")) for rule in rules]
    bodies = [rule.split("{", 1)[1] for rule in rules]
    rules = [f"{selector}{{{body}" for selector, body in zip(bound, bodies, strict=True)]
    return _variables(_LIGHT) + f"@media(prefers-color-scheme:dark){{{_variables(_DARK)}}}" + "".join(rules)


STYLE = _style()
"""The style sheet of every drawing."""


def _glyph(status: str, sign: str) -> str:
    return f'<circle class="disc {status}" r="7"/><path class="sign" d="{sign}"/>'


GLYPHS = {
    "completed": _glyph("completed", "M-3.2 .3l2.2 2.4 4.2 -5"),
    "failed": _glyph("failed", "M-2.7 -2.7l5.4 5.4M2.7 -2.7l-5.4 5.4"),
    "skipped": _glyph("skipped", "M-3 0h6"),
    "running": _glyph("running", "M-1.8 -3l4.4 3l-4.4 3z"),
}
"""Status -> a sign in a disc of radius 7 around 0, 0."""
