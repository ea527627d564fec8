"""Many workers that die, freeze and repeat themselves at random: every run completes, every task is settled once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest

from tyqi_core.scheduler import Change, Effects, Export, Place, Ready
from tyqi_core.stores.base import Claim, Onward, Wanted
from tyqi_core.stores.redis import Options, RedisStore
from tyqi_core.stores.shared_memory import SharedMemory

RUNS, WORKERS, ITEMS, PATIENCE_S = 40, 6, 5, 60.0
LEASE_S, GRACE_S = 0.3, 0.1
JOIN, END = Change("ready:J", 2, -1), Change("end", 2, -1)
START = Effects(ready=(Ready("A"), Ready("B"), Ready("S")))
EFFECTS = {
    "A": Effects((JOIN,)),
    "B": Effects((JOIN,)),
    "J": Effects((END,)),
    "S": Effects((Change("end", 2, ITEMS - 1),), (Ready("S[*]/I", ITEMS),), (Export("S", "each.x", (), None, ITEMS),)),
    **{f"S[{i}]/I": Effects((END,), (), (Export("S", "each.x", (i,), "x"),)) for i in range(ITEMS)},
}


def wanted(instance):
    if instance.startswith("S["):
        return [Wanted(Place("S", "list", (int(instance[2]),)), required=True)]
    return [Wanted(Place("A", "x"), required=True)] if instance == "J" else []


def settle(store, run_id, instance, claim):
    value = b"x" * 20_000 if instance == "A" else [claim.values, instance]
    slots = {"list": list(range(ITEMS))} if instance == "S" else {"x": value}
    return store.commit(
        run_id,
        instance,
        claim.token,
        kind="task.completed",
        slots=slots,
        outputs=slots,
        effects=EFFECTS[instance],
        worker="w",
        onward=[Onward("J", wanted("J")), Onward("S[0]/I", wanted("S[0]/I"))],
    )


def told(settled):
    """What every repetition is answered alike; the claim with which to go on may have been lost meanwhile."""
    return settled and (settled.ready, settled.status)


def work(store, due, chance):
    """Execute what is due, and what follows from it, the way an unreliable worker does."""
    for first in due.instances():
        instance = first
        claim = store.claim_for("w", due.run_id, instance, wanted(instance))
        while isinstance(claim, Claim):
            fate = chance.random()
            if fate < 0.05:
                break  # it died
            if fate < 0.08:
                time.sleep(LEASE_S * 1.5)  # it froze, and goes on as a zombie
            settled = settle(store, due.run_id, instance, claim)
            if fate > 0.9:
                again = settle(store, due.run_id, instance, claim)
                assert told(again) == told(settled)
            if settled is None or settled.claimed is None:
                break
            instance, claim = settled.claimed


@pytest.mark.parametrize("shared", [False, True])
def test_every_run_completes_though_workers_die_freeze_and_repeat_themselves(
    redis_server, redis_client, tmp_path, shared
):
    # One death in twenty must not add up to a quarantine, which fails a run.
    options = Options(lease_s=LEASE_S, grace_s=GRACE_S, deaths=100)
    tier = SharedMemory(tmp_path, smallest_bytes=1) if shared else False
    store = RedisStore.connect(redis_server.url, options, shared_memory=tier)
    runs = [f"run{number}" for number in range(RUNS)]
    for run_id in runs:
        store.accept(run_id, {}, START, {})
    until = time.monotonic() + PATIENCE_S
    faults = []

    def worker(seed):
        chance = random.Random(seed)  # noqa: S311 - chance, no secret
        try:
            while time.monotonic() < until and any(store.status(run_id) == "running" for run_id in runs):
                store.reap()
                for due in store.take_due(4):
                    work(store, due, chance)
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=worker, args=(seed,)) for seed in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    for run_id in runs:
        assert store.status(run_id) == "completed"
        completed = Counter(event.subject for event in store.events(run_id) if event.kind == "task.completed")
        assert completed == dict.fromkeys(EFFECTS, 1)
        expected = [[[item], f"S[{item}]/I"] for item in range(ITEMS)]
        assert store.read(run_id, Place("S", "each.x")) == expected
        store.forget(run_id)
    store.take_due()
    store.payloads.sweep(idle_s=0)
    assert {key for key in redis_client.keys() if not key.endswith(b":instance")} == set()  # noqa: SIM118 - a client
    store.close()
    assert list(tmp_path.iterdir()) == []
