"""Threads of which one at a time goes on: whoever conducts them decides, at every call to the store, which."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from tyqi_core.stores.redis_scripts import Line

if TYPE_CHECKING:
    import redis

PATIENCE_S = 60.0


class FallenError(BaseException):
    """The process that a thread belongs to has crashed. Not for handlers of errors."""


@dataclass(eq=False)
class Member:
    """A thread, and for whom it works."""

    owner: Any
    work: Callable[[], None]
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: bool = False
    fall: str = ""  # "before" the next call, or "after" it
    error: BaseException | None = None


class Turns:
    """Conducts threads. What runs in other threads is never held up.

    Args:
        chance: decides who goes on.
    """

    def __init__(self, chance: Random) -> None:
        self.members: list[Member] = []
        self._chance = chance
        self._back = threading.Semaphore(0)
        self._mine = threading.local()

    def begin(self, owner: Any, work: Callable[[], None]) -> None:
        """A further thread, which waits for its first turn."""
        member = Member(owner, work)
        self.members.append(member)
        threading.Thread(target=self._live, args=[member], daemon=True).start()

    def step(self, member: Member) -> None:
        """A thread goes on until its next call, or its end. What it raises is raised here."""
        member.go.release()
        assert self._back.acquire(timeout=PATIENCE_S), "a thread does not come to its next call"
        if member.ended:
            self.members.remove(member)
        if member.error is not None:
            raise member.error

    def pause(self) -> None:
        """What a thread calls where it may be held up."""
        member: Member | None = getattr(self._mine, "member", None)
        if member is not None:
            self._back.release()
            member.go.acquire()
            self._check(member, "before")

    def applied(self) -> None:
        """What a thread calls when the call was made."""
        member: Member | None = getattr(self._mine, "member", None)
        if member is not None:
            self._check(member, "after")

    def crash(self, owner: Any) -> None:
        """All threads of an owner end, each before or after the call that it is about to make."""
        for member in [member for member in self.members if member.owner is owner]:
            member.fall = self._chance.choice(["before", "after"])
            while not member.ended:
                self.step(member)

    def _check(self, member: Member, when: str) -> None:
        if member.fall == when:
            member.fall = "before"  # it was about to go on to a further call, which it must not make
            raise FallenError

    def _live(self, member: Member) -> None:
        member.go.acquire()
        self._mine.member = member
        try:
            if not member.fall:
                member.work()
        except FallenError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to whoever conducts
            member.error = error
        member.ended = True
        self._back.release()


class HeldLine(Line):
    """A line to the server on which every call of a conducted thread waits for its turn; all threads share it."""

    def __init__(self, client: redis.Redis, turns: Callable[[], Turns | None]) -> None:
        super().__init__(client)
        self._turns = turns
        self._one = threading.Lock()
        self._shared = client.connection_pool.make_connection()

    def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        turns = self._turns()
        if turns is not None:
            turns.pause()
        with self._one:
            answers = self.called(commands)
        if turns is not None:
            turns.applied()
        return answers

    def called(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers; nobody else calls meanwhile."""
        return super().exchange(commands)

    def _connection(self) -> Any:
        return self._shared

    def close(self) -> None:
        self._shared.disconnect()
