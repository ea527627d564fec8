"""The TP type of any slot of a plan, worked out from the manifests that the plan pins."""

from __future__ import annotations

from collections.abc import Mapping

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InternalError
from tyqi_core.protocol.ports import PortType
from tyqi_core.runtime.execute import pinned
from tyqi_core.workflow.plan import Plan


def output_types(plan: Plan, catalog: Catalog) -> dict[str, PortType]:
    """Run output -> type."""
    types = {}
    for name, source in plan.outputs.items():
        if source.kind == "input":
            types[name] = PortType.parse(plan.inputs[source.name])
        else:
            types[name] = slot_type(plan, catalog, source.task, source.name)
    return types


def input_types(plan: Plan) -> Mapping[str, PortType]:
    """Run input -> type."""
    return {name: PortType.parse(declaration) for name, declaration in plan.inputs.items()}


def slot_type(plan: Plan, catalog: Catalog, task_id: str, slot: str) -> PortType:
    """The type of what a task holds in a slot.

    Where several branches fill one slot, the first one's type is given; the compiler proved that they fit one reader.

    Raises:
        InternalError: nothing fills the slot; the compiler never makes such a plan.
    """
    task = plan.tasks[task_id]
    if "." not in slot:
        return pinned(catalog, task.node).outputs[slot].type
    for offers in task.offers.values():
        for offer in offers:
            if offer.slot == slot:
                inner = slot_type(plan, catalog, offer.task, offer.source_slot)
                return _collected(inner) if slot.startswith("each.") else inner
    raise InternalError(f"nothing fills slot {slot} of {task_id}")


def _collected(inner: PortType) -> PortType:
    listed = inner.collected(null_items=True)
    if listed is None:
        raise InternalError(f"lists of {inner} were collected; the compiler never makes such a plan")
    return listed
