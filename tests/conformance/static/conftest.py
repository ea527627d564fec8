"""A wheel made for the test, and what the static checks say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from made_wheels import make_wheel

from tyqi_core.conformance.evidence import Result
from tyqi_core.conformance.run import conform

Results = Mapping[str, Result]


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Results]:
    """Check the good wheel, changed as ``make_wheel`` is told; the results by id."""

    def checked(*, known: Mapping[str, str] | None = None, **changes: Any) -> Results:
        evidence = conform(make_wheel(tmp_path, **changes), modes=("static",), known=known)
        return {result.check: result for result in evidence.results}

    return checked


@pytest.fixture
def failures(results: Callable[..., Results]) -> Callable[..., dict[str, str]]:
    """The checks that the changed wheel fails, each with all that it says."""

    def failed(**changes: Any) -> dict[str, str]:
        found = results(**changes).values()
        return {one.check: "\n".join(map(str, one.findings)) for one in found if one.outcome == "failed"}

    return failed
