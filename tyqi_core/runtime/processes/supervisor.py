"""Keeps child processes running, and ends them all when it ends itself.

One thread and one selector: it sleeps until a child writes or ends, a signal comes, or something is due. Children are
sessions of their own, so a terminal's Ctrl-C reaches the supervisor alone, which then asks the children to end. If the
supervisor is killed, the kernel ends the children (``tether``) and a guard what they have started (``guard``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tyqi_core.errors import TyqiError, UsageError
from tyqi_core.runtime.processes.child import Child, Running, told
from tyqi_core.runtime.processes.guard import Guard
from tyqi_core.runtime.processes.relay import Relay

log = logging.getLogger("tyqi.supervisor")
_WITHOUT_PIDFD_S: Final = 0.2
_GUARD_EVERY_S: Final = 5.0
_KILLED_S: Final = 5.0
_URGENT: Final = 2
_STDERR: Final = 2
_STEP_S: Final = 0.01

Tick = tuple[float, Callable[[], object]]


class SupervisionError(TyqiError):
    """A child could not be kept running. The others were ended."""

    default_code = "CHILD_FAILED"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, how often.

    Attributes:
        grace_s: how long children may take to end by themselves before they are killed.
        backoff_s: how long after its first end a child is started again; doubles with each end.
        longest_backoff_s: the longest of these.
        settled_s: a child that lived this long is well: its earlier ends are forgotten.
        deaths: after how many ends in a row, none of them well, it is given up.
    """

    grace_s: float = 30.0
    backoff_s: float = 0.5
    longest_backoff_s: float = 30.0
    settled_s: float = 10.0
    deaths: int = 5


@dataclass(slots=True)
class _Member:
    """A child's place in the supervisor."""

    child: Child
    running: Running | None = None
    deaths: int = 0
    due: float = 0.0
    last_lines: Sequence[str] = ()


@dataclass(slots=True)
class _Clock:
    """A tick and when it is due."""

    every_s: float
    call: Callable[[], object]
    due: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs children until it is told to stop.

    Args:
        children: they are started in this order, and asked to end in the reverse one.
        patience: how long things may take.
        output: the file descriptor to which the children's lines go, with the child's name before each; ``None``: none.
        ticks: functions to call every so many seconds, in the supervisor's thread. One that raises is logged. While it
            runs, nothing else is done.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        patience: Patience | None = None,
        output: int | None = _STDERR,
        ticks: Sequence[Tick] = (),
    ) -> None:
        self._members = {child.name: _Member(child) for child in children}
        if len(self._members) != len(children):
            raise UsageError("two children have the same name")
        self._patience = patience or Patience()
        self._out = output
        self._ticks = [_Clock(every_s, call) for every_s, call in ticks]
        self._asked = 0
        self._until: float | None = None
        self._killed = False
        self._failure: SupervisionError | None = None
        self._wake: int | None = None
        self._owner = os.getpid()

    @property
    def pids(self) -> Mapping[str, int]:
        """The processes of the children that run now, by name. Each leads a process group of the same id."""
        return {name: member.running.pid for name, member in self._members.items() if member.running is not None}

    def owner(self, pid: int) -> str | None:
        """The child to whose process group a process belongs."""
        with contextlib.suppress(ProcessLookupError):
            group = os.getpgid(pid)
            return next((name for name, leader in self.pids.items() if leader == group), None)
        return None

    def end(self, name: str, number: int = signal.SIGKILL, pid: int | None = None) -> bool:
        """Send a signal to a child, or to the member ``pid`` of its process group. For ticks.

        A child that ends after this is started again at once, and its end is not held against it.

        Returns:
            False if there is no such process (any more).
        """
        running = self._members[name].running
        if running is None:
            return False
        running.asked_to_end |= pid in (None, running.pid)
        return running.send(number, pid)

    def stop(self, *, now: bool = False) -> None:
        """End the children and return from :meth:`run`; ``now``: without letting them finish. From any thread."""
        self._asked += _URGENT if now else 1
        self._rouse()

    def _rouse(self) -> None:
        """Wake the loop up. Called in signal handlers and by other threads."""
        if self._wake is not None:
            with contextlib.suppress(OSError):
                os.write(self._wake, b"\0")

    def run(self) -> None:
        """Run the children until SIGTERM, SIGINT, SIGHUP or :meth:`stop`; a second signal ends them at once.

        No process of any child is left afterwards.

        Raises:
            SupervisionError: a child ended too often; the message has what it wrote last.
        """
        with self._prepared():
            for member in self._members.values():
                self._start(member)
            while self._has_work():
                self._turn()
        if self._failure is not None:
            raise self._failure

    # -- the loop ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[None]:
        """What the loop needs; at its end, whatever way, no child is left."""
        self._owner = os.getpid()
        reading, self._wake = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(self._wake, False)
        self._guard, self._relay = Guard(), Relay(self._out)
        with selectors.DefaultSelector() as self._selector, self._signals():
            self._selector.register(reading, selectors.EVENT_READ, lambda: os.read(reading, 4096))
            self._guard_clock = _Clock(_GUARD_EVERY_S, self._guard.check)
            try:
                yield
            finally:
                self._end_what_is_left()
                wake, self._wake = self._wake, None
                os.close(wake)
                os.close(reading)
                self._guard.close()
                self._relay.close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals are heard where Python can hear them, in the main thread. What was ignored stays ignored."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, self._heard)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, _frame: object) -> None:
        if os.getpid() == self._owner:
            self.stop()
        else:  # a fork of this process, which must not speak for it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _has_work(self) -> bool:
        if self._until is None:
            return True
        gave_up = self._killed and time.monotonic() > self._until
        return any(member.running for member in self._members.values()) and not gave_up

    def _turn(self) -> None:
        """Sleep until something happens, and see to it."""
        for key, _ in self._selector.select(self._time_left()):
            key.data()
        if self._asked and self._until is None:
            self._begin_to_stop()
        for member in self._members.values():
            self._look_after(member)
        for clock in (self._guard_clock, *self._ticks):
            self._tick(clock)
        if self._until is not None and (self._asked >= _URGENT or time.monotonic() > self._until):
            self._kill()

    def _time_left(self) -> float:
        due = [clock.due for clock in (self._guard_clock, *self._ticks)]
        if self._until is None:
            due += [member.due for member in self._members.values() if member.running is None]
        else:
            due.append(self._until)
        if any(member.running and member.running.pidfd is None for member in self._members.values()):
            due.append(time.monotonic() + _WITHOUT_PIDFD_S)
        return max(0.0, min(due) - time.monotonic())

    def _tick(self, clock: _Clock) -> None:
        if clock.due > time.monotonic():
            return
        try:
            clock.call()
        except Exception:
            log.exception("a tick of the supervisor failed; it is called again in %g s", clock.every_s)
        clock.due = time.monotonic() + clock.every_s

    # -- children ----------------------------------------------------------------------------------------------------

    def _start(self, member: _Member) -> None:
        child = member.child
        try:
            running = Running(child, lambda line: self._relay.say(child.name, line))
        except OSError as error:
            member.last_lines = (str(error),)
            self._count_death(member, "could not be started")
            return
        member.running = running
        self._guard.add(running.pid)
        self._selector.register(running.output, selectors.EVENT_READ, lambda: self._read(running))
        if running.pidfd is not None:  # only to wake up; ``_look_after`` sees to it
            self._selector.register(running.pidfd, selectors.EVENT_READ, lambda: None)

    def _read(self, running: Running) -> None:
        if not running.output.read():
            self._selector.unregister(running.output)

    def _look_after(self, member: _Member) -> None:
        if member.running is not None and member.running.has_ended():
            self._bury(member, member.running)
        if member.running is None and self._until is None and member.due <= time.monotonic():
            self._start(member)

    def _bury(self, member: _Member, running: Running) -> None:
        for source in (running.output, running.pidfd):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(source)  # type: ignore[arg-type]
        status = running.clear()
        self._guard.discard(running.pid)
        member.running, member.last_lines, member.due = None, running.output.last_lines, 0.0
        if self._until is not None or running.asked_to_end:
            return
        if time.monotonic() - running.since >= self._patience.settled_s:
            member.deaths = 0
        self._count_death(member, told(status))

    def _count_death(self, member: _Member, how: str) -> None:
        member.deaths += 1
        patience = self._patience
        if member.deaths >= patience.deaths:
            self._give_up(member, how)
            return
        wait = min(patience.longest_backoff_s, patience.backoff_s * 2 ** (member.deaths - 1))
        member.due = time.monotonic() + wait
        log.warning("%s %s; it is started again in %g s", member.child.name, how, wait)

    def _give_up(self, member: _Member, how: str) -> None:
        lines = "\n".join(f"    {line}" for line in member.last_lines) or "    (nothing)"
        self._failure = self._failure or SupervisionError(
            f"{member.child.name} {how}, {member.deaths} times in a row. What it wrote last:\n{lines}",
            remedy="Mend what it complains about, then start again.",
        )
        member.due = float("inf")
        self._asked = max(self._asked, 1)
        self._rouse()

    # -- the end -----------------------------------------------------------------------------------------------------

    def _begin_to_stop(self) -> None:
        self._until = time.monotonic() + self._patience.grace_s
        for member in reversed(self._members.values()):
            if member.running is not None:
                member.running.send(signal.SIGTERM)

    def _kill(self) -> None:
        if not self._killed:
            self._killed, self._until = True, time.monotonic() + _KILLED_S
            for member in self._members.values():
                if member.running is not None:
                    member.running.kill()

    def _end_what_is_left(self) -> None:
        """Only after a fault of the loop itself, and for what waits in the kernel for a device in spite of SIGKILL."""
        left = [member.running for member in self._members.values() if member.running is not None]
        for running in left:
            running.kill()
        until = time.monotonic() + _KILLED_S
        for running in left:
            while not running.has_ended() and time.monotonic() < until:
                time.sleep(_STEP_S)
            if running.has_ended():
                running.clear()
            else:
                log.error("process %d does not end", running.pid)
