"""Large values in memory that the processes of a host share: never another value, never lost silently, never left."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import redis
from redis.connection import HiredisRespSerializer

from tyqi_core.errors import InputError, StoreError
from tyqi_core.runtime.processes.board_folder import board_folder
from tyqi_core.scheduler import Change, Effects, Export, Place, Ready
from tyqi_core.stores.base import Wanted
from tyqi_core.stores.mapped_files import ALIGNMENT, capacity_of, open_folder
from tyqi_core.stores.redis import Options, RedisStore
from tyqi_core.stores.shared_memory import SharedMemory, chosen
from tyqi_core.stores.wire import LargePacker

END = Change("end", 1, -1)
ONE = Effects(ready=(Ready("T1"),))
PATIENCE_S = 20


@pytest.fixture
def connect(redis_server, redis_client):
    """Connects stores, each as a process of its own would."""
    opened = []

    def connect(mount, *, options=None, **settings):
        tier = SharedMemory(mount, **settings) if mount else False
        opened.append(RedisStore.connect(redis_server.url, options, shared_memory=tier))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()


@pytest.fixture
def child(redis_server):
    """Starts Python that works on the store under a mount; it tells a line, and goes on once it is told one."""
    started = []

    def start(code, mount, environment=None):
        head = "import sys, numpy as np\nfrom pathlib import Path\nfrom tyqi_core.scheduler import *\n"
        head += (
            "from tyqi_core.stores.redis import RedisStore\nfrom tyqi_core.stores.shared_memory import SharedMemory\n"
        )
        head += "tier = SharedMemory(Path(sys.argv[2])) if sys.argv[2] else False\n"
        head += "store = RedisStore.connect(sys.argv[1], shared_memory=tier)\n"
        command = [sys.executable, "-c", head + code, redis_server.url, str(mount)]
        environment = {"PYTHONPATH": ":".join(sys.path), **(environment or {})}
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def picture(fill, size=200_000):
    return np.full(size, fill, np.uint8)


def accept(store, value, run_id="run"):
    store.accept(run_id, {"image": value}, ONE, {})


def read(store, run_id="run"):
    return store.read(run_id, Place("", "image"))


def files(mount, kind="data"):
    return sorted(mount.glob(f"tyqi-*/{kind}/*"))


def large_values(client):
    """The payloads whose bytes are in Redis."""
    fields = [raw for key in client.keys("*:p:*") for raw in client.hgetall(key).values()]
    return [raw for raw in fields if len(raw) > 16_384]


# -- where values lie -------------------------------------------------------------------------------------------------


def test_a_large_array_lies_in_a_file_and_is_read_as_an_aligned_read_only_view_of_it(connect, redis_client, tmp_path):
    accept(connect(tmp_path), np.arange(100_000.0))
    found = read(connect(tmp_path))
    assert found.tolist() == np.arange(100_000.0).tolist()
    assert not found.flags.writeable
    assert not found.flags.owndata
    assert found.ctypes.data % ALIGNMENT == 0
    assert len(files(tmp_path)) == 1
    assert large_values(redis_client) == []


@pytest.mark.parametrize("size", [65_000, 66_000])
def test_the_size_of_a_value_decides_where_it_lies(connect, redis_client, tmp_path, size):
    accept(connect(tmp_path), b"x" * size)
    assert len(files(tmp_path)) == (size > 65_536)
    assert len(large_values(redis_client)) == (size < 65_536)


def test_values_of_every_kind_come_back_as_they_were(connect, tmp_path):
    values = {
        "bytes": bytes(range(256)) * 1000,
        "json": ["ä" * 50_000, {"a": [1.5, None]}],
        "frames": [{"image": picture(n), "index": n} for n in range(3)],
        "strided": np.arange(400_000).reshape(400, 1000)[:, ::2],
        "large": np.arange(3_000_001, dtype=np.uint8),
    }
    writer, reader = connect(tmp_path), connect(tmp_path)
    writer.accept("run", values, ONE, {})
    assert len(files(tmp_path)) == len(values)
    for name, value in values.items():
        np.testing.assert_equal(reader.read("run", Place("", name)), value)
        np.testing.assert_equal(writer.read("run", Place("", name)), value)


def test_items_of_a_loop_each_read_and_write_their_own_element(connect, redis_client, tmp_path):
    store, reader = connect(tmp_path), connect(tmp_path)
    accept(store, [])
    elements = [picture(1), b"small", b"between" * 4000, None, picture(4)]
    count = len(elements)
    opened = Effects((Change("end", 1, count - 1),), (Ready("T1[*]/B", count),), (Export("T1", "o", (), None, count),))
    token = store.claim("run", "T1", ()).token
    store.commit(
        "run", "T1", token, kind="task.completed", slots={"list": elements}, outputs={"list": elements}, effects=opened
    )
    assert len(files(tmp_path)) == 1
    for index, element in enumerate(elements):
        claim = reader.claim("run", f"T1[{index}]/B", [Wanted(Place("T1", "list", (index,)), required=True)])
        assert claim.skip == (element is None)
        if element is not None:
            np.testing.assert_equal(claim.values, [element])
    np.testing.assert_equal(reader.read("run", Place("T1", "list")), elements)


def test_the_process_that_wrote_a_value_reads_it_without_asking_for_its_bytes(connect, redis_client, tmp_path):
    store = connect(tmp_path)
    accept(store, picture(7))
    redis_client.config_resetstat()
    assert read(store)[-1] == 7
    assert redis_client.info("commandstats")["cmdstat_hmget"]["calls"] == 1  # the script's own


@pytest.mark.parametrize("settings", [{"limit_bytes": 0}, {"smallest_bytes": 10**9}])
def test_what_has_no_room_lies_in_redis(connect, redis_client, tmp_path, settings):
    accept(connect(tmp_path, **settings), picture(3))
    assert files(tmp_path) == []
    assert len(large_values(redis_client)) == 1
    assert read(connect(tmp_path))[0] == 3


def test_all_files_together_stay_within_the_limit(connect, redis_client, tmp_path):
    store = connect(tmp_path, limit_bytes=1_000_000)
    for number in range(8):
        accept(store, picture(number), f"run{number}")
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1_000_000
    assert len(large_values(redis_client)) == 8 - len(files(tmp_path)) > 0
    assert [read(store, f"run{number}")[0] for number in range(8)] == list(range(8))


def test_recycled_files_of_other_sizes_make_room(connect, tmp_path):
    store = connect(tmp_path, limit_bytes=1_000_000)
    for number, size in enumerate([700_000, 500_000, 300_000, 900_000]):
        accept(store, picture(number, size), f"run{number}")
        assert len(files(tmp_path)) == 1
        store.forget(f"run{number}")


def test_a_mount_that_is_full_is_noticed_when_the_file_is_made(connect, redis_client, tmp_path):
    store = connect(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        accept(store, picture(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == files(tmp_path, "new") == []
    assert read(connect(tmp_path))[0] == 3


def test_a_folder_that_others_may_read_is_not_used(connect, redis_client, tmp_path):
    first = connect(tmp_path)
    accept(first, picture(1))
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    second = connect(tmp_path)
    accept(second, picture(2), "other")
    assert len(files(tmp_path)) == len(large_values(redis_client)) == 1
    assert read(second, "other")[0] == 2


@pytest.mark.parametrize(
    ("wish", "url", "used"),
    [
        (None, "redis://127.0.0.1:6379/0", True),
        (None, "redis://:secret@localhost:6379/0", True),
        (None, "redis://[::1]:6379/0", True),
        (None, "unix:///run/redis.sock", True),
        (None, "redis://10.0.0.7:6379/0", False),
        (None, "rediss://127.0.0.1.example.com:6379/0", False),
        (True, "redis://10.0.0.7:6379/0", True),
        (False, "redis://127.0.0.1:6379/0", False),
        (SharedMemory(Path("/nowhere")), "redis://127.0.0.1:6379/0", False),
    ],
)
def test_the_tier_is_used_where_the_server_is_on_this_host(wish, url, used):
    assert bool(chosen(wish, url)) == used


# -- recycling --------------------------------------------------------------------------------------------------------


def test_a_file_is_written_again_once_nobody_refers_to_it(connect, tmp_path):
    store = connect(tmp_path)
    accept(store, picture(1))
    (first,) = (path.stat().st_ino for path in files(tmp_path))
    store.forget("run")
    accept(store, picture(2))
    assert [path.stat().st_ino for path in files(tmp_path)] == [first]
    assert read(connect(tmp_path)).tolist() == picture(2).tolist()


def test_an_array_that_is_still_in_use_never_changes(connect, child, tmp_path):
    store = connect(tmp_path)
    accept(store, picture(1))
    code = """
image = store.read("run", Place("", "image"))
print(image[0], flush=True)
sys.stdin.readline()
print(len(image), set(image.tolist()), flush=True)
"""
    reader = child(code, tmp_path)
    assert reader.stdout.readline() == "1\n"
    kept = read(store)
    store.forget("run")
    for number in range(2, 6):
        accept(store, picture(number), f"run{number}")
        store.forget(f"run{number}")
    reader.stdin.write("\n")
    assert reader.stdout.readline() == "200000 {1}\n"
    assert set(kept.tolist()) == {1}


def test_a_reader_that_was_killed_holds_no_file(connect, child, tmp_path):
    store = connect(tmp_path)
    accept(store, picture(1))
    code = 'image = store.read("run", Place("", "image"))\nprint(image[0], flush=True)\nsys.stdin.readline()'
    reader = child(code, tmp_path)
    assert reader.stdout.readline() == "1\n"
    (first,) = (path.stat().st_ino for path in files(tmp_path))
    reader.kill()
    reader.wait()
    store.forget("run")
    accept(store, picture(2))
    assert [path.stat().st_ino for path in files(tmp_path)] == [first]


def test_what_a_fenced_call_wrote_is_recycled_at_once(connect, redis_client, tmp_path):
    store = connect(tmp_path)
    accept(store, 1)
    slots = {"x": picture(1)}
    assert store.commit("run", "T1", 9, kind="k", slots=slots, outputs=slots, effects=Effects((END,))) is None
    assert files(tmp_path) == []
    assert len(files(tmp_path, "free")) == 1
    assert redis_client.keys("*:p:*") == []


def test_more_values_can_be_held_than_files_be_mapped(connect, tmp_path):
    store, reader = connect(tmp_path, smallest_bytes=1), connect(tmp_path)
    values = {f"v{number}": np.full(20_000, number % 251, np.uint8) for number in range(300)}
    store.accept("run", values, ONE, {})
    kept = [reader.read("run", Place("", name)) for name in values]
    assert len(list(Path("/proc/self/fd").iterdir())) < 300
    for array, value in zip(kept, values.values(), strict=True):
        np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize("size", [1, 4096, 4097, 65_536, 6_220_800, 26_214_400, 10**10])
def test_a_file_is_at_most_an_eighth_larger_than_what_it_holds(size):
    assert size <= capacity_of(size) <= max(4096, size + size // 8 + 4096)
    assert capacity_of(capacity_of(size)) == capacity_of(size)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_file_that_is_gone_is_told(connect, tmp_path):
    store = connect(tmp_path)
    accept(store, picture(1))
    for path in files(tmp_path):
        path.unlink()
    for reader in (store, connect(tmp_path)):
        with pytest.raises(StoreError, match=r"PAYLOAD_MISSING.*shared memory"):
            read(reader)


@pytest.mark.parametrize("length", [0, 100, 199_000])
def test_a_file_that_was_cut_is_told(connect, tmp_path, length):
    accept(connect(tmp_path), picture(1))
    with files(tmp_path)[0].open("r+b") as file:
        file.truncate(length)
    with pytest.raises((InputError, StoreError), match="PAYLOAD_DAMAGED" if length else "PAYLOAD_MISSING"):
        read(connect(tmp_path))


def test_a_file_that_was_changed_is_told(connect, tmp_path):
    accept(connect(tmp_path), picture(1))
    with files(tmp_path)[0].open("r+b") as file:
        file.seek(150_000)
        file.write(b"\x00")
    with pytest.raises(InputError, match="PAYLOAD_DAMAGED"):
        read(connect(tmp_path))


def test_a_store_that_was_emptied_gets_a_folder_of_its_own(connect, redis_client, tmp_path):
    store = connect(tmp_path)
    accept(store, picture(1))
    redis_client.flushall()
    other = connect(tmp_path)
    accept(other, picture(2), "other")
    accept(store, picture(3), "third")
    assert (read(other, "third")[0], read(store, "other")[0]) == (3, 2)
    assert len(list(tmp_path.iterdir())) == 2


WRITE = """
store.accept("run", {"image": np.full(200_000, 1, np.uint8)}, Effects(ready=(Ready("T1"),)), {})
"""


@pytest.mark.parametrize("nth", [1, 2])
def test_what_a_killed_writer_leaves_is_swept(connect, child, redis_client, tmp_path, nth):
    writer = child(WRITE, tmp_path, {"TYQI_FAILPOINT": f"CP7:kill9:{nth}"})
    assert writer.wait(PATIENCE_S) == -signal.SIGKILL
    left = "new" if nth == 1 else "data"
    assert len(files(tmp_path, left)) == 1
    store = connect(tmp_path)
    redis_client.delete(*redis_client.keys("*:p:*"), "x")  # its short life is over
    assert store.payloads.sweep() == 1
    assert files(tmp_path, "*") == []


def test_a_writer_that_was_stopped_before_it_told_of_its_file_is_not_swept_away(connect, child, tmp_path):
    writer = child(WRITE + "print('done', flush=True)", tmp_path, {"TYQI_FAILPOINT": "CP7:stop(1500)"})
    store = connect(tmp_path)
    while not files(tmp_path, "new"):
        assert writer.poll() is None
    store.payloads.sweep(idle_s=0)
    assert writer.stdout.readline() == "done\n"
    assert read(store)[0] == 1


def test_nothing_of_a_run_is_left_once_it_is_forgotten_and_swept(connect, tmp_path):
    store = connect(tmp_path)
    for number in range(5):
        accept(store, picture(number, 100_000 * (number + 1)), f"run{number}")
    for number in range(5):
        store.forget(f"run{number}")
    store.payloads.sweep()
    assert files(tmp_path) == []
    assert len(files(tmp_path, "free")) == 5  # kept for a minute
    store.payloads.sweep(idle_s=0)
    assert files(tmp_path, "*") == []
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_files_of_runs_whose_keys_expired_are_swept_and_others_stay(connect, redis_client, tmp_path):
    store = connect(tmp_path, options=Options(shards=3))
    for number in range(6):
        accept(store, picture(number), f"run{number}")
    for key in redis_client.keys("*:p:*")[:2]:
        redis_client.delete(key)
    store.payloads.sweep()
    assert len(files(tmp_path)) == 4


def test_a_folder_that_a_process_has_open_is_not_removed_by_another_store(connect, redis_client, tmp_path):
    first = connect(tmp_path, options=Options(namespace="one"))
    accept(first, picture(1))
    second = connect(tmp_path, options=Options(namespace="two"))
    accept(second, picture(2))
    second.payloads.sweep(idle_s=0)
    assert read(first)[0] == 1
    first.close()
    second.payloads.sweep(idle_s=0)
    assert len(list(tmp_path.iterdir())) == 2  # it still holds a payload, and changed today


def test_the_boards_of_workers_are_not_taken_for_a_folder_that_was_left(connect, tmp_path):
    store = connect(tmp_path)
    accept(store, picture(1))
    with board_folder(tmp_path) as boards:
        store.payloads.sweep(idle_s=0)
        assert boards.is_dir()


def test_many_processes_that_open_and_leave_a_folder_end_with_none(tmp_path):
    faults = []

    def come_and_go(number):
        try:
            for _ in range(50):
                folder = open_folder(tmp_path / "tyqi-x", 10**6)
                with folder.create(f"{number:024}", 5000) as file:
                    file.write([b"x" * 5000], 0)
                folder.close()
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert list(tmp_path.iterdir()) == []


# -- other hosts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["other", ""], ids=["with shared memory of its own", "without shared memory"])
def test_another_host_is_sent_what_lies_here(connect, child, redis_client, tmp_path, there):
    mount = tmp_path / "here"
    mount.mkdir()
    if there:
        (tmp_path / there).mkdir()
    store = connect(mount)
    store.accept("run", {"image": picture(5), "other": picture(6)}, ONE, {})
    reader = child('print(set(store.read("run", Place("", "image")).tolist()), flush=True)', there and tmp_path / there)
    while not store.payloads.serve_requests(0.5):
        assert reader.poll() is None
    assert reader.stdout.readline() == "{5}\n"
    assert len(large_values(redis_client)) == 1  # what nobody asked for stays here
    assert read(connect(mount))[0] == 5
    store.forget("run")
    store.payloads.sweep(idle_s=0)
    assert files(mount) == []


def test_another_host_waits_for_a_bounded_time(connect, tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    accept(connect(tmp_path / "here"), picture(5))
    with pytest.raises(StoreError, match=r"PAYLOAD_MISSING.*did not send"):
        read(connect(tmp_path / "there", patience_s=0.05))


def test_a_request_for_what_was_forgotten_leaves_nothing_in_redis(connect, redis_client, tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    store = connect(tmp_path / "here")
    accept(store, picture(5))
    with pytest.raises(StoreError, match="PAYLOAD_MISSING"):
        read(connect(tmp_path / "there", patience_s=0.05))
    store.forget("run")
    assert store.payloads.serve_requests() == 0
    assert redis_client.keys("*:p:*") == []
    assert all(redis_client.ttl(key) > 0 for key in redis_client.keys())  # noqa: SIM118 - a client


# -- the wire ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"x", b"y" * 70_000, memoryview(b"z" * 70_000), "ä", 5, 2.5])
def test_commands_are_packed_as_hiredis_packs_them(value):
    plain = bytes(value) if isinstance(value, memoryview) else value
    packed = b"".join(LargePacker().pack("CONFIG GET", "key", value, 1))
    assert packed == b"".join(HiredisRespSerializer().pack("CONFIG GET", "key", plain, 1))


def test_a_client_that_was_made_otherwise_writes_large_values_too(redis_server, redis_client):
    with redis.Redis(port=redis_server.port) as client:
        store = RedisStore(client)
        accept(store, picture(9))
        assert read(store)[0] == 9
