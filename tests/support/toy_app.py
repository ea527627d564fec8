"""A Celery application with toy tasks, for workers that tests start: ``celery -A toy_app worker``.

The variables ``TOY_*`` say where the brokers are and in which folder the tasks tell what they did.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery.signals import worker_ready

from tyqi_core.runtime.distributed.broker import BrokerOptions, celery_app, task_name

FOLDER = Path(os.environ["TOY_FOLDER"])
PATIENCE_S = 120.0

app = celery_app(
    BrokerOptions(os.environ["TOY_BROKER"], os.environ["TOY_RESULTS"], remote_control="TOY_CONTROL" in os.environ),
    os.environ["TOY_QUEUES"].split(","),
)
if "TOY_ACKS_LATE" in os.environ:
    app.conf.task_acks_late = True


def tell(line: str) -> None:
    """Add a line to what the test reads."""
    with (FOLDER / "told").open("a", encoding="utf-8") as told:
        told.write(f"{line}\n")


@worker_ready.connect
def on_ready(**_: object) -> None:
    """Tell that messages are taken from now on."""
    tell(f"ready {os.environ['TOY_NAME']}")


@app.task(name=task_name("toy.note"))
def note(text: str) -> None:
    """Tell a text."""
    tell(text)


@app.task(name=task_name("toy.hold"))
def hold(gate: str) -> None:
    """Keep the process busy until the test opens a gate. A message that comes twice finds it held, as a claim would."""
    try:
        (FOLDER / f"held {gate}").touch(exist_ok=False)
    except FileExistsError:
        tell(f"finds {gate} held")
        return
    tell(f"holds {gate}")
    until = time.monotonic() + PATIENCE_S
    gates = FOLDER / gate, FOLDER / f"closing {os.environ['TOY_NAME']}"
    while not any(path.exists() for path in gates) and time.monotonic() < until:
        time.sleep(0.02)
    tell(f"leaves {gate}")


@app.task(name=task_name("toy.add"))
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b
