"""The zoo: packages that misbehave, each a good package with one thing spoilt, and the check that must tell it.

Every animal is a whole wheel: ``Animal.wheel`` builds it, pip installs it. ``GOOD`` is the package that all others are
spoilt copies of.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from made_wheels import (
    NODES,
    README,
    REQUIRES,
    VERSION,
    dist_info,
    make_wheel,
    manifest_text,
    metadata_text,
    package_of,
)

GOOD = "tyqi-node-good"
GOOD_NODE = "good.brighten"
CODE, MANIFEST, ENTRIES = "PACKAGE/nodes.py", "PACKAGE/brighten.node.yaml", "INFO/entry_points.txt"
_PROCESS = '        """See the manifest."""\n'


@dataclass(frozen=True)
class Animal:
    """A spoilt package.

    Attributes:
        name: of its kind; the distribution is ``tyqi-node-NAME`` unless ``named`` says otherwise.
        spoilt: what is wrong with it, for the table.
        check: the check that must tell it.
        mode: the mode of that check; ``upgrade``: it is compared with the good package, as the release before it;
            ``whole``: all checks are run, so that it can be published.
        outcome: of that check; a warning is shown to whoever publishes and installs.
        also: checks that fail for the same cause.
        top: code at the top of its module.
        process: code at the beginning of its method.
        manifest: fields of its manifest that are other than the good one's.
        requires, readme: of its metadata.
        members: further members of the archive; in names and text PACKAGE and INFO stand for its two folders.
        without: members that are left out.
        known: what is published already, node id -> distribution.
        listed: the code of the problem with which ``tyqi nodes`` lists it; empty if its manifest is in order.
        probed: what ``tyqi doctor`` says of its import; empty if the import does no harm.
        fails: the code by which a task of it fails that is executed in process; empty if it is not tried.
        fails_on_workers: the code by which it fails on workers; empty if it is not tried.
        runs: what else happens where it is installed all the same.
        installable: whether pip installs it.
        named: its distribution's name, if it is another one.
        version: its distribution's.
    """

    name: str
    spoilt: str
    check: str
    mode: Literal["static", "probe", "run", "upgrade", "whole"]
    outcome: Literal["failed", "warned"] = "failed"
    also: frozenset[str] = frozenset()
    top: str = ""
    process: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    requires: Sequence[str] = REQUIRES
    readme: str | None = None
    members: Mapping[str, str | bytes] = field(default_factory=dict)
    without: Sequence[str] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    listed: str = ""
    probed: str = ""
    fails: str = ""
    fails_on_workers: str = ""
    runs: str = ""
    installable: bool = True
    named: str = ""
    version: str = VERSION

    @property
    def distribution(self) -> str:
        """Its distribution's name."""
        return self.named or f"tyqi-node-{self.name}"

    @property
    def node(self) -> str:
        """The id that it claims."""
        return f"{self.distribution.removeprefix('tyqi-node-').replace('-', '_')}.brighten"

    def wheel(self, folder: Path) -> Path:
        """Build it."""
        files = {self._placed(path): self._filled(content) for path, content in (self._spoilt() | self.members).items()}
        without = [self._placed(path) for path in self.without]
        return make_wheel(folder, self.distribution, self.version, files, without)

    def _spoilt(self) -> dict[str, str | bytes]:
        body = textwrap.indent(textwrap.dedent(self.process), " " * 8)
        return {
            CODE: f"{self.top}\n{NODES}".replace(_PROCESS, _PROCESS + body) if self.top or body else NODES,
            MANIFEST: manifest_text(**self.manifest),
            "INFO/METADATA": metadata_text(self.distribution, self.version, requires=self.requires, readme=self.readme),
        }

    def _placed(self, text: str) -> str:
        return text.replace("PACKAGE", package_of(self.distribution)).replace(
            "INFO", dist_info(self.distribution, self.version)
        )

    def _filled(self, content: str | bytes) -> str | bytes:
        return self._placed(content) if isinstance(content, str) else content


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

ANIMALS: Sequence[Animal] = (
    Animal(
        "raises",
        "raises at import",
        "I03",
        "probe",
        top='raise RuntimeError("this library wants another machine")',
        probed="RuntimeError: this library wants another machine",
        fails="ACTIVATION_FAILED",
        fails_on_workers="ACTIVATION_FAILED",
    ),
    Animal(
        "exits",
        "`sys.exit` at import",
        "I03",
        "probe",
        top="import sys\nsys.exit(3)",
        probed="sys.exit(3)",
        fails="ACTIVATION_FAILED",
    ),
    Animal(
        "dies",
        "`os._exit` at import",
        "I03",
        "probe",
        top="import os\nos._exit(0)",
        probed="exit code 0",
        fails="ACTIVATION_FAILED",
        fails_on_workers="QUARANTINED",
    ),
    Animal(
        "hangs",
        "infinite loop at import",
        "I03",
        "probe",
        top="while True:\n    pass",
        probed="did not end within",
        fails="ACTIVATION_FAILED",
    ),
    Animal(
        "hoards",
        "imports 2 GB",
        "I03",
        "probe",
        top="HOARD = bytearray(2 * 1024**3)\nHOARD[:: 4096] = b'x' * len(HOARD[:: 4096])",
        probed="MemoryError",
        fails="ACTIVATION_FAILED",
    ),
    Animal(
        "patches",
        "monkey-patches `json`",
        "I04",
        "probe",
        also=frozenset({"S04"}),
        top="import json\njson.dumps = json.loads = lambda *_, **__: 'patched'",
    ),
    Animal(
        "startup",
        "ships a `.pth`",
        "P03",
        "static",
        members={"startup.pth": "import sys; sys._started_by_a_plugin = True\n"},
        runs="its line runs whenever Python starts, and nothing else of it",
    ),
    Animal(
        "phones",
        "opens a socket at import",
        "I03",
        "probe",
        manifest={"capabilities": ["network"]},
        top="import socket\nwith socket.socket() as line:\n    line.connect_ex(('127.0.0.1', 9))",
    ),
    Animal(
        "muddled",
        "bad YAML",
        "M02",
        "static",
        members={MANIFEST: "tyqi_node: 1\nname: [brighten\nversion: 1.0.0\n"},
        listed="YAML_SYNTAX",
    ),
    Animal("bomb", "YAML bomb", "M02", "static", members={MANIFEST: BOMB}, listed="YAML_ALIAS"),
    Animal(
        "twice",
        "duplicate id in one wheel",
        "M03",
        "static",
        members={
            ENTRIES: "[tyqi.nodes]\nbrighten = PACKAGE.nodes:Brighten\nbrighten.v1 = PACKAGE.nodes:Brighten\n",
            "PACKAGE/brighten.v1.node.yaml": manifest_text(),
        },
        listed="DUPLICATE_ID",
    ),
    Animal(
        "taken",
        "duplicate id: published by somebody else",
        "M04",
        "static",
        known={"taken.brighten": "tyqi-node-first"},
    ),
    Animal("bare", "manifest missing from the wheel", "M01", "static", without=[MANIFEST], listed="NO_MANIFEST"),
    Animal(
        "stray",
        "id outside its namespace: the manifest says another name",
        "M03",
        "static",
        manifest={"name": "segment"},
        listed="NAME_MISMATCH",
    ),
    Animal(
        "usurps",
        "id outside its namespace: claims the good package's",
        "M03",
        "static",
        also=frozenset({"M04"}),
        known={GOOD_NODE: GOOD},
        named="good",
        listed="DUPLICATE_ID",
    ),
    Animal("pins", "`torch==` pin", "P04", "static", requires=(*REQUIRES, "torch==2.1.0")),
    Animal(
        "thaws",
        "unpickles its input",
        "S01",
        "static",
        top="import pickle",
        process="pickle.loads(inputs['image'].tobytes())\n",
        fails="NODE_ERROR",
    ),
    Animal(
        "scribbles",
        "writes into its input array",
        "T06",
        "run",
        also=frozenset({"T01"}),
        process="inputs['image'][...] = 0\n",
        fails="NODE_ERROR",
    ),
    Animal(
        "lies",
        "output that breaks its schema",
        "T01",
        "run",
        also=frozenset({"T03"}),
        process="return {'image': inputs['image'], 'level': 300.0}\n",
        fails="CONTRACT_VIOLATION",
        fails_on_workers="CONTRACT_VIOLATION",
    ),
    Animal(
        "dices",
        "non-deterministic though declared deterministic",
        "T04",
        "run",
        also=frozenset({"R01", "R02"}),
        top="import random",
        process="return {'image': inputs['image'], 'level': random.uniform(0, 255)}\n",
    ),
    Animal(
        "climbs",
        "path traversal in the wheel",
        "P03",
        "static",
        members={"../climbed.py": "raise SystemExit('outside')\n"},
        installable=False,
    ),
    Animal(
        "writes",
        "README with a script in it",
        "D01",
        "static",
        "warned",
        readme=README.format(name="tyqi-node-writes", namespace="writes") + "\n<script>alert('hello')</script>\n",
    ),
    Animal("goood", "name one letter off a published one", "M04", "static", "warned", known={GOOD_NODE: GOOD}),
    Animal(
        "future",
        "requires a newer core",
        "M06",
        "static",
        manifest={"requires_tyqi": ">=7"},
        requires=("tyqi-core>=7", "numpy>=1.26"),
        listed="INCOMPATIBLE_CORE",
    ),
)

BY_NAME: Mapping[str, Animal] = {animal.name: animal for animal in ANIMALS}
