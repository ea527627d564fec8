"""Executing one task: bind and check inputs, process, check outputs, decide. The same function in every runtime."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tyqi_core.catalog.catalog import Catalog, isolated_error
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import (
    CatalogError,
    ContractViolation,
    InputError,
    InternalError,
    NodeError,
    TaskCancelled,
)
from tyqi_core.node import Context, Inputs, Node, Outcome
from tyqi_core.protocol.ports import PortType, checker
from tyqi_core.scheduler import Result, locate
from tyqi_core.stores.base import ABSENT, Wanted
from tyqi_core.workflow.expressions import Expression, compile_expression
from tyqi_core.workflow.plan import NodePin, Plan, PlanTask

HIDDEN = "when:"
"""Prefix of bindings that only the branch rules read."""

_ARRAY_TYPES = frozenset({"image", "mask", "anomaly_map", "tensor", "video_frame"})
_MESSAGE_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Executed:
    """What an attempt gave: checked outputs, and what they decide."""

    outputs: Mapping[str, Any]
    result: Result


@dataclass(frozen=True, slots=True)
class Bound:
    """The inputs of one task, and the values that only its branch rules read."""

    inputs: dict[str, Any]
    visible: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Input:
    """One binding, made ready: how to check its value and what stands in for an absent one."""

    name: str
    check: Callable[[Any], str | None] | None
    default: Any
    constant: bool


class Executable:
    """One task of a plan, made ready to run many times: checkers compiled, rules parsed, places worked out."""

    def __init__(self, plan: Plan, task: PlanTask, manifest: Manifest) -> None:
        self.plan = plan
        self.task = task
        self.manifest = manifest
        self.node = manifest.reference
        self._inputs = tuple(_inputs_of(task, manifest))
        self._outputs = tuple(
            (name, checker(port.type), port.type.name in _ARRAY_TYPES) for name, port in manifest.outputs.items()
        )
        self._output_names = manifest.outputs.keys()
        self._rules: tuple[tuple[Expression | None, str], ...] = tuple(
            (None if rule.expression is None else compile_expression(rule.expression), rule.outcome)
            for rule in task.rules
        )
        self._sources = tuple(
            (binding.source, binding.required) for binding in task.bindings if binding.source.kind != "const"
        )
        self._wanted = None if task.scope else self._places(task.id)

    def wanted(self, instance: str) -> Sequence[Wanted]:
        """The values that an instance needs, in the order in which :meth:`run` takes them."""
        return self._places(instance) if self._wanted is None else self._wanted

    def run(self, node: Node, values: Sequence[Any], ctx: Context) -> Executed:
        """Execute one attempt.

        Raises:
            NodeError: the node failed, or a value does not fit its port, or the outcome could not be decided.
        """
        inputs, visible = self._bind(values)
        try:
            answer = _process(node, inputs, ctx)
        except (NodeError, TaskCancelled):
            raise
        except BaseException as error:
            raise _failure(error) from error
        return self._accept(answer, visible)

    def bind(self, values: Sequence[Any]) -> Bound:
        """The inputs of one task of a batch.

        Raises:
            ContractViolation: a value does not fit its port.
        """
        return Bound(*self._bind(values))

    def accept(self, answer: Any, bound: Bound) -> Executed:
        """What a node returned for one task of a batch, checked.

        Raises:
            NodeError: it is an exception, does not fit its ports, or its outcome cannot be decided.
        """
        if isinstance(answer, NodeError | TaskCancelled):
            raise answer
        if isinstance(answer, BaseException):
            raise _failure(answer) from answer
        return self._accept(answer, bound.visible)

    def _places(self, instance: str) -> tuple[Wanted, ...]:
        return tuple(Wanted(locate(self.plan, instance, source), required) for source, required in self._sources)

    def _bind(self, values: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs: dict[str, Any] = {}
        visible: dict[str, Any] = {}
        given = iter(values)
        for port in self._inputs:
            value = port.default if port.constant else next(given)
            if value is ABSENT:
                value = port.default
            elif port.check is not None and (fault := port.check(value)):
                raise ContractViolation(f"input '{port.name}' of {self.task.id}: {fault}")
            if type(value) is dict or type(value) is list:
                value = _own(value)
            if port.check is None:
                visible[port.name.removeprefix(HIDDEN)] = value
            else:
                inputs[port.name] = value
        return inputs, visible

    def _accept(self, answer: Any, visible: dict[str, Any]) -> Executed:
        outcome = None
        if isinstance(answer, Outcome):
            outcome, answer = answer.name, answer.outputs
        if not isinstance(answer, Mapping):
            raise ContractViolation(
                f"process returned {type(answer).__name__}, not a mapping of the outputs {sorted(self._output_names)}"
            )
        if answer.keys() != self._output_names:
            raise ContractViolation(_port_difference(answer.keys(), self._output_names))
        outputs: dict[str, Any] = {}
        for name, check, is_array in self._outputs:
            value = answer[name]
            if fault := check(value):
                raise ContractViolation(f"output '{name}': {fault}")
            outputs[name] = _frozen(value) if is_array else _own(value)
        return Executed(outputs, self._decide(outcome, outputs, visible))

    def _decide(self, outcome: str | None, outputs: Mapping[str, Any], visible: dict[str, Any]) -> Result:
        declared = self.task.outcomes
        if outcome is not None and outcome not in declared:
            raise ContractViolation(f"outcome '{outcome}' is not declared; the manifest declares {list(declared)}")
        if outcome is None and declared:
            raise ContractViolation(f"process must return an Outcome, one of {list(declared)}")
        if self._rules:
            return Result("completed", self._first_true(outputs, visible))
        if self.task.foreach is not None:
            return Result("completed", None, len(outputs[self.task.foreach.over]))
        return Result("completed", outcome if self.task.branches else None)

    def _first_true(self, outputs: Mapping[str, Any], visible: dict[str, Any]) -> str:
        names = {f"{self.task.id}.{port}": value for port, value in outputs.items()} | visible
        for expression, outcome in self._rules:
            if expression is None or expression.evaluate(names.get):
                return outcome
        raise InternalError(f"no rule of {self.task.id} holds, and there is no default")


def _inputs_of(task: PlanTask, manifest: Manifest) -> list[_Input]:
    inputs = []
    bound = set()
    for binding in task.bindings:
        bound.add(binding.port)
        hidden = binding.port.startswith(HIDDEN)
        check = None if hidden else checker(manifest.inputs[binding.port].type)
        constant = binding.source.kind == "const"
        inputs.append(_Input(binding.port, check, binding.source.value if constant else binding.default, constant))
    for name, port in manifest.inputs.items():
        if name not in bound:
            inputs.append(_Input(name, _anything, port.default, constant=True))
    return inputs


def process_batch(node: Node, items: Sequence[Bound], ctxs: Sequence[Context]) -> Sequence[Any]:
    """One answer or exception for each task of a batch.

    Raises:
        NodeError: the node failed as a whole, or did not answer for each of them.
    """
    try:
        answers = node.process_batch([item.inputs for item in items], ctxs)
    except (NodeError, TaskCancelled):
        raise
    except BaseException as error:
        raise _failure(error) from error
    if not isinstance(answers, Sequence) or len(answers) != len(items):
        found = f"{len(answers)} answers" if isinstance(answers, Sequence) else type(answers).__name__
        raise ContractViolation(f"process_batch returned {found} for {len(items)} items")
    return answers


def _process(node: Node, inputs: Inputs, ctx: Context) -> Any:
    """The node's answer; of a node that only knows batches, a batch of one."""
    if type(node).process is not Node.process:
        return node.process(inputs, ctx)
    answer = node.process_batch([inputs], [ctx])[0]
    if isinstance(answer, Exception):
        raise answer
    return answer


def _anything(_: Any) -> None:
    """The check of a value that the manifest itself gives."""


def _own(value: Any) -> Any:
    """A copy of the containers of a JSON-like value, so that no two tasks share one; leaves stay as they are."""
    if type(value) is dict:
        return {key: _own(element) for key, element in value.items()}
    if type(value) is list:
        return [_own(element) for element in value]
    return value


def _frozen(value: Any) -> Any:
    """The arrays of a value made read-only; torch tensors have no such flag and pass."""
    if type(value) is list:
        return [_frozen(element) for element in value]
    if type(value) is dict:
        return {key: _frozen(element) for key, element in value.items()}
    if hasattr(value, "setflags"):
        value.setflags(write=False)
    return value


def _port_difference(found: Any, due: Any) -> str:
    parts = []
    if missing := sorted(due - found):
        parts.append(f"outputs {missing} are missing")
    if extra := sorted(str(name) for name in found - due):
        parts.append(f"outputs {extra} are not declared")
    return "; ".join(parts)


def _failure(error: BaseException) -> NodeError:
    """A foreign exception as a node error: its type, its text, and the line of the node that raised it.

    An input that a node refuses in our own words keeps its code; it would be refused again.
    """
    if isinstance(error, InputError):
        return ContractViolation(error.message, code=error.code, remedy=error.remedy)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    code = "OUT_OF_MEMORY" if isinstance(error, MemoryError) else None
    return NodeError(f"{described(error)}{place}", code=code)


def described(error: BaseException) -> str:
    """The type and text of an exception that a node raised, whose own ``__str__`` may be broken, or endless."""
    try:
        text = str(error)[:_MESSAGE_LIMIT]
    except BaseException:  # noqa: BLE001 - the node's code again
        text = "(its text cannot be had)"
    return f"{type(error).__name__}: {text}"


class RunInputs:
    """The inputs of a plan's runs: defaults filled in, types checked, arrays made read-only."""

    def __init__(self, plan: Plan) -> None:
        self._types = {name: PortType.parse(declaration) for name, declaration in plan.inputs.items()}
        self._declared = plan.inputs

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as a run holds them.

        Raises:
            InputError: one is missing, is not declared, or does not fit its type.
        """
        if unknown := sorted(given.keys() - self._types.keys()):
            raise InputError(
                f"the project has no input {unknown[0]!r}; it has {sorted(self._types)}", code="UNKNOWN_INPUT"
            )
        return {name: self._one(name, given) for name in self._types}

    def _one(self, name: str, given: Mapping[str, Any]) -> Any:
        if given.get(name) is None:
            if _is_required(self._declared[name]):
                raise InputError(f"input '{name}' is missing", code="MISSING_INPUT")
            return self._declared[name].get("default", ABSENT)
        value = given[name]
        if fault := checker(self._types[name])(value):
            raise InputError(f"input '{name}': {fault}", code="WRONG_TYPE")
        return _frozen(value.view() if hasattr(value, "setflags") else _own(value))


def required_inputs(plan: Plan) -> list[str]:
    """The inputs without which no run of the plan begins."""
    return [name for name, declared in plan.inputs.items() if _is_required(declared)]


def _is_required(declared: Mapping[str, Any]) -> bool:
    return bool(declared.get("required", "default" not in declared))


def pinned(catalog: Catalog, pin: NodePin) -> Manifest:
    """The installed manifest that a plan pins.

    Raises:
        CatalogError: the node is not installed, or in another version than the plan was compiled with.
    """
    manifest = catalog.find(f"{pin.id}@{pin.major}")
    if manifest.digest != pin.digest:
        raise CatalogError(
            f"the plan pins {pin.id} {pin.version}, installed is {manifest.version} with another manifest",
            code="NO_CAPABLE_NODE",
            remedy="Compile the project again, or install the pinned version.",
        )
    return manifest


def pinned_here(catalog: Catalog, pin: NodePin) -> Manifest:
    """As :func:`pinned`, for a process that is to execute the node itself.

    Raises:
        CatalogError: as there, or the node lives in an isolated environment.
    """
    manifest = pinned(catalog, pin)
    if manifest.origin.queue:
        raise isolated_error(manifest)
    return manifest
