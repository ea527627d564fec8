"""What worker processes show of what they hold: written and read by real processes, killed at any moment."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tyqi_core.errors import StoreError
from tyqi_core.runtime.processes import boards
from tyqi_core.runtime.processes.boards import VARIABLE, Board, BoardState, Held, read_boards, remove

ONE = Held("r1", "T4[3]/T5", 7, "a" * 64, 12.5)
TWO = Held("r2", "T1", 1, "b" * 64, None)

WRITER = """
import itertools, sys
from pathlib import Path
from tyqi_core.runtime.processes.boards import Board, Held
board = Board(Path(sys.argv[1]))
board.show([])
print(flush=True)
for n in itertools.count(1):
    board.show([Held(f"run-{n}", f"T[{i}]/x", n, "p" * (n % 60), n / 8) for i in range(n % 40)])
"""
SHOWS = """
import sys
from pathlib import Path
from tyqi_core.runtime.processes.boards import Board, Held
board = Board(Path(sys.argv[1]))
for n in range(1, int(sys.argv[2]) + 1):
    board.show([Held("r", "T1", n, "p", None)] * 1)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "boards"
    made.mkdir()
    return made


@pytest.fixture
def board(folder: Path) -> Iterator[Board]:
    own = Board(folder)
    yield own
    own.close()


def only(folder: Path) -> BoardState:
    (state,) = read_boards(folder)
    return state


def start(script: str, *arguments: str, failpoint: str = "") -> subprocess.Popen[str]:
    """A process, once it has written a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TYQI_FAILPOINT": failpoint},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def check_whole(state: BoardState) -> int:
    """Every state that the writer shows can be told from its first entry; returns its number."""
    assert not state.damaged
    assert state.complete
    number = state.entries[0].token if state.entries else 0
    wanted = [Held(f"run-{number}", f"T[{i}]/x", number, "p" * (number % 60), number / 8) for i in range(number % 40)]
    assert list(state.entries) == wanted
    return number


def test_what_is_shown_is_read(folder: Path, board: Board) -> None:
    for shown in ([ONE, TWO], [TWO], [], [ONE]):
        board.show(shown)
        state = only(folder)
        assert (state.pid, list(state.entries), state.alive) == (os.getpid(), shown, True)
        assert state.complete
        assert not state.damaged


def test_names_of_any_letters_are_shown(folder: Path, board: Board) -> None:
    held = Held('r\n\x1f"\\', "задача", 2**60, "\0", 1e300)
    board.show([held])
    assert only(folder).entries == (held,)


def test_the_heartbeat_is_the_clock_that_all_processes_of_a_machine_share(folder: Path, board: Board) -> None:
    before = time.monotonic()
    board.progress()
    first = only(folder)
    board.show([ONE])
    second = only(folder)
    board.progress()
    third = only(folder)
    assert before <= first.heartbeat <= second.heartbeat <= third.heartbeat <= time.monotonic()
    assert before < third.heartbeat
    assert (first.entries, third.entries) == ((), (ONE,))


def test_nothing_appears_before_the_first_call_and_nothing_stays_after_close(folder: Path) -> None:
    board = Board(folder)
    assert read_boards(folder) == []
    board.show([ONE])
    assert len(read_boards(folder)) == 1
    board.close()
    board.close()
    assert list(folder.iterdir()) == []


def test_a_closed_board_can_be_used_again(folder: Path, board: Board) -> None:
    board.show([ONE])
    board.close()
    board.show([TWO])
    assert only(folder).entries == (TWO,)


def test_more_than_fits_is_cut_and_said(folder: Path) -> None:
    held = [ONE._replace(token=token) for token in range(1000)]
    board = Board(folder, slot_bytes=2048)
    for shown in (held, held[:3], held):
        board.show(shown)
        state = only(folder)
        assert list(state.entries) == shown[: len(state.entries)]
        assert state.complete == (len(shown) == len(state.entries))
    assert 15 < len(state.entries) < 25
    board.close()


def test_a_board_takes_what_a_worker_may_hold_at_a_time(folder: Path, board: Board) -> None:
    held = [ONE._replace(token=token, instance="T/" * 50) for token in range(64)]
    board.show(held)
    assert (list(only(folder).entries), only(folder).complete) == (held, True)


def test_the_folder_is_told_by_the_environment(folder: Path) -> None:
    assert Board.from_environment({}) is None
    board = Board.from_environment({VARIABLE: str(folder)})
    assert board is not None
    board.show([ONE])
    assert only(folder).entries == (ONE,)
    board.close()


def test_a_folder_that_is_gone_is_an_error_with_a_code(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        Board(tmp_path / "none").show([])
    assert refused.value.code == "BOARD"


def test_a_fork_has_a_board_of_its_own_and_leaves_its_parents_alone(folder: Path, board: Board) -> None:
    board.show([ONE])
    told, tell = os.pipe()
    go_on, let_go = os.pipe()
    with board._lock:  # as another thread may hold it at that moment
        child = os.fork()
        if child == 0:
            board.show([TWO])
            os.write(tell, b"x")
            os.read(go_on, 1)
            board.close()
            os._exit(0)
    os.read(told, 1)
    assert {state.pid: state.entries for state in read_boards(folder)} == {os.getpid(): (ONE,), child: (TWO,)}
    board.show([ONE, TWO])
    os.write(let_go, b"x")
    os.waitpid(child, 0)
    assert (only(folder).pid, only(folder).entries) == (os.getpid(), (ONE, TWO))
    for end in (told, tell, go_on, let_go):
        os.close(end)


def test_threads_may_share_a_board(folder: Path, board: Board) -> None:
    def work(name: str) -> None:
        for token in range(500):
            board.show([Held(name, "T", token, "p", None)] * (token % 3 + 1))
            board.progress()

    threads = [threading.Thread(target=work, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert all(not state.damaged for state in read_boards(folder))
    for thread in threads:
        thread.join()
    assert only(folder).entries[0].token == 499


def test_a_reader_never_sees_half_a_change(folder: Path) -> None:
    writer = start(WRITER, str(folder))
    seen = [check_whole(only(folder)) for _ in range(3000)]
    writer.kill()
    writer.communicate()
    numbers = [number for number in seen if number]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 100, "the writer has hardly run beside the reader"


def test_whenever_a_process_is_killed_its_board_is_whole(folder: Path) -> None:
    for _ in range(5):
        writer = start(WRITER, str(folder))
        seen = 0
        while seen < 50:
            seen = check_whole(only(folder))
        writer.kill()
        writer.communicate()
        state = only(folder)
        assert check_whole(state) >= seen or not state.entries
        assert not state.alive
        remove(folder, state.pid)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_process_killed_in_the_middle_of_a_change_leaves_what_it_showed_before(folder: Path, nth: int) -> None:
    """The first change is the empty board, which nobody sees until it is whole."""
    writer = start(SHOWS, str(folder), "9", failpoint=f"board:kill9:{nth}")
    writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    if nth == 1:
        assert read_boards(folder) == []
    else:
        state = only(folder)
        assert [entry.token for entry in state.entries] == ([nth - 2] if nth > 2 else [])
        assert (state.damaged, state.alive) == (False, False)
    remove(folder, writer.pid)
    assert list(folder.iterdir()) == []


def test_a_killed_process_is_dead_even_before_anybody_asks_for_its_status(folder: Path) -> None:
    writer = start(SHOWS, str(folder), "1")
    assert only(folder).alive
    pidfd = os.pidfd_open(writer.pid)
    os.kill(writer.pid, signal.SIGKILL)
    assert select.select([pidfd], [], [], 20)[0]
    assert not only(folder).alive
    writer.communicate()
    assert not only(folder).alive
    os.close(pidfd)


def test_another_process_that_got_the_same_id_is_not_taken_for_the_one_that_died(folder: Path, board: Board) -> None:
    board.show([ONE])
    path = folder / f"{os.getpid()}.board"
    data = bytearray(path.read_bytes())
    assert only(folder).alive
    started = only(folder).started
    boards._HEAD.pack_into(data, 0, boards._MAGIC, boards._SLOT_BYTES, os.getpid(), started - 1)
    path.write_bytes(data)
    state = only(folder)
    assert (state.alive, state.entries) == (False, (ONE,))


def test_a_new_board_replaces_that_of_an_earlier_process_of_the_same_id(folder: Path, board: Board) -> None:
    (folder / f"{os.getpid()}.board").write_bytes(b"of long ago")
    assert only(folder).damaged
    board.show([ONE])
    assert only(folder).entries == (ONE,)


@pytest.mark.parametrize("content", [b"", b"x", bytes(70_000), b"TYQBRD01" + b"\xff" * 90_000])
def test_a_file_that_is_no_board_is_said_to_be_damaged(folder: Path, content: bytes) -> None:
    (folder / f"{os.getpid()}.board").write_bytes(content)
    (folder / "notes.txt").write_text("not ours")
    (folder / "x.board").write_text("not ours")
    state = only(folder)
    assert (state.pid, state.damaged, state.complete, state.entries) == (os.getpid(), True, False, ())


def test_a_board_of_which_both_slots_are_spoilt_is_damaged(folder: Path, board: Board) -> None:
    board.show([ONE])
    path = folder / f"{os.getpid()}.board"
    data = bytearray(path.read_bytes())
    for slot in (0, 1):
        data[boards._SLOTS_AT + slot * boards._SLOT_BYTES + boards._SLOT.size] ^= 1
    path.write_bytes(data)
    assert only(folder).damaged
