"""The checks: each a function with an id, what it is for and what its failure asks of the author.

A module of checks decorates its functions with :func:`check`; importing it adds them to :data:`CHECKS`. The modules are
``static_*`` (no code of the wheel runs), ``probing`` (an import in a subprocess) and ``running`` (through the runtime);
:mod:`tyqi_core.conformance.run` knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from tyqi_core.conformance.evidence import Finding, Tier

Mode = Literal["static", "probe", "run"]


class NotApplicable(Exception):  # noqa: N818 - no error: the check has nothing to say of this wheel
    """Raised by a check that does not concern the wheel; the result is ``skipped``, with this text."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A finding that does not fail the check."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        id: ``M01``; its page of the documentation is ``docs/checks/M01.md``.
        mode: what of the wheel it runs.
        tier: the tier that needs it.
        title: what holds of a wheel that passes.
        reason: why it is asked for.
        remedy: what an author does who fails it.
        body: yields a :class:`Finding` for each fault and a :class:`Warned` for each warning, and what it measured as
            a pair of name and number. It is given the subject of its mode.
    """

    id: str
    mode: Mode
    tier: Tier
    title: str
    reason: str
    remedy: str
    body: Callable[[Any], Iterable[Finding | Warned | tuple[str, float]]]


CHECKS: Final[dict[str, Check]] = {}
"""By id. The second half of a check that has one in two modes (``S02``) stands under id and mode, ``S02.probe``."""


def check(id_: str, mode: Mode, tier: Tier, *, title: str, reason: str, remedy: str) -> Callable[[Any], Any]:
    """Make a function a check. An id may have one in each mode; their results are told as one."""

    def added(body: Any) -> Any:
        key = id_ if id_ not in CHECKS else f"{id_}.{mode}"
        if any(one.id == id_ and one.mode == mode for one in CHECKS.values()):
            raise ValueError(f"there are two checks {id_} of the mode {mode}")
        CHECKS[key] = Check(id_, mode, tier, title, reason, remedy, body)
        return body

    return added
