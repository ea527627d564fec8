"""What is known of a node without running its code.

A :class:`Manifest` is built from a manifest file's content by :meth:`Manifest.parse`, which checks everything (the
rules stand in ``rules.py``), or by :meth:`Manifest.build` from content that was checked before, which costs
microseconds and is how manifests come out of the index.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyqi_core.catalog.discovered import Origin
from tyqi_core.errors import InvalidManifest
from tyqi_core.protocol.ports import PortType

if TYPE_CHECKING:
    from tyqi_core.protocol.document import Document

Device = Literal["cpu", "gpu", "any"]
Duration = Literal["short", "long", "heavy"]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a node. ``required`` and ``default`` have a meaning for inputs only."""

    name: str
    type: PortType
    required: bool = True
    default: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one execution needs; memory in MiB."""

    device: Device = "cpu"
    gpu_memory_mb: int = 0
    memory_mb: int = 200
    cores: int = 1
    duration: Duration = "short"
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Batching:
    """How many items ``process_batch`` takes at most, and how long the first of them waits for others."""

    max_batch: int
    max_wait_ms: float = 5


@dataclass(frozen=True, slots=True)
class Manifest:
    """A node's manifest, checked. See ``schemas/node-manifest.schema.json`` for what each part means.

    Attributes:
        params_schema: JSON schema of an object that holds the parameters; those without a default are required.
        setup_params: the parameters that ``setup`` reads: one instance of the node per value of them.
        capabilities: what its code does beyond computing: ``network``, ``subprocess``, ``files``, ``native``.
        digest: SHA-256 of the file's content as canonical JSON: comments and layout do not change it.
        body: the file's content as it was read.
    """

    id: str
    name: str
    version: str
    major: int
    title: str
    description: str
    category: str
    tags: tuple[str, ...]
    licence: str
    author: str
    distribution: str
    distribution_version: str
    entry_point: str
    path: Path
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    params_schema: dict[str, Any]
    setup_params: tuple[str, ...]
    outcomes: Mapping[str, str]
    resources: Resources
    batching: Batching | None
    idempotent: bool
    deterministic: bool
    thread_safe: bool
    capabilities: tuple[str, ...]
    examples: tuple[Mapping[str, Any], ...]
    requires_tyqi: str
    digest: str
    origin: Origin = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)

    @property
    def reference(self) -> str:
        """Id and major version, as a project pins it: ``crack.segment@1``."""
        return f"{self.id}@{self.major}"

    @property
    def queue(self) -> str:
        """The Celery queue that its resources lead to, for example ``cpu.short``."""
        return queue_of(self.resources)

    @classmethod
    def parse(
        cls,
        text: str | bytes,
        path: Path | str,
        *,
        namespace: str,
        local_id: str,
        entry_point: str,
        distribution: str,
        distribution_version: str,
    ) -> Manifest:
        """Read and check a manifest file's content.

        Args:
            text: the content.
            path: where it stands; problems name it.
            namespace, local_id, entry_point, distribution, distribution_version: see :class:`Origin`.

        Raises:
            InvalidManifest: with all problems.
        """
        from tyqi_core.protocol.document import read_document  # noqa: PLC0415 - YAML, of no use when the index is warm

        origin = Origin(namespace, local_id, entry_point, distribution, distribution_version)
        return cls._checked(read_document(text, str(path), error=InvalidManifest), origin, Path(path))

    @classmethod
    def read(cls, path: Path, origin: Origin) -> Manifest:
        """Read and check the manifest file at ``path``.

        Raises:
            InvalidManifest: with all problems; also when there is no readable file.
        """
        from tyqi_core.protocol.document import read_file  # noqa: PLC0415 - see above

        return cls._checked(read_file(path, error=InvalidManifest), origin, path)

    @classmethod
    def _checked(cls, document: Document, origin: Origin, path: Path) -> Manifest:
        from tyqi_core.catalog.rules import problems_of  # noqa: PLC0415 - the validator, of no use when warm

        if problems := problems_of(document, origin):
            raise InvalidManifest(problems)
        return cls.build(document.value, origin, path)

    @classmethod
    def build(cls, body: Mapping[str, Any], origin: Origin, path: Path) -> Manifest:
        """A manifest of content that is known to be valid."""
        resources = body.get("resources", {})
        batching = body.get("batching")
        params = body.get("params") or {}
        return cls(
            id=origin.id,
            name=body["name"],
            version=body["version"],
            major=int(body["version"].split(".", 1)[0]),
            title=body["title"],
            description=body["description"].strip(),
            category=body["category"],
            tags=tuple(body.get("tags", ())),
            licence=body["licence"],
            author=body["author"],
            distribution=origin.distribution,
            distribution_version=origin.distribution_version,
            entry_point=origin.entry_point,
            path=path,
            inputs={name: _port(name, port) for name, port in body.get("inputs", {}).items()},
            outputs={name: _port(name, port) for name, port in body.get("outputs", {}).items()},
            params_schema=params_schema_of(params),
            setup_params=tuple(name for name, schema in params.items() if schema.get("setup")),
            outcomes=dict(body.get("outcomes", {})),
            resources=Resources(**resources),
            batching=Batching(**batching) if batching else None,
            idempotent=body.get("idempotent", True),
            deterministic=body.get("deterministic", True),
            thread_safe=body.get("thread_safe", False),
            capabilities=tuple(body.get("capabilities", ())),
            examples=tuple(body.get("examples", ())),
            requires_tyqi=body["requires_tyqi"],
            digest=_digest_of(body),
            origin=origin,
            body=body,
        )


def queue_of(resources: Resources) -> str:
    """The queue class of ``resources``. A node for any device is queued with the CPU ones; GPUs know no heavy class."""
    if resources.pool == "io":
        return "io"
    if resources.device == "gpu":
        return "gpu.short" if resources.duration == "short" else "gpu.long"
    return f"cpu.{resources.duration}"


def params_schema_of(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The schema of the whole parameter object."""
    properties = {
        name: {key: value for key, value in schema.items() if key != "setup"} for name, schema in params.items()
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required := [name for name, schema_of_one in properties.items() if "default" not in schema_of_one]:
        schema["required"] = required
    return schema


def _port(name: str, declaration: Mapping[str, Any]) -> Port:
    return Port(
        name=name,
        type=PortType.parse(declaration),
        required=declaration.get("required", True) and "default" not in declaration,
        default=declaration.get("default"),
        description=declaration.get("description", ""),
    )


def _digest_of(body: Mapping[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
