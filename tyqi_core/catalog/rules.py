"""What a manifest must keep beyond its schema; all problems of one file are told at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import tyqi_core
from tyqi_core.catalog.discovered import Origin
from tyqi_core.catalog.manifest import params_schema_of
from tyqi_core.errors import Problem
from tyqi_core.protocol.document import Document, Key, path_parts
from tyqi_core.protocol.ports import PortType, checker
from tyqi_core.protocol.validation import Validator, compiled, nearest_name, outside_subset
from tyqi_core.resources import data_folder

FORMAT = 1
MAX_ID = 100
"""Characters of a node's id, as in CONFORMANCE M03."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_]*")
_OUTCOME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_RESERVED_OUTPUTS = ("branch", "each")
"""What a project reads as ``T1.branch.PORT`` and ``T4.each.NAME``."""


@lru_cache(maxsize=1)
def manifest_validator() -> Validator:
    """The validator of ``schemas/node-manifest.schema.json``."""
    text = (data_folder("schemas") / "node-manifest.schema.json").read_text(encoding="utf-8")
    return compiled(json.loads(text))


def problems_of(document: Document, origin: Origin) -> list[Problem]:
    """Everything that is wrong with a manifest; empty for one that may be used."""
    body = document.value
    if not isinstance(body, dict):
        return [document.problem("MANIFEST_SCHEMA", "a manifest is a mapping of fields.")]
    if (newer := body.get("tyqi_node", FORMAT)) != FORMAT:
        message = f"this core reads manifests of format {FORMAT}, found {newer!r}."
        return [document.problem("MANIFEST_FORMAT", message, ("tyqi_node",), remedy="Upgrade tyqi-core.")]
    faults = manifest_validator().problems(body)
    problems = [document.schema_problem("MANIFEST_SCHEMA", fault) for fault in faults]
    ill = {path_parts(problem.path) for problem in problems}
    if () in ill and not any(fault.message.startswith("the key") for fault in faults):
        return problems  # not plain JSON (NaN): nothing else can be judged
    for rule in _RULES:
        problems.extend(rule(_Checked(document, ill), origin))
    return problems


class _Checked:
    """A document and the paths at which its schema already found fault; rules leave those alone."""

    def __init__(self, document: Document, ill: set[tuple[Key, ...]]) -> None:
        self.body: Mapping[str, Any] = document.value
        self.problem = document.problem
        self.schema_problem = document.schema_problem
        self._ill = ill

    def sound(self, *path: Key) -> Any:
        """The value at ``path``; ``None`` where there is none or its schema refused something at, in or around it."""
        if any(bad[: len(path)] == path or (bad and path[: len(bad)] == bad) for bad in self._ill):
            return None
        value: Any = self.body
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    def names(self, field: str) -> list[str]:
        """The keys of a mapping field, whatever is wrong below them."""
        value = self.body.get(field)
        return list(value) if isinstance(value, dict) else []


Rule = Callable[[_Checked, Origin], Iterator[Problem]]


def _identity(manifest: _Checked, origin: Origin) -> Iterator[Problem]:
    name = manifest.sound("name")
    if name is not None and name != origin.name:
        message = f"the name is '{name}', but the entry point is called '{origin.local_id}'."
        yield manifest.problem("NAME_MISMATCH", message, ("name",), remedy=f"Write name: {origin.name}.")
    if not _NAME.fullmatch(origin.name) or not _NAMESPACE.fullmatch(origin.namespace):
        message = f"'{origin.id}' is no node id: lower-case ASCII letters, digits and '_', a letter first."
        yield manifest.problem("BAD_NAME", message, ("name",), remedy="Rename the entry point or the distribution.")
    if len(origin.id) > MAX_ID:
        yield manifest.problem("BAD_NAME", f"the id '{origin.id}' is longer than {MAX_ID} characters.", ("name",))
    version = manifest.sound("version")
    if version is not None and origin.major is not None and int(version.split(".", 1)[0]) != origin.major:
        message = f"the version is {version}, but the entry point '{origin.local_id}' claims major {origin.major}."
        yield manifest.problem("MAJOR_MISMATCH", message, ("version",))


def _core_version(manifest: _Checked, _: Origin) -> Iterator[Problem]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - only when manifests are checked

    wanted = manifest.sound("requires_tyqi")
    if wanted is None:
        return
    try:
        admitted = SpecifierSet(wanted).contains(tyqi_core.__version__, prereleases=True)
    except InvalidSpecifier:
        message = f"'{wanted}' is no version specifier, expected something like '>=0.1,<1'."
        yield manifest.problem("BAD_SPECIFIER", message, ("requires_tyqi",))
        return
    if not admitted:
        message = f"the node needs tyqi-core {wanted}; installed is {tyqi_core.__version__}."
        remedy = f"pip install 'tyqi-core{wanted}', or install a version of the plugin made for this core."
        yield manifest.problem("INCOMPATIBLE_CORE", message, ("requires_tyqi",), remedy=remedy)


def _names(manifest: _Checked, _: Origin) -> Iterator[Problem]:
    for field, pattern, form in (
        ("inputs", _NAME, "lower-case ASCII letters, digits and '_', a letter first"),
        ("outputs", _NAME, "lower-case ASCII letters, digits and '_', a letter first"),
        ("params", _NAME, "lower-case ASCII letters, digits and '_', a letter first"),
        ("outcomes", _OUTCOME, "ASCII letters, digits, '_' and '-', a letter first"),
    ):
        for name in manifest.names(field):
            if not pattern.fullmatch(name):
                yield manifest.problem("BAD_NAME", f"'{name[:80]}' is no name here: {form}.", (field, name))
    for name in manifest.names("outputs"):
        if name in _RESERVED_OUTPUTS:
            message = f"no output may be called '{name}': projects read 'T1.{name}.' as something else."
            yield manifest.problem("BAD_NAME", message, ("outputs", name))


def _ports(manifest: _Checked, _: Origin) -> Iterator[Problem]:
    for field in ("inputs", "outputs"):
        for name in manifest.names(field):
            declaration = manifest.sound(field, name)
            if declaration is None:
                continue
            try:
                port_type = PortType.parse(declaration)
            except ValueError as error:
                yield manifest.problem("PORT_TYPE", f"{str(error).rstrip('.')}.", (field, name))
            else:
                yield from _port_default(manifest, (field, name), declaration, port_type)


def _port_default(
    manifest: _Checked, path: tuple[str, str], declaration: Mapping[str, Any], port_type: PortType
) -> Iterator[Problem]:
    if "default" not in declaration:
        return
    if declaration.get("required"):
        yield manifest.problem("PORT_DEFAULT", "a port with a default is not required.", (*path, "required"))
    default = declaration["default"]
    if default is not None and (fault := checker(port_type)(default)) is not None:
        yield manifest.problem(
            "PORT_DEFAULT", f"the default does not fit the port: {fault.rstrip('.')}.", (*path, "default")
        )


def _params(manifest: _Checked, _: Origin) -> Iterator[Problem]:
    params = manifest.sound("params")
    if params is None:
        return
    whole = params_schema_of(params)
    faults = outside_subset(whole)
    for fault in faults:
        path = path_parts(fault.path)
        yield manifest.problem("PARAM_SCHEMA", f"{fault.message}.", ("params", *path[1:]), nearest=fault.nearest)
    if faults:
        return
    for name, schema in whole["properties"].items():
        try:
            validator = compiled(schema)
        except ValueError as error:
            yield manifest.problem("PARAM_SCHEMA", f"{error}.", ("params", name))
            continue
        if "default" in schema:
            for fault in validator.problems(schema["default"]):
                yield manifest.schema_problem("PARAM_DEFAULT", fault, ("params", name, "default"))


def _resources(manifest: _Checked, _: Origin) -> Iterator[Problem]:
    resources = manifest.sound("resources") or {}
    if resources.get("device") != "gpu":
        return
    if not resources.get("gpu_memory_mb"):
        message = "a gpu node says how much GPU memory one execution needs."
        yield manifest.problem("GPU_MEMORY", message, ("resources",), remedy="Add gpu_memory_mb.")
    if resources.get("pool") == "io":
        message = "a gpu node cannot run in the io pool, whose workers have no GPU."
        yield manifest.problem("POOL", message, ("resources", "pool"))


def _examples(manifest: _Checked, _: Origin) -> Iterator[Problem]:
    for index, example in enumerate(manifest.sound("examples") or ()):
        yield from _example_inputs(manifest, index, example.get("inputs", {}))
        yield from _example_params(manifest, index, example.get("params", {}))


def _example_inputs(manifest: _Checked, index: int, inputs: Mapping[str, Any]) -> Iterator[Problem]:
    ports = manifest.names("inputs")
    for name in inputs:
        if name not in ports:
            message = f"the node has no input '{name}'; it has {', '.join(ports) or 'none'}."
            path = ("examples", index, "inputs", name)
            yield manifest.problem("EXAMPLE", message, path, nearest=nearest_name(name, ports))
    for name in ports:
        port = manifest.sound("inputs", name)
        if port and name not in inputs and port.get("required", True) and "default" not in port:
            yield manifest.problem("EXAMPLE", f"the required input '{name}' is missing.", ("examples", index))


def _example_params(manifest: _Checked, index: int, given: Mapping[str, Any]) -> Iterator[Problem]:
    params = manifest.sound("params") or {}
    schema = params_schema_of(params)
    if given and not outside_subset(schema):
        for fault in compiled(schema).problems(given):
            yield manifest.schema_problem("EXAMPLE", fault, ("examples", index, "params"))


_RULES: tuple[Rule, ...] = (_identity, _core_version, _names, _ports, _params, _resources, _examples)
