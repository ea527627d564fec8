"""A shared store under a clock that stands still, and short words for what tests do with it."""

from __future__ import annotations

import pytest

from tyqi_core.failpoints import arm
from tyqi_core.scheduler import Change, Effects, Ready
from tyqi_core.stores.base import Claim, Refusal
from tyqi_core.stores.redis import Options, RedisStore
from tyqi_core.stores.shared_memory import SharedMemory

END = Change("end", 1, -1)
NOTHING = Effects()
ONE = Effects(ready=(Ready("T1"),))
TWO = Effects(ready=(Ready("A"), Ready("B")))
LEASE_S, GRACE_S = 30.0, 5.0


class Clock:
    """The time that scripts are told, in milliseconds; it moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["all in Redis", "shared memory"])
def store(request, redis_server, redis_client, clock, tmp_path):
    tier = SharedMemory(tmp_path, smallest_bytes=1) if request.param == "shared memory" else False
    options = Options(lease_s=LEASE_S, grace_s=GRACE_S, clock=clock)
    opened = RedisStore.connect(redis_server.url, options, shared_memory=tier)
    yield opened
    opened.close()


@pytest.fixture
def failpoint():
    yield arm
    arm("")


def accept(store, effects=ONE, inputs=None, run_id="run"):
    store.accept(run_id, inputs or {}, effects, {})


def take(store, instance, worker="w1", wanted=()):
    claim = store.claim_for(worker, "run", instance, wanted)
    assert isinstance(claim, Claim), claim
    return claim


def commit(store, instance, token, effects=NOTHING, **more):
    slots = more.pop("slots", None)
    outputs = more.pop("outputs", slots or {})
    return store.commit(
        "run", instance, token, kind="task.completed", slots=slots, outputs=outputs, effects=effects, **more
    )


def kinds(store):
    return [event.kind for event in store.events("run")]


def dump(client):
    """Everything the server holds, byte for byte, but for the store's own name."""
    return {key: client.dump(key) for key in client.scan_iter() if not key.endswith(b":instance")}


def left(store, client):
    """What the server holds once this host's shared memory has been swept."""
    store.payloads.sweep(idle_s=0)
    return dump(client)


def refused(store, instance, worker="w2"):
    answer = store.claim_for(worker, "run", instance, ())
    assert isinstance(answer, Refusal)
    return answer.why
