"""Nodes called by themselves, as Celery users call any task: without a run, by name, with ``get()``."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from tyqi_core.app import open_celery
from tyqi_core.protocol.codecs import Encoded, decode_any


# Celery leaves sockets of its result backend to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def call(site):
    site.worker("-c", "1")
    app = open_celery(site.settings)

    def called(node, **kwargs):
        answer = app.send_task(f"tyqi.node.{node}", kwargs=kwargs, queue="cpu.short")
        try:
            return answer.get(timeout=30)
        finally:
            answer.forget()

    yield called
    app.backend.result_consumer.stop()
    app.backend.client.close()
    app.close()


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
    with pytest.raises(Exception, match=why):
        call("trial.add", inputs=inputs, params=params)
    assert call("trial.add", inputs={"x": 1}) == {"sum": 1}


def test_a_node_that_fails_raises_at_the_caller(call):
    with pytest.raises(Exception, match="ValueError: this cannot be done"):
        call("trial.misbehave", params={"how": "raises"})
