"""A registry over HTTP: right types, pip's index as it is asked for, no way out of the folder, keys for publishing."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from listings import evidence, listing, release
from registry_sites import served

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.errors import Problem, TyqiError, UsageError
from tyqi_core.registry.keys import FILE, Keys
from tyqi_core.registry.sending import send
from tyqi_core.registry.serving import application
from tyqi_core.registry.serving_files import SIMPLE_HTML, SIMPLE_JSON, negotiated

CLI = """
import signal
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as `tyqi` does
from tyqi_core.cli.registry_serve import serve
serve()
"""
LIMIT_S = 60


def ask(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request whose path goes out exactly as it stands here."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=LIMIT_S)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


# --------------------------------------------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def root(tmp_path_factory, small_site) -> Path:
    """The small site with an index for pip, a wheel, secrets, and a secret beside it."""
    folder = tmp_path_factory.mktemp("around") / "registry"
    shutil.copytree(small_site, folder)
    for name in ("simple", "simple/tyqi-node-crack"):
        (folder / name).mkdir()
        (folder / name / "index.html").write_text("<!doctype html><title>page</title>", encoding="utf-8")
        (folder / name / "index.json").write_text('{"meta": {"api-version": "1.1"}}', encoding="utf-8")
    (folder / "packages" / "tyqi-node-crack" / "1.1.0" / "x-1.1.0-py3-none-any.whl").write_bytes(b"PK")
    for secret in (
        folder.parent / "secret.txt",
        folder / "secret.txt",
        folder / ".secret",
        folder / "nodes" / ".secret",
    ):
        secret.write_text("SECRET", encoding="utf-8")
    (folder / "registry.json").write_text("{}", encoding="utf-8")
    (folder / "nodes" / "way_out.html").symlink_to(folder.parent / "secret.txt")
    return folder


@pytest.fixture(scope="module")
def address(root):
    with served(application(root, publish=lambda *_, **__: None)) as found:
        yield found


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/nodes/crack.segment.html", "text/html; charset=utf-8"),
        ("/site/site.css?1234", "text/css; charset=utf-8"),
        ("/site/list.js", "text/javascript; charset=utf-8"),
        ("/catalogue.js", "text/javascript; charset=utf-8"),
        ("/packages/tyqi-node-crack/1.1.0/evidence.json", "application/json"),
        ("/packages/tyqi-node-crack/1.1.0/x-1.1.0-py3-none-any.whl", "application/zip"),
    ],
)
def test_every_file_has_its_type_and_no_browser_guesses_another(address, path, media_type):
    status, headers, body = ask(address, path)
    assert (status, headers["content-type"]) == (200, media_type)
    assert headers["x-content-type-options"] == "nosniff"
    assert body


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/nodes/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/nodes/%2e%2e/%2e%2e/secret.txt",
        "/nodes/..%2f..%2fsecret.txt",
        "/nodes/..%5c..%5csecret.txt",
        "/nodes\\..\\..\\secret.txt",
        "//secret.txt",
        "/nodes//../secret.txt",
        "/./secret.txt",
        "/secret.txt",
        "/.secret",
        "/nodes/.secret",
        "/.keys.json",
        "/nodes/way_out.html",
        "/nodes/crack.segment.html%00",
        "/nodes/" + "x" * 5000,
        "/etc/passwd",
        "//etc/passwd",
        "/nodes",
        "/packages/",
        "/site/../../../../../../../../etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_folder_or_to_what_is_not_offered(address, path):
    status, _, body = ask(address, path)
    assert status == 404
    assert b"SECRET" not in body
    assert json.loads(body)["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/simple/", "/simple/tyqi-node-crack/"])
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.1, text/html;q=0.01",
            SIMPLE_JSON,
        ),
        ("application/vnd.pypi.simple.v1+json", SIMPLE_JSON),
        ("application/vnd.pypi.simple.latest+json", SIMPLE_JSON),
        ("application/vnd.pypi.simple.v1+html, text/html;q=0.5", SIMPLE_HTML),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("*/*", "text/html"),
    ],
)
def test_pips_index_comes_in_the_form_that_is_asked_for(address, path, accept, media_type):
    status, headers, body = ask(address, path, Accept=accept)
    assert (status, headers["content-type"].partition(";")[0]) == (200, media_type)
    assert body.startswith(b"{" if media_type == SIMPLE_JSON else b"<!doctype")
    assert headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("text/html;q=0.2, application/vnd.pypi.simple.v1+json;q=0.1", "text/html"),
        ("application/*", SIMPLE_HTML),
        ("text/*", "text/html"),
        ("*/*;q=0.1, application/vnd.pypi.simple.v1+json;q=0", "text/html"),
        ("TEXT/HTML;Q=1", "text/html"),
        ("", None),
        ("image/png", None),
        ("application/vnd.pypi.simple.v2+json", None),
        ("text/html;q=nonsense", None),
    ],
)
def test_wishes_are_weighed_as_http_says(accept, chosen):
    from starlette.exceptions import HTTPException

    if chosen is not None:
        assert negotiated(accept) == chosen
        return
    with pytest.raises(HTTPException) as refused:
        negotiated(accept)
    assert refused.value.status_code == 406


@pytest.mark.parametrize("path", ["/simple", "/simple/tyqi-node-crack", "/simple/Tyqi_Node.Crack/"])
def test_other_spellings_of_a_name_lead_to_the_one_that_is_right(address, path):
    status, headers, _ = ask(address, path)
    right = "/simple/" if path == "/simple" else "/simple/tyqi-node-crack/"
    assert (status, headers["location"]) == (301, right)


def test_an_unchanged_file_is_not_sent_again(address):
    _, headers, _ = ask(address, "/catalogue.js")
    status, _, body = ask(address, "/catalogue.js", If_None_Match=headers["etag"])
    assert (status, body) == (304, b"")
    assert headers["cache-control"] == "no-cache"


def test_a_wheel_may_be_kept_for_ever_because_releases_never_change(address):
    _, headers, _ = ask(address, "/packages/tyqi-node-crack/1.1.0/x-1.1.0-py3-none-any.whl")
    assert "immutable" in headers["cache-control"]


def test_a_head_is_answered_without_a_body_and_other_methods_not_at_all(address):
    assert ask(address, "/index.html", "HEAD")[::2] == (200, b"")
    assert ask(address, "/index.html", "DELETE")[0] == 405


# ---------------------------------------------------------------------------------------------------- publishing


class Shelf:
    """In the place of the registry's own ``publish``: keeps what it is given, or refuses it."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, object]] = []
        self.refusal: TyqiError | None = None

    def __call__(self, root, wheel, evidence=None, *, key=""):
        found = Wheel(wheel)
        if self.refusal is not None:
            raise self.refusal
        self.taken.append((found.name, key, evidence))
        return release(listing(), name=found.name, version=found.version, sha256=found.sha256)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def open_door(tmp_path, shelf):
    """A server with one key: its address and the key."""
    folder = tmp_path / "registry"
    folder.mkdir()
    key = Keys(folder).new("bridge-works")
    with served(application(folder, publish=shelf, largest=200_000, told=lambda _: None)) as address:
        yield address, key


@pytest.fixture
def wheel(tmp_path) -> Path:
    """A wheel, as far as the server looks into it."""
    import zipfile

    path = tmp_path / "tyqi_node_crack-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tyqi_node_crack-1.0.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tyqi-node-crack\n")
        archive.writestr("noise.bin", b"\r\n--tyqi-\r\n" + os.urandom(5000))
    return path


def test_a_wheel_with_its_evidence_is_published_under_the_keys_name(open_door, wheel, shelf):
    address, key = open_door
    proof = evidence(release(listing()))
    answer = send(address, wheel, proof, key=key)
    ((name, holder, taken),) = shelf.taken
    assert (name, holder, taken.to_json()) == ("tyqi-node-crack", "bridge-works", proof.to_json())
    assert (answer["name"], answer["sha256"]) == ("tyqi-node-crack", Wheel(wheel).sha256)


def test_a_wheel_without_evidence_is_left_to_the_registry_to_judge(open_door, wheel, shelf):
    address, key = open_door
    send(address, wheel, key=key)
    assert shelf.taken == [("tyqi-node-crack", "bridge-works", None)]


def test_an_operator_may_judge_for_himself_whatever_evidence_comes(tmp_path, wheel, shelf):
    key = Keys(tmp_path).new("a")
    with served(application(tmp_path, publish=shelf, trusting=False, told=lambda _: None)) as address:
        send(address, wheel, evidence(release(listing())), key=key)
    assert shelf.taken == [("tyqi-node-crack", "a", None)]


@pytest.mark.parametrize("spoil", [lambda key: "", lambda key: key + "x", lambda key: key[:-1], lambda key: "ключ"])
def test_without_a_known_key_nothing_is_taken(open_door, wheel, shelf, spoil):
    address, key = open_door
    headers = {"Authorization": f"Bearer {spoil(key)}".encode(), "Content-Length": "0"}
    status, got, body = ask(address, "/publish", "POST", **headers)
    assert (status, got["www-authenticate"], json.loads(body)["code"]) == (401, "Bearer", "KEY_NEEDED")
    assert got["content-type"] == "application/problem+json"
    assert shelf.taken == []


def test_who_has_no_key_hears_so_even_with_a_wheel_in_hand(open_door, wheel):
    with pytest.raises(TyqiError) as refused:
        send(open_door[0], wheel, key="tyqi_wrong")
    assert refused.value.code == "KEY_NEEDED"
    assert "--new-key" in str(refused.value.remedy)


def test_a_removed_key_opens_nothing_any_more_without_a_restart(open_door, wheel, tmp_path):
    address, key = open_door
    Keys(tmp_path / "registry").remove("bridge-works")
    with pytest.raises(TyqiError, match="KEY_NEEDED"):
        send(address, wheel, key=key)


def test_what_is_too_large_is_refused_by_its_declared_and_by_its_real_size(open_door, shelf):
    address, key = open_door
    status, _, body = ask(address, "/publish", "POST", Authorization=f"Bearer {key}", Content_Length="200001")
    assert (status, json.loads(body)["code"]) == (413, "TOO_LARGE")
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=LIMIT_S)
    pieces = (b"x" * 50_000 for _ in range(5))
    connection.request("POST", "/publish", pieces, {"Authorization": f"Bearer {key}"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert shelf.taken == []


def test_a_refusal_comes_with_code_problems_and_remedy(open_door, wheel, shelf):
    address, key = open_door
    shelf.refusal = UsageError("it is below bronze", code="PUBLISH_REFUSED", remedy="Mend it.")
    shelf.refusal.problems = [Problem("S01", "eval is used")]
    with pytest.raises(TyqiError) as refused:
        send(address, wheel, key=key)
    assert (refused.value.code, refused.value.message, refused.value.remedy) == (
        "PUBLISH_REFUSED",
        "it is below bronze",
        "Mend it.",
    )


def test_a_version_that_is_there_already_is_a_conflict(open_door, wheel, shelf):
    address, key = open_door
    shelf.refusal = TyqiError("1.0.0 is published", code="VERSION_EXISTS", remedy="Raise the version.")
    body = multipart(("wheel", wheel.name, wheel.read_bytes()))
    status, document = post(address, key, body)
    assert (status, document["status"], document["code"]) == (409, 409, "VERSION_EXISTS")
    assert document["remedy"] == "Raise the version."


BOUNDARY = "-----b"


def multipart(*parts: tuple[str, str, bytes]) -> bytes:
    """A form as curl writes it."""
    pieces = []
    for name, filename, data in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        pieces.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


def post(address: str, key: str, body: bytes, content_type: str = f"multipart/form-data; boundary={BOUNDARY}"):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=LIMIT_S)
    connection.request("POST", "/publish", body, {"Authorization": f"Bearer {key}", "Content-Type": content_type})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        multipart(),
        multipart(("other", "tyqi_node_a-1.0.0-py3-none-any.whl", b"PK")),
        multipart(("wheel", "", b"PK")),
        multipart(("wheel", "../tyqi_node_a-1.0.0-py3-none-any.whl", b"PK")),
        multipart(("wheel", "/etc/tyqi_node_a-1.0.0-py3-none-any.whl", b"PK")),
        multipart(("wheel", ".whl", b"PK")),
        multipart(("wheel", "evil.exe", b"PK")),
        multipart(("wheel", "a.whl", b"PK"), ("wheel", "b.whl", b"PK")),
        multipart(("wheel", "a.whl", b"PK"), ("evidence", "e.json", b"{")),
        multipart(("wheel", "a.whl", b"PK"), ("evidence", "e.json", b'{"tyqi_evidence": 1}')),
        multipart(("wheel", "a.whl", b"PK"), ("evidence", "e.json", b"[]")),
        multipart(("wheel", "a.whl", b"PK"))[:-20],
        multipart(*((f"field{number}", "a.whl", b"PK") for number in range(20))),
        f"--{BOUNDARY}\r\n\r\nno head\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}more\r\n\r\n".encode(),
    ],
)
def test_what_is_no_form_with_a_wheel_is_refused_and_leaves_nothing(open_door, shelf, body, tmp_path):
    status, document = post(*open_door, body)
    assert (status, document["code"]) == (400, "BAD_FORM")
    assert document["message"]
    assert document["remedy"]
    assert shelf.taken == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary=", ""]
)
def test_a_form_of_another_type_is_refused(open_door, content_type):
    assert post(*open_door, multipart(), content_type)[0] == 400


def test_what_is_no_wheel_inside_is_refused_with_its_code(open_door):
    status, document = post(*open_door, multipart(("wheel", "tyqi_node_a-1.0.0-py3-none-any.whl", b"PK")))
    assert (status, document["code"]) == (422, "BAD_WHEEL")


def test_an_address_that_is_none_or_answers_nothing_is_told(wheel):
    with pytest.raises(UsageError, match="BAD_URL"):
        send("file:///etc", wheel, key="k")
    with pytest.raises(TyqiError, match="REGISTRY_AWAY"):
        send("http://127.0.0.1:9/", wheel, key="k")


def test_a_key_is_not_carried_on_to_where_an_address_redirects(wheel):
    from starlette.applications import Starlette
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    arrived = []

    def elsewhere(request):
        arrived.append(request.headers)
        return RedirectResponse("/", 302)

    moved = Route("/publish", lambda _: RedirectResponse("/elsewhere", 302), methods=["POST"])
    with (
        served(Starlette(routes=[moved, Route("/elsewhere", elsewhere)])) as address,
        pytest.raises(TyqiError, match="302"),
    ):
        send(address, wheel, key="tyqi_secret")
    assert arrived == []


# ---------------------------------------------------------------------------------------------------------- keys


def test_a_key_is_known_by_its_name_and_only_its_digest_is_on_the_disk(tmp_path):
    keys = Keys(tmp_path)
    assert not keys
    first, second = keys.new("first"), keys.new("second")
    assert (keys.holder(first), keys.holder(second), keys.holder("tyqi_other")) == ("first", "second", None)
    assert first not in (tmp_path / FILE).read_text(encoding="utf-8")
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(("name", "code"), [("taken", "KEY_EXISTS"), ("", "KEY_NAME"), ("two words", "KEY_NAME")])
def test_a_key_needs_a_name_of_its_own(tmp_path, name, code):
    Keys(tmp_path).new("taken")
    with pytest.raises(UsageError) as refused:
        Keys(tmp_path).new(name)
    assert refused.value.code == code


def test_a_damaged_file_of_keys_lets_nobody_in_and_says_so(tmp_path):
    (tmp_path / FILE).write_text('{"keys": 3}', encoding="utf-8")
    with pytest.raises(UsageError, match="KEYS_DAMAGED"):
        Keys(tmp_path).holder("tyqi_any")


# -------------------------------------------------------------------------------------------------------- command


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", CLI, *arguments]


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(root, signal_):
    with subprocess.Popen(command("--registry", str(root), "--port", "0"), stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = re.search(r"at (http://127\.0\.0\.1:\d+/); pid (\d+)", server.stderr.readline())
        assert found is not None
        assert int(found[2]) == server.pid
        assert ask(found[1], "/index.html")[0] == 200
        server.send_signal(signal_)
        _, rest = server.communicate(timeout=LIMIT_S)
    assert server.returncode == 0
    assert "Traceback" not in rest


def test_the_command_makes_a_key_and_prints_nothing_else_on_standard_output(tmp_path):
    (tmp_path / "registry.json").write_text("{}", encoding="utf-8")
    made = subprocess.run(
        command("--registry", str(tmp_path), "--new-key", "ci"), capture_output=True, text=True, check=True
    )
    assert Keys(tmp_path).holder(made.stdout.strip()) == "ci"
    removed = command("--registry", str(tmp_path), "--remove-key", "ci")
    subprocess.run(removed, capture_output=True, check=True)
    assert Keys(tmp_path).holder(made.stdout.strip()) is None


def test_the_command_refuses_a_folder_that_is_no_registry_and_a_port_that_is_taken(root, address):
    strange = subprocess.run(command("--registry", str(root.parent)), capture_output=True, text=True, check=False)
    assert "NO_REGISTRY" in strange.stderr
    taken = ["--registry", str(root), "--port", str(urlsplit(address).port)]
    refused = subprocess.run(command(*taken), capture_output=True, text=True, check=False)
    assert "PORT_TAKEN" in refused.stderr
