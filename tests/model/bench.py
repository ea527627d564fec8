"""A store on a real Redis server whose calls wait for their turn, and a judge of what is answered to late attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared_stores import Clock
from turns import HeldLine

from tyqi_core.stores import redis_scripts
from tyqi_core.stores.redis import Options, RedisStore

if TYPE_CHECKING:
    from turns import Turns

LEASE_S = 30.0


class JudgedLine(HeldLine):
    """Complains of a call that ends an attempt which is not current any more, and is not told that it is fenced."""

    ENDING = ("commit", "retry", "fail", "release")

    def called(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        digests = {redis_scripts.digest_of(name, shebang=True) for name in self.ENDING}
        ends = [(command[3], *command[7:9]) if command[1] in digests else None for command in commands]
        tokens = [self._token(*end[:2]) if end else None for end in ends]
        answers = super().called(commands)
        for end, token, answer in zip(ends, tokens, answers, strict=True):
            fenced = answer in (b"FENCED", [b"FENCED"]) or isinstance(answer, Exception)
            assert not end or fenced or token == end[2], f"{end[1]} was ended by attempt {end[2]}, not by {token}"
        return answers

    def _token(self, key: str, instance: str) -> int:
        (text,) = super().called([("HGET", key, f"t:{instance}")])
        return int(text.split()[1]) if text else 0


class Bench:
    """A store on a server, and the turns of the workshop that uses it now."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        options = Options(lease_s=LEASE_S, grace_s=0.0, deaths=10**6, clock=self.clock)
        self.store = RedisStore.connect(url, options)
        self.turns: Turns | None = None
        self.store.scripts._line = JudgedLine(self.store._client, lambda: self.turns)
        self.client = self.store._client

    def close(self) -> None:
        self.store.close()
