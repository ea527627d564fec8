"""The pytest plugin: ``node_check`` tests a project's own nodes by the conformance kit, ``run_node`` runs one node.

A partner's whole test file may be::

    def test_node(node_check):
        node_check()

Nothing is imported for test runs that use neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tyqi_core.conformance.trials import Item, Report, Reports

FIXTURE = "node_check"
_REPORTS: pytest.StashKey[Reports] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check and node of the project, where a test asks for ``node_check``."""
    if FIXTURE not in metafunc.fixturenames:
        return
    from tyqi_core.conformance.own_nodes import own_items, project_of  # noqa: PLC0415 - for those who use it
    from tyqi_core.errors import UsageError  # noqa: PLC0415 - see above

    items: list[Any]
    try:
        items = list(own_items(project_of(metafunc.definition.path, metafunc.config.rootpath)))
    except UsageError as error:  # told by a test that fails: an error here would hide all other tests
        items = [error]
    names = [" ".join(reversed(item)) if isinstance(item, tuple) else "no nodes" for item in items]
    metafunc.parametrize(FIXTURE, items, ids=names, indirect=True)


@pytest.fixture
def node_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Tries one node by one check of the conformance kit; calling it fails the test if the check fails."""
    item = request.param

    def call() -> None:
        if isinstance(item, Exception):
            pytest.fail(str(item), pytrace=False)
        _judge(request.node, item, _report(request, item))

    return call


@pytest.fixture
def run_node() -> Callable[..., Mapping[str, Any]]:
    """``run_node(id, inputs=None, **params)``: a node's outputs by port; without inputs, those of its first example."""

    def run(node_id: str, inputs: Mapping[str, Any] | None = None, **params: Any) -> Mapping[str, Any]:
        from tyqi_core.conformance import own_nodes  # noqa: PLC0415 - for those who use it

        outputs: Mapping[str, Any] = own_nodes.run_node(node_id, inputs, params)
        return outputs

    return run


def _report(request: pytest.FixtureRequest, item: Item) -> Report:
    """What a child process came to: asked once, for all that this session has selected."""
    from tyqi_core.conformance.own_nodes import try_own  # noqa: PLC0415 - for those who use it

    reports = request.session.stash.get(_REPORTS, None)
    if reports is None or item not in reports.of:
        spread = hasattr(request.config, "workerinput")  # pytest-xdist: others do the rest
        asked = [item] if spread else [*dict.fromkeys([*_selected(request.session), item])]
        reports = request.session.stash[_REPORTS] = try_own(asked)
    return reports.of[item]


def _selected(session: pytest.Session) -> list[Item]:
    calls = (getattr(item, "callspec", None) for item in session.items)
    chosen = (call.params.get(FIXTURE) for call in calls if call is not None)
    return [item for item in chosen if isinstance(item, tuple)]


def _judge(node: pytest.Item, item: Item, report: Report) -> None:
    if report.warnings:
        node.add_report_section("call", "tyqi warnings", "\n".join(map(str, report.warnings)))
    if report.skipped:
        pytest.skip(report.skipped)
    if report.findings:
        told = "\n".join(f"{item[0]} {item[1]}: {finding}" for finding in report.findings)
        pytest.fail(f"{told}\nWhy, and what to do: docs/checks/{item[0]}.md, or 'tyqi conform .'", pytrace=False)
