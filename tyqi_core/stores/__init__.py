"""Run state, payloads and events: one interface, a memory version and, later, a Redis version."""
