"""pip, as a program: what it would do, and doing it. It resolves, checks hashes and installs; we only ask."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tyqi_core.catalog.discovery import normalised
from tyqi_core.errors import InstallationError

_WHEELS_ONLY: Final = ("--only-binary", ":all:")
"""Building a source distribution executes its code, before anybody has agreed to anything."""
_ALONE: Final = ("--disable-pip-version-check", "--no-input", "--no-color")
_DEPENDS: Final = re.compile(r"^ +(\S+ \S+ depends on .+|The user requested .+)$", re.MULTILINE)
_TOLD: Final = 4


@dataclass(frozen=True, slots=True)
class Resolved:
    """One package that pip would install.

    Attributes:
        name: normalised.
        url: the wheel's.
        sha256: of the wheel; empty if pip knows none.
        requires: what it needs, as PEP 508 lines.
        direct: it was asked for by a URL.
    """

    name: str
    version: str
    url: str
    sha256: str
    requires: Sequence[str]
    direct: bool

    @property
    def line(self) -> str:
        """The line of a requirements file that means exactly this wheel."""
        what = f"{self.name} @ {self.url.partition('#')[0]}" if self.direct else f"{self.name}=={self.version}"
        return f"{what} --hash=sha256:{self.sha256}"

    @property
    def lock(self) -> str:
        """What it is, wherever it came from."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


class Pip:
    """pip for one environment.

    Args:
        python: the interpreter of another environment; by default this one.
    """

    def __init__(self, python: Path | None = None) -> None:
        self._python = python

    def resolve(self, requirements: Sequence[str], constraints: Sequence[str], index: str = "") -> list[Resolved]:
        """What would be installed on top of what is there.

        Args:
            requirements: PEP 508 lines.
            constraints: PEP 508 lines that bind what is needed, and ask for nothing.
            index: where packages are found; empty: where pip's own configuration says.

        Raises:
            InstallationError: nothing fits together (``CONFLICT``), or something cannot be had (``NOT_FOUND``).
        """
        with TemporaryDirectory(prefix="tyqi-pip-") as folder:
            report, limits = Path(folder, "report.json"), Path(folder, "constraints.txt")
            limits.write_text("\n".join(constraints), encoding="utf-8")
            options = ("--dry-run", "--report", str(report), "--constraint", str(limits), *_index(index))
            self._call("install", *options, *_WHEELS_ONLY, *requirements)
            body = json.loads(report.read_text(encoding="utf-8"))
        return [_resolved(item) for item in body["install"]]

    def install(self, packages: Iterable[Resolved], index: str = "", *, compiled: bool = True) -> None:
        """Install exactly these wheels; a hash that differs is refused.

        Raises:
            InstallationError: it failed; what pip had done so far stays done.
        """
        with TemporaryDirectory(prefix="tyqi-pip-") as folder:
            lines = Path(folder, "requirements.txt")
            lines.write_text("\n".join(package.line for package in packages), encoding="utf-8")
            options = ("--no-deps", "--require-hashes", *(() if compiled else ("--no-compile",)), *_index(index))
            self._call("install", *options, *_WHEELS_ONLY, "--requirement", str(lines))

    def uninstall(self, names: Sequence[str]) -> None:
        """Remove packages. Those that are not there are none of its business.

        Raises:
            InstallationError: it failed.
        """
        if names:
            self._call("uninstall", "--yes", *names)

    def _call(self, verb: str, *words: str) -> None:
        where = () if self._python is None else ("--python", str(self._python))
        command = [sys.executable, "-P", "-m", "pip", *where, *_ALONE, verb, *words]
        code, said = _run(command, self._environ())
        if code != 0:
            raise _failure(said)

    def _environ(self) -> Mapping[str, str]:
        """Another environment is not shown what this one's variables put on the path."""
        if self._python is None:
            return os.environ
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(command: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and what was said. Ctrl-C reaches pip once, and it is given the time to put back what it had moved."""
    with subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT) if os.name == "posix" else process.terminate()
            process.communicate()
            raise
    return process.returncode, f"{err}\n{out}"  # the reasons of a conflict are on standard output


def _index(url: str) -> tuple[str, ...]:
    """An index that is complete is the only one: what else variables and configuration name is not asked."""
    return ("--isolated", "--index-url", url) if url else ()


def _resolved(item: Mapping[str, Any]) -> Resolved:
    metadata, download = item["metadata"], item["download_info"]
    hashes = (download.get("archive_info") or {}).get("hashes") or {}
    return Resolved(
        name=normalised(metadata["name"]),
        version=metadata["version"],
        url=download["url"],
        sha256=hashes.get("sha256", ""),
        requires=metadata.get("requires_dist") or (),
        direct=bool(item.get("is_direct")),
    )


def _failure(said: str) -> InstallationError:
    """The complaint of pip, without its advice, which is about pip."""
    if "No module named pip" in said:
        remedy = f"{sys.executable} -m ensurepip"
        return InstallationError("this environment has no pip", code="NO_PIP", remedy=remedy)
    if causes := _DEPENDS.findall(said):
        told = "; ".join(dict.fromkeys(" ".join(cause.split()) for cause in causes))
        told = told.replace("The user requested (constraint)", "this environment has")
        return InstallationError(f"the versions do not fit together: {told}", code="CONFLICT")
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    text = " ".join(errors[:_TOLD]) or said.strip()[-500:] or "pip failed and said nothing"
    hashes = "DO NOT MATCH THE HASHES" in said or "hash" in text.lower()
    missing = "No matching distribution" in said
    code = "HASH_MISMATCH" if hashes else "NOT_FOUND" if missing else None
    return InstallationError(f"pip: {text}", code=code)
