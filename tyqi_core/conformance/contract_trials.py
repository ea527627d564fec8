"""Trials of a node against its manifest: ``T01`` to ``T08``. They run in the child process of ``running.py``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final

import numpy as np

from tyqi_core.conformance.bench import Bench, Tried
from tyqi_core.conformance.checks import NotApplicable, Warned
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.inputs import (
    Case,
    Wrong,
    anything_goes,
    boundary,
    examples,
    plain,
    wrong_inputs,
    wrong_params,
)
from tyqi_core.errors import ContractViolation, InputError, NodeError, TyqiError
from tyqi_core.node import Node
from tyqi_core.protocol.codecs import decode, encode
from tyqi_core.protocol.foreign import imported
from tyqi_core.runtime.execute import process_batch
from tyqi_core.runtime.keeping import store

Findings = Iterator[Finding | Warned | tuple[str, float]]

GENERATED: Final = 60
"""Inputs that hypothesis makes for a node."""
GENERATING_S: Final = 20.0
LARGE_JSON: Final = 1 << 20
TOLERANCE: Final = 1e-3
"""How far floats of the CPU may lie from the GPU's, and those of a batch from an item's."""
_ROUNDS: Final = 2
_WARNINGS: Final = 5
_ENDS_WORKERS: Final = (SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError)


def examples_run(bench: Bench) -> Findings:
    """T01."""
    try:
        cases = list(examples(bench.manifest))
    except InputError as error:
        yield Finding(f"an example cannot be read: {error}")
        return
    if not cases:
        made_up = plain(bench.manifest)
        cases = [] if made_up is None else [made_up]
        yield Warned(Finding("it has no example; what was made up from its ports stands in for one"))
    if not cases:
        yield Finding("it has no example, and inputs that it takes could not be made up")
    for case in cases:
        tried = bench.attempt(case)
        if tried.error is not None:
            yield bench.finding(tried)


def wrong_is_refused(bench: Bench) -> Findings:
    """T02."""
    base = _first(bench)
    for wrong in (*wrong_inputs(bench.manifest, base), *wrong_params(bench.manifest, base)):
        yield from _not_refused(bench, wrong)
    for what in anything_goes(bench.manifest):
        yield Warned(Finding(f"{what}: nothing wrong can be told apart there; give it a schema"))


def _not_refused(bench: Bench, wrong: Wrong) -> Iterator[Finding]:
    tried = bench.attempt(wrong.case)
    if tried.entered:
        yield Finding(f"{wrong.case.name}: the node's code was run with it")
    elif tried.error is None or not tried.error.to_json():
        yield Finding(f"{wrong.case.name}: it was not refused")


def generated_run(bench: Bench) -> Findings:
    """T03."""
    warnings: dict[str, Finding] = {}
    deadline = time.monotonic() + GENERATING_S
    for case in boundary(bench.manifest):
        if time.monotonic() < deadline:
            yield from _judged(bench, bench.attempt(case), warnings)
    found = _generate(bench, warnings, deadline)
    if found is not None:
        yield found
    yield from (Warned(finding) for finding in list(warnings.values())[:_WARNINGS])


def _generate(bench: Bench, warnings: dict[str, Finding], deadline: float) -> Finding | None:
    """Run what hypothesis makes; the smallest input that the node fails on."""
    try:
        from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415 - the extra `author`
    except ImportError:
        missing = "hypothesis is not installed, so inputs were not generated: pip install 'tyqi-core[author]'"
        warnings["hypothesis"] = Finding(missing)
        return None
    from hypothesis.configuration import set_hypothesis_home_dir  # noqa: PLC0415 - see above

    from tyqi_core.conformance.strategies import cases  # noqa: PLC0415 - needs hypothesis

    set_hypothesis_home_dir(Path(gettempdir()) / "tyqi-hypothesis")  # not into the folder of whoever asks

    failed: list[Finding] = []

    @settings(
        max_examples=GENERATED,
        database=None,
        derandomize=True,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(bench.manifest))
    def trial(case: Case) -> None:
        if time.monotonic() > deadline:
            return
        for finding in _judged(bench, bench.attempt(case), warnings):
            failed.append(finding)
            raise AssertionError(finding.message)

    try:
        trial()
    except Exception as error:  # noqa: BLE001 - hypothesis wraps what it found; it is in `failed`
        if not failed:
            return Finding(f"inputs could not be generated: {type(error).__name__}: {error}"[:500])
    return failed[-1] if failed else None


def _judged(bench: Bench, tried: Tried, warnings: dict[str, Finding]) -> Iterator[Finding]:
    """What counts as a failure on inputs that the manifest allows: an exception does not, an ended process does."""
    error = tried.error
    if error is None or not tried.entered:
        return
    if isinstance(error.__cause__, _ENDS_WORKERS):
        yield bench.finding(tried, "it would end its process, or take all memory: ")
    elif isinstance(error, ContractViolation) and error.code == ContractViolation.default_code:
        yield bench.finding(tried)
    elif isinstance(error, NodeError) and error.code == NodeError.default_code:
        finding = bench.finding(tried, "an input that the manifest allows; refuse it by an InputError that says why: ")
        warnings.setdefault(f"{finding.file}:{finding.line}" if finding.file else finding.message, finding)


def deterministic(bench: Bench) -> Findings:
    """T04."""
    if not bench.manifest.deterministic:
        raise NotApplicable("it is not declared deterministic")
    cases = _several(bench)
    first = [bench.digests(tried) for tried in bench.completed]
    bench.fresh()
    for order in range(_ROUNDS if bench.quick else 1):
        for index in reversed(range(len(cases))):
            if bench.digests(bench.attempt(cases[index])) != first[index]:
                how = "after others" if order else "on a new instance"
                yield Finding(f"{cases[index].name}: other outputs when it is run again, {how}")
                return


def serialises(bench: Bench) -> Findings:
    """T05."""
    _several(bench)
    for tried in bench.completed:
        for name, value in tried.outputs.items():
            yield from _round_trip(bench, tried.case, name, value)


def _round_trip(bench: Bench, case: Case, name: str, value: Any) -> Findings:
    port_type = bench.manifest.outputs[name].type
    try:
        encoded = encode(port_type, value)
        again = encode(port_type, decode(port_type, encoded))
    except TyqiError as error:
        yield Finding(f"{case.name}: output '{name}' cannot be written and read again: {error.message}")
        return
    if again.data != encoded.data:
        yield Finding(f"{case.name}: output '{name}' is another one when it is read again")
    if encoded.media_type == "application/json" and len(encoded.data) > LARGE_JSON:
        size = len(encoded.data) // 1024
        yield Warned(Finding(f"{case.name}: output '{name}' is {size} KiB of JSON; arrays travel as tensors"))
    with TemporaryDirectory() as folder:
        message = json.dumps(store(Path(folder), value))
    if isinstance(value, np.ndarray) and len(message) > LARGE_JSON:
        yield Finding(f"{case.name}: output '{name}' stands in messages itself, not by a ref")


def inputs_stay(bench: Bench) -> Findings:
    """T06."""
    bench.fresh()
    for case in bench.examples or _several(bench):
        bench.attempt(case, writable=True)
        for name in sorted(set(bench.modified)):
            yield Finding(f"{case.name}: it writes into its input '{name}'")


def batches(bench: Bench) -> Findings:
    """T07."""
    node_class = bench.catalog.activate(bench.manifest)
    if node_class.process_batch is Node.process_batch or node_class.process is Node.process:
        raise NotApplicable("it does not define both process and process_batch")
    by_params: dict[str, list[Case]] = {}
    for case in _several(bench):
        by_params.setdefault(json.dumps(case.params, sort_keys=True), []).append(case)
    for cases in by_params.values():
        yield from _batch_differs(bench, [*cases, *cases])


def _batch_differs(bench: Bench, cases: list[Case]) -> Iterator[Finding]:
    most = bench.manifest.batching.max_batch if bench.manifest.batching else len(cases)
    cases = cases[:most]
    single = [bench.attempt(case) for case in cases]
    prepared = bench.prepared(cases[0].params)
    bounds = [prepared.executable.bind(prepared.values(prepared.inputs.checked(case.inputs))) for case in cases]
    slot, node, context = bench.enter(prepared)
    try:
        answers = process_batch(node, bounds, [context] * len(cases))
        for case, alone, bound, answer in zip(cases, single, bounds, answers, strict=True):
            executed = prepared.executable.accept(answer, bound)
            apart = distance(dict(executed.outputs), dict(alone.outputs))  # sums of a batch are rounded otherwise
            if apart or executed.result.outcome != alone.outcome:
                yield Finding(
                    f"{case.name}: process_batch gives other outputs than process, {apart or 'another outcome'}"
                )
    except TyqiError as error:
        yield Finding(f"a batch of {len(cases)} fails, each of it alone does not: {error.code}: {error.message}")
    finally:
        bench.instances.leave(slot)


def same_on_cpu(bench: Bench) -> Findings:
    """T08."""
    if bench.manifest.resources.device != "any":
        raise NotApplicable("it does not declare device: any")
    cases = _several(bench)
    torch = imported("torch")
    if torch is None or not torch.cuda.is_available():
        raise NotApplicable("no GPU is visible here, so that only the CPU was tried")
    elsewhere = bench.on_device("cpu")
    for case in cases:
        there, here = bench.attempt(case), elsewhere.attempt(case)
        if (error := there.error or here.error) is not None:
            yield Finding(f"{case.name}: {error.message}")
            continue
        if there.outcome != here.outcome:
            yield Finding(f"{case.name}: outcome {there.outcome} on the GPU, {here.outcome} on the CPU")
        for name, value in there.outputs.items():
            if (fault := distance(value, here.outputs[name])) is not None:
                yield Finding(f"{case.name}: output '{name}' differs between GPU and CPU: {fault}")


def distance(one: Any, other: Any, tolerance: float = TOLERANCE) -> str | None:
    """How two values differ by more than the tolerance; ``None`` if they do not."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        return next((fault for key in one if (fault := distance(one[key], other[key], tolerance))), None)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next((fault for a, b in zip(one, other, strict=True) if (fault := distance(a, b, tolerance))), None)
    if isinstance(one, (str, bytes, bool)) or one is None:
        return None if one == other else f"{one!r} and {other!r}"[:200]
    return _array_distance(one, other, tolerance)


def _array_distance(one: Any, other: Any, tolerance: float) -> str | None:
    try:
        a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    except (TypeError, ValueError):
        return f"{type(one).__name__} and {type(other).__name__}"
    if a.shape != b.shape:
        return f"shapes {a.shape} and {b.shape}"
    if np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    return f"by up to {float(np.nanmax(np.abs(a - b))):g}"


def _first(bench: Bench) -> Case:
    cases = [*bench.examples, plain(bench.manifest)]
    return next((case for case in cases if case is not None), Case("nothing", {}, {}))


def _several(bench: Bench) -> list[Case]:
    """Cases that it completes.

    Raises:
        NotApplicable: there is none; T01 tells of that.
    """
    if not bench.working:
        raise NotApplicable("no input is known that it completes, see T01")
    return bench.working


TRIALS: Final[Mapping[str, Callable[[Bench], Findings]]] = {
    "T01": examples_run,
    "T02": wrong_is_refused,
    "T03": generated_run,
    "T04": deterministic,
    "T05": serialises,
    "T06": inputs_stay,
    "T07": batches,
    "T08": same_on_cpu,
}
