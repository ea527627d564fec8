"""The nodes of the package: thin shells around :mod:`.severity`, :mod:`.overlay` and :mod:`.page`."""

from __future__ import annotations

from tyqi_core.node import Context, Inputs, Node, Outputs
from tyqi_node_report import overlay, page, severity


class Severity(Node):
    """Measurements and score to a level 0 to 4."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Grade by the table of steps in the parameters."""
        params = ctx.params
        table = severity.rules(
            params["width_steps_mm"], params["width_steps_px"], params["area_steps"], params["count_steps"]
        )
        score = inputs["score"]
        if inputs["map"] is not None:
            score = max(score or 0.0, float(inputs["map"].max()))
        return {"severity": severity.grade(inputs["measurements"], score, table, params["score_steps"])}


class Annotate(Node):
    """The picture with outlines, heat and boxes."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Draw what is there; without any finding the picture comes back as it was."""
        drawn = overlay.annotated(
            inputs["image"],
            inputs["mask"],
            inputs["map"],
            inputs["detections"],
            level=ctx.params["level"],
            alpha=ctx.params["alpha"],
        )
        return {"image": drawn}


class Closeup(Node):
    """The worst place, enlarged."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Enlarge where the mask is widest."""
        params = ctx.params
        enlarged = overlay.closeup(
            inputs["image"],
            inputs["mask"],
            side=params["side"],
            output=params["output_size"],
            mm_per_px=params["mm_per_px"] or None,
        )
        return {"closeup": enlarged}


class Page(Node):
    """The report, for people as a page and for programs as JSON."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Write both from the same figures."""
        params = ctx.params
        findings = page.Findings(**{port: inputs[port] for port in page.PORTS})
        layout = page.Layout(params["title"], params["subtitle"], params["level"], params["max_pixels"])
        return {"page": page.render(findings, layout).encode(), "report": page.report(findings, layout)}
