"""Where trusted packages plug into the framework itself. ``docs/hooks.md`` describes each hook for their authors.

Nodes are not hooks: they are found by ``catalog/``, without running their code. A hook package is code that an
operator chose to run inside the framework; it announces a module (or an object) as an entry point of the group
``tyqi`` and marks its functions::

    from tyqi_core.hooks import hookimpl

    @hookimpl
    def node_failed(run_id, task, node, error):
        pager.send(f"{task} of {run_id}: {error}")

The loop that loads them is our own. pluggy's stops at the first package that cannot be imported, and keeps a package
whose hooks it has just refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from tyqi_core.safety import safe_mode

if TYPE_CHECKING:
    import click

PROJECT = "tyqi"
GROUP = "tyqi"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as a hook's implementation."""

_logger = logging.getLogger("tyqi.hooks")


class Codec(Protocol):
    """Turns values of one Python type into bytes and back; handed out by the hook ``payload_codecs``."""

    name: str
    """Media type that marks the bytes."""

    def accepts(self, value: Any) -> bool:
        """Whether this codec encodes ``value``."""
        ...

    def encode(self, value: Any) -> bytes:
        """The value as bytes."""
        ...

    def decode(self, data: bytes) -> Any:
        """The value back. Bytes come from outside: nothing in them may be executed."""
        ...


class HookSpecs:
    """The hooks that there are. An implementation takes any of a hook's arguments, by name.

    These bodies are never called; pluggy reads names and arguments.
    """

    @hookspec
    def node_before(self, run_id: str, task: str, node: str, params: Mapping[str, Any]) -> None:
        """A task is about to execute.

        Args:
            run_id: the run.
            task: the task's instance, for example ``T4[3]/T5``.
            node: id and version, for example ``crack.segment@1.0.0``.
            params: its parameters.
        """

    @hookspec
    def node_after(self, run_id: str, task: str, node: str, outcome: str | None, seconds: float) -> None:
        """A task has executed, and its outputs were checked.

        Args:
            run_id, task, node: as in ``node_before``.
            outcome: what a condition node decided.
            seconds: how long the node's own code took.
        """

    @hookspec
    def node_failed(self, run_id: str, task: str, node: str, error: Exception) -> None:
        """An attempt of a task has failed; it may be repeated.

        Args:
            run_id, task, node: as in ``node_before``.
            error: a ``tyqi_core.errors.NodeError``.
        """

    @hookspec(firstresult=True)
    def queue_for(self, node: str, queue: str, params: Mapping[str, Any]) -> str | None:
        """Choose the queue of a task; the first answer that is not ``None`` counts.

        Args:
            node: id and version.
            queue: what the manifest and the project say, for example ``cpu.short``.
            params: the task's parameters.
        """

    @hookspec
    def payload_codecs(self) -> Iterable[Codec]:
        """Codecs for values that travel between processes, tried before the built-in ones."""
        raise NotImplementedError

    @hookspec
    def stream_sources(self) -> Mapping[str, Callable[..., Any]]:
        """URL scheme -> factory of a source of items, called with the URL and its settings."""
        raise NotImplementedError

    @hookspec
    def stream_sinks(self) -> Mapping[str, Callable[..., Any]]:
        """URL scheme -> factory of a sink of results, called with the URL and its settings."""
        raise NotImplementedError

    @hookspec
    def cli_commands(self) -> Iterable[click.Command]:
        """Further commands of ``tyqi``. A name that is taken is refused."""
        raise NotImplementedError

    @hookspec
    def api_routers(self) -> Iterable[Any]:
        """Further FastAPI routers, served below ``/x/``."""
        raise NotImplementedError


HOOK_NAMES = tuple(name for name in vars(HookSpecs) if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class HookFailure:
    """A hook package that is not in use, and why."""

    name: str
    reason: str
    distribution: str = ""


class Hooks:
    """The hook packages in use. Make one with :func:`load_hooks`, or empty and ``add`` to it in a test."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(HookSpecs)
        self.failures: list[HookFailure] = []

    def add(self, plugin: object, name: str, distribution: str = "") -> bool:
        """Take a module or an object with hook implementations into use; says whether it could be.

        One that is refused is left out whole and stands in ``failures``.
        """
        reason = self._objection(plugin, name)
        if not reason:
            try:
                self.manager.register(plugin, name)
                reason = self._unfit(plugin)
            except (pluggy.PluginValidationError, TypeError) as error:
                reason = " ".join(str(error).split())
            if reason and self.manager.is_registered(plugin):  # pluggy keeps what it has just refused
                self.manager.unregister(plugin)
        if reason:
            self.failures.append(HookFailure(name, reason, distribution))
        return not reason

    def _objection(self, plugin: object, name: str) -> str:
        """Why ``plugin`` is not even tried."""
        if isinstance(plugin, type):
            return f"expected a module or an object, found the class {plugin.__name__}"
        if self.manager.is_registered(plugin):
            return "it is in use already"
        return f"the name '{name}' is taken" if self.manager.has_plugin(name) else ""

    def implemented(self, hook: str) -> bool:
        """Whether anybody listens: the caller of a frequent hook asks this once and then leaves it out."""
        return bool(getattr(self.manager.hook, hook).get_hookimpls())

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call a hook that only tells. What it raises is logged: whoever watches a run must not change its course."""
        try:
            getattr(self.manager.hook, hook)(**arguments)
        except Exception:
            _logger.exception("a plugin's hook '%s' failed", hook)

    def queue_for(self, node: str, queue: str, params: Mapping[str, Any]) -> str:
        """The queue that the hook ``queue_for`` chooses, else ``queue``."""
        try:
            chosen = self.manager.hook.queue_for(node=node, queue=queue, params=params)
        except Exception:
            _logger.exception("a plugin's hook 'queue_for' failed; %s stays in %s", node, queue)
            return queue
        return str(chosen) if chosen is not None else queue

    def gathered(self, hook: str) -> list[Any]:
        """What all implementations of a hook that returns several things offer, in one list.

        A mapping counts as its items. An implementation that raises is left out and logged.
        """
        offers: list[Any] = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                offer = implementation.function()
                offers.extend(offer.items() if isinstance(offer, Mapping) else offer)
            except Exception:
                _logger.exception("the hook '%s' of '%s' failed", hook, implementation.plugin_name)
        return offers

    def _unfit(self, plugin: object) -> str:
        """What pluggy lets pass: nothing implemented, and misspelt hooks, which it tells for all plugins together."""
        callers = self.manager.get_hookcallers(plugin) or []
        if not callers:
            return "it implements no hook"
        for caller in callers:
            own = [found for found in caller.get_hookimpls() if found.plugin is plugin]
            if not caller.has_spec() and not all(found.optionalhook for found in own):
                return f"there is no hook '{caller.name}'; there are {', '.join(HOOK_NAMES)}"
        return ""


def load_hooks(distributions: Sequence[Any] | None = None) -> Hooks:
    """Load the hook packages that are installed; in safe mode none. Never fails for what one of them does.

    Args:
        distributions: ``importlib.metadata`` distributions to look at, by default all that are installed.
    """
    from importlib import metadata  # noqa: PLC0415 - 20 ms that the tests of single hooks do not need

    hooks = Hooks()
    if safe_mode():
        return hooks
    for distribution in metadata.distributions() if distributions is None else distributions:
        for entry_point in _entry_points(distribution):
            _load(hooks, entry_point, str(distribution.metadata["Name"]))
    return hooks


def _entry_points(distribution: Any) -> list[Any]:
    try:
        return [entry_point for entry_point in distribution.entry_points if entry_point.group == GROUP]
    except Exception:  # noqa: BLE001 - a damaged installation announces nothing
        return []


def _load(hooks: Hooks, entry_point: Any, distribution: str) -> None:
    try:
        plugin = entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a plugin must not end the host
        reason = "it called sys.exit()" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        hooks.failures.append(HookFailure(entry_point.name, f"it cannot be imported: {reason}", distribution))
    else:
        hooks.add(plugin, entry_point.name, distribution)
