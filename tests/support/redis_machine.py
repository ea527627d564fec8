"""Random calls on one run, in any order, late, repeated, on the Redis store and on a model of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from leased_runs import RUN, LeasedRun

from tyqi_core.scheduler import Change, Effects, Export, Place, Ready
from tyqi_core.stores.base import Claim, Onward
from tyqi_core.stores.redis import Options, RedisStore

if TYPE_CHECKING:
    from redis_servers import RedisServer

JOIN, END = Change("ready:J", 2, -1), Change("end", 2, -1)
ROOTS = Effects(ready=(Ready("A"), Ready("B"), Ready("S")))
# A and B meet in J, which is the last to read A; S has three items that fill a list.
EFFECTS = {
    "A": Effects((JOIN,)),
    "B": Effects((JOIN,)),
    "J": Effects((Change("free:A", 1, -1), END)),
    "S": Effects((Change("end", 2, 2),), (Ready("S[*]/I", 3),), (Export("S", "each.x", (), None, 3),)),
    **{f"S[{i}]/I": Effects((END,), (), (Export("S", "each.x", (i,), "x"),)) for i in range(3)},
}
SLOTS = {"A": {"x": "value"}, "S": {"x": [1, 2, 3]}}
instances = st.sampled_from([*EFFECTS, "S[3]/I", "Z"])
LEASE, GRACE = 30_000, 5_000


class Machine(RuleBasedStateMachine):
    server: RedisServer

    def __init__(self):
        super().__init__()
        self.now = 1_000_000
        self.client = self.server.client()
        self.client.flushall()
        options = Options(lease_s=LEASE / 1000, grace_s=GRACE / 1000, clock=lambda: self.now)
        self.store = RedisStore(self.client, options)
        self.store.accept(RUN, {}, ROOTS, {})
        self.model = LeasedRun(lambda: self.now, ROOTS, lease=LEASE, grace=GRACE, deaths=3)
        self.tokens = {}

    def teardown(self):
        self.store.forget(RUN)
        self.now += 10**9
        self.store.reap()
        self.store.take_due()
        left = self.client.keys()
        self.client.close()
        assert left == []

    def attempt(self, data):
        """A task and a token that it has or had, mostly the latest."""
        instance = data.draw(st.sampled_from(sorted(EFFECTS)))
        latest = self.tokens.get(instance, 0)
        return instance, data.draw(st.sampled_from([latest, latest, latest, max(0, latest - 1), 1]))

    def seen(self, instance, answer):
        if isinstance(answer, Claim):
            self.tokens[instance] = answer.token

    @rule(instance=instances)
    def claim(self, instance):
        answer = self.store.claim_for("w", RUN, instance, ())
        assert answer == self.model.claim(instance)
        self.seen(instance, answer)

    @rule(data=st.data(), onward=st.lists(st.sampled_from(["J", "S[0]/I", "S[2]/I", "B"]), max_size=2))
    def commit(self, data, onward):
        self.settle(*self.attempt(data), onward)

    @precondition(lambda self: self.model.outbox)
    @rule(data=st.data())
    def go_on(self, data):
        """What a sound worker does; without it, random calls seldom get to the end of a run."""
        path = data.draw(st.sampled_from(sorted(self.model.outbox)))
        entry = self.model.outbox[path]
        instance = path.replace("*", str(entry.first())) if entry.items else path
        answer = self.store.claim_for("w", RUN, instance, ())
        assert answer == self.model.claim(instance)
        self.seen(instance, answer)
        if isinstance(answer, Claim):
            self.settle(instance, answer.token, [])

    def settle(self, instance, token, onward):
        asked = [Onward(other, ()) for other in onward]
        slots = SLOTS.get(instance) or {"x": 7}
        answer = self.store.commit(
            RUN,
            instance,
            token,
            kind="task.completed",
            slots=slots,
            outputs=slots,
            effects=EFFECTS[instance],
            worker="w",
            onward=asked,
        )
        wanted = self.model.commit(instance, token, EFFECTS[instance], slots, asked)
        assert (answer is None) == (wanted is None)
        if answer is not None:
            assert list(answer.ready) == list(wanted.ready)
            assert (answer.status, answer.claimed) == (wanted.status, wanted.claimed)
            if answer.claimed:
                self.seen(*answer.claimed)

    @rule(data=st.data(), delay=st.sampled_from([0, 7_000]))
    def retry(self, data, delay):
        instance, token = self.attempt(data)
        answer = self.store.retry(RUN, instance, token, {}, delay_s=delay / 1000)
        assert answer == self.model.retry(instance, token, delay)

    @rule(data=st.data())
    def fail(self, data):
        instance, token = self.attempt(data)
        assert self.store.fail(RUN, instance, token, {"code": "X"}) == self.model.fail(instance, token)

    @rule(data=st.data())
    def release(self, data):
        instance, token = self.attempt(data)
        assert self.store.release(RUN, instance, token, again=True) == self.model.release(instance, token)

    @rule(data=st.data())
    def beat(self, data):
        instance, token = self.attempt(data)
        assert self.store.beat(RUN, instance, token) is self.model.beat(instance, token)

    @rule()
    def cancel(self):
        assert self.store.cancel(RUN) == self.model.cancel()

    @precondition(lambda self: self.model.run.status in {"failed", "cancelled"})
    @rule()
    def resume(self):
        assert sorted(self.store.resume(RUN)) == sorted(self.model.resume())

    @rule(seconds=st.sampled_from([1, 5, 20, 31, 400]))
    def pass_time(self, seconds):
        self.now += seconds * 1000

    @rule()
    def take_due(self):
        assert sorted(self.store.take_due()) == sorted(self.model.take_due())

    @rule()
    def reap(self):
        assert self.store.reap() == self.model.reap()

    @rule()
    def lose_scripts(self):
        self.client.script_flush()

    @invariant()
    def alike(self):
        run = self.model.run
        status, live = self.client.hmget(f"tyqi:{{s0}}:run:{RUN}", ["status", "live"])
        assert (status.decode(), int(live)) == (run.status, run.live)
        waiting = {key.decode() for key in self.client.hkeys(f"tyqi:{{s0}}:run:{RUN}:w")}
        outbox = {member.decode().partition("|")[2] for member in self.client.zrange("tyqi:{s0}:outbox", 0, -1)}
        assert waiting == outbox == set(self.model.outbox)
        leases = self.client.zrange("tyqi:{s0}:leases", 0, -1, withscores=True)
        assert {key.decode().partition("|")[2]: ends for key, ends in leases} == self.model.leases
        mine, theirs = (sorted(e[1:3] for e in events) for events in (self.store.events(RUN), run.events))
        assert mine == theirs
        for holder, slot in (("A", "x"), ("S", "each.x"), ("S[1]/I", "x")):
            place = Place(holder, slot)
            assert self.store.read(RUN, place) == self.model.memory.read(RUN, place)
