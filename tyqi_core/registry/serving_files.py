"""The files of a registry's folder over HTTP: which are given out, and under which types; pip's index by wish."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from tyqi_core.catalog.discovery import normalised
from tyqi_core.registry.layout import SIMPLE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OFFERED: Final = frozenset(
    {"index.html", "catalogue.json", "catalogue.js", "registry.json", "site", "nodes", SIMPLE, "packages", "libraries"}
)
"""What of the folder is given out, by the first part of the path."""
SIMPLE_JSON: Final = "application/vnd.pypi.simple.v1+json"
SIMPLE_HTML: Final = "application/vnd.pypi.simple.v1+html"
_ALIASES: Final = {
    "application/vnd.pypi.simple.latest+json": SIMPLE_JSON,
    "application/vnd.pypi.simple.latest+html": SIMPLE_HTML,
}
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!~-]*")
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".whl": "application/zip",
    ".metadata": "text/plain; charset=utf-8",
}
_GUARDS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'none'",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"


class RegistryFiles(StaticFiles):
    """Args: ``root``: the registry's folder. No link in it leads out, and no name that begins with a dot is known."""

    def __init__(self, root: Path) -> None:
        super().__init__(directory=root)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or the part of pip's index in the form that is asked for."""
        parts = [part for part in scope["path"].split("/") if part]
        if parts == ["favicon.ico"]:
            return Response(status_code=204, headers={"Cache-Control": _FOR_EVER})  # asked for beside pages without one
        if any(not _PART.fullmatch(part) for part in parts) or (parts and parts[0] not in OFFERED):
            raise HTTPException(404)
        if parts and parts[0] == SIMPLE and not parts[-1].startswith("index."):
            return await self._simple(parts, scope)
        name = "/".join(parts) or "index.html"
        return _typed(await super().get_response(name.replace("/", os.sep), scope), name, _TYPES.get(Path(name).suffix))

    async def _simple(self, parts: list[str], scope: Scope) -> Response:
        home = "/".join([SIMPLE, *map(normalised, parts[1:])])
        if scope["path"] != f"/{home}/":
            return RedirectResponse(f"{scope.get('root_path', '')}/{home}/", 301)
        chosen = negotiated(Headers(scope=scope).get("accept", "*/*"))
        name = f"{home}/index.{'json' if chosen == SIMPLE_JSON else 'html'}"
        response = _typed(await super().get_response(name.replace("/", os.sep), scope), name, chosen)
        response.headers["Vary"] = "Accept"
        return response


def _typed(response: Response, name: str, media_type: str | None) -> Response:
    response.headers["Cache-Control"] = _FOR_EVER if name.endswith((".whl", ".metadata")) else "no-cache"
    if response.status_code != 304:  # noqa: PLR2004 - that has no content
        response.headers["Content-Type"] = media_type or "application/octet-stream"
    return response


def negotiated(accept: str) -> str:
    """The content type in which a part of pip's index is given, as PEP 691 says.

    Args:
        accept: the header of the request.

    Raises:
        HTTPException: none of those asked for is known (406).
    """
    wanted = _wishes(accept)
    offers = {name: _wish(wanted, name) for name in (SIMPLE_JSON, SIMPLE_HTML, "text/html")}
    most = max(offers.values())
    if most <= 0:
        raise HTTPException(406)
    best = [name for name, wish in offers.items() if wish == most]
    named = [name for name in best if name in wanted]
    return named[0] if named else best[-1]


def _wish(wanted: Mapping[str, float], name: str) -> float:
    """How much a content type is wished for: by its own name, else by the widest one that covers it."""
    names = (name, f"{name.partition('/')[0]}/*", "*/*")
    return next((wanted[one] for one in names if one in wanted), 0.0)


def _wishes(accept: str) -> Mapping[str, float]:
    """Content type -> how much it is wished for."""
    found: dict[str, float] = {}
    for wish in accept.split(","):
        name, *rest = (part.strip().lower() for part in wish.split(";"))
        quality = next((part[2:] for part in rest if part.startswith("q=")), "1")
        found[_ALIASES.get(name, name)] = _number(quality)
    return found


def _number(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


class Guarded:
    """Middleware: headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, and add to the answer's head."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: Any = MutableHeaders(scope=message)
                headers.update(_GUARDS)
            await send(message)

        await self._app(scope, receive, guarded)
