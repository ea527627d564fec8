"""What all pages of the site share: the document around them, their assets and what they may load."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from tyqi_core.registry.markup import Html, joined, tag

STYLE: Final = "site/site.css"
LIST_SCRIPT: Final = "site/list.js"
DATA: Final = "catalogue.js"
_POLICY: Final = (
    "default-src 'none'; script-src {scripts}; style-src 'self' file:; img-src 'self' file: data:; "
    "base-uri 'none'; form-action 'none'"
)
"""``file:`` is what ``'self'`` means to a page that was opened from a folder; a page of a server may load none."""
_MARK: Final = Html(
    '<svg class="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true"><path d="M7 6h5a4 4 0 0 1 4 4v4"'
    '/><path d="M7 6v12h9"/><circle cx="6" cy="6" r="3"/><circle cx="6" cy="18" r="3"/><circle cx="17" cy="18" r="3"/>'
    "</svg>"
)


@cache
def asset(name: str) -> str:
    """The text of a packaged file of the site, by its name in the registry: ``site/site.css``."""
    return (files("tyqi_core.registry") / name).read_text(encoding="utf-8")


def stamped(name: str, text: str) -> str:
    """An address that changes with the file's content, so that no browser shows an old one."""
    return f"{name}?{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def inline(script: str) -> tuple[Html, str]:
    """A script within the page, and the source by which the page's policy allows this one and no other."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Html(f"<script>{script}</script>"), f"'sha256-{digest}'"


def document(title: str, *body: Html, home: str, scripts: str, head: Html | None = None) -> str:
    """A whole page.

    Args:
        title: of the page.
        body: its parts.
        home: the way to the registry's root: empty, or ``../``.
        scripts: which scripts it may run, as a source of its content security policy.
        head: what else it has in its head.
    """
    parts = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Html(_POLICY.format(scripts=scripts))),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href=home + stamped(STYLE, asset(STYLE))),
        head,
    )
    return f"<!doctype html>\n{tag('html', tag('head', parts), tag('body', *body), lang='en')}\n"


def brand(title: str, home: str) -> Html:
    """The registry's name, which leads to the list."""
    return tag("a", _MARK, tag("span", title), class_="brand", href=f"{home}index.html")


def tier_badge(tier: str) -> Html:
    """A tier as a coloured word."""
    return tag("span", "no tier" if tier == "none" else tier, class_=f"tier {tier}", title="conformance tier")
