"""The context that the runtimes hand to a node."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from tyqi_core.errors import TaskCancelled

_LOG = logging.getLogger("tyqi.node")
ProgressListener = Callable[[str, str, float, str], None]
"""Called with run id, task instance, fraction and note."""


class TaskContext:
    """A :class:`~tyqi_core.node.Context` of one attempt. Costly parts are made when they are asked for."""

    __slots__ = ("_listener", "cancelled", "device", "instance", "params", "run_id")

    def __init__(
        self,
        run_id: str,
        instance: str,
        params: Mapping[str, Any],
        device: str,
        listener: ProgressListener | None = None,
    ) -> None:
        self.run_id = run_id
        self.instance = instance
        self.params = params
        self.device = device
        self.cancelled = False
        self._listener = listener

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry ``run`` and ``task``."""
        return logging.LoggerAdapter(_LOG, {"run": self.run_id, "task": self.instance})

    @property
    def effect_key(self) -> str:
        """The same for every attempt of this task in this run."""
        return f"{self.run_id}/{self.instance}"

    def check_cancelled(self) -> None:
        """Raise once the run is cancelled or the task's time is up."""
        if self.cancelled:
            raise TaskCancelled(f"{self.instance} of run {self.run_id} was cancelled")

    def progress(self, fraction: float, note: str = "") -> None:
        """Hand the progress on to whoever listens."""
        if self._listener is not None:
            self._listener(self.run_id, self.instance, min(1.0, max(0.0, fraction)), note)
