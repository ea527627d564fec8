"""What settling a task costs in the Redis store: by the size of the run, opening a loop, in memory of the server.

Starts a redis-server of its own on a free port. A settlement is one call: commit, apply the effects, claim the next
task. The peer beside it is a bare round trip (PING) to the same server over the same connection.

    python benchmarks/settlement.py --quick
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from _measure import REPOSITORY, Case, Size, below, main, pick, say

sys.path.insert(0, str(REPOSITORY))

FLAT = 1.25
"""How much dearer a commit in the largest run may be than in the smallest."""
COMMIT_MS, OPENING_MS, TASK_BYTES, LEFT_BYTES = 1.0, 5.0, 1024.0, 5.0
ITEMS = 5000


@contextmanager
def server() -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        raise SystemExit("no redis-server is installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def cases(size: Size) -> list[Case]:
    import redis  # noqa: PLC0415  (of the extra `workers`)

    from tyqi_core.stores.redis import RedisStore  # noqa: PLC0415

    with server() as url, redis.Redis.from_url(url) as client:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                time.sleep(0.02)
        store = RedisStore.connect(url)
        sizes = pick(size, full=(10, 100, 1000, 10_000), quick=(10, 100, 1000, 10_000), tiny=(3, 6))
        repetitions = pick(size, full=1500, quick=300, tiny=2)
        found = [
            *commits(store, client, sizes, repetitions),
            opening(store, client, pick(size, full=60, quick=20, tiny=2)),
            memory(store, client, pick(size, full=200, quick=100, tiny=3)),
            left_over(url, client, pick(size, full=10_000, quick=10_000, tiny=5)),
        ]
        store.close()
        return found


def begin(store, run_id, tasks):
    """A run in which ``tasks`` tasks have been settled; each task is the successor of the one before it."""
    from tyqi_core.scheduler import Effects, Ready  # noqa: PLC0415

    store.accept(run_id, {}, Effects(ready=(Ready("T0"),)), {})
    claim = store.claim_for("w", run_id, "T0", ())
    for number in range(tasks):
        claim = settle(store, run_id, number, claim)
    return claim


def settle(store, run_id, number, claim):
    """Settle one task of a chain and claim the next, with a small value handed on."""
    from tyqi_core.scheduler import Change, Effects, Place  # noqa: PLC0415
    from tyqi_core.stores.base import Onward, Wanted  # noqa: PLC0415

    following = f"T{number + 1}"
    wanted = [Wanted(Place(f"T{number}", "value"), required=True)]
    changes = (Change(f"ready:{following}", 1, -1), *((Change(f"free:T{number - 1}", 1, -1),) if number else ()))
    settled = store.commit(
        run_id,
        f"T{number}",
        claim.token,
        kind="task.completed",
        slots={"value": number},
        outputs={"value": number},
        effects=Effects(changes),
        worker="w",
        onward=[Onward(following, wanted)],
    )
    return settled.claimed.claim


def commits(store, client, sizes, repetitions):
    """One settlement in runs of each size, in turns."""
    at = {}
    for tasks in sizes:
        say(f"a run of {tasks} tasks")
        at[tasks] = tasks, begin(store, f"size{tasks}", tasks)
    samples = {tasks: [] for tasks in sizes}
    pings = []
    for turn in range(-20, repetitions):
        for tasks in sizes:
            number, claim = at[tasks]
            if number >= tasks + max(5, tasks // 10):  # it has grown: begin anew
                store.forget(f"size{tasks}")
                number, claim = tasks, begin(store, f"size{tasks}", tasks)
            begun = time.perf_counter()
            claim = settle(store, f"size{tasks}", number, claim)
            took = (time.perf_counter() - begun) * 1000
            at[tasks] = number + 1, claim
            if turn >= 0:
                samples[tasks].append(took)
        begun = time.perf_counter()
        client.ping()
        if turn >= 0:
            pings.append((time.perf_counter() - begun) * 1000)
    smallest = samples[sizes[0]]
    found = [
        Case(
            f"settle a task and claim the next, run of {tasks} tasks",
            "ms",
            {"ours": samples[tasks], "round trip": pings},
            f"under {COMMIT_MS:g} ms",
            below(COMMIT_MS),
        )
        for tasks in sizes
    ]
    ratios = [ours / small for ours, small in zip(samples[sizes[-1]], smallest, strict=True)]
    name = f"settlement: run of {sizes[-1]} tasks over run of {sizes[0]}"
    return [*found, Case(name, "ratio", {"ours": ratios}, f"flat: under {FLAT:g}", below(FLAT))]


def opening(store, client, repetitions):
    """Settling a loop whose items become ready; the list itself is written before the call that is measured."""
    from tyqi_core.scheduler import Change, Effects, Ready  # noqa: PLC0415

    effects = Effects((Change("end", 1, ITEMS - 1),), (Ready("L[*]/B", ITEMS),))
    ours = []
    for turn in range(repetitions + 1):
        run_id = f"loop{turn}"
        store.accept(run_id, {}, Effects(ready=(Ready("L"),)), {})
        token = store.claim_for("w", run_id, "L", ()).token
        client.config_resetstat()
        store.commit(run_id, "L", token, kind="task.completed", slots=None, outputs={}, effects=effects)
        if turn:
            ours.append(client.info("commandstats")["cmdstat_evalsha"]["usec"] / 1000)
        store.forget(run_id)
    name = f"opening a loop of {ITEMS} items, the server's time"
    return Case(name, "ms", {"ours": ours}, f"under {OPENING_MS:g} ms", below(OPENING_MS))


def memory(store, client, runs):
    """Bytes of the server that a settled task takes, with its events; and what is left once runs are forgotten."""
    length, samples = 20, []
    for turn in range(3):
        say(f"memory of {runs} runs: {turn + 1} of 3")
        before = used(client)
        for number in range(runs):
            begin(store, f"memory{number}", length)
        samples.append((used(client) - before) / runs / (length + 1))
        for number in range(runs):
            store.forget(f"memory{number}")
    name = f"a settled task with its events, {runs} runs of {length} tasks"
    return Case(name, "bytes", {"ours": samples}, f"under {TASK_BYTES:g} bytes", below(TASK_BYTES))


def left_over(url, client, runs):
    """Bytes of the server that finished runs leave behind when they are not to be kept: none, however many."""
    from tyqi_core.scheduler import Change, Effects, Ready  # noqa: PLC0415
    from tyqi_core.stores.redis import Options, RedisStore  # noqa: PLC0415

    store = RedisStore.connect(url, Options(namespace="finished", retention_s=0), shared_memory=False)
    end, value = Effects((Change("end", 1, -1),)), {"value": "x" * 2000}

    def finish(count):
        for number in range(count):
            store.accept(f"run{number}", value, Effects(ready=(Ready("T0"),)), {})
            token = store.claim_for("w", f"run{number}", "T0", ()).token
            store.commit(f"run{number}", "T0", token, kind="task.completed", slots=value, outputs={}, effects=end)
            if number % 100 == 0:
                store.tidy()
        while store.tidy():
            pass

    finish(200)  # scripts, shared keys and buffers are there from now on
    before = used(client)
    say(f"{runs} runs that are not kept")
    finish(runs)
    samples = [max(0.0, (used(client) - before) / runs)]
    keys = len(client.keys("finished:*run:*"))
    store.close()
    name = f"memory after {runs} finished runs with retention 0, {keys} of their keys left"
    return Case(name, "bytes a run", {"ours": samples}, f"under {LEFT_BYTES:g}", below(LEFT_BYTES))


def used(client):
    return statistics.median(client.info("memory")["used_memory"] for _ in range(3))


if __name__ == "__main__":
    main(__doc__, cases)
