"""How the program ends when a node that was given up still executes."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs_plugins

STUCK_IN_OPENCV = """
import threading
import cv2
import numpy
from tyqi_core.cli.output import leave
from tyqi_core.runtime.pool import Job, WorkerPool

begun = threading.Event()
pixels = numpy.zeros((600, 600, 3), numpy.uint8)

def blur_for_ever(job):
    while True:
        cv2.GaussianBlur(pixels, (0, 0), 5)
        begun.set()

pool = WorkerPool(blur_for_ever, 2)
pool.submit(Job("run", "T1"))
pool.submit(Job("run", "T2"))
begun.wait(30)
print("the answer")
leave(130)
"""


def test_a_node_that_is_stuck_in_a_library_does_not_spoil_the_answer_nor_the_exit_code():
    command = (sys.executable, "-c", STUCK_IN_OPENCV)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "the answer\n", "")
