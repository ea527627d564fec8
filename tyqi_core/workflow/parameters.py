"""Project parameters and the parameters of nodes: declared, overridden, substituted, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.protocol.document import Key
from tyqi_core.protocol.json_values import canonical_json, echo, json_fault
from tyqi_core.protocol.validation import compiled, fill_defaults, nearest_name, outside_subset
from tyqi_core.workflow.model import Project, Report
from tyqi_core.workflow.references import Reference, parse_reference

MAX_TEXT_BYTES = 1 << 20
"""All parameters of one project or one task, as JSON."""

_PARAM = "$param."


class Parameters:
    """The resolved parameters of a project."""

    def __init__(self, project: Project, overrides: Mapping[str, Any], report: Report) -> None:
        self._project = project
        self._report = report
        self.values: dict[str, Any] = {}
        self._checked: dict[tuple[str, str], dict[str, Any]] = {}
        for name in sorted(set(overrides) - set(project.params)):
            near = nearest_name(name, list(project.params))
            report.add("UNKNOWN_PARAM", f"the project has no parameter {echo(name, 80)}.", "params", nearest=near)
        for name, schema in project.params.items():
            self._resolve(name, schema, overrides)

    def _resolve(self, name: str, schema: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
        here = ("params", name)
        if faults := outside_subset(schema):
            self._report.add("BAD_PARAM_SCHEMA", f"the schema of '{name}' cannot be used: {faults[0]}", *here)
            return
        if name not in overrides and "default" not in schema:
            remedy = f"Give one: --param {name}=VALUE, or write a default."
            self._report.add("MISSING_PARAM", f"the parameter '{name}' has no value.", *here, remedy=remedy)
            return
        given = name in overrides
        value = overrides[name] if given else schema["default"]
        fault = json_fault(value) or _too_large(value)
        problems = [] if fault else compiled(schema).problems(value)
        if fault or problems:
            what = "value given for" if given else "default of"
            path = here if given else (*here, "default")
            said = fault or f"{problems[0].message}."
            self._report.add("BAD_PARAM", f"the {what} '{name}' does not fit its schema: {said}", *path)
            return
        self.values[name] = value

    def known(self, name: str, *path: Key) -> bool:
        """Whether ``$param.name`` has a value; notes a name that is not declared."""
        if name in self.values:
            return True
        if not self._project.knows("params", name):
            near = nearest_name(name, list(self._project.params))
            self._report.add(
                "UNKNOWN_PARAM", f"the project has no parameter '{name}'.", *path, value=True, nearest=near
            )
        return False

    def filled(self, value: Any, *path: Key) -> Any:
        """``value`` with each text ``$param.NAME`` in it replaced; a text that begins with ``$$`` stands for one ``$``.

        Raises:
            LookupError: a reference leads nowhere; it was noted.
        """
        if isinstance(value, str) and value.startswith("$"):
            return self._text(value, path)
        if isinstance(value, dict):
            return {key: self.filled(inner, *path, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner, *path, index) for index, inner in enumerate(value)]
        return value

    def _text(self, text: str, path: tuple[Key, ...]) -> Any:
        if text.startswith("$$"):
            return text[1:]
        found = parse_reference(text)
        if isinstance(found, str):
            if not text.startswith(_PARAM):
                return text
            self._report.add("BAD_REFERENCE", found, *path, value=True)
        elif found.kind != "param":
            self._refuse_data(found, path)
        elif self.known(found.name, *path):
            return self.values[found.name]
        raise LookupError(text)

    def _refuse_data(self, found: Reference, path: tuple[Key, ...]) -> None:
        message = f"{found} is data of a run; a parameter is known before any run."
        remedy = f"Connect it to an input port; write '${found}' if the text itself is meant."
        self._report.add("BAD_REFERENCE", message, *path, value=True, remedy=remedy)

    def of_task(self, task: str, manifest: Manifest, written: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that a task hands to its node: substituted, defaults filled in, checked."""
        here = ("tasks", task, "params")
        values: dict[str, Any] = {}
        for name, value in written.items():
            try:
                values[name] = self.filled(value, *here, name)
            except LookupError:
                continue
        if len(values) < len(written):
            return values  # noted already; the rest cannot be judged
        key = (manifest.reference, canonical_json(values))
        known = self._checked.get(key)
        if known is None:
            known = self._check(here, manifest, values)
            if known is None:
                return values
            self._checked[key] = known
        return known

    def _check(self, here: tuple[str, ...], manifest: Manifest, values: dict[str, Any]) -> dict[str, Any] | None:
        """``values`` with defaults, or ``None`` when they do not fit, which is noted."""
        filled = fill_defaults(manifest.params_schema, values)
        if fault := _too_large(filled):
            self._report.add("BAD_PARAM", fault, *here)
            return None
        names = manifest.params_schema.get("properties", {})
        unknown = [name for name in values if name not in names]
        for name in unknown:
            said = f"{manifest.id} has no parameter {echo(name, 80)}" + (
                f"; it has {', '.join(names)}." if names else "."
            )
            self._report.add("UNKNOWN_PARAM", said, *here, name, nearest=nearest_name(name, list(names)))
        faults = compiled(manifest.params_schema).problems({key: filled[key] for key in filled if key not in unknown})
        for found in faults:
            if found.message.startswith("the key"):
                self._report.add("MISSING_PARAM", f"{manifest.id}: {found.message}.", *here)
            else:
                problem = self._report.document.schema_problem("BAD_PARAM", found, here)
                self._report.problems.append(problem)
        return None if unknown or faults else filled


def _too_large(value: Any) -> str | None:
    size = len(canonical_json(value).encode())
    return f"parameters of {size:,} bytes; at most {MAX_TEXT_BYTES:,} are allowed." if size > MAX_TEXT_BYTES else None
