"""A registry is read from a folder, by file:// and from a web server, and no further than it should be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tyqi_core.errors import RegistryError, UsageError
from tyqi_core.registry.reading import open_registry
from tyqi_core.registry.web import read_url


class Quiet(SimpleHTTPRequestHandler):
    """A static host."""

    def log_message(self, *_):
        """Say nothing."""


class Elsewhere(BaseHTTPRequestHandler):
    """A server that leads somewhere else, or never ends."""

    target = ""

    def do_GET(self):
        if self.target:
            self.send_response(302)
            self.send_header("Location", self.target)
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 100_000)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def serving():
    """Serve with a handler; gives the address."""
    servers = []

    def start(handler) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["folder", "file", "http"])
def location(request, shelf, serving) -> Iterator[str]:
    """The shelf's location, in each form."""
    shelf.mkdir()
    match request.param:
        case "folder":
            yield str(shelf)
        case "file":
            yield shelf.as_uri()
        case _:
            yield serving(partial(Quiet, directory=str(shelf)))


def test_catalogue_evidence_and_wheel_are_read_wherever_the_registry_is(location, put, tmp_path):
    release = put()
    registry = open_registry(location)
    assert registry.catalogue().releases == [release.__class__(**{**_plain(release), "readme": ""})]
    assert registry.evidence(release).tier == "gold"
    path = registry.download(release, tmp_path / "got")
    assert path.name == release.filename
    assert path.stat().st_size == release.size
    assert registry.simple_url.endswith("/simple/")
    assert registry.wheel_url(release).endswith(f"/packages/tyqi-node-good/1.0.0/{release.filename}")


def _plain(release) -> dict:
    return {name: getattr(release, name) for name in release.__dataclass_fields__}


def test_a_wheel_that_was_exchanged_is_not_taken(location, put, shelf, tmp_path):
    release = put()
    path = shelf / "packages" / release.name / release.version / release.filename
    path.write_bytes(b"x" * release.size)
    with pytest.raises(RegistryError, match="DAMAGED"):
        open_registry(location).download(release, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_place_without_a_catalogue_says_so(location):
    with pytest.raises(RegistryError, match=r"NO_REGISTRY|NOT_FOUND"):
        open_registry(location).catalogue()


def test_a_folder_that_is_not_built_names_the_command(shelf, put):
    put()
    (shelf / "catalogue.json").unlink()
    with pytest.raises(RegistryError, match="tyqi registry build"):
        open_registry(str(shelf)).catalogue()


@pytest.mark.parametrize("text", ["{", "[]", '{"tyqi_catalogue": 2}', '{"tyqi_catalogue": 1, "title": "x"}'])
def test_a_catalogue_that_is_none_is_damaged(shelf, put, text):
    put()
    (shelf / "catalogue.json").write_text(text)
    with pytest.raises(RegistryError, match="DAMAGED"):
        open_registry(str(shelf)).catalogue()


@pytest.mark.parametrize("location", ["ftp://host/registry", "https:///registry", "data://x", "file://host/share"])
def test_other_schemes_and_other_machines_are_refused(location):
    with pytest.raises(UsageError, match="NO_REGISTRY"):
        open_registry(location)


def test_nothing_named_is_told_how_to_name_one():
    with pytest.raises(UsageError, match="TYQI_REGISTRY"):
        open_registry("")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_a_redirect_leads_to_web_servers_only(serving, target):
    url = serving(type("Leading", (Elsewhere,), {"target": target}))
    with pytest.raises(RegistryError, match=r"is not followed|is not allowed"):
        read_url(f"{url}/catalogue.json", 1000)


def test_a_redirect_on_the_web_is_followed(serving, shelf, put):
    put()
    there = serving(partial(Quiet, directory=str(shelf)))
    here = serving(type("Leading", (Elsewhere,), {"target": f"{there}/catalogue.json"}))
    assert read_url(f"{here}/old.json", 1_000_000) == (shelf / "catalogue.json").read_bytes()


def test_no_more_is_read_than_is_allowed(serving):
    with pytest.raises(RegistryError, match="larger than 1000 bytes"):
        read_url(serving(Elsewhere), 1000)


def test_a_server_that_is_not_there_is_unreachable(serving):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    server.server_close()
    with pytest.raises(RegistryError, match="REGISTRY_UNREACHABLE"):
        read_url(f"http://127.0.0.1:{server.server_address[1]}/", 1000)
