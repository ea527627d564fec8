"""``python -m tyqi_core.cli``."""

from tyqi_core.cli import main

main()
