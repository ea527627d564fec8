"""P01 to P04 and P06: the package around the nodes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement, Requirement

from tyqi_core.catalog.discovery import normalised
from tyqi_core.conformance.archive import members_of, misfits
from tyqi_core.conformance.checks import Warned, check
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.host import HOST_PACKAGES, UNWANTED
from tyqi_core.conformance.subject import Examined

MANY_DEPENDENCIES: Final = 10
"""Direct dependencies beyond which one is warned; nineteen nodes of twenty have fewer."""
_SOURCE: Final = frozenset(("source", "repository", "sourcecode", "github"))
_ISSUES: Final = frozenset(("issues", "issue", "bugs", "bugreports", "tracker", "issuetracker", "bugtracker"))
"""Labels of project URLs that mean these, without spaces and signs: the well-known ones of the packaging guide."""


@check(
    "P01",
    "static",
    "bronze",
    title="An SPDX licence expression, and the licence's text in the wheel",
    reason="Nobody may use what has no licence, and a site can filter by one that machines can read.",
    remedy='Write license = "Apache-2.0" (or another SPDX expression) and license-files = ["LICENSE"] under [project],'
    " and build with hatchling 1.27, setuptools 77 or newer.",
)
def licence_is_clear(wheel: Examined) -> Iterator[Finding | Warned]:
    """``License-Expression`` and ``License-File`` of PEP 639; manifests say the same."""
    expression = str(wheel.metadata.get("License-Expression") or "")
    canonical = _canonical(expression)
    if canonical is None:
        message = f"'{expression}' is no SPDX expression." if expression else "There is no License-Expression."
        yield Finding(message, *wheel.header("License-Expression"))
    files = [str(name) for name in wheel.metadata.get_all("License-File", [])]
    if not files:
        yield Finding("No licence file is named.", *wheel.header("License-File"))
    for name in files:
        if f"{wheel.dist_info}/licenses/{name}" not in wheel.files:
            message = f"The licence file {wheel.dist_info}/licenses/{name} is not in the wheel."
            yield Finding(message, *wheel.header("License-File"))
    yield from _licences_of_manifests(wheel, canonical)


@check(
    "P02",
    "static",
    "bronze",
    title="URLs of the repository and of the issues",
    reason="Who finds a fault in a node must be able to tell its author, and to look at the source.",
    remedy='Write under [project.urls]: Source = "https://..." and Issues = "https://...".',
)
def urls_are_given(wheel: Examined) -> Iterator[Finding]:
    """``Project-URL`` headers with well-known labels."""
    urls = _project_urls(wheel)
    for labels, what in ((_SOURCE, "repository (Source)"), (_ISSUES, "issues (Issues)")):
        given = [url for label, url in urls.items() if label in labels]
        if not given:
            yield Finding(f"There is no URL of the {what}.", *wheel.header("Project-URL"))
        for url in given:
            if not _is_address(url):
                yield Finding(f"'{url}' is no URL that a browser opens.", *wheel.header("Project-URL"))


@check(
    "P03",
    "static",
    "bronze",
    title="The wheel brings its own package, whole, and nothing else",
    reason="A .pth file runs code whenever Python starts, a second top-level module takes another package's place, and"
    " a path out of the wheel writes over whatever lies there.",
    remedy="Build it with 'python -m build --wheel', with one package called as the distribution (with underscores).",
)
def contents_are_its_own(wheel: Examined) -> Iterator[Finding]:
    """``RECORD`` fits the members, and each member has a place of its own within the package."""
    yield from misfits(wheel)
    for info in members_of(wheel):
        if (message := _out_of_place(wheel, info.filename)) is not None:
            yield Finding(message, info.filename)


@check(
    "P04",
    "static",
    "bronze",
    title="The host's packages are asked for by range, and none is shadowed",
    reason="Many nodes share one host. One that pins torch or numpy moves it for all others, or cannot be installed"
    " beside them.",
    remedy='Ask for a range, "torch>=2.6", and put nothing into the wheel that is called like a package of the host.',
)
def host_is_left_alone(wheel: Examined) -> Iterator[Finding]:
    """``Requires-Dist`` and the top-level modules."""
    for text in map(str, wheel.metadata.get_all("Requires-Dist", [])):
        try:
            fault = _fault_of(Requirement(text))
        except InvalidRequirement as error:
            fault = f"'{text}' is no requirement: {str(error).splitlines()[0]}."
        if fault:
            yield Finding(fault, *wheel.requirement(text))
    taken = {module: name for name, modules in HOST_PACKAGES.items() for module in modules}
    for module in sorted(_top_level(wheel)):
        if module in taken or module in sys.stdlib_module_names:
            owner = taken.get(module, "Python's own library")
            yield Finding(f"'{module}' shadows that of {owner}.", module)


@check(
    "P06",
    "static",
    "silver",
    title="Few direct dependencies, none known to be bad",
    reason="Each dependency is one more thing that conflicts with another node's, and one more author to trust.",
    remedy="Drop what a few lines of your own can do; put what only tests need into a dependency group.",
)
def dependencies_are_few(wheel: Examined) -> Iterator[Finding | Warned]:
    """Counts those without an extra, and looks for known names."""
    place = wheel.header("Requires-Dist")
    needed = [one for one in _requirements(wheel) if not _of_extra(one)]
    for one in needed:
        if (why := UNWANTED.get(normalised(one.name))) is not None:
            yield Finding(f"It depends on {one.name}.", *place, remedy=why)
    if len(needed) > MANY_DEPENDENCIES:
        message = f"It depends on {len(needed)} packages; more than {MANY_DEPENDENCIES} are unusual."
        yield Warned(Finding(message, *place))


def _canonical(expression: str) -> str | None:
    try:
        return canonicalize_license_expression(expression) if expression else None
    except InvalidLicenseExpression:
        return None


def _licences_of_manifests(wheel: Examined, canonical: str | None) -> Iterator[Finding | Warned]:
    for one in wheel.declared:
        licence = one.body.get("licence")
        if not isinstance(licence, str):
            continue  # M02 tells it
        if (own := _canonical(licence)) is None:
            yield one.finding(f"'{licence}' is no SPDX expression.", "licence", remedy="Write licence: Apache-2.0.")
        elif canonical is not None and own != canonical:
            message = f"The manifest says {own}, the distribution {canonical}."
            yield Warned(
                one.finding(message, "licence", remedy="Say the same in both, or why they differ in the README.")
            )


def _project_urls(wheel: Examined) -> Mapping[str, str]:
    pairs = (str(line).partition(",") for line in wheel.metadata.get_all("Project-URL", []))
    return {re.sub(r"[^a-z]", "", label.lower()): url.strip() for label, _, url in pairs}


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and "." in (parts.hostname or "")


def _out_of_place(wheel: Examined, name: str) -> str | None:
    """Why a member must not be in a wheel of a node."""
    path = PurePosixPath(name.replace("\\", "/"))
    top = path.parts[0] if path.parts else ""
    if path.is_absolute() or ".." in path.parts or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "The path leads out of the wheel."
    if path.suffix.lower() == ".pth":
        return "A .pth file runs code whenever Python starts."
    if top in {wheel.package, wheel.dist_info, f"{wheel.package}.libs"} or name == f"{wheel.package}.py":
        return None
    if top.endswith(".data"):
        return f"It would be installed outside the package '{wheel.package}'."
    return f"It is no part of the package '{wheel.package}'."


def _top_level(wheel: Examined) -> set[str]:
    """The modules that an import could find, also those that a ``.data`` folder brings."""
    tops: set[str] = set()
    for name in wheel.files:
        parts = PurePosixPath(name).parts
        if parts and parts[0].endswith(".data"):
            parts = parts[2:] if parts[1:2] in {("purelib",), ("platlib",)} else ()
        if (
            parts
            and not parts[0].endswith(".dist-info")
            and (len(parts) > 1 or parts[0].endswith((".py", ".so", ".pyd")))
        ):
            tops.add(parts[0].split(".", 1)[0])
    return tops


def _requirements(wheel: Examined) -> Iterator[Requirement]:
    for text in map(str, wheel.metadata.get_all("Requires-Dist", [])):
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue  # P04 tells it


def _fault_of(requirement: Requirement) -> str:
    if requirement.url:
        return f"'{requirement.name}' is asked for by a URL, which no registry can serve."
    if normalised(requirement.name) not in HOST_PACKAGES or _of_extra(requirement):
        return ""
    if any(_pins(one.operator, one.version) for one in requirement.specifier):
        return f"It pins {requirement.name} ({requirement.specifier}), which is the host's."
    return ""


def _pins(operator: str, version: str) -> bool:
    return operator == "===" or (operator == "==" and not version.endswith(".*"))


def _of_extra(requirement: Requirement) -> bool:
    return requirement.marker is not None and "extra" in str(requirement.marker)
