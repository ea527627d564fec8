"""Supervision of real processes: such as crash, hang, ignore signals and leave others behind."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tyqi_core.errors import UsageError
from tyqi_core.runtime.processes.child import Child
from tyqi_core.runtime.processes.guard import Guard
from tyqi_core.runtime.processes.supervisor import Patience, SupervisionError, Supervisor

PATIENCE_S = 30.0
QUICK = Patience(grace_s=PATIENCE_S, backoff_s=0.001, settled_s=1000)
LINE = re.compile(r"(\S+) \| (.*)")

WAITS = "import signal; print('ready', flush=True); signal.pause()"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True: signal.pause()
"""
PARENT = f"""
import subprocess, sys, signal
left = subprocess.Popen([sys.executable, "-c", {DEAF!r}], stdout=subprocess.PIPE)
left.stdout.readline()
print("left", left.pid, flush=True)
"""
STAYS = PARENT + "signal.pause()\n"
SUPERVISOR = """
import json, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):  # whoever runs the tests in the background may have them ignored
    signal.signal(number, signal.SIG_DFL)
from tyqi_core.runtime.processes.child import Child
from tyqi_core.runtime.processes.supervisor import Patience, Supervisor
children = [Child(name, argv) for name, argv in json.loads(sys.argv[1]).items()]
Supervisor(children, patience=Patience(grace_s=float(sys.argv[2])), output=1).run()
print("supervisor | done", flush=True)
"""


def python(name: str, script: str, *arguments: str) -> Child:
    return Child(name, [sys.executable, "-c", script, *arguments])


class Trial:
    """A supervisor in this process, what its children write, and a tick that looks whether the test has seen enough."""

    def __init__(self, *children: Child, patience: Patience = QUICK) -> None:
        self._reading, self._writing = os.pipe()
        self.lines: list[tuple[str, str]] = []
        self.patience = patience
        self.children = children
        self.supervisor = Supervisor(children, patience=patience, output=self._writing, ticks=[(0.005, self._look)])
        self._reader = threading.Thread(target=self._read)
        self._until = time.monotonic() + PATIENCE_S
        self._enough: Callable[[], object] = lambda: False
        self.seen_enough = False

    def run(self, enough: Callable[[], object] = lambda: False) -> list[tuple[str, str]]:
        """Run until there is enough; returns all lines."""
        self._enough = enough
        self._reader.start()
        try:
            self.supervisor.run()
        finally:
            os.close(self._writing)
            self._reader.join()
        assert self.seen_enough, self.lines
        return self.lines

    def said(self, name: str) -> list[str]:
        return [line for who, line in self.lines if who == name]

    def told(self, name: str, pattern: str) -> list[int]:
        """The numbers that a child has written after a word."""
        return [int(found[1]) for line in self.said(name) if (found := re.fullmatch(rf"{pattern} (\d+)", line))]

    def _look(self) -> None:
        if not self.seen_enough and self._enough():
            self.seen_enough = True
            self.supervisor.stop()
        elif time.monotonic() > self._until:
            self.supervisor.stop(now=True)

    def _read(self) -> None:
        with os.fdopen(self._reading, encoding="utf-8", errors="replace") as file:
            for line in file:
                match = LINE.fullmatch(line.rstrip("\n"))
                assert match, line
                self.lines.append((match[1], match[2]))


class Outside:
    """A supervisor that is another process."""

    def __init__(self, *children: Child, grace_s: float = PATIENCE_S) -> None:
        spoken = json.dumps({child.name: list(child.argv) for child in children})
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, spoken, str(grace_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

        self._lines: list[str] = []

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line of this form, whether it was written already or is yet to come."""
        assert self.process.stdout is not None
        for line in itertools.chain(tuple(self._lines), map(self._kept, self.process.stdout)):
            if match := re.fullmatch(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} is not in {self._lines}")

    def _kept(self, line: str) -> str:
        self._lines.append(line.rstrip("\n"))
        return self._lines[-1]


@pytest.fixture
def outside() -> Iterator[Callable[..., Outside]]:
    started: list[Outside] = []

    def start(*children: Child, grace_s: float = PATIENCE_S) -> Outside:
        started.append(Outside(*children, grace_s=grace_s))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def handle(pid: int) -> int:
    return os.pidfd_open(pid)


def ended(*handles: int) -> bool:
    """Whether processes end, waited for with patience."""
    return all(select.select([one], [], [], PATIENCE_S)[0] for one in handles)


def gone(pid: int) -> bool:
    """Whether a process has ended now, without waiting. One that nobody has asked for its status has ended too."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def test_lines_of_children_are_passed_on_with_their_names() -> None:
    trial = Trial(
        python("a", "print('one\\ntwo', flush=True)\n" + WAITS),
        python("b", "import sys; print('to stderr', file=sys.stderr, flush=True)\n" + WAITS),
    )
    trial.run(lambda: len(trial.lines) >= 5)
    assert trial.said("a") == ["one", "two", "ready"]
    assert trial.said("b") == ["to stderr", "ready"]


def test_lines_without_an_end_and_lines_of_no_text_are_passed_on_too() -> None:
    trial = Trial(python("a", "import os; os.write(1, b'x' * 100_000 + b'\\n\\xff\\n' + b'last')"), patience=QUICK)
    with pytest.raises(SupervisionError):
        trial.run()
    assert sum(line.count("x") for line in trial.said("a")) == 100_000 * QUICK.deaths
    assert {"\ufffd", "last"} <= set(trial.said("a"))


def test_a_child_that_ends_is_started_again_and_waits_longer_each_time(caplog: pytest.LogCaptureFixture) -> None:
    trial = Trial(python("a", "print('here'); raise SystemExit(3)"), patience=Patience(backoff_s=0.01, deaths=5))
    with caplog.at_level(logging.WARNING, "tyqi.supervisor"), pytest.raises(SupervisionError):
        trial.run()
    assert trial.said("a") == ["here"] * 5
    assert [record.getMessage() for record in caplog.records] == [
        f"a ended with status 3; it is started again in {wait} s" for wait in ("0.01", "0.02", "0.04", "0.08")
    ]


def test_the_wait_has_an_upper_bound(caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience(backoff_s=0.01, longest_backoff_s=0.02, deaths=5)
    with pytest.raises(SupervisionError):
        Trial(python("a", ""), patience=patience).run()
    assert [record.getMessage().split()[-2] for record in caplog.records] == ["0.01", "0.02", "0.02", "0.02"]


def test_a_child_that_always_ends_at_once_is_given_up_with_its_last_lines_and_the_others_are_ended() -> None:
    trial = Trial(python("good", WAITS), python("bad", "import sys; sys.exit('no model at /models/x')"))
    pids: dict[str, int] = {}
    with pytest.raises(SupervisionError) as given_up:
        trial.run(lambda: pids.update(trial.supervisor.pids))
    assert given_up.value.code == "CHILD_FAILED"
    assert "bad ended with status 1, 5 times in a row" in given_up.value.message
    assert "no model at /models/x" in given_up.value.message
    assert gone(pids["good"])


def test_a_child_that_was_well_for_a_while_is_never_given_up() -> None:
    patience = Patience(backoff_s=0.001, settled_s=0, deaths=2)
    trial = Trial(python("a", "print('here')"), patience=patience)
    trial.run(lambda: len(trial.said("a")) >= 5)


def test_a_program_that_does_not_exist_is_told_by_name() -> None:
    with pytest.raises(SupervisionError, match="cannot run no-such-program: No such file"):
        Trial(Child("a", ["no-such-program"])).run()


def test_a_child_gets_its_own_environment() -> None:
    script = "import os; print(sorted(os.environ.items()), flush=True)\n" + WAITS
    trial = Trial(Child("a", [sys.executable, "-c", script], {"COLOUR": "blue", "LC_CTYPE": "C.UTF-8"}))
    trial.run(lambda: len(trial.lines) >= 2)
    assert trial.said("a")[0] == "[('COLOUR', 'blue'), ('LC_CTYPE', 'C.UTF-8')]"


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError):
        Supervisor([Child("a", ["true"]), Child("a", ["true"])])


def test_children_are_asked_to_end_and_may_finish_what_they_do() -> None:
    script = """
import signal, sys
def finish(*_):
    print("finished", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, finish)
print("ready", flush=True)
while True: signal.pause()
"""
    trial = Trial(python("a", script), python("b", script))
    trial.run(lambda: len(trial.lines) == 2)
    assert trial.said("a") == trial.said("b") == ["ready", "finished"]


def test_a_child_that_does_not_end_in_time_is_killed_with_what_it_started() -> None:
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PARENT + "while True: signal.pause()\n"
    trial = Trial(python("a", script), patience=Patience(grace_s=0.2))
    leaders: dict[str, int] = {}
    trial.run(lambda: leaders.update(trial.supervisor.pids) or trial.told("a", "left"))
    assert gone(leaders["a"])
    assert gone(*trial.told("a", "left"))


def test_what_a_child_leaves_behind_is_gone_before_it_is_started_again() -> None:
    seen: list[bool] = []

    def enough() -> bool:
        left = trial.told("a", "left")
        if len(left) > len(seen) + 1:  # an earlier one's, as long as the next runs
            seen.append(gone(left[len(seen)]))
        return len(seen) == 2

    trial = Trial(python("a", PARENT))
    trial.run(enough)
    assert seen == [True, True]
    assert all(gone(pid) for pid in trial.told("a", "left"))


def test_a_child_that_ends_with_the_supervisors_request_is_not_started_again() -> None:
    trial = Trial(python("a", WAITS))
    trial.run(lambda: trial.said("a"))
    assert trial.said("a") == ["ready"]


def test_a_stop_now_does_not_wait() -> None:
    trial = Trial(python("a", DEAF), patience=Patience(grace_s=1e6))

    def enough() -> bool:
        if ready := bool(trial.said("a")):
            trial.supervisor.stop(now=True)
        return ready

    trial.run(enough)


def test_signals_that_were_handled_before_are_handled_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    trial = Trial(python("a", WAITS))
    trial.run(lambda: trial.said("a"))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_it_runs_in_another_thread_as_well() -> None:
    trial = Trial(python("a", WAITS))
    thread = threading.Thread(target=trial.run, args=(lambda: trial.said("a"),))
    thread.start()
    thread.join()
    assert trial.seen_enough
    assert trial.said("a") == ["ready"]


def test_a_tick_that_raises_is_logged_and_called_again(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def failing() -> None:
        calls.append(1)
        if len(calls) == 3:
            supervisor.stop()
        raise ValueError("the watchdog stumbled")

    supervisor = Supervisor([python("a", WAITS)], output=None, ticks=[(0.001, failing)])
    supervisor.run()
    assert len(calls) >= 3
    assert "the watchdog stumbled" in caplog.text


def test_a_child_that_a_tick_ends_is_started_at_once_and_that_is_not_held_against_it() -> None:
    def end_it() -> bool:
        starts = trial.told("a", "start")
        if len(starts) > len(endings):
            assert trial.supervisor.owner(starts[-1]) == "a"
            endings.append(trial.supervisor.end("a"))
        return len(endings) == 6

    endings: list[bool] = []
    script = "import os; print('start', os.getpid(), flush=True)\n" + WAITS
    trial = Trial(python("a", script), patience=Patience(backoff_s=1e6, settled_s=1e6, deaths=2))
    trial.run(end_it)
    assert endings == [True] * 6


def test_a_tick_can_end_one_process_that_a_child_has_started_and_no_stranger() -> None:
    stranger = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE)
    results: list[bool] = []

    def enough() -> bool:
        left = trial.told("a", "left")
        if left and not results:
            assert trial.supervisor.owner(left[0]) == "a"
            assert trial.supervisor.owner(stranger.pid) is None
            results.extend(trial.supervisor.end("a", signal.SIGKILL, pid) for pid in (stranger.pid, left[0]))
        return bool(trial.said("a")[1:])

    trial = Trial(python("a", PARENT + "print('child', left.wait(), flush=True)\nsignal.pause()"))
    trial.run(enough)
    assert results == [False, True]
    assert trial.said("a")[1:] == ["child -9"]
    assert stranger.poll() is None
    assert trial.supervisor.end("a") is False
    stranger.kill()
    stranger.communicate()


def test_a_reader_that_is_held_up_does_not_hold_up_the_supervisor() -> None:
    reading, writing = os.pipe()
    turns: list[int] = []

    def tick() -> None:
        full = not select.select([], [writing], [], 0)[1]
        turns.append(full)
        if sum(turns) > 100:
            supervisor.stop()

    script = "while True: print('x' * 1000)"
    supervisor = Supervisor([python("a", script)], output=writing, ticks=[(0.001, tick)])
    supervisor.run()
    assert supervisor.pids == {}
    os.close(reading)
    os.close(writing)


def test_a_fork_of_the_supervisor_that_is_signalled_does_not_stop_it() -> None:
    """Signal handlers are inherited by forks, and so is the pipe that wakes the supervisor up."""
    statuses: list[int] = []

    def enough() -> bool:
        if trial.said("a") and not statuses:
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(writing, b"x")
                time.sleep(PATIENCE_S)
                os._exit(0)
            os.read(reading, 1)
            os.kill(pid, signal.SIGTERM)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os.close(reading)
            os.close(writing)
            assert not trial.supervisor._asked
        return bool(statuses)

    trial = Trial(python("a", WAITS))
    trial.run(enough)
    assert statuses == [-signal.SIGTERM]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_children_and_then_the_supervisor(
    outside: Callable[..., Outside], number: signal.Signals
) -> None:
    one = outside(python("a", "import os; print(os.getpid(), flush=True)\n" + WAITS), python("b", STAYS))
    leader = handle(int(one.wait_for(r"a \| (\d+)")[1]))
    left = handle(int(one.wait_for(r"b \| left (\d+)")[1]))
    one.process.send_signal(number)
    one.wait_for(r"supervisor \| done")
    assert one.process.wait() == 0
    for pidfd in (leader, left):
        assert select.select([pidfd], [], [], 0)[0]
        os.close(pidfd)


def test_ctrl_c_at_the_terminal_reaches_the_supervisor_alone(outside: Callable[..., Outside]) -> None:
    script = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: print("INT", flush=True))
def finish(*_):
    print("TERM", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, finish)
print("ready", flush=True)
while True: signal.pause()
"""
    one = outside(python("a", script))
    one.wait_for(r"a \| ready")
    os.killpg(one.process.pid, signal.SIGINT)
    assert one.wait_for(r"a \| (INT|TERM)")[1] == "TERM"
    one.wait_for(r"supervisor \| done")


def test_a_second_signal_ends_everything_at_once(outside: Callable[..., Outside]) -> None:
    one = outside(python("a", DEAF), grace_s=1e6)
    one.wait_for(r"a \| ready")
    one.process.terminate()
    one.process.terminate()
    if one.process.poll() is None:  # two signals that come together may be one to the kernel
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(0.2)
        one.process.terminate()
    one.wait_for(r"supervisor \| done")


def test_a_killed_supervisor_takes_its_children_and_what_they_started_with_it(outside: Callable[..., Outside]) -> None:
    one = outside(python("a", "import os; print(os.getpid(), flush=True)\n" + DEAF), python("b", STAYS))
    leader = handle(int(one.wait_for(r"a \| (\d+)")[1]))
    left = handle(int(one.wait_for(r"b \| left (\d+)")[1]))
    one.process.kill()
    assert ended(leader, left)
    os.close(leader)
    os.close(left)


def children_of(pid: int) -> Sequence[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_children_end_with_a_killed_supervisor_even_if_its_guard_was_killed_first(
    outside: Callable[..., Outside],
) -> None:
    one = outside(python("a", DEAF))
    one.wait_for(r"a \| ready")
    handles = {pid: handle(pid) for pid in children_of(one.process.pid)}
    guard = next(pid for pid in handles if b"guard" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(guard, signal.SIGKILL)
    assert ended(handles[guard])
    one.process.kill()
    assert ended(*handles.values())
    for pidfd in handles.values():
        os.close(pidfd)


def test_a_guard_that_was_killed_is_replaced_and_knows_everything_again() -> None:
    watched = subprocess.Popen([sys.executable, "-c", WAITS], start_new_session=True)
    spared = subprocess.Popen([sys.executable, "-c", WAITS], start_new_session=True)
    guard = Guard()
    guard.add(watched.pid)
    guard.add(spared.pid)
    for meet in (guard.check, lambda: guard.discard(spared.pid)):
        guard._process.kill()
        guard._process.wait()
        meet()
        assert guard._process.poll() is None
    guard.close()
    assert watched.wait() == -signal.SIGKILL
    assert spared.poll() is None
    spared.kill()
    spared.wait()
