"""Sites of registries for tests: written into a folder, and served from a thread."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from listings import evidence

from tyqi_core.registry.catalogue import Catalogue
from tyqi_core.registry.layout import EVIDENCE, release_folder
from tyqi_core.registry.pages import write_site

if TYPE_CHECKING:
    from starlette.applications import Starlette


def written(root: Path, catalogue: Catalogue, *, with_evidence: bool = False) -> Path:
    """The site of a catalogue, in a folder."""
    for release in catalogue.releases if with_evidence else ():
        folder = release_folder(root, release.name, release.version)
        folder.mkdir(parents=True)
        (folder / EVIDENCE).write_text(json.dumps(evidence(release).to_json()), encoding="utf-8")
    write_site(root, catalogue)
    return root


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The address of an application that runs in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
