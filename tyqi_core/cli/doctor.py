"""``tyqi doctor``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.errors import TyqiError
from tyqi_core.safety import safe_mode

if TYPE_CHECKING:
    from tyqi_core.catalog.catalog import Entry
    from tyqi_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``remedy`` says how to mend a ``fault`` or a ``warning``."""

    subject: str
    level: Literal["ok", "warning", "fault"]
    text: str
    remedy: str = ""


@click.command(epilog="Example:  tyqi doctor --json")
@click.option("--no-probe", is_flag=True, help="Do not import the plugins in subprocesses; look at what is static.")
@as_json
def doctor(*, no_probe: bool, json_wanted: bool) -> None:
    """Check the installation and every installed node, and say how to mend what is broken.

    Also told: nodes that are disabled, plugins whose requirements do not hold any more, isolated environments that
    lost what they need, releases that the registry has withdrawn. Each plugin is imported in a process of its own, so
    that one that hangs or exits takes nothing along; the verdict is kept for 'tyqi nodes'. Exit code 1 if there is a
    fault.
    """
    findings: list[Finding] = []
    for finding in _look(probing=not no_probe):
        findings.append(finding)
        if not json_wanted:
            click.echo(f"{finding.level:<8} {finding.subject}: {finding.text}")
            if finding.remedy:
                click.echo(f"         {finding.remedy}")
    faults = sum(finding.level == "fault" for finding in findings)
    if json_wanted:
        answer_json({"ok": not faults, "findings": [_as_json(finding) for finding in findings]})
    else:
        say(f"{faults} faults." if faults != 1 else "1 fault.")
    raise click.exceptions.Exit(1 if faults else 0)


def _as_json(finding: Finding) -> dict[str, Any]:
    body = {"subject": finding.subject, "level": finding.level, "text": finding.text}
    return body | ({"remedy": finding.remedy} if finding.remedy else {})


def _look(*, probing: bool) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} in {sys.prefix}")
    yield Finding("tyqi-core", "ok", version("tyqi-core"))
    yield from _schemas()
    yield from _optional_packages()
    yield from _state_folder()
    yield from _workers()
    yield from _hooks()
    yield from _installed()
    yield from _nodes(probing=probing and not safe_mode())


def _schemas() -> Iterator[Finding]:
    from tyqi_core.resources import data_folder

    try:
        yield Finding("schemas", "ok", f"{data_folder('schemas')} (for editors that complete YAML)")
    except FileNotFoundError as error:
        yield Finding("schemas", "fault", str(error), "pip install --force-reinstall tyqi-core")


def _optional_packages() -> Iterator[Finding]:
    for package, purpose, extra in (
        ("pillow", "picture files", "images"),
        ("torch", "torch nodes", "torch"),
        ("redis", "runs on workers", "workers"),
        ("celery", "runs on workers", "workers"),
    ):
        try:
            yield Finding(package, "ok", version(package))
        except PackageNotFoundError:
            remedy = f"If you need it: pip install 'tyqi-core[{extra}]'"
            yield Finding(package, "warning", f"not installed; needed for {purpose}", remedy)


def _state_folder() -> Iterator[Finding]:
    from tyqi_core.settings import Settings

    try:
        state = Settings.load().state
    except TyqiError as error:
        yield Finding("settings", "fault", error.message, error.remedy or "Correct the file or variable.")
        return
    existing = next(folder for folder in (state, *state.absolute().parents) if folder.exists())
    if os.access(existing, os.W_OK) and existing.is_dir():
        yield Finding("state", "ok", f"{state} can be written")
    else:
        yield Finding("state", "fault", f"{state} cannot be written", "Name another folder in TYQI_STATE.")


def _workers() -> Iterator[Finding]:
    """Store and broker, if there are any; else whether 'tyqi up' could start a server."""
    from importlib.util import find_spec

    from tyqi_core.settings import Settings

    try:
        settings = Settings.load()
    except TyqiError:
        return  # told already
    if find_spec("redis") is None or find_spec("celery") is None:
        return  # told already
    from tyqi_core.app import has_store

    if not has_store(settings):
        yield _server_program()
        return
    yield _store(settings)
    yield _broker(settings)


def _server_program() -> Finding:
    from tyqi_core.runtime.processes.servers import find_server

    try:
        program = find_server()
    except TyqiError as error:
        return Finding("store", "warning", error.message, error.remedy or "")
    text = f"none is named; 'tyqi up' would start {program.path}, version {program.major}"
    return Finding("store", "warning" if program.old else "ok", text, _OLD if program.old else "")


_OLD = "Install Redis 7.0 or newer, or pip install 'tyqi-core[standalone]'."


def _store(settings: Settings) -> Finding:
    """A server that evicts keys, or is too old, is refused when it is opened."""
    from tyqi_core.app import open_store

    try:
        with closing(open_store(settings)) as store:
            return Finding("store", "ok", f"Redis {store.server_version()}, reached; it evicts nothing")
    except TyqiError as error:
        return Finding("store", "fault", error.message, error.remedy or "Start it, or name another in TYQI_REDIS.")


def _broker(settings: Settings) -> Finding:
    from tyqi_core.app import open_celery

    connection = open_celery(settings).connection_for_write()
    address = connection.as_uri()
    try:
        connection.ensure_connection(max_retries=1, timeout=5)
    except Exception as error:  # noqa: BLE001 - each transport has errors of its own
        remedy = "Start it, or name another in TYQI_BROKER."
        return Finding("broker", "fault", f"{address} cannot be reached: {type(error).__name__}: {error}", remedy)
    finally:
        connection.release()
    return Finding("broker", "ok", f"{address}, reached")


def _hooks() -> Iterator[Finding]:
    from tyqi_core.hooks import load_hooks

    if safe_mode():
        yield Finding("safe mode", "ok", "hook packages are not loaded, and nodes are not imported")
        return
    for failure in load_hooks().failures:
        remedy = f"pip install --upgrade {failure.distribution}, or pip uninstall {failure.distribution}"
        yield Finding(f"hooks of {failure.distribution}", "fault", f"{failure.name}: {failure.reason}", remedy)


def _installed() -> Iterator[Finding]:
    from tyqi_core.installation.health import ailments

    for one in ailments(_settings()):
        yield Finding(one.subject, one.level, one.text, one.remedy)


def _settings() -> Settings:
    """Those in force; where they cannot be used, which is told elsewhere, the defaults."""
    from tyqi_core.settings import Settings

    try:
        return Settings.load()
    except TyqiError:
        return Settings()


def _nodes(*, probing: bool) -> Iterator[Finding]:
    from tyqi_core.app import open_catalog
    from tyqi_core.catalog.probe import Verdicts, probe
    from tyqi_core.installation.isolated import environments

    settings = _settings()
    pythons = {one.queue: one.python for one in environments(settings.state)}
    verdicts = Verdicts.load()
    for entry in open_catalog(settings, cache=False).entries():
        manifest = entry.manifest
        if manifest is None:
            yield Finding(entry.id, "fault", entry.reason, _mend(entry))
            continue
        if not probing:
            yield Finding(entry.id, "ok", f"{manifest.version}, manifest valid")
            continue
        if entry.state == "registered":
            continue  # told already
        python = pythons.get(manifest.origin.queue)
        if python is not None and not python.exists():
            continue  # told already
        verdict = probe(manifest, python=python)
        verdicts.keep(manifest, verdict)
        if verdict.ok:
            cost = f"imported in {verdict.seconds:.1f} s, {verdict.peak_mb:.0f} MiB"
            yield Finding(entry.id, "ok", f"{manifest.version}, {cost}")
        else:
            yield Finding(entry.id, "fault", verdict.reason, _mend(entry))


def _mend(entry: Entry) -> str:
    from tyqi_core.catalog.discovery import normalised

    short = normalised(entry.distribution).removeprefix("tyqi-node-")
    return f"tyqi upgrade {short}, tyqi disable {short} or tyqi uninstall {short}"
