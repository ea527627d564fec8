from __future__ import annotations

import subprocess
import sys

import pytest

import tyqi_core


@pytest.mark.parametrize("before", ["", "import tyqi_core.node; ", "from tyqi_core.node import Node; "])
def test_the_decorator_is_no_module_whatever_was_imported_before(before: str) -> None:
    code = f"{before}from tyqi_core import Node, node; print(callable(node))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in tyqi_core.__all__ if not hasattr(tyqi_core, name)] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nodes'"):
        tyqi_core.nodes  # noqa: B018
