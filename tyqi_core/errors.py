"""Every error that TYQ-i core raises on purpose, as one tree.

::

    TyqiError                    code, message, remedy
    ├── UsageError               the call itself is wrong                     (exit 2)
    ├── InvalidFile              a YAML file with one or more Problems        (exit 2)
    │   ├── InvalidManifest
    │   └── InvalidProject
    ├── CatalogError             a node is unknown, broken or disabled        (exit 2)
    ├── InputError               one run's input is unusable                  (exit 1)
    ├── OutputError              a result could not be written                (exit 1)
    ├── NodeError                a task failed; carries task and node         (exit 1)
    │   ├── ContractViolation    a value does not fit its port
    │   ├── ConditionError       a condition could not be decided
    │   └── TaskTimeout          the task passed its deadline
    ├── TaskCancelled            raised inside a node that asked ``ctx.check_cancelled()``
    ├── StoreError               the store of runs is away, full or damaged    (exit 1)
    ├── BrokerError              the broker took no message in time           (exit 1)
    ├── ReplayRefused            a record is not complete enough to repeat     (exit 2)
    ├── RegistryError            a registry is away, damaged, or has no such thing (exit 1)
    │   └── PublishRefused       a wheel that it does not take, with the reasons
    └── InternalError            a law of the scheduler was broken: our bug    (exit 1, traceback)

A user's mistake is shown as one line without a traceback. ``InternalError`` keeps its traceback.
Interrupts (``KeyboardInterrupt``) stay outside this tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in one file: where it stands, what was found, what to do about it.

    ``line`` and ``column`` count from 1; 0 means the whole file. ``path`` is a JSON path (``$.tasks.T1.node``).
    ``nearest`` is the closest valid name, when the fault is a misspelt one.
    """

    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = "$"
    nearest: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place = f"{place or '<document>'}:{self.line}:{self.column}"
        text = f"{place}: {self.code}: {self.message}" if place else f"{self.code}: {self.message}"
        if self.nearest:
            text += f" Did you mean '{self.nearest}'?"
        if self.remedy:
            text += f" {self.remedy}"
        return text

    def to_json(self) -> dict[str, Any]:
        """The problem as a JSON object; absent parts are left out."""
        pairs = {
            "code": self.code,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "nearest": self.nearest,
            "remedy": self.remedy,
        }
        return {key: value for key, value in pairs.items() if value not in (None, "")}


def _sentence(text: str) -> str:
    """The text with a stop at its end, so that another sentence can follow."""
    return text if text.endswith((".", "!", "?", ":", ")")) else f"{text}."


class TyqiError(Exception):
    """Root of the tree. ``code`` is stable and machine-readable; ``remedy`` says what to do next."""

    default_code: ClassVar[str] = "ERROR"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, code: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        return f"{_sentence(text)} {self.remedy}" if self.remedy else text

    def to_json(self) -> dict[str, Any]:
        """The error as a JSON object, without a traceback."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.remedy:
            body["remedy"] = self.remedy
        return body


class UsageError(TyqiError):
    """The command or the call is wrong; nothing was started."""

    default_code = "USAGE"
    exit_code = 2


class InvalidFile(TyqiError):
    """A file that cannot be used, with all its problems in the order in which they stand in it."""

    default_code = "INVALID_FILE"
    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(problems, key=lambda p: (p.file, p.line, p.column))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __str__(self) -> str:
        return self.message

    def to_json(self) -> dict[str, Any]:
        """The error as a JSON object with one entry a problem."""
        return {"code": self.code, "problems": [problem.to_json() for problem in self.problems]}


class InvalidManifest(InvalidFile):
    """A node manifest that does not follow its schema or the rules of its package."""

    default_code = "INVALID_MANIFEST"


class InvalidProject(InvalidFile):
    """A project that does not compile."""

    default_code = "INVALID_PROJECT"


class CatalogError(TyqiError):
    """A node that is not installed, is disabled, or cannot be loaded."""

    default_code = "CATALOG"
    exit_code = 2


class InputError(TyqiError):
    """An input of a run that cannot be used: unreadable, of the wrong type, too large."""

    default_code = "BAD_INPUT"


class OutputError(TyqiError):
    """A result that could not be written where it was asked for. Nothing half-written is left."""

    default_code = "OUTPUT_NOT_WRITTEN"


class NodeError(TyqiError):
    """A task failed. ``task`` is its instance (``T1/T2a``), ``node`` the node's id."""

    default_code = "NODE_ERROR"
    retryable: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        remedy: str | None = None,
        task: str = "",
        node: str = "",
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.task = task
        self.node = node

    def to_json(self) -> dict[str, Any]:
        """The error as a JSON object, with the task and the node it comes from."""
        body = super().to_json()
        if self.task:
            body["task"] = self.task
        if self.node:
            body["node"] = self.node
        return body


class ContractViolation(NodeError):
    """A value does not fit the type of its port. Repeating the task would not help."""

    default_code = "CONTRACT_VIOLATION"
    retryable = False


class ConditionError(NodeError):
    """A condition's expression could not be evaluated on this run's values."""

    default_code = "CONDITION_ERROR"
    retryable = False


class TaskTimeout(NodeError):
    """The task passed its deadline and was given up."""

    default_code = "TIMEOUT"


class TaskCancelled(TyqiError):
    """Raised by ``ctx.check_cancelled()`` inside a node whose run was cancelled or whose time is up."""

    default_code = "CANCELLED"


class ReplayRefused(TyqiError):
    """A recorded run cannot be repeated from what was kept of it."""

    default_code = "REPLAY_REFUSED"
    exit_code = 2


class StoreError(TyqiError):
    """The store of runs could not do what was asked of it.

    With the codes ``STORE_UNAVAILABLE`` and ``STORE_FULL`` nothing is wrong with the call: it may be repeated as it is.
    """

    default_code = "STORE_ERROR"


class BrokerError(TyqiError):
    """The broker did not take a message in time. Of several it may have some; publishing all again is harmless."""

    default_code = "BROKER_UNAVAILABLE"


class RegistryError(TyqiError):
    """A registry cannot be read or changed, or does not hold what was asked for."""

    default_code = "REGISTRY"


class PublishRefused(RegistryError):
    """A wheel that a registry does not take. The code of each problem is the id of the check that it failed."""

    default_code = "PUBLISH_REFUSED"

    def __init__(self, message: str, problems: Iterable[Problem], *, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.problems: Sequence[Problem] = list(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])

    def to_json(self) -> dict[str, Any]:
        """The error as a JSON object with one entry a problem."""
        return super().to_json() | {"problems": [problem.to_json() for problem in self.problems]}


class InternalError(TyqiError):
    """A law of the scheduler or of a store was broken. This is a bug of TYQ-i core."""

    default_code = "INTERNAL"
