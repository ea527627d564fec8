"""A broker in memory, as unreliable as brokers are: it loses, doubles and reorders what it is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from random import Random

from tyqi_core.runtime.distributed.publisher import Wakeup


class MemoryBroker:
    """Takes the messages of engines until somebody delivers them.

    Args:
        chance: decides what is lost and doubled, and what is delivered next.
        loses: the share of messages that are lost.
        doubles: the share of messages that come again.
        pause: called before messages are taken.
    """

    def __init__(
        self, chance: Random, *, loses: float = 0.0, doubles: float = 0.0, pause: Callable[[], None] = lambda: None
    ) -> None:
        self.sent = 0
        self._messages: list[Wakeup] = []
        self._chance = chance
        self._loses = loses
        self._doubles = doubles
        self._pause = pause

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        """Take messages; they arrive in any order."""
        self._pause()
        self.sent += len(wakeups)
        for node, queue, arguments in wakeups:
            if self._chance.random() >= self._loses:
                self._messages.append(Wakeup(node, queue, tuple(json.loads(json.dumps(arguments)))))

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return sum(message.queue == queue for message in self._messages)

    def fits(self, queues: Collection[str]) -> bool:
        """Whether there is a message for one who serves these queues."""
        return any(message.queue in queues for message in self._messages)

    def take(self, queues: Collection[str]) -> Wakeup:
        """A message for one who serves these queues; another may be told the same later."""
        message = self._chance.choice([message for message in self._messages if message.queue in queues])
        if self._chance.random() >= self._doubles:
            self._messages.remove(message)
        return message

    def __len__(self) -> int:
        return len(self._messages)

    def close(self) -> None:
        """Nothing is to be ended."""
