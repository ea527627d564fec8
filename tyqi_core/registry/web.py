"""Reading files of a registry on a web server: http and https alone, bounded in time and size."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from functools import lru_cache
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, Final
from urllib.parse import urlsplit

import tyqi_core
from tyqi_core.errors import RegistryError

TIMEOUT_S: Final = 20.0
"""Seconds that a server may be silent."""
DEADLINE_S: Final = 300.0
"""Seconds that one file may take."""
_CHUNK: Final = 1 << 16
_SCHEMES: Final = ("http", "https")


def read_url(url: str, limit: int) -> bytes:
    """A file of a web server.

    Args:
        url: where; ``http`` or ``https``.
        limit: the most bytes that are read.

    Raises:
        RegistryError: there is no such file (``NOT_FOUND``), or it cannot be read (``REGISTRY_UNREACHABLE``).
    """
    request = urllib.request.Request(url, headers={"User-Agent": f"tyqi-core/{tyqi_core.__version__}"})  # noqa: S310 - the opener knows web schemes only
    try:
        with _opener().open(request, timeout=TIMEOUT_S) as answer:
            return _read(answer, url, limit)
    except urllib.error.HTTPError as error:
        with error:
            code = "NOT_FOUND" if error.code in {404, 410} else "REGISTRY_UNREACHABLE"
            raise RegistryError(f"{url} answers {error.code} {error.reason}", code=code) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise RegistryError(f"{url} cannot be read: {reason}", code="REGISTRY_UNREACHABLE") from error


def _read(answer: IO[bytes], url: str, limit: int) -> bytes:
    """All that a server sends, unless it goes on for too long."""
    deadline, parts, size = time.monotonic() + DEADLINE_S, [], 0
    while chunk := answer.read(_CHUNK):
        size += len(chunk)
        if size > limit or time.monotonic() > deadline:
            why = f"is larger than {limit} bytes" if size > limit else f"takes longer than {DEADLINE_S:.0f} s"
            raise RegistryError(f"{url} {why}", code="REGISTRY_UNREACHABLE")
        parts.append(chunk)
    return b"".join(parts)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects stay on the web, and what began encrypted stays so."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Follow to http and https only."""
        scheme = urlsplit(newurl).scheme
        if scheme not in _SCHEMES or (req.type == "https" and scheme != "https"):
            raise RegistryError(
                f"{req.full_url} redirects to {scheme}:, which is not followed", code="REGISTRY_UNREACHABLE"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@lru_cache(maxsize=1)
def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows neither files nor ftp; proxies are those of the environment."""
    opener = urllib.request.OpenerDirector()
    handlers: list[Any] = [
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ]
    for handler in handlers:
        opener.add_handler(handler)
    return opener
