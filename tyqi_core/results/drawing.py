"""A plan as an SVG drawing: boxes for tasks, frames for what a branch or a foreach opens, arrows for what waits.

With a story the drawing shows what happened: the ways that were gone are thick, what was not reached is grey and
dashed, each box says in words and by a sign how its task ended, so that nothing hangs on colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tyqi_core.results import svg
from tyqi_core.results.layout import Layout, layered
from tyqi_core.results.mermaid import plan_mermaid
from tyqi_core.results.scene import Part, Place, Scope, scene
from tyqi_core.results.tally import Story, Tally, state_of, tally
from tyqi_core.results.theme import GLYPHS, STYLE
from tyqi_core.workflow.plan import Plan, PlanTask

__all__ = ["plan_mermaid", "plan_svg"]

GAP_X, GAP_Y = 22.0, 38.0
MARGIN = 16.0
NAME_SIZE, SMALL_SIZE = 13.0, 11.0
MAX_CELLS = 34
LABEL_CELLS = 44
PAD = 14.0
LABEL_HEIGHT = 28.0
MERGE_HEIGHT = 30.0
STACK = 5.0
"""How far the sheets behind a foreach frame stand out."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished piece of the drawing, its corner at 0, 0."""

    width: float
    height: float
    body: str


@dataclass(frozen=True, slots=True)
class Fan:
    """The frames that one task may open, side by side; ``doors`` are the middles of their upper edges."""

    picture: Picture
    doors: tuple[float, ...]
    place: Place


def plan_svg(plan: Plan, story: Story | None = None, *, stories: Sequence[Story] | None = None) -> str:
    """Draw a plan.

    Args:
        plan: what to draw.
        story: one finished run of it, task instance -> step; marks the path that was taken.
        stories: many runs of it instead; every way says how often it was gone.

    Returns:
        An SVG document. It is well-formed XML, holds no script and asks for nothing outside, follows the reader's
        light or dark setting, and may stand in an HTML page as it is.
    """
    told = [story] if story is not None else stories
    tallies = None if told is None else tally(told)
    pen = _Pen(many=story is None and told is not None)
    root = pen.root(plan, scene(plan, tallies))
    legend = _legend() if tallies is not None else Picture(0, 0, "")
    width = max(root.width, legend.width) + 2 * MARGIN
    height = root.height + 2 * MARGIN + (legend.height + MARGIN if legend.body else 0)
    drawn = svg.shifted(root.body, ((width - root.width) / 2, MARGIN))
    key = svg.shifted(legend.body, ((width - legend.width) / 2, root.height + 2 * MARGIN))
    name = svg.attribute(f"Plan of project {plan.project}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tyqi-plan" role="img" aria-label="{name}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
        f"<style>{STYLE}</style>{svg.rectangle((0, 0), (width, height), 'ground', 0)}{drawn}{key}</svg>\n"
    )


class _Pen:
    """Draws scopes; a scope is laid out from the finished pictures of what it holds."""

    def __init__(self, *, many: bool) -> None:
        self._many = many

    def root(self, plan: Plan, scope: Scope) -> Picture:
        """The root scope between a pill with the inputs and one with the outputs."""
        inputs = _pill(plan.project, "takes " + (", ".join(plan.inputs) or "nothing"))
        outputs = _pill("done", "gives " + (", ".join(plan.outputs) or "nothing"))
        return self.scope(scope, ends=(inputs, outputs))

    def scope(self, scope: Scope, ends: tuple[Picture, Picture] | None = None) -> Picture:
        """A scope: its tasks, what they open, and the arrows between them."""
        sheet = _Sheet()
        boxes = {place.task.id: sheet.add(_box(place, many=self._many)) for place in scope.places}
        exits = dict(boxes)
        for place in scope.places:
            if place.parts:
                fan = self._fan(place)
                exits[place.task.id] = sheet.add(fan.picture)
                sheet.fans[boxes[place.task.id], exits[place.task.id]] = fan
        for place in scope.places:
            for name in place.followers:
                sheet.lines[exits[place.task.id], boxes[name]] = _arrival(scope, name)
            for name in place.beside:
                sheet.lines[boxes[place.task.id], boxes[name]] = _arrival(scope, name)
        if ends:
            _tie_ends(sheet, scope, boxes, exits, ends)
        return sheet.drawn()

    def _fan(self, place: Place) -> Fan:
        frames = [self._frame(part) for part in place.parts]
        merging = bool(place.task.successors) or place.task.scope == ""
        tallest = max(frame.height for frame in frames)
        height = tallest + (MERGE_HEIGHT if merging else 0)
        width = sum(frame.width for frame in frames) + GAP_X * (len(frames) - 1)
        left, doors, lines, bodies = 0.0, [], [], []
        for frame, part in zip(frames, place.parts, strict=True):
            door = left + frame.width / 2
            doors.append(door)
            bodies.append(svg.shifted(frame.body, (left, 0)))
            if merging:
                style = _line_style(part.taken)
                lines.append(svg.elbow((door, frame.height), (width / 2, height), tallest + MERGE_HEIGHT / 2, style))
            left += frame.width + GAP_X
        body = "".join(sorted(lines, key=_thick_last)) + "".join(bodies)
        return Fan(Picture(width, height, body), tuple(doors), place)

    def _frame(self, part: Part) -> Picture:
        counted = part.taken is not None and (self._many or part.taken > 1)
        label = svg.fitted(part.label, LABEL_CELLS) + (f"  ×{part.taken}" if counted else "")
        if part.scope is None:
            inside = f"{part.head}: not drawn here" if part.head else "nothing to do"
            return _pill(label, inside, "frame idle" if part.taken == 0 else "frame null")
        inner = self.scope(part.scope)
        width = max(inner.width, svg.cells(label) * SMALL_SIZE * svg.LETTER + 8) + 2 * PAD
        height = inner.height + LABEL_HEIGHT + PAD
        style = f"frame {part.kind}" + (" idle" if part.taken == 0 else "")
        sheets = [(2 * STACK, 0.0), (STACK, STACK), (0.0, 2 * STACK)] if part.kind == "each" else [(0.0, 0.0)]
        margin = sheets[0][0]
        frames = "".join(svg.rectangle(corner, (width, height), style, 12) for corner in sheets)
        title = _tooltip(part.label) + svg.text(label, (PAD, margin + 19), "label")
        content = svg.shifted(inner.body, ((width - inner.width) / 2, margin + LABEL_HEIGHT))
        return Picture(width + margin, height + margin, f"<g>{frames}{title}</g>{content}")


class _Sheet:
    """What is collected before one scope is laid out: pictures by number, and lines between them."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.lines: dict[tuple[int, int], str] = {}
        self.fans: dict[tuple[int, int], Fan] = {}

    def add(self, picture: Picture) -> int:
        self.pictures.append(picture)
        return len(self.pictures) - 1

    def drawn(self) -> Picture:
        sizes = [(picture.width, picture.height) for picture in self.pictures]
        layout = layered(sizes, [*self.fans, *self.lines], GAP_X, GAP_Y)
        lines = [line for edge, fan in self.fans.items() for line in _doors(layout, edge, fan)]
        for edge, style in self.lines.items():
            route = layout.routes[edge]
            lines.append(svg.curve(route, style) + svg.tip(route[-1], style.replace("line", "tip")))
        boxes = [
            svg.shifted(picture.body, corner) for picture, corner in zip(self.pictures, layout.corners, strict=True)
        ]
        return Picture(layout.width, layout.height, "".join(sorted(lines, key=_thick_last) + boxes))


def _thick_last(line: str) -> bool:
    return ' on"' in line


def _doors(layout: Layout, edge: tuple[int, int], fan: Fan) -> list[str]:
    """The lines from a task down to each frame that it may open."""
    start, (left, top) = layout.routes[edge][0], layout.corners[edge[1]]
    lines = []
    for door, part in zip(fan.doors, fan.place.parts, strict=True):
        style, end = _line_style(part.taken), (left + door, top)
        lines.append(svg.elbow(start, end, top - GAP_Y / 2, style) + svg.tip(end, style.replace("line", "tip")))
    return lines


def _line_style(taken: int | None) -> str:
    return "line" if taken is None else "line on" if taken else "line off"


def _arrival(scope: Scope, name: str) -> str:
    place = next(place for place in scope.places if place.task.id == name)
    return {"plain": "line", "idle": "line off", "skipped": "line off"}.get(state_of(place.tally), "line on")


def _tie_ends(
    sheet: _Sheet, scope: Scope, boxes: dict[str, int], exits: dict[str, int], ends: tuple[Picture, Picture]
) -> None:
    start, end = (sheet.add(picture) for picture in ends)
    entered = {lower for _, lower in sheet.lines}
    for place in scope.places:
        if boxes[place.task.id] not in entered:
            sheet.lines[start, boxes[place.task.id]] = _arrival(scope, place.task.id)
        if not place.task.successors:
            sheet.lines[exits[place.task.id], end] = _arrival(scope, place.task.id)


def _box(place: Place, *, many: bool) -> Picture:
    """A task: its id and node, and how it ended."""
    task, state = place.task, state_of(place.tally)
    name, node = svg.fitted(task.id, MAX_CELLS), svg.fitted(f"{task.node.id} {task.node.version}", MAX_CELLS)
    told = svg.fitted(_told(place.tally, many=many), MAX_CELLS)
    side = 20.0 if place.decides else PAD
    widest = max(svg.cells(name) * NAME_SIZE * svg.LETTER + 22, _small(node), _small(told))
    width, height = widest + 2 * side, 66.0 if told else 50.0
    shape = svg.hexagon((width, height), f"box {state}", 12) if place.decides else _plain_box(width, height, state)
    lines = [svg.text(name, (side, 21), "name"), svg.text(node, (side, 38), "small")]
    if told:
        lines.append(svg.text(told, (side, 55), f"small {state}"))
    if state in GLYPHS:
        lines.append(svg.shifted(GLYPHS[state], (width - side - 6, 16)))
    return Picture(width, height, f'<g class="task">{_tooltip(_described(task))}{shape}{"".join(lines)}</g>')


def _plain_box(width: float, height: float, state: str) -> str:
    return svg.rectangle((0, 0), (width, height), f"box {state}")


def _small(line: str) -> float:
    return svg.cells(line) * SMALL_SIZE * svg.LETTER


def _told(tallied: Tally | None, *, many: bool) -> str:
    if tallied is None:
        return ""
    if not tallied.total:
        return "not reached"
    if tallied.total == 1 and not many:
        (status,) = tallied.statuses
        return status if status == "skipped" else f"{status}, {_milliseconds(tallied.duration_ms)}"
    return ", ".join(f"{count} {status}" for status, count in tallied.statuses.most_common())


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"  # noqa: PLR2004


def _described(task: PlanTask) -> str:
    parts = [f"{task.id}: {task.node.id} {task.node.version}", f"queue {task.queue}", f"on error: {task.on_error}"]
    if task.retries:
        parts.append(f"retries: {task.retries}")
    if task.timeout is not None:
        parts.append(f"timeout: {task.timeout:g} s")
    return ", ".join(parts)


def _tooltip(content: str) -> str:
    return f"<title>{svg.attribute(content)}</title>"


def _pill(title: str, line: str, style: str = "pill") -> Picture:
    title, line = svg.fitted(title, LABEL_CELLS + 8), svg.fitted(line, LABEL_CELLS)
    width, height = max(svg.cells(title) * NAME_SIZE * svg.LETTER, _small(line)) + 2 * 18, 44.0
    body = svg.rectangle((0, 0), (width, height), style, 22)
    body += svg.text(title, (width / 2, 19), "name", "middle") + svg.text(line, (width / 2, 34), "small", "middle")
    return Picture(width, height, f"<g>{body}</g>")


def _legend() -> Picture:
    left, parts = 0.0, []
    for word in ("completed", "failed", "skipped"):
        parts.append(svg.shifted(GLYPHS[word], (left + 7, 7)) + svg.text(word, (left + 20, 11), "small"))
        left += 20 + _small(word) + 22
    for style, word in (("line on", "taken"), ("line off", "not taken")):
        parts.append(f'<path class="{style}" d="M{left:.1f} 7h26"/>' + svg.text(word, (left + 33, 11), "small"))
        left += 33 + _small(word) + 22
    return Picture(left - 22, 14, "".join(parts))
