"""Random projects in which engines seldom have to ask the store: much is executed under one claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from projects import Draw, cases
from world import Case, compiled

from tyqi_core.errors import InvalidProject


@st.composite
def long_cases(draw: Draw[Any]) -> Case:
    """A case in which, mostly, nothing fails and tasks read constants instead of run inputs: segments are long."""
    case = draw(cases(24))
    if draw(st.integers(0, 3)):
        table = {
            name: tuple(replace(one, failures=0, wrong=False) for one in ones) for name, ones in case.table.items()
        }
        case = replace(case, table=table)
    if draw(st.integers(0, 3)):
        tasks = {name: _with_constants(case, body) for name, body in case.project["tasks"].items()}
        alike = replace(case, project={**case.project, "tasks": tasks})
        case = alike if _compiles(alike) else case  # a task may be left that nothing leads to
    return case


def _with_constants(case: Case, body: Mapping[str, Any]) -> dict[str, Any]:
    values = {"$input.n": case.inputs["n"], "$input.seven": 7, "$input.nums": case.inputs["nums"]}
    inputs = {
        port: {"value": values[text]} if isinstance(text, str) and text in values else text
        for port, text in body["inputs"].items()
    }
    return {**body, "inputs": inputs}


def _compiles(case: Case) -> bool:
    try:
        compiled(case)
    except InvalidProject:
        return False
    return True
