"""Checks of mode ``probe``: the wheel's code is imported, and no more, in a child process of a fresh environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tyqi_core.conformance.checks import NotApplicable, Warned, check
from tyqi_core.conformance.environment import Installed
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.host_versions import conflicts, read_constraints
from tyqi_core.errors import UsageError

Findings = Iterator[Finding | Warned | tuple[str, float]]

TIMEOUT_S: Final = 30.0
SLOW_S: Final = 2.0
_MEMORY_MB: Final = 1024
_TORCH_MEMORY_MB: Final = 4096


@dataclass(slots=True)
class Probe:
    """What the child told; what it did not come to is empty.

    Attributes:
        listed: of listing and compiling; ``nodes``, ``faults`` and ``loaded``.
        imported: of importing; ``fault``, ``seconds``, ``memory_mb``, ``printed``, ``seen`` and ``changed``.
        died: how the child ended, if it did not come to its end.
    """

    listed: dict[str, Any] = field(default_factory=dict)
    imported: dict[str, Any] = field(default_factory=dict)
    died: str = ""


def probed(installed: Installed) -> Probe:
    """What a child came to that imports the wheel; it is asked once."""
    return installed.once("probe", lambda: _probe(installed))


def _probe(installed: Installed) -> Probe:
    wheel, answer = installed.wheel, Probe()
    memory = _TORCH_MEMORY_MB if "torch" in installed.needs.found else _MEMORY_MB
    memory = max(memory, *(manifest.resources.memory_mb for manifest in wheel.manifests), 0)
    arguments = ("-m", "tyqi_core.conformance.probing_child", wheel.name, ",".join(installed.modules))
    with installed.talk(*arguments, patience_s=TIMEOUT_S, memory_mb=memory) as talk:
        for said in talk:
            answer.listed = said.get("listed", answer.listed)
            answer.imported = said.get("imported", answer.imported)
        if not answer.imported:
            answer.died = talk.ended().reason
    return answer


def require_installed(installed: Installed) -> None:
    """What was not tried is not proved: a check that has nothing to run does not pass.

    Raises:
        UsageError: the wheel could not be installed.
    """
    if installed.fault:
        raise UsageError(f"the wheel could not be installed, see P05: {installed.fault}", code="NOT_INSTALLED")


@check(
    "P05",
    "probe",
    "bronze",
    title="Its requirements can be met together with the host's versions.",
    reason="A node that moves the host's torch, numpy or celery breaks all other nodes; one that conflicts can"
    " never be installed beside them.",
    remedy="Ask for ranges that hold the host's versions ('tyqi constraints' prints them), or install it isolated.",
)
def resolves(installed: Installed) -> Findings:
    """Ask the constraints first, then pip."""
    requirements = installed.wheel.metadata.get_all("Requires-Dist") or []
    found = list(conflicts(requirements, read_constraints(installed.constraints)))
    yield from (Finding(text, f"{installed.wheel.dist_info}/METADATA") for text in found)
    if found:
        return
    if installed.unreachable:
        raise NotApplicable(f"no index could be asked: {installed.fault}")
    if installed.fault:
        yield Finding(f"pip cannot install it: {installed.fault}", f"{installed.wheel.dist_info}/METADATA")
        return
    offline = ["--no-index"] if not installed.needs.lacking else []
    asked = installed.pip(
        "install", "--dry-run", *offline, "-c", installed.constraints, installed.wheel.path.absolute()
    )
    if asked.code:
        yield Finding(f"pip finds no versions that fit: {asked.errors[-500:]}", f"{installed.wheel.dist_info}/METADATA")


@check(
    "I01",
    "probe",
    "bronze",
    title="Listing nodes and compiling projects imports nothing of it.",
    reason="Hosts list hundreds of nodes in milliseconds because they read manifests alone.",
    remedy="Ship no .pth file, and nothing that runs when Python starts; keep the manifest beside the entry module.",
)
def imports_nothing(installed: Installed) -> Findings:
    """The modules that are there after listing and compiling."""
    require_installed(installed)
    probe = probed(installed)
    if not probe.listed:
        yield Finding(f"its nodes could not be listed: {probe.died}")
        return
    if probe.listed["loaded"]:
        yield Finding(f"listing its nodes imported {', '.join(probe.listed['loaded'][:5])}")
    if probe.listed["nodes"] < len(installed.wheel.nodes):
        yield Finding(f"of its {len(installed.wheel.nodes)} nodes {probe.listed['nodes']} are listed once installed")
    for node, reason in probe.listed["faults"].items():
        yield Finding(f"{node}: {reason}")


@check(
    "I02",
    "probe",
    "silver",
    title="Its import is quick; time and memory are recorded.",
    reason="A worker imports every node that it runs, and starts again after every deploy.",
    remedy="Import large libraries in setup(), where a worker that never runs the node does not pay for them.",
)
def imports_quickly(installed: Installed) -> Findings:
    """Time and memory of importing all its nodes, their dependencies included."""
    require_installed(installed)
    imported = probed(installed).imported
    if not imported or imported["fault"]:
        raise NotApplicable("it cannot be imported, see I03")
    yield "import_s", round(imported["seconds"], 3)
    yield "import_mb", round(imported["memory_mb"], 1)
    if imported["seconds"] > SLOW_S:
        yield Warned(Finding(f"its import takes {imported['seconds']:.1f} s, more than {SLOW_S:g} s"))


@check(
    "I03",
    "probe",
    "bronze",
    title="It can be imported; that opens no socket, starts no process, writes no file and exits nothing.",
    reason="An import happens on every worker, on every start, under locks; nobody expects downloads or windows there.",
    remedy="Do such things in setup() or process(), and declare them as capabilities.",
)
def imports_quietly(installed: Installed) -> Findings:
    """What an audit hook saw while its nodes were imported. It detects; it is no sandbox."""
    require_installed(installed)
    probe = probed(installed)
    if probe.died:
        doing = "it was imported" if probe.listed else "its nodes were listed"
        yield Finding(f"while {doing}, {probe.died}")
        return
    if probe.imported["fault"]:
        yield Finding(probe.imported["fault"])
    for seen in probe.imported["seen"]:
        finding = Finding(
            f"{_VERBS[seen['capability']]} ({seen['event']} {seen['subject']})", seen["file"], seen["line"]
        )
        if seen["capability"] != "native":
            yield Warned(finding) if seen["importing"] else finding
    if probe.imported["printed"]:
        yield Warned(
            Finding(f"it prints {probe.imported['printed']} characters; programs read what 'tyqi --json' prints")
        )


_VERBS: Final = {
    "network": "its import uses the network",
    "subprocess": "its import starts a process",
    "files": "its import writes to files",
}


@check(
    "I04",
    "probe",
    "bronze",
    title="Its import leaves other modules as they are.",
    reason="A patched json or socket changes what every other node of the process does.",
    remedy="Wrap the function in your own module, and call that.",
)
def patches_nothing(installed: Installed) -> Findings:
    """Functions and classes of other modules that are the wheel's own after its import."""
    require_installed(installed)
    for name in probed(installed).imported.get("changed", ()):
        yield Finding(f"its import replaces {name}")
