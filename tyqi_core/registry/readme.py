"""READMEs as HTML that may stand on a page of the registry: rendered, then everything removed that is not plain text.

What an author writes is shown to others who trust the registry, so nothing may run, load or imitate: no scripts,
styles, forms, frames, pictures (they would be asked for from elsewhere) and no ids or classes of the page's own.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LONGEST: Final = 200_000
"""Characters of a README that are shown."""
_TAGS: Final = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "div", "details", "summary"),
    *("ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
    *("a", "abbr", "b", "code", "del", "em", "i", "kbd", "q", "s", "samp", "small", "span", "strong", "sub", "sup"),
    *("u", "var"),
}
_ATTRIBUTES: Final = {"a": {"href", "title"}, "td": {"align"}, "th": {"align"}, "ol": {"start"}, "abbr": {"title"}}
_SCHEMES: Final = {"http", "https", "mailto"}
_DROPPED_WHOLE: Final = {"script", "style", "iframe", "object", "svg", "math", "form", "template", "title"}


def renderer() -> str:
    """Which renderer is installed: ``markdown``, or ``plain`` without the extra ``registry``."""
    return "markdown" if find_spec("markdown_it") and find_spec("nh3") else "plain"


def rendered(text: str, content_type: str) -> str:
    """A README as sanitised HTML.

    Args:
        text: the description in a wheel's metadata.
        content_type: as the metadata declares it; what is no Markdown is shown as it is.
    """
    text = text[:LONGEST].replace("\0", "")
    if not text.strip():
        return ""
    kind = content_type.partition(";")[0].strip().lower()
    if renderer() == "plain" or kind not in {"text/markdown", ""}:
        return f"<pre>{html.escape(text)}</pre>"
    return sanitised(_markdown().render(text))


def sanitised(markup: str) -> str:
    """The part of some HTML that may be shown."""
    import nh3  # noqa: PLC0415 - an extra

    return nh3.clean(
        markup,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        clean_content_tags=_DROPPED_WHOLE,
        link_rel="noopener noreferrer nofollow",
        url_relative="deny",
    )


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - an extra

    made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    made.add_render_rule("image", _alternative)
    return made


def _alternative(_renderer: Any, tokens: Any, index: int, _options: Any, _environment: Mapping[str, Any]) -> str:
    """A picture's words instead of the picture."""
    return html.escape(tokens[index].content)
