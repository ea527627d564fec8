"""The scripts of the Redis store: put together, called, their faults told in our words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Final, cast

import redis

from tyqi_core.errors import StoreError, UsageError
from tyqi_core.failpoints import hit

FLAGS: Final = {
    "accept": "",
    "beat": "allow-oom",
    "cancel": "allow-oom",
    "claim": "",
    "commit": "",
    "fail": "",
    "forget": "allow-oom",
    "read": "no-writes",
    "reap": "",
    "release": "allow-oom",
    "resume": "",
    "retry": "",
    "supply": "",
    "take_due": "",
    "tidy": "allow-oom",
    "waiting": "",
}
"""Each script and what its ``#!lua`` line says: what frees memory or ends work may run when memory is used up."""

PRELUDES: Final = {"claim": ["claims"], "commit": ["claims", "history"], "read": ["claims"]}
"""What stands before a script beside ``common``."""
POINTS: Final = {
    "accept": ("CP0", "CP1"),
    "take_due": ("CP2", "CP3"),
    "claim": ("CP4", "CP5"),
    "commit": ("CP8", "CP9"),
    "reap": ("CP13", "CP13.applied"),
}
"""Failpoints before a call and after its effect; those of other scripts are ``name`` and ``name.applied``."""

Argument = str | bytes | memoryview | int | float


@cache
def text_of(name: str, *, shebang: bool) -> bytes:
    """A script as the server gets it."""
    folder = files("tyqi_core.stores") / "scripts"
    parts = ("common", *PRELUDES.get(name, ()), name)
    body = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    flags = FLAGS[name]
    head = ("#!lua" + (f" flags={flags}" if flags else "") + "\n") if shebang else ""
    return (head + body).encode()


@cache
def digest_of(name: str, *, shebang: bool) -> str:
    """What the server calls the script."""
    return hashlib.sha1(text_of(name, shebang=shebang), usedforsecurity=False).hexdigest()


class Line:
    """Connections for the calls on the path of every task: as many as calls are made at once.

    redis-py's own way, through its pool and several wrappers, takes as much processor time as the call itself. One
    connection a thread would do too, but greenlets live for one message and would connect for each.

    Args:
        client: whose pool makes the connections, with its time-outs and retries.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool: Any = client.connection_pool  # its stubs leave much of it untyped
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def exchange(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """The answers to commands that are sent in one go; a command that failed is answered by its error.

        Raises:
            redis.exceptions.ConnectionError: the server is away; what was retried did not help.
        """
        connection = self._taken()

        def attempt() -> list[Any]:
            connection.send_packed_command(packed)
            return [self._answer(connection) for _ in commands]

        try:
            packed = [part for command in commands for part in connection.pack_command(*command)]
            return cast("list[Any]", connection.retry.call_with_retry(attempt, lambda _: connection.disconnect()))
        except BaseException:  # an answer that nobody has read would be taken for the next one's
            connection.disconnect()
            raise
        finally:
            self._idle.append(connection)

    @staticmethod
    def _answer(connection: Any) -> Any:
        try:
            return connection.read_response()
        except redis.exceptions.ResponseError as error:
            if isinstance(error, redis.exceptions.ReadOnlyError):
                raise
            return error

    def _taken(self) -> Any:
        if self._pid != os.getpid():  # a fork may not share its parent's sockets
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._pool.make_connection()

    def close(self) -> None:
        """End the connections that are not in use."""
        while self._pid == os.getpid() and self._idle:
            self._idle.pop().disconnect()


class Scripts:
    """Calls scripts; a server that does not know one (new, or emptied) is given it within the same call."""

    def __init__(self, client: redis.Redis, *, shebang: bool) -> None:
        self._client = client
        self._line = Line(client)
        self._shebang = shebang

    def call(self, name: str, key: str, arguments: Sequence[Argument]) -> Any:
        """The script's answer.

        Raises:
            StoreError: the server is away, full, or holds what is no run.
        """
        before, after = POINTS.get(name) or (name, f"{name}.applied")
        hit(before)
        with translated():
            (answer,) = self._line.exchange([("EVALSHA", self._digest(name), 1, key, *arguments)])
            if isinstance(answer, redis.exceptions.NoScriptError):
                (answer,) = self._line.exchange([("EVAL", text_of(name, shebang=self._shebang), 1, key, *arguments)])
            if isinstance(answer, Exception):
                raise answer
        hit(after)
        return answer

    def call_many(self, name: str, calls: Sequence[tuple[str, Sequence[Argument]]]) -> list[Any]:
        """The answers to several calls of one script, given as key and arguments, in one round trip.

        Raises:
            StoreError: as :meth:`call`; of the first call that failed.
        """
        if len(calls) == 1:
            return [self.call(name, *calls[0])]
        before, after = POINTS.get(name) or (name, f"{name}.applied")
        hit(before)
        with translated():
            digest = self._digest(name)
            answers = self._line.exchange([("EVALSHA", digest, 1, key, *arguments) for key, arguments in calls])
        hit(after)
        return [self._answer(name, call, answer) for call, answer in zip(calls, answers, strict=True)]

    def _answer(self, name: str, call: tuple[str, Sequence[Argument]], answer: Any) -> Any:
        if isinstance(answer, redis.exceptions.NoScriptError):
            return self.call(name, *call)
        if isinstance(answer, Exception):
            with translated():
                raise answer
        return answer

    def close(self) -> None:
        """End the connections that are not in use."""
        self._line.close()

    def load(self) -> None:
        """Give all scripts to the server: for a role that prepares it, where workers may call ``EVALSHA`` only."""
        with translated():
            for name in FLAGS:
                self._client.script_load(text_of(name, shebang=self._shebang))

    def _digest(self, name: str) -> str:
        return digest_of(name, shebang=self._shebang)


_CODES = ("STATE_CORRUPT", "PAYLOAD_MISSING")


@contextmanager
def translated() -> Iterator[None]:
    """Faults of the client and of the server as errors of ours."""
    try:
        yield
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, redis.exceptions.ReadOnlyError) as error:
        raise StoreError(
            f"the Redis server does not answer: {error}",
            code="STORE_UNAVAILABLE",
            remedy="Check that it runs and can be reached; the call may be repeated.",
        ) from error
    except redis.exceptions.OutOfMemoryError as error:
        raise _full(error) from error
    except redis.exceptions.ResponseError as error:
        raise _of_response(error) from error


def _full(error: Exception) -> StoreError:
    remedy = "Give the server more memory or disk, or let runs end; the call may be repeated."
    return StoreError(f"the Redis server refuses to write: {error}", code="STORE_FULL", remedy=remedy)


def _of_response(error: Exception) -> StoreError:
    text = str(error)
    if text.startswith(("OOM", "MISCONF", "-OOM")):
        return _full(error)
    if "WRONGTYPE" in text:
        return StoreError(f"a key of the store holds another type: {text}", code="STATE_CORRUPT")
    for code in _CODES:
        if text.startswith(code):
            return StoreError(text.removeprefix(code).split(" script: ")[0].strip(), code=code)
    return StoreError(f"the Redis server answered: {text}")


def check_server(client: redis.Redis, *, old_server: bool) -> bool:
    """Refuse a server that would lose runs. Returns whether its scripts take the ``#!lua`` line.

    Raises:
        UsageError: it evicts keys (``EVICTING_STORE``) or is older than 7.0 and not said to be so (``OLD_STORE``).
    """
    with translated():
        info = cast("dict[str, Any]", client.info())
        policy = _eviction_policy(client, info)
    if policy != "noeviction":
        raise UsageError(
            f"the Redis server's maxmemory-policy is {policy or 'unknown'}: it would drop runs when memory is short",
            code="EVICTING_STORE",
            remedy="Set maxmemory-policy to noeviction, and keep caches on another server.",
        )
    version = str(info.get("redis_version", "0"))
    if int(version.partition(".")[0]) >= 7:  # noqa: PLR2004
        return True
    if not old_server:
        raise UsageError(
            f"the Redis server is {version}; 7.0 or newer is needed",
            code="OLD_STORE",
            remedy="Install a newer one. Only the embedded server of a single machine may be older.",
        )
    return False


def _eviction_policy(client: redis.Redis, info: dict[str, Any]) -> str:
    """Asked of ``CONFIG``, which hosted servers forbid, else of ``INFO``."""
    try:
        found = cast("dict[str, str]", client.config_get("maxmemory-policy"))
    except redis.exceptions.ResponseError:
        found = {}
    return str(found.get("maxmemory-policy") or info.get("maxmemory_policy") or "")
