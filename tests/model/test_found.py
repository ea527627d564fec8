"""Projects on which the real thing and the reference once differed, each with what was wrong."""

import pytest
import yaml
from numeric import Behaviour, NodeSpec, PortSpec
from world import Case, hold

NUMBER = {"x": "number"}
NODES = {
    "t.plain": NodeSpec({}, NUMBER),
    "t.need": NodeSpec({"a": PortSpec("number")}, NUMBER),
    "t.take": NodeSpec({"a": PortSpec("number", required=False)}, NUMBER),
    "t.list": NodeSpec({}, {"items": "numbers", **NUMBER}),
    "t.p": NodeSpec({}, NUMBER, ("p",)),
    "t.pq": NodeSpec({}, NUMBER, ("p", "q")),
}


def hold_against_the_reference(text, table):
    return hold(Case({"tyqi": 1, "project": "found", **yaml.safe_load(text)}, NODES, {}, table), range(20))


@pytest.mark.parametrize("failures", [0, 1])
def test_one_sub_chain_as_body_and_as_error_branch_does_not_mix_up_what_it_hands_outward(failures):
    text = """
tasks:
  T0: {node: t.list, foreach: {over: items, body: T1, collect: {xs: T1.x}}, on_error: {branch: T1}}
  T1: {node: t.plain, subchain: true}
outputs: {list: T0.each.xs, instead: T0.branch.x}
"""
    told = hold_against_the_reference(text, {"T0": (Behaviour(failures=failures, items=2),)})
    assert (told.outputs["list"] is None) == bool(failures)
    assert (told.outputs["instead"] is None) == (not failures)


def test_a_list_that_is_being_filled_is_kept_though_all_that_read_its_task_run_beside_it():
    text = """
tasks:
  T0: {node: t.p, condition: true, branches: {p: T2}}
  T2: {node: t.list, subchain: true, foreach: {over: items, body: T3, collect: {xs: T3.x}}}
  T3: {node: t.plain, subchain: true}
  T4: {node: t.take, inputs: {a: T2.x}, condition: true, branches: [{default: T5}]}
  T5: {node: t.plain, subchain: true}
outputs: {list: T0.branch.xs}
"""
    told = hold_against_the_reference(text, {"T0": (Behaviour(outcome="p"),), "T2": (Behaviour(items=3),)})
    assert len(told.outputs["list"]) == 3


def test_a_sub_chain_that_an_outer_task_uses_as_well_is_known_where_an_inner_one_hands_it_on():
    text = """
tasks:
  T0: {node: t.p, condition: true, branches: {p: T1}, on_error: {branch: T2}}
  T1: {node: t.pq, subchain: true, condition: true, branches: {p: T2, q: null}}
  T2: {node: t.plain, subchain: true}
  T6: {node: t.take, inputs: {a: T1.branch.x}}
outputs: {handed: T0.branch.x}
"""
    table = {"T0": (Behaviour(outcome="p"),), "T1": (Behaviour(outcome="p"),)}
    hold_against_the_reference(text, table)


def test_an_output_that_a_branch_rule_reads_is_still_a_candidate_for_a_port():
    text = """
tasks:
  T0: {node: t.plain}
  T1: {node: t.need, predecessor: T0, condition: true, branches: [{when: T0.x > 200, to: T2}, {default: null}]}
  T2: {node: t.plain, subchain: true}
outputs: {read: T1.x}
"""
    assert hold_against_the_reference(text, {}).outputs["read"] is not None
