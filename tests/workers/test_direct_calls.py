"""Nodes called by themselves, as Celery users call any task: without a run, by name, with ``get()``."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tyqi_core.protocol.codecs import Encoded, decode_any

# What a Celery user writes; a process of its own, since Celery leaves sockets and results to the garbage collector.
PROGRAM = """
import json, sys
from tyqi_core.app import open_celery
from tyqi_core.settings import Settings

node, kwargs = json.load(sys.stdin)
app = open_celery(Settings.load())
try:
    answer = app.send_task(f"tyqi.node.{node}", kwargs=kwargs, queue="cpu.short").get(timeout=30)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(json.dumps(answer))
"""


@pytest.fixture
def call(site):
    site.worker("-c", "1")
    own = {"TYQI_REDIS": site.settings.redis, "TYQI_BROKER": site.settings.broker}

    def called(node, **kwargs):
        command, asked = [sys.executable, "-c", PROGRAM], json.dumps([node, kwargs])
        done = subprocess.run(command, input=asked, env=os.environ | own, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    return called


def test_a_node_answers_with_its_outputs_and_takes_its_parameters(call):
    assert call("trial.add", inputs={"x": 2}, params={"plus": 5}) == {"sum": 7}
    assert call("trial.add", inputs={"x": 2, "y": 3}) == {"sum": 5}


def test_what_is_no_json_travels_in_its_inline_form(call):
    picture = call("trial.picture", inputs={"x": 9})["image"]
    assert picture.keys() == {"media_type", "base64"}
    image = decode_any(Encoded(picture["media_type"], base64.b64decode(picture["base64"])))
    assert (image == 9).all()
    assert call("trial.look", inputs={"image": picture})["mean"] == 9


def test_a_picture_file_may_be_given(call):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 7, np.uint8)).save(file, "PNG")
    inline = {"media_type": "image/png", "base64": base64.b64encode(file.getvalue()).decode()}
    assert call("trial.look", inputs={"image": inline})["mean"] == 7


@pytest.mark.parametrize(
    ("inputs", "params", "why"),
    [
        ({"x": "two"}, {}, "input 'x'"),
        ({}, {}, "input 'x' is missing"),
        ({"x": 1, "z": 2}, {}, "no input 'z'"),
        ({"x": 1}, {"plus": "much"}, "plus"),
    ],
)
def test_a_call_that_does_not_fit_says_why_and_the_worker_goes_on(call, inputs, params, why):
    with pytest.raises(RuntimeError, match=why):
        call("trial.add", inputs=inputs, params=params)
    assert call("trial.add", inputs={"x": 1}) == {"sum": 1}


def test_a_node_that_fails_raises_at_the_caller(call):
    with pytest.raises(RuntimeError, match="ValueError: this cannot be done"):
        call("trial.misbehave", params={"how": "raises"})
