"""Short tasks beside a long one, on Redis and RabbitMQ: none waits while a process of its queue is idle.

One worker with two processes serves one queue. A run of one long task occupies one process; then runs of short tasks
are submitted, one at a time and in twos. What a run takes beyond its own work is what it waited for: if it was handed
to the busy process, seconds. The peer beside it is the same without the long task.

Starts servers of its own. Needs Linux, the extra `workers`, a redis-server and, unless told otherwise, RabbitMQ.

    python benchmarks/short_beside_long.py --quick
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import _nodes
from _measure import Case, Size, main, pick, say
from _servers import Programs, rabbitmq_installed

SHORT_MS, QUEUE = 50, "cpu.short"
LONGEST_MS = 1000.0
"""What no short task may wait beyond its own work: an eighth of the long one, more than a noisy machine takes."""


def cases(size: Size) -> list[Case]:
    brokers = ["redis", *(["rabbitmq"] if rabbitmq_installed() else [])]
    return [case for broker in brokers for case in measured(broker, size)]


def measured(broker: str, size: Size) -> list[Case]:
    from _ours import Ours, install_nodes  # noqa: PLC0415  (of the extra `workers`)

    long_s = pick(size, full=8.0, quick=8.0, tiny=1.0)
    projects = {"short": sleeping(SHORT_MS), "long": sleeping(round(long_s * 1000))}
    with Programs() as programs:
        say(f"{broker}: servers and workers start")
        redis = programs.redis().url
        url = f"{redis}/1" if broker == "redis" else programs.rabbitmq().url
        site = programs.folder("site")
        install_nodes(site, 2)
        ours = Ours(programs, f"{redis}/0", url, site, programs.folder("ours"), projects, (QUEUE,), 2)
        ours.end(ours.begin("short"))
        say(f"{broker}: short tasks alone")
        alone = spans(ours, long_s / 2)
        say(f"{broker}: short tasks beside a long one")
        long_run = ours.begin("long")
        time.sleep(0.5)  # it has begun; if it had not, it would wait for short ones, which hurts no short one
        beside = spans(ours, long_s - 2 if long_s > 2 else long_s / 2)
        ours.end(long_run)
        ours.close()

    beside, alone = beside[: len(alone)], alone[: len(beside)]

    def met(_: float, __: Mapping[str, float]) -> bool:
        return max(beside) - SHORT_MS < LONGEST_MS

    goal = f"none waits {LONGEST_MS:g} ms"
    name = f"{broker}: a task of {SHORT_MS} ms beside one of {long_s:g} s, prefork with 2 processes"
    return [Case(name, "ms from submit to result", {"ours": beside, "alone": alone}, goal, met)]


def spans(ours: object, seconds: float) -> list[float]:
    """Milliseconds from submit to result, of one run after the other for so long."""
    found, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        ours.end(ours.begin("short"))  # type: ignore[attr-defined]
        found.append((time.perf_counter() - begun) * 1000)
    return found


def sleeping(milliseconds: int) -> str:
    """One task that sleeps."""
    task = f"T0: {{node: bench.sleep, inputs: {{value: $input.value}}, params: {{ms: {milliseconds}}}}}"
    return _nodes.project([task], "T0.value")


if __name__ == "__main__":
    main(__doc__, cases)
