"""Publishing in a registry that ``tyqi registry serve`` offers, over HTTP."""

from __future__ import annotations

import json
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tyqi_core.conformance.evidence import Evidence
from tyqi_core.errors import TyqiError, UsageError
from tyqi_core.registry.forms import Part, encoded

PATIENCE_S: Final = 3600.0
"""The registry may run the conformance kit before it answers."""
_LONGEST_ANSWER: Final = 4_000_000


def send(url: str, wheel: Path, evidence: Evidence | None = None, *, key: str) -> dict[str, Any]:
    """Publish a wheel.

    Args:
        url: of the registry, ``https://nodes.example/``.
        wheel: the file.
        evidence: what the conformance kit found; without it the registry runs the kit.
        key: a key of that registry.

    Returns:
        The release, as the registry's catalogue lists it.

    Raises:
        UsageError: the wheel cannot be read or the address is none.
        TyqiError: the registry refuses, with its code and remedy, or cannot be reached (``REGISTRY_AWAY``).
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise UsageError(
            f"{url} is no address of a registry", code="BAD_URL", remedy="It begins with https:// or http://"
        )
    content_type, pieces = encoded(_parts(wheel, evidence))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": content_type}
    request = Request(f"{url.rstrip('/')}/publish", b"".join(pieces), headers, method="POST")  # noqa: S310  (checked above)
    try:
        with build_opener(_NoRedirects).open(request, timeout=PATIENCE_S) as answer:
            body: dict[str, Any] = json.loads(answer.read(_LONGEST_ANSWER))
            return body
    except HTTPError as error:
        raise _refusal(error) from error
    except (OSError, ValueError, HTTPException) as error:
        remedy = "Check the address, and whether 'tyqi registry serve' runs there."
        raise TyqiError(f"{url} gives no answer: {error}", code="REGISTRY_AWAY", remedy=remedy) from error


class _NoRedirects(HTTPRedirectHandler):
    """A key goes to the address that was named and to no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None is followed: the answer is then the error that it is."""


def _parts(wheel: Path, evidence: Evidence | None) -> list[Part]:
    try:
        parts = [Part("wheel", wheel.name, wheel.read_bytes())]
    except OSError as error:
        raise UsageError(f"cannot read {wheel}: {error.strerror}", code="BAD_WHEEL") from error
    if evidence is not None:
        parts.append(Part("evidence", "evidence.json", json.dumps(evidence.to_json()).encode()))
    return parts


def _refusal(error: HTTPError) -> TyqiError:
    try:
        body = json.loads(error.read(_LONGEST_ANSWER))
        lines = [body["message"], *(f"  {one['code']}: {one['message']}" for one in body.get("problems", ()))]
        return TyqiError("\n".join(lines), code=body["code"], remedy=body.get("remedy"))
    except (OSError, ValueError, KeyError, TypeError):
        return TyqiError(f"the registry answers {error.code} {error.reason}", code="REGISTRY_REFUSES")
