"""A registry's folder over HTTP: its files, as a static host would give them, and publishing for who has a key."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tyqi_core.conformance.evidence import Evidence
from tyqi_core.errors import InvalidFile, TyqiError, UsageError
from tyqi_core.registry.catalogue import Release
from tyqi_core.registry.forms import Part, read_form
from tyqi_core.registry.keys import Keys
from tyqi_core.registry.serving_files import Guarded, RegistryFiles

if TYPE_CHECKING:
    from starlette.requests import Request

LARGEST: Final = 512 * 1024 * 1024
"""Bytes of a publication: a wheel may hold a model."""
PROBLEM: Final = "application/problem+json"
_BODY: Final = "body"
_WHEEL_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,240}\.whl")
_STATUS: Final = {
    "BAD_FORM": HTTPStatus.BAD_REQUEST,
    "KEY_NEEDED": HTTPStatus.UNAUTHORIZED,
    "VERSION_EXISTS": HTTPStatus.CONFLICT,
    "TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "KEYS_DAMAGED": HTTPStatus.INTERNAL_SERVER_ERROR,
}
_MOST_DRAINED: Final = 64 * 1024 * 1024
"""Bytes that are read of a publication without a key, so that its sender hears why it is refused."""


class Publish(Protocol):
    """Checks a wheel and puts it into a registry: :func:`tyqi_core.registry.publishing.publish`."""

    def __call__(self, root: Path, wheel: Path, evidence: Evidence | None = None, *, key: str = "") -> Release:
        """See there."""


def application(
    root: Path,
    *,
    publish: Publish | None = None,
    largest: int = LARGEST,
    trusting: bool = True,
    told: Callable[[str], None] = print,
) -> Starlette:
    """The server's application.

    Args:
        root: the registry's folder.
        publish: what takes a wheel; the registry's own if not given.
        largest: bytes that a publication may have.
        trusting: take the evidence that comes with a wheel; else every wheel is checked here.
        told: hears a line about each publication.
    """
    door = _Door(root, publish or _registry_publish, largest, trusting, told)
    routes = [Route("/publish", door.publish, methods=["POST"]), Mount("/", RegistryFiles(root))]
    handlers: Any = {HTTPException: _http_problem, TyqiError: _tyqi_problem}
    return Starlette(routes=routes, middleware=[Middleware(Guarded)], exception_handlers=handlers)


def _registry_publish(root: Path, wheel: Path, evidence: Evidence | None = None, *, key: str = "") -> Release:
    """The registry's own; it brings the conformance kit, which a server that nobody publishes on never needs."""
    publish: Publish = import_module("tyqi_core.registry.publishing").publish
    return publish(root, wheel, evidence, key=key)


class _Door:
    """Publishing. One wheel is judged at a time: the kit runs in a thread, and it is the machine that is scarce."""

    def __init__(self, root: Path, publish: Publish, largest: int, trusting: bool, told: Callable[[str], None]) -> None:
        self._root, self._publish, self._largest, self._trusting = root, publish, largest, trusting
        self._told = told
        self._keys = Keys(root)
        self._turn = anyio.CapacityLimiter(1)

    async def publish(self, request: Request) -> Response:
        holder = await self._holder(request)
        self._check_size(int(request.headers.get("content-length") or 0))
        async with _folder() as folder:
            await self._receive(request, folder / _BODY)
            content_type = request.headers.get("content-type", "")
            release = await anyio.to_thread.run_sync(self._judge, folder, content_type, holder, limiter=self._turn)
        self._told(f"{holder} published {release.name} {release.version} ({release.tier})")
        return JSONResponse(asdict(release), HTTPStatus.CREATED)

    async def _holder(self, request: Request) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        holder = self._keys.holder(key.strip()) if scheme.lower() == "bearer" else None
        if holder is None:
            await _drained(request)
            remedy = "Send 'Authorization: Bearer KEY'; the operator makes one by 'tyqi registry serve --new-key NAME'."
            raise UsageError("publishing needs a key that is known here", code="KEY_NEEDED", remedy=remedy)
        return holder

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            remedy = "Ship large models apart from the wheel, or ask the operator for a higher --largest."
            raise UsageError(f"more than {self._largest} bytes are not taken", code="TOO_LARGE", remedy=remedy)

    async def _receive(self, request: Request, path: Path) -> None:
        size = 0
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                self._check_size(size)
                await file.write(chunk)

    def _judge(self, folder: Path, content_type: str, holder: str) -> Release:
        form = read_form(folder / _BODY, content_type)
        part = form.get("wheel")
        if part is None or not _WHEEL_NAME.fullmatch(part.filename):
            remedy = "Send the wheel in the field 'wheel', under the name that it was built with."
            raise UsageError("there is no wheel in the form", code="BAD_FORM", remedy=remedy)
        wheel = folder / part.filename
        wheel.write_bytes(part.data)
        evidence = _evidence(form.get("evidence"))
        return self._publish(self._root, wheel, evidence if self._trusting else None, key=holder)


async def _drained(request: Request) -> None:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MOST_DRAINED:
            return


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    """A folder of its own for each publication, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="tyqi-publish-") as folder:
        yield Path(folder)


def _evidence(part: Part | None) -> Evidence | None:
    if part is None:
        return None
    try:
        body = json.loads(part.data)
        return Evidence.from_json(body)
    except (ValueError, AttributeError) as error:
        remedy = "Send what 'tyqi conform WHEEL --out FILE' wrote, or leave it out."
        raise UsageError(f"the evidence cannot be read: {error}", code="BAD_FORM", remedy=remedy) from error


# ------------------------------------------------------------------------------------------------------ problems


def _problem(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem document as of RFC 9457, with the framework's own code, message and remedy in it."""
    whole = {"title": HTTPStatus(status).phrase, "status": status, **body}
    return JSONResponse(whole, status, headers, media_type=PROBLEM)


async def _tyqi_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, TyqiError)  # noqa: S101 - by the table of handlers
    body = {"message": str(error), **error.to_json()}
    fallback = HTTPStatus.UNPROCESSABLE_ENTITY if _is_refusal(error) else HTTPStatus.INTERNAL_SERVER_ERROR
    status = _STATUS.get(error.code, fallback)
    return _problem(status, body, {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None)


def _is_refusal(error: TyqiError) -> bool:
    """Whether the sender can do something about it."""
    return isinstance(error, UsageError | InvalidFile) or hasattr(error, "problems")


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - by the table of handlers
    remedy = "/ is the registry's first page, /simple/ the index for pip, /catalogue.json everything in one."
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.upper().replace(" ", "_")
    body = {"code": code, "message": f"{request.url.path}: {phrase}", "remedy": remedy}
    return _problem(error.status_code, body, dict(error.headers or {}))
