"""The node of this plugin: a thin shell around the features and the classifier."""

from __future__ import annotations

from tyqi_core.node import Context, Inputs, Node, Outcome
from tyqi_node_surface.classifier import decide, shipped
from tyqi_node_surface.features import describe


class Triage(Node):
    """``surface.triage``: crack, spall or clean."""

    def setup(self, ctx: Context) -> None:
        """Read the shipped weights."""
        self.classifier = shipped()

    def process(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Judge one picture; ``score`` is the probability of the class chosen."""
        chances = self.classifier.probabilities(describe(inputs["image"]))
        chosen = decide(chances, ctx.params["min_clean"])
        return Outcome(chosen, {"score": chances[chosen]})
