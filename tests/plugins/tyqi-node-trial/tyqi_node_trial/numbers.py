"""Numbers, decisions and lists."""

from __future__ import annotations

from tyqi_core import Node, Outcome
from tyqi_core.node import Context, Inputs, Outputs

_BY_X = ("none", "a", "b")


class Add(Node):
    """x + y + plus."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """The sum."""
        return {"sum": inputs["x"] + inputs["y"] + ctx.params["plus"]}


class Scale(Node):
    """Twice x; the second major gives three times x."""

    factor = 2

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """The product."""
        return {"value": inputs["x"] * self.factor}


class ScaleMore(Scale):
    """The second major."""

    factor = 3


class Decide(Node):
    """Chooses a, b or none: as told, or by x (0 none, 1 a, 2 b, 3 none, ...)."""

    def process(self, inputs: Inputs, ctx: Context) -> Outcome:
        """The outcome, and x as it came."""
        x = inputs["x"]
        choose = ctx.params["choose"]
        return Outcome(_BY_X[int(x) % 3] if choose == "by_x" else choose, {"value": x})


class Items(Node):
    """The numbers from ``first`` to ``first`` + n - 1."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """The list."""
        first = ctx.params["first"]
        return {"items": [first + number for number in range(int(inputs["n"]))]}


class Total(Node):
    """Adds up a list in which places may be empty."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """The sum, and how many places were empty."""
        present = [value for value in inputs["values"] if value is not None]
        return {"total": sum(present), "empty": len(inputs["values"]) - len(present)}


class Gather(Node):
    """A list as one JSON value, so that it can be an output of a run."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """The list."""
        return {"found": inputs["values"]}


class Pair(Node):
    """Two values, either of which may be absent."""

    def process(self, inputs: Inputs, ctx: Context) -> Outputs:
        """Both, in order; ``null`` for an absent one."""
        return {"both": [inputs["a"], inputs["b"]]}
