"""Faults in the HTML of a letter: its size, its images, its links, and what some mail readers ignore.

Checks the HTML as sent, after inlining. Whether a link answers is not tested here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace

from campaign.check.letters import client_support
from campaign.check.letters.dark_mode import unreadable_in_the_dark
from campaign.check.letters.letter_fault import Fault
from campaign.compose.mime.read_back import ReadLetter

if TYPE_CHECKING:  # lxml is loaded when a letter is checked
    from lxml.etree import _Element

CLIPPED = 102 * 1024  #: octets of HTML above which Gmail shows the rest only on demand
LOCAL = re.compile(
    r"localhost$|.*\.(?:localhost|local|internal|lan)$|127\.|0\.0\.0\.0$|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|"
    r"169\.254\.|::1$|f[cd][0-9a-f]{2}:|fe80:"
)

LOOPBACK = re.compile(r"localhost$|.*\.localhost$|127\.|0\.0\.0\.0$|::1$")  #: never right, not even in an office

_WEB = re.compile(r"https?://[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]")
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CID = re.compile(r"cid:([^\s\"'()<>]+)")
_ELSEWHERE = ("mailto", "tel", "sms", "cid")  # links to other things than pages
_SHOWN = 80


def html(seen: ReadLetter) -> Iterator[Fault]:
    """Size, images, links, support, dark mode."""
    if not seen.html:
        return
    if len(seen.html.replace("\r\n", "\n").replace("\n", "\r\n").encode()) > CLIPPED:
        yield Fault(
            "warning",
            "clipped",
            "the HTML has over 102 kB: Gmail clips it",
            "HTML part",
            "shorten it, or link to the rest",
        )
    found = client_support.elements(seen.html)
    for element in found:
        if element.tag == "img":
            yield from image(element, seen)
        elif element.tag in ("a", "area") and element.get("href") is not None:
            yield from link((element.get("href") or "").strip())
    yield from content_ids(seen)
    yield from unsupported(seen)
    yield from unreadable_in_the_dark(seen)


def image(element: _Element, seen: ReadLetter) -> Iterator[Fault]:
    """An image without alternative text, or from an external server."""
    source = (element.get("src") or "").strip()
    if element.get("alt") is None:
        yield Fault(
            "warning",
            "no-alt",
            f"an image has no alt text: {_named(source, seen)}",
            "HTML part",
            'write alt="…", or alt="" for decoration',
        )
    if source.startswith(("http:", "https:", "//")):
        yield Fault(
            "warning",
            "remote-image",
            f"an image is fetched from {urlsplit(source).hostname or 'elsewhere'}: many readers will not show it",
            "HTML part",
            'put the file under root and set compose.images = "cid"',
        )


def _named(source: str, seen: ReadLetter) -> str:
    if match := _CID.match(source):
        return seen.image_names.get(match[1]) or match[1]
    return source[:40] if source.startswith("data:") else source[:_SHOWN]


def content_ids(seen: ReadLetter) -> Iterator[Fault]:
    """Every cid that is used has its part, and every part with one is used."""
    used = set(_CID.findall(seen.html))
    for cid in sorted(used - seen.images.keys()):
        yield Fault("error", "cid-missing", f"an image refers to cid:{cid}, which no part has", "HTML part")
    for cid in sorted(seen.images.keys() - used):
        name = seen.image_names.get(cid) or cid
        yield Fault("warning", "cid-unused", f"the picture {name} is shown nowhere in the letter", "HTML part")


def link(target: str) -> Iterable[Fault]:
    """What is wrong with one link, as far as its text shows."""
    try:
        parts = urlsplit(target)
        host = parts.hostname or ""
    except ValueError:
        return [
            Fault("error", "link-broken", f"a link is not a URL: {target[:_SHOWN]}", "HTML part", "write https://…")
        ]
    if not target or target == "#":
        return [Fault("warning", "link-empty", "a link leads nowhere", "HTML part", "give it an address, or remove it")]
    if target.startswith("#") or parts.scheme in _ELSEWHERE:
        return []
    if not parts.scheme or not host:
        what = f"a link is not absolute: {target[:_SHOWN]}"
        return [Fault("error", "link-relative", what, "HTML part", "write https://…")]
    if LOCAL.match(host):
        what = f"a link leads to {host}, which no reader can reach"
        return [Fault("error", "link-local", what, "HTML part", "name the public host")]
    if parts.scheme != "https":
        return [Fault("warning", "link-insecure", f"a link to {host} is not https", "HTML part", "write https://…")]
    return []


def text_links(seen: ReadLetter, own: Iterable[str], *, public: bool) -> Iterator[Fault]:
    """What is wrong with the links of the text part, except those inside a text from the row.

    A letter of text alone may be for colleagues, who reach their own network: without ``public`` only a link to the
    reader's own machine is a fault.
    """
    foreign = [text for text in own if "://" in text]
    for target in dict.fromkeys(_WEB.findall(seen.text)):
        if any(target in text and target != text.strip() for text in foreign):
            continue
        for fault in link(target):
            if public or LOOPBACK.match(urlsplit(target).hostname or ""):
                yield replace(fault, where="text part")


def unsupported(seen: ReadLetter) -> Iterator[Fault]:
    """Features that some mail readers ignore, though the letter relies on them."""
    pictures = [found for kind in set(seen.image_types.values()) for found in client_support.image_ignored(kind)]
    for feature, readers in [*client_support.ignored(seen.html), *pictures]:
        yield Fault(
            "warning",
            "client-support",
            f"{feature.title} is ignored by {readers}",
            "HTML part",
            f"{feature.remedy}; see {feature.page}",
        )


def html_way_out(seen: ReadLetter, url: str) -> Iterator[Fault]:
    """A visible link to ``url``, if there is HTML at all."""
    if not seen.html:
        return
    ways = [
        one for one in client_support.elements(seen.html) if one.tag == "a" and (one.get("href") or "").strip() == url
    ]
    if any(_to_be_seen(one) for one in ways):
        return
    yield Fault(
        "warning",
        "unsubscribe-hidden",
        "no visible unsubscribe link",
        "HTML part",
        "put {{ unsubscribe_url }} into it",
    )


def _to_be_seen(way: _Element) -> bool:
    shown = "".join(way.itertext()).strip() or way.find(".//img") is not None
    return bool(shown) and not any(_UNSEEN.search(one.get("style") or "") for one in (way, *way.iterancestors()))


def web_links(seen: ReadLetter) -> list[str]:
    """Every http and https link of a letter, once, in order."""
    targets = [
        (element.get("href") or "").strip()
        for element in client_support.elements(seen.html)
        if element.tag in ("a", "area")
    ]
    plain = _WEB.findall(seen.text)
    return list(dict.fromkeys(one for one in (*targets, *plain) if one.startswith(("http://", "https://"))))
