"""What a person asks for: ``crack``, ``crack==1.2``, ``tyqi-node-crack``, a node's id, a wheel on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from tyqi_core.catalog.discovery import PREFIX, normalised
from tyqi_core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to install.

    Attributes:
        distribution: normalised, ``tyqi-node-crack``.
        versions: those that will do.
        wheel: the file, if one was named.
    """

    distribution: str
    versions: SpecifierSet
    wheel: Path | None = None

    @property
    def pinned(self) -> bool:
        """Whether it can mean one version only."""
        return any(one.operator in {"==", "==="} and not one.version.endswith(".*") for one in self.versions)


def distribution_of(word: str) -> str:
    """The distribution that a word means: ``crack``, ``crack.segment`` and ``Tyqi_Node_Crack`` are ``tyqi-node-crack``.

    Raises:
        UsageError: it means none.
    """
    return asked_for(word).distribution


def asked_for(word: str) -> Asked:
    """What a word of the command line asks for.

    Raises:
        UsageError: it is neither a name nor a wheel (``BAD_NAME``, ``BAD_WHEEL``).
    """
    if word.endswith(".whl"):
        from tyqi_core.catalog.wheel import Wheel  # noqa: PLC0415 - for files only

        wheel = Wheel(Path(word).absolute())
        return Asked(wheel.name, SpecifierSet(f"=={wheel.version}"), wheel.path)
    try:
        requirement = Requirement(word)
    except InvalidRequirement as error:
        raise _bad_name(word) from error
    if requirement.url or requirement.extras or requirement.marker:
        raise _bad_name(word)
    return Asked(_full(requirement.name), requirement.specifier)


def _full(name: str) -> str:
    if (plain := normalised(name)).startswith(PREFIX):
        return plain
    return PREFIX + normalised(name.partition(".")[0])  # a node's id says its plugin


def _bad_name(word: str) -> UsageError:
    remedy = "Examples: tyqi install crack; tyqi install 'crack>=1.2,<2'; tyqi install dist/tyqi_node_crack-1.2-....whl"
    return UsageError(f"'{word[:100]}' is no plugin's name", code="BAD_NAME", remedy=remedy)
