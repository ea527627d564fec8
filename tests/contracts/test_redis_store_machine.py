"""Random calls, in any order, late, repeated: the scripts and a model of them answer alike and end up alike."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from redis_machine import Machine


@pytest.mark.parametrize("steps", [12, 60])
def test_the_scripts_do_what_the_model_does(redis_server, steps):
    profile = settings(
        max_examples=40, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    bound = type("Bound", (Machine,), {"server": redis_server})
    run_state_machine_as_test(bound, settings=profile)
