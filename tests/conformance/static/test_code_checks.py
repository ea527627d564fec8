"""S01, S02 (by reading) and S04: what the code uses."""

from __future__ import annotations

import pytest
from made_wheels import NODES, manifest_text

from tyqi_core.conformance.sources import read_source

FILE = "tyqi_node_good/nodes.py"
YAML = "tyqi_node_good/brighten.node.yaml"
FIRST = len(NODES.splitlines()) + 1


def code(text, **more):
    return {FILE: NODES + text + "\n", **more}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eval('1')", "It evaluates text as code (eval)"),
        ("exec('x = 1')", "It executes text as code (exec)"),
        ("run = exec\nrun('x = 1')", "It executes text as code (exec)"),
        ("__builtins__.eval('1')", "It evaluates text as code (eval)"),
        ("__builtins__['exec']('1')", "It executes text as code (exec)"),
        ("import builtins\nvars(builtins)['eval']('1')", "It evaluates text as code (eval)"),
        ("import pickle\npickle.__dict__['loads'](b'')", "It unpickles (pickle.loads)"),
        ("import sys\nsys.modules['pickle'].loads(b'')", "It unpickles (pickle.loads)"),
        ("().__class__.__base__.__subclasses__()", "It looks for classes that no import names"),
        ("import builtins\ngetattr(builtins, 'ex' + 'ec')('1')", "A name of 'builtins' is put together at run time"),
        ("import builtins as b\ngetattr(b, 'exec')('1')", "It executes text as code (exec)"),
        ("import pickle\npickle.loads(b'')", "It unpickles (pickle.loads)"),
        ("from pickle import load as read\nread(None)", "It unpickles (pickle.load)"),
        ("import importlib\nimportlib.import_module('pickle').loads(b'')", "It unpickles (pickle.loads)"),
        ("__import__('pickle').loads(b'')", "It unpickles (pickle.loads)"),
        ("import marshal\nmarshal.loads(b'')", "It unpickles (marshal.loads)"),
        ("import joblib\njoblib.load('x')", "It unpickles (joblib.load)"),
        ("np.load('x', allow_pickle=True)", "It unpickles (numpy.load with allow_pickle)"),
        ("import torch\ntorch.load('x')", "It unpickles (torch.load without weights_only=True)"),
        ("import torch\ntorch.load('x', weights_only=False)", "It unpickles (torch.load"),
        ("import yaml\nyaml.load('x')", "It makes objects of what a file names (yaml.load without a safe loader)"),
        ("import yaml\nyaml.load('x', Loader=yaml.UnsafeLoader)", "It unpickles (yaml.UnsafeLoader)"),
        ("import torch\ntorch.hub.load('a', 'b')", "It downloads code and runs it"),
        ("import transformers as t\nt.pipeline('x', trust_remote_code=True)", "It runs code that is downloaded"),
        ("import os\nos.system('pip install torch')", "It installs packages at run time (os.system)"),
        (
            "import sys, subprocess\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'x'])",
            "It installs packages",
        ),
        ("import pip", "It installs packages at run time (pip)"),
        ("from pip._internal import main", "It installs packages at run time"),
        ("import zlib, base64\nzlib.decompress(base64.b64decode('x'))", "It unpacks what it has unpacked before"),
        ("from os import *", "'from os import *' hides what of it is used"),
        (f"DATA = '{'A1' * 1001}'", "A text of 2002 characters without a space hides what it holds"),
    ],
)
def test_code_that_hides_what_it_does_fails_s01_with_its_line(failures, text, said):
    capabilities = manifest_text(capabilities=["network", "subprocess", "files", "native"])
    failed = failures(files=code(text, **{YAML: capabilities}))
    last = FIRST + text.count("\n")
    assert any(f"{FILE}:{line}: {said}" in failed["S01"] for line in range(FIRST, last + 1))
    del failed["S01"]
    assert failed == {}


@pytest.mark.parametrize("comment", ["# noqa", "# nosec", "# type: ignore", "# pragma: no cover", "# tyqi: allow"])
def test_inline_suppressions_are_ignored(failures, comment):
    assert f"{FILE}:{FIRST}: " in failures(files=code(f"eval('1')  {comment}"))["S01"]


@pytest.mark.parametrize(
    "text",
    [
        "class Model:\n    def eval(self):\n        return self\n\nModel().eval()",
        "import re\nre.compile('x')",
        "np.load('x')",
        "np.load('x', allow_pickle=False)",
        "import torch\ntorch.load('x', weights_only=True)",
        "import yaml\nyaml.load('x', Loader=yaml.CSafeLoader)\nyaml.safe_load('x')",
        "import base64, json\njson.loads(base64.b64decode('e30='))",
        "import types\nisinstance(code, types.FunctionType)",
        "import pickle",
        "getattr(np, 'u' + 'int8')",
        f"TEXT = '''{'word ' * 1000}'''",
        "from safetensors import torch as safetensors\nsafetensors.load(b'')",
    ],
)
def test_code_that_only_looks_like_it_is_no_fault(failures, text):
    assert failures(files=code(text)) == {}


def test_an_import_whose_name_is_put_together_is_warned_of(results):
    found = results(files=code("import importlib\nimportlib.import_module('o' + 's')"))["S01"]
    assert found.outcome == "warned"
    assert found.findings[0].line == FIRST + 1
    own = "import importlib\nimportlib.import_module(f'tyqi_node_good.{name}')"
    assert results(files=code(own))["S01"].outcome == "passed"


@pytest.mark.parametrize("name", ["tyqi_node_good/nodes.pyc", "tyqi_node_good/model.pkl", "tyqi_node_good/inner.whl"])
def test_code_that_cannot_be_read_fails_s01(failures, name):
    failed = failures(files={name: b"\x00\x01"})
    assert f"{name}: It holds code or objects in a form that cannot be read" in failed.pop("S01")
    assert failed == {}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"def broken(:\n", "it is no Python source that can be read"),
        (b"# -*- coding: utf-7 -*-\nx = 1\n", "it is written in the encoding utf-7"),
        (b"x = 1\x00\n", "it is no Python source"),
        (b"x = " + b"(" * 5000, "it is no Python source"),
        (b"\xff\xfe", "it is no Python source"),
        (b"#" * (4 * 1024 * 1024 + 1), "is larger than"),
    ],
)
def test_a_source_that_cannot_be_read_fails_s01(failures, source, said):
    assert said in failures(files={"tyqi_node_good/odd.py": source})["S01"]


@pytest.mark.parametrize(
    ("text", "capability"),
    [
        ("import socket", "network"),
        ("from urllib import request", "network"),
        ("import requests", "network"),
        ("__import__('socket').create_connection(('x', 1))", "network"),
        ("Model.from_pretrained('x')", "network"),
        ("import subprocess", "subprocess"),
        ("import os\nos.fork()", "subprocess"),
        ("from multiprocessing import Pool", "subprocess"),
        ("open('x', 'w')", "files"),
        ("open('x', mode=any_mode)", "files"),
        ("import pathlib\npathlib.Path('x').write_text('y')", "files"),
        ("import pathlib\npathlib.Path('x').open('wb')", "files"),
        ("import shutil\nshutil.rmtree('x')", "files"),
        ("np.save('x', [])", "files"),
        ("import cv2\ncv2.imwrite('x.png', image)", "files"),
        ("import ctypes", "native"),
    ],
)
def test_a_use_that_is_not_declared_fails_s02_and_passes_when_it_is(failures, text, capability):
    failed = failures(files=code(text))
    assert f"{FILE}:{FIRST + text.count(chr(10))}: It uses " in failed["S02"]
    assert f"({capability}) and no manifest declares it" in failed.pop("S02")
    assert failed == {}
    assert failures(files=code(text, **{YAML: manifest_text(capabilities=[capability])})) == {}


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "open('x', 'rb')",
        "import urllib.parse",
        "from pathlib import Path\nPath('x').read_text()",
        "import os\nos.path.join('a', 'b')",
        "import zipfile\nzipfile.ZipFile('x')",
        "import gzip\ngzip.open('x', 'rt')",
    ],
)
def test_reading_needs_no_word(failures, text):
    assert failures(files=code(text)) == {}


@pytest.mark.parametrize("name", ["tyqi_node_good/fast.cpython-311-x86_64-linux-gnu.so", "tyqi_node_good/libfast.so.3"])
def test_native_code_in_the_wheel_is_declared(failures, name):
    failed = failures(files={name: b"\x7fELF"})
    assert f"{name}: The wheel brings native code" in failed.pop("S02")
    assert failed == {}
    assert failures(files={name: b"\x7fELF", YAML: manifest_text(capabilities=["native"])}) == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import json\njson.dumps = str", "json.dumps"),
        ("import json\nsetattr(json, 'dumps', str)", "json.dumps"),
        ("import json\njson.__dict__['dumps'] = str", "json.__dict__"),
        ("import sys\nsys.modules['json'] = None", "sys.modules"),
        ("from tyqi_core import node\nnode.Node = None", "tyqi_core.node.Node"),
        ("np.float64 = float", "numpy.float64"),
        ("import os\ndel os.environ", "os.environ"),
    ],
)
def test_what_replaces_a_name_of_another_module_fails_s04(results, text, name):
    found = results(files=code(text))["S04"]
    assert f"It assigns to {name}." in found.findings[0].message
    assert found.findings[0].line == FIRST + text.count("\n")


def test_settings_of_other_packages_are_warned_of(results):
    text = "import torch, os\ntorch.backends.cudnn.benchmark = True\nos.environ['OMP_NUM_THREADS'] = '1'"
    found = results(files=code(text))["S04"]
    assert found.outcome == "warned"
    assert [finding.line for finding in found.findings] == [FIRST + 1, FIRST + 2]


def test_names_of_its_own_may_be_assigned(failures):
    text = "from tyqi_node_good import more\nmore.CACHE = {}\nBrighten.gain = 1\n\n\ndef keep(self):\n    self.x = 1"
    assert failures(files=code(text, **{"tyqi_node_good/more.py": ""})) == {}


def test_a_name_is_followed_through_imports_and_variables():
    source = read_source("x.py", b"import os.path as p\nfrom os import system as s\nt = s\nt('x')\np.join('a')\n")
    names = {use.name for use in source.uses() if use.call is not None}
    assert names == {"os.system", "os.path.join"}
