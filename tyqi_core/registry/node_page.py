"""The page of one node: what it does, how it is used, what is known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from tyqi_core.registry import wording
from tyqi_core.registry.catalogue import Listing, Release
from tyqi_core.registry.evidence_part import evidence_part
from tyqi_core.registry.frame import asset, brand, document, inline, tier_badge
from tyqi_core.registry.layout import EVIDENCE, PACKAGES
from tyqi_core.registry.markup import Html, joined, tag
from tyqi_core.registry.offers import Edition, Offer, state_of

HOME: Final = "../"
_SCRIPT: Final = "site/node.js"
_HEADING: Final = re.compile(r"<(/?)h([1-6])(?=[\s>])")
_NOTHING: Final = Html("")
_DEVICES: Final = {"cpu": "CPU", "gpu": "GPU", "any": "CPU or GPU"}
_CAPABILITIES: Final = {
    "network": "reaches the network",
    "subprocess": "starts other programs",
    "files": "reads or writes files of its own",
    "native": "brings native code",
}


def node_page(offer: Offer, title: str, evidence: Mapping[str, Any] | None) -> str:
    """The whole page.

    Args:
        offer: the node.
        title: of the registry.
        evidence: what was published about the current release's conformance, as it was read; ``None`` if nothing.
    """
    script, allowed = inline(asset(_SCRIPT))
    listing = offer.current.listing
    find = tag("a", "Search", tag("kbd", "/", aria_hidden="true"), href=f"{HOME}index.html#find", class_="find")
    header = tag("header", tag("div", brand(title, HOME), find, class_="wrap bar"), class_="top")
    body = tag("main", _opening(offer), _aside(offer.current), _content(offer, evidence), class_="wrap node")
    return document(f"{listing.title} · {listing.id}", header, body, script, home=HOME, scripts=allowed)


def _opening(offer: Offer) -> Html:
    release, listing = offer.current.release, offer.current.listing
    tags = [
        _filter_link("category", listing.category),
        *(_filter_link("tag", word) for word in listing.tags if word != listing.category),
    ]
    return tag(
        "div",
        tag("p", tag("a", "← All nodes", href=f"{HOME}index.html"), class_="back"),
        tag("h1", listing.title),
        tag("p", tag("code", listing.id), tag("span", listing.version), tier_badge(release.tier), class_="sub"),
        _withdrawn(release),
        tag("p", listing.description, class_="lead"),
        tag("p", *tags, class_="tags"),
        class_="opening",
    )


def _withdrawn(release: Release) -> Html:
    reason = release.quarantined or release.yanked
    if not reason:
        return _NOTHING
    effect = "It is neither installed nor scheduled." if release.quarantined else "It is installed only if asked for."
    text = joined(tag("b", f"Version {release.version} is {state_of(release)}: "), reason, " ", effect)
    return tag("p", text, class_=f"notice {state_of(release)}", role="note")


def _filter_link(name: str, value: str) -> Html:
    return tag("a", value, class_="chip", href=f"{HOME}index.html#{urlencode({name: value})}")


# ---------------------------------------------------------------------------------------------- beside the text


def _aside(edition: Edition) -> Html:
    release, listing = edition.release, edition.listing
    facts = [
        ("Package", joined(tag("code", release.name), f" {release.version}")),
        ("Licence", listing.licence),
        ("Author", listing.author),
        (
            "Device",
            joined(
                _DEVICES.get(listing.device, listing.device), tag("span", f" (queue {listing.queue})", class_="soft")
            ),
        ),
        ("Needs tyqi-core", tag("code", listing.requires_tyqi or "any")),
        ("Needs Python", tag("code", release.requires_python or "any")),
        ("Needs packages", _lines(release.requires)),
        ("Capabilities", _lines([_CAPABILITIES.get(name, name) for name in release.capabilities])),
        ("Published", tag("time", release.published[:10], datetime=release.published)),
        ("Wheel", joined(_wheel(release), tag("span", f" ({_size(release.size)})", class_="soft"))),
        ("Links", joined(*(tag("a", label, href=url, rel="noreferrer") for label, url in _links(release.urls)))),
    ]
    rows = joined(*(joined(tag("dt", name), tag("dd", value)) for name, value in facts if value))
    return tag("aside", _install(edition), tag("dl", rows, class_="facts"), aria_label="Installation and facts")


def _install(edition: Edition) -> Html:
    release, namespace = edition.release, edition.listing.id.partition(".")[0]
    if release.quarantined:
        return _NOTHING
    line = f"tyqi install {namespace}=={release.version}" if release.yanked else f"tyqi install {namespace}"
    base = tag("span", "REGISTRY/", data_base=True)
    pip = joined("pip install --index-url ", base, f"simple/ {release.name}=={release.version}")
    named = (tag("summary", "naming this registry"), _command(joined(line, " --registry ", base)), _command(pip))
    return tag("section", tag("h2", "Install"), _command(joined(line)), tag("details", *named), class_="install")


def _command(text: Html) -> Html:
    button = tag("button", "Copy", type="button", data_copy=True, hidden=True)
    return tag("div", tag("code", text), button, class_="command")


def _lines(texts: Sequence[str]) -> Html:
    return tag("ul", *(tag("li", text) for text in texts)) if texts else tag("span", "none", class_="soft")


def _links(urls: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Those that lead to the web: an address may be anything, a script too."""
    return [(label, url) for label, url in urls.items() if url.lower().startswith(("https://", "http://"))]


def _wheel(release: Release) -> Html:
    return tag("a", "download", href=_in_release(release, release.filename), download=True)


def _in_release(release: Release, name: str) -> str:
    return HOME + "/".join(map(quote, (PACKAGES, release.name, release.version, name)))


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"  # noqa: PLR2004 - as units go


# --------------------------------------------------------------------------------------------------- the text


def _content(offer: Offer, evidence: Mapping[str, Any] | None) -> Html:
    release = offer.current.release
    sections = [
        _interface(offer.current.listing),
        _section("example", "In a project", _example(offer.current)),
        *(_other_major(edition) for edition in offer.other_majors),
        _section("evidence", "Conformance", evidence_part(release, evidence, _in_release)),
        _section("versions", "Versions", _versions(offer)),
        _section("readme", "README", _readme(release.readme)) if release.readme else None,
    ]
    return tag("div", *sections, class_="content")


def _readme(rendered: str) -> Html:
    """The README, which was sanitised when it was rendered, with its headings below those of the page."""
    lower = _HEADING.sub(lambda found: f"<{found[1]}h{min(6, int(found[2]) + 2)}", rendered)
    return tag("div", Html(lower), class_="readme")


def _section(name: str, title: str, *parts: Html) -> Html:
    return tag("section", tag("h2", title, id=name), *parts, aria_labelledby=name)


def _interface(listing: Listing) -> Html:
    outcomes = [(tag("code", name), text) for name, text in listing.outcomes.items()]
    return joined(
        _flow(listing),
        _ports("inputs", "Inputs", listing.inputs, is_input=True),
        _ports("outputs", "Outputs", listing.outputs, is_input=False),
        _section("params", "Parameters", _params(listing.params)) if listing.params else None,
        _section("outcomes", "Outcomes", _table(("Outcome", "Meaning"), outcomes)) if outcomes else None,
    )


def _flow(listing: Listing) -> Html:
    """The node as a box: what comes in on the left, what goes out on the right."""
    centre = tag("div", tag("b", listing.title), tag("code", listing.id), class_="box")
    sides = [
        tag("ul", *(tag("li", tag("span", name), _type(port)) for name, port in ports.items()), class_=side)
        for side, ports in (("in", listing.inputs), ("out", listing.outputs))
    ]
    return tag("div", sides[0], centre, sides[1], class_="flow", aria_hidden="true")


def _type(port: Mapping[str, Any]) -> Html:
    return tag("span", wording.type_name(port), class_=f"type {port.get('type', '')}")


def _ports(name: str, title: str, ports: Mapping[str, Mapping[str, Any]], *, is_input: bool) -> Html | None:
    if not ports:
        return None
    rows = [_port_row(port, declared, is_input=is_input) for port, declared in ports.items()]
    return _section(name, title, _table(("Port", "Type", "Needed", "Unit", "Description"), rows))


def _port_row(name: str, port: Mapping[str, Any], *, is_input: bool) -> Sequence[object]:
    text, unit = wording.split_unit(str(port.get("description", "")))
    way, said = ("output", "Nodes that give this") if is_input else ("input", "Nodes that take this")
    link = f"{HOME}index.html#{urlencode({way: wording.type_name(port)})}"
    type_link = tag("a", wording.type_text(port), href=link, title=said, class_=f"type {port.get('type', '')}")
    return [tag("code", name), type_link, _needed(port) if is_input else "", unit, text]


def _needed(port: Mapping[str, Any]) -> Html:
    if "default" in port:
        return joined("no; ", tag("code", wording.value_text(port["default"])))
    return Html("no") if port.get("required") is False else Html("yes")


def _params(params: Mapping[str, Mapping[str, Any]]) -> Html:
    rows = [_param_row(name, schema) for name, schema in params.items()]
    return _table(("Parameter", "Type", "Allowed", "Default", "Unit", "Description"), rows)


def _param_row(name: str, schema: Mapping[str, Any]) -> Sequence[object]:
    text, unit = wording.split_unit(str(schema.get("description", "")))
    default = tag("code", wording.value_text(schema["default"])) if "default" in schema else "must be given"
    mark = tag("span", "setup", class_="mark-setup", title="Read once, when the node is set up")
    label = joined(tag("code", name), " ", mark) if schema.get("setup") else tag("code", name)
    return [label, wording.kind_text(schema), wording.range_text(schema), default, unit, text]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Html:
    """A table without those columns in which no row says anything."""
    kept = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    head = tag("tr", *(tag("th", columns[place], scope="col") for place in kept))
    body = [tag("tr", *(tag("td", row[place] or "–", data_label=columns[place]) for place in kept)) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll")


def _example(edition: Edition) -> Html:
    text = wording.example_project(edition.listing, edition.major)
    button = tag("button", "Copy", type="button", data_copy=True, hidden=True)
    return tag("div", tag("pre", tag("code", text)), button, class_="command block")


def _other_major(edition: Edition) -> Html:
    listing = edition.listing
    use = joined(tag("code", f"{listing.id}@{edition.major}"), f" is {listing.version}, of {edition.release.name} ")
    summary = tag("summary", f"Version {edition.major} of this node: {listing.title}")
    lead = tag("p", listing.description)
    ports = [
        tag("p", joined(f"{title}: ", _inline(ports)))
        for title, ports in (("Inputs", listing.inputs), ("Outputs", listing.outputs))
    ]
    params = _params(listing.params) if listing.params else None
    body = joined(tag("p", use, edition.release.version, "."), lead, *ports, params)
    return tag("details", summary, body, class_="major")


def _inline(ports: Mapping[str, Mapping[str, Any]]) -> Html:
    return joined(*(joined(tag("code", name), " ", _type(port), " ") for name, port in ports.items()))


def _versions(offer: Offer) -> Html:
    columns = ("Package", "Node", "Published", "Tier", "Files", "State")
    return _table(columns, [_version_row(edition) for edition in offer.editions])


def _version_row(edition: Edition) -> Sequence[object]:
    release = edition.release
    files = joined(_wheel(release), " ", tag("a", "evidence", href=_in_release(release, EVIDENCE)))
    state = state_of(release)
    told = joined(tag("span", state, class_=f"state {state}"), f" {release.quarantined or release.yanked}")
    words = (release.version, edition.listing.version, release.published[:10], tier_badge(release.tier), files)
    return [*(tag("span", word, class_="short") for word in words), told if state else ""]
