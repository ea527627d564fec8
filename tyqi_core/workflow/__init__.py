"""From a project file to a plan: document -> model -> graph -> wiring proof -> :class:`~tyqi_core.workflow.plan.Plan`.

This package module imports nothing: workers read plans through ``workflow.plan`` and must not pay for networkx.
"""
