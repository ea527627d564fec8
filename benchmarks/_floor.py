"""The floor: bare processes that walk a graph with BRPOP and one Lua script. No Celery, no validation, no events.

When a task has ended, one call hands its value to its successors, pushes those that are ready, and returns one of them
for the worker to go on with. A crash loses what was in hand: this is what speed costs when nothing else is asked for.

A worker is ``python _floor.py URL QUEUE``; :class:`Floor` is the client.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
from _workloads import ITEM_MS, LONG, PROCESSES, SHORT, WORKLOADS, Vertex

ENDED = """
local run, queue, value, keep = ARGV[1], ARGV[2], ARGV[3], false
if #ARGV == 4 then redis.call('RPUSH', 'result:' .. run, value); return false end
local due = {}
for i = 5, #ARGV, 3 do
  local values, needs = {value}, tonumber(ARGV[i + 1])
  if needs > 1 then
    local key = run .. ':' .. ARGV[i]
    if redis.call('RPUSH', key, value) == needs then
      values = redis.call('LRANGE', key, 0, -1)
      redis.call('DEL', key)
    else values = false end
  end
  if values then
    local message = cjson.encode({run, ARGV[4], ARGV[i], values})
    if not keep and ARGV[i + 2] == queue then keep = message
    else
      local others = due[ARGV[i + 2]] or {}
      others[#others + 1] = message
      due[ARGV[i + 2]] = others
    end
  end
end
for name, messages in pairs(due) do redis.call('LPUSH', name, unpack(messages)) end
return keep
"""


class Floor:
    """Submits graphs to the workers, and waits for their results."""

    def __init__(self, programs: Any, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self.programs = [
            programs.python(f"floor-{queue}-{number}", [str(Path(__file__).resolve()), url, queue], {})
            for queue in (SHORT, LONG)
            for number in range(PROCESSES)
        ]

    def begin(self, workload: str) -> str:
        run = uuid.uuid4().hex
        first = next(iter(WORKLOADS[workload].vertices))
        self._client.lpush(SHORT, json.dumps([run, workload, first, ["1"]]))
        return run

    def end(self, run: str) -> int:
        answer = self._client.brpop([f"result:{run}"], 60)
        if answer is None:
            raise RuntimeError("a run of the floor has not ended")
        return int(answer[1])

    def close(self) -> None:
        self._client.close()


def execute(vertex: Vertex, values: list[str]) -> tuple[str, tuple[str, ...]]:
    """The value of a task, and those that go on."""
    if vertex.work == "sleep":
        time.sleep(ITEM_MS / 1000)
    return values[0], vertex.after[:1] if vertex.work == "decide" else vertex.after


def work(url: str, queue: str) -> None:
    """Do tasks until the process is ended."""
    client = redis.Redis.from_url(url)
    script = client.script_load(ENDED)
    graphs = {name: workload.vertices for name, workload in WORKLOADS.items()}
    while True:
        popped = client.brpop([queue], 1)
        message = popped[1] if popped else None
        while message:
            message = step(client, script, queue, graphs, json.loads(message))


def step(client: Any, script: str, queue: str, graphs: Mapping[str, Mapping[str, Vertex]], message: list[Any]) -> Any:
    """Do one task; the one to go on with."""
    run, workload, task, values = message
    graph = graphs[workload]
    value, after = execute(graph[task], values)
    ready = [word for name in after for word in (name, graph[name].needs, graph[name].queue)]
    return client.evalsha(script, 0, run, queue, value, workload, *ready)


if __name__ == "__main__":
    work(*sys.argv[1:])
