"""A sweeper in a thread of the tests' process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tyqi_core.app import open_sweeper
from tyqi_core.settings import Settings


@contextlib.contextmanager
def sweeping(settings: Settings) -> Iterator[None]:
    """What an orchestrator does, as long as this is open."""
    sweeper = open_sweeper(settings)
    thread = threading.Thread(target=sweeper.run, name="sweeper")
    thread.start()
    try:
        yield
    finally:
        sweeper.stop()
        thread.join()
        sweeper.close()
