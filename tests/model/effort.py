"""How many random projects are tried: a few hundred, always the same; or as many as ``TYQI_MODEL_EXAMPLES`` says."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = "TYQI_MODEL_EXAMPLES"


def examples(usual: int) -> settings:
    """The settings of one test. With the variable set, new projects are made up on every call."""
    wanted = os.environ.get(EXAMPLES)
    return settings(
        max_examples=int(wanted) if wanted else usual,
        derandomize=not wanted,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
