"""Handing a large array from one worker process to another on this host: shared memory beside Redis.

Starts a redis-server of its own on a free port, and a second process for each of the two. Measured is the time from the
first process's commit until the second has claimed the next task and read some bytes of the array. The clock
(CLOCK_MONOTONIC) is the same in all processes. The processor time is that of both processes, without the server.

    python benchmarks/payloads.py --quick
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack

from _measure import REPOSITORY, Case, Size, below, main, pick, say
from settlement import server

sys.path.insert(0, str(REPOSITORY))

GOAL_MS = {"25 MiB": 10.0, "1080p frame": 5.0}
SIZES = {"25 MiB": (25 << 20,), "1080p frame": (1080, 1920, 3)}
STEP = 1 << 20
BLOCK, WARM_UP = 10, 2
"""Hand-overs in a row over one of the two, so that neither finds the caches full of what the other has moved."""


class Reader:
    """The second worker: claims, reads, lets go, on demand."""

    def __init__(self, url, tier):
        command = [sys.executable, __file__, "reader", url, tier]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def claimed(self, run_id):
        """When the reader had the array, what processor time that took, and a sum over bytes of the array."""
        self._process.stdin.write(f"{run_id}\n")
        when, used, total = self._process.stdout.readline().split()
        return float(when), float(used), int(total)

    def close(self):
        self._process.communicate()


def connect(url, tier):
    from tyqi_core.stores.redis import Options, RedisStore  # noqa: PLC0415

    return RedisStore.connect(url, Options(namespace=tier), shared_memory=tier == "shared")


def read(url, tier):
    """What the reader's process does."""
    from tyqi_core.scheduler import Place  # noqa: PLC0415
    from tyqi_core.stores.base import Wanted  # noqa: PLC0415

    store = connect(url, tier)
    for line in sys.stdin:
        used = time.process_time()
        claim = store.claim_for("reader", line.strip(), "T2", [Wanted(Place("T1", "image"), required=True)])
        total = some(claim.values[0])
        when, used = time.perf_counter(), time.process_time() - used
        claim = None  # lets go of the array, before the run is forgotten
        print(when, used, total, flush=True)
    store.close()


def some(array):
    return int(array.reshape(-1)[::STEP].sum())


def handed(store, reader, array, turn):
    """Milliseconds from the commit to the array in the other process, by the clock and of processors."""
    from tyqi_core.scheduler import Effects, Ready  # noqa: PLC0415

    run_id = f"run{turn}"
    store.accept(run_id, {}, Effects(ready=(Ready("T1"),)), {})
    token = store.claim_for("writer", run_id, "T1", ()).token
    effects, slots = Effects((), (Ready("T2"),)), {"image": array}
    begun, used = time.perf_counter(), time.process_time()
    store.commit(run_id, "T1", token, kind="task.completed", slots=slots, outputs=slots, effects=effects)
    used = time.process_time() - used
    ended, used_there, total = reader.claimed(run_id)
    if total != some(array):
        raise SystemExit("the reader got another array")
    store.forget(run_id)
    return (ended - begun) * 1000, (used + used_there) * 1000


def measured(name, shape, workers, repetitions):
    import numpy as np  # noqa: PLC0415

    pattern = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    samples = {"shared": [], "redis": []}
    for block in range(-(-repetitions // BLOCK)):
        for tier, (store, reader) in workers.items():
            for turn in range(-WARM_UP, BLOCK):
                made = pattern + np.uint8(turn + WARM_UP)  # as a node has just made it
                took = handed(store, reader, made, f"{block}.{turn}")
                if turn >= 0:
                    samples[tier].append(took)
    limit = GOAL_MS[name]
    for place, what in enumerate(("", ", processor time")):
        found = {
            ours: [took[place] for took in samples[tier]] for ours, tier in (("ours", "shared"), ("Redis", "redis"))
        }
        yield Case(f"hand {name} to another process{what}", "ms", found, f"under {limit:g} ms", below(limit))


def cases(size: Size) -> list[Case]:
    repetitions = pick(size, full=200, quick=60, tiny=2)
    with ExitStack() as stack:
        url = stack.enter_context(server())
        await_answer(url)
        workers = {}
        for tier in ("shared", "redis"):
            store, reader = connect(url, tier), Reader(url, tier)
            stack.callback(store.close)
            stack.callback(store.payloads.sweep, 0.0)
            stack.callback(reader.close)
            workers[tier] = store, reader
        found = []
        for name, shape in SIZES.items():
            say(name)
            found += measured(name, shape, workers, repetitions)
        return found


def await_answer(url):
    import redis  # noqa: PLC0415  (of the extra `workers`)

    until = time.monotonic() + 20
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.exceptions.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return


if __name__ == "__main__":
    if sys.argv[1:2] == ["reader"]:
        read(*sys.argv[2:])
    else:
        main(__doc__, cases)
