"""The List-Unsubscribe fields: one-click by https (RFC 8058), an address to write to (RFC 2369), or both."""

from __future__ import annotations

import re

from campaign.compose.mime.encoded_words import FOLD
from campaign.compose.mime.header_gate import HeaderRefused
from campaign.compose.mime.header_values import ADDRESS, DOMAIN

LONGEST_URL = 900  #: octets; List-Unsubscribe stays on one line of less than 998
URL = re.compile(rf"https://{DOMAIN.pattern}(?::[0-9]{{1,5}})?(?:[/?#][A-Za-z0-9._~:/?#@!$&'()*+;=%\[\]-]*)?")
_MAILTO = re.compile(rf"{ADDRESS.pattern}(?:\?[A-Za-z0-9._~:/?@!$&'()*+;=%-]*)?")


def list_unsubscribe(url: str, mailto: str = "") -> list[tuple[str, str]]:
    """List-Unsubscribe (https first, never folded inside a link, never encoded) and List-Unsubscribe-Post.

    Either argument may be empty: without ``url`` there is no one-click (RFC 8058), without both there is no header.
    ``mailto`` is an address, with or without ``mailto:`` and ``?subject=…``. Raises HeaderRefused.
    """
    links = []
    if url:
        _refuse_url(url)
        links.append(f"<{url}>")
    if mailto:
        links.append(f"<mailto:{_mailto(mailto)}>")
    if not links:
        return []
    separator = ", " if sum(map(len, links)) + len("List-Unsubscribe: , ") <= 998 else f",{FOLD}"
    pairs = [("List-Unsubscribe", separator.join(links))]
    return [*pairs, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")] if url else pairs


def _refuse_url(url: str) -> None:
    if len(url) > LONGEST_URL:
        raise HeaderRefused(f"the unsubscribe link is {len(url):,} characters long; at most {LONGEST_URL} are possible")
    if "=?" in url or not URL.fullmatch(url):
        raise HeaderRefused(
            f"the unsubscribe link {url[:120]!r} is not an https link in plain ASCII "
            "(write commas, blanks, quotes and other scripts as %XX)"
        )


def _mailto(mailto: str) -> str:
    target = mailto.removeprefix("mailto:")
    if "=?" in target or len(target) > 500 or not _MAILTO.fullmatch(target):
        raise HeaderRefused(f"{mailto[:120]!r} cannot stand in a mailto link")
    return target
