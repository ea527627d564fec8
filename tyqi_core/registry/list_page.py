"""The site's first page: a search field, filters and the list, which its script fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tyqi_core.registry.frame import LIST_SCRIPT, asset, brand, document, stamped
from tyqi_core.registry.markup import Html, joined, tag
from tyqi_core.registry.offers import Offer

_LENS: Final = Html(
    '<svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="9" cy="9" r="5.5"/>'
    '<path d="m13.2 13.2 4 4"/></svg>'
)


def list_page(title: str, listed: Sequence[Offer], data: str) -> str:
    """The whole page.

    Args:
        title: of the registry.
        listed: the nodes; without scripts they are shown as a plain list.
        data: the address of the script that holds them.
    """
    head = joined(
        tag("script", src=data, defer=True),
        tag("script", src=stamped(LIST_SCRIPT, asset(LIST_SCRIPT)), defer=True),
    )
    header = tag("header", tag("div", brand(title, ""), _search(), class_="wrap bar"), class_="top")
    body = tag("main", _filters(), _list(listed), class_="wrap browse")
    return document(title, header, body, home="", scripts="'self' file:", head=head)


def _search() -> Html:
    field = tag(
        "input",
        id="search",
        type="search",
        placeholder="Search: crack, or image > mask",
        autocomplete="off",
        spellcheck="false",
        aria_label="Search nodes",
        aria_controls="results",
        aria_describedby="keys",
    )
    return tag("div", _LENS, field, tag("kbd", "/", aria_hidden="true"), class_="search", id="searching", hidden=True)


def _filters() -> Html:
    fold = tag("details", tag("summary", "Filters"), tag("div", id="facets"), id="fold", open=True)
    return tag("aside", fold, aria_label="Filters", id="filters", hidden=True)


def _list(listed: Sequence[Offer]) -> Html:
    tools = tag(
        "div",
        tag("output", id="count", aria_live="polite"),
        tag("div", id="chosen"),
        tag("button", "Clear all", type="button", id="reset", hidden=True),
        class_="tools",
    )
    keys = joined(tag("kbd", "/"), " search ", tag("kbd", "↑"), tag("kbd", "↓"), " move ", tag("kbd", "Enter"), " open")
    return tag(
        "section",
        tag("h1", "Nodes", class_="unseen"),
        tools,
        tag("ol", id="results", class_="results"),
        tag("p", id="nothing", class_="nothing", hidden=True),
        tag("button", "Show more", type="button", id="more", hidden=True),
        tag("p", keys, id="keys", class_="keys"),
        tag("noscript", tag("ul", *map(_plain, listed), class_="plain")),
        aria_label="Nodes",
    )


def _plain(offer: Offer) -> Html:
    listing = offer.current.listing
    return tag("li", tag("a", listing.title, href=f"nodes/{listing.id}.html"), " ", tag("code", listing.id))
