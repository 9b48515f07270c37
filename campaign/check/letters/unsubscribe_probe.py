"""Asks the server of the unsubscribe links whether they would work, with a token that stands for nobody (RFC 8058).

HEAD must change nothing, GET must show a page, and POST must be answered without a redirect. POST is sent only to
`campaign listen`, which says so in its answers and stores nothing for this token.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Sequence
from email import message_from_bytes, policy
from http import HTTPStatus
from urllib.parse import urlsplit

from campaign.check.findings import Findings
from campaign.check.letters.links import ask_server, is_public, why_silent
from campaign.feedback.listened.listened_record import RESERVED_TOKEN
from campaign.model import Letter

_TOKEN = re.compile(r"[A-Za-z0-9_-]{47,}")
_LINK = re.compile(r"<(https?://[^>\s]+)>", re.IGNORECASE)
_FORM = "List-Unsubscribe=One-Click"
_WHERE = "compose.unsubscribe"


def probe_unsubscribe(
    letters: Sequence[Letter], findings: Findings, *, public: Callable[[str], bool] = is_public
) -> None:
    """Ask the server of the first letter's link. ``public`` decides which addresses may be asked."""
    link = probe_link(letters)
    if not link:
        what = "whether unsubscribe links work: the letters have none with a token"
        findings.add("unverified", "unsubscribe-link", what)
        return
    try:
        fault = _fault(link, findings, public)
    except (OSError, http.client.HTTPException, ValueError) as error:
        fault = f"does not answer: {why_silent(error)}"
    if fault:
        what = f"{urlsplit(link).netloc} {fault}, so readers cannot unsubscribe there"
        findings.add("error", "unsubscribe-broken", what, where=_WHERE, remedy="see docs/listen.md")


def probe_link(letters: Sequence[Letter]) -> str:
    """The unsubscribe link of a letter, with the reserved token in place of its own; ``""`` if there is none."""
    for letter in letters:
        header = message_from_bytes(letter.content, policy=policy.compat32).get("List-Unsubscribe", "")
        for link in _LINK.findall("".join(str(header).split())):
            if tokens := _TOKEN.findall(link):
                return str(link).replace(tokens[-1], RESERVED_TOKEN)
    return ""


def _fault(link: str, findings: Findings, public: Callable[[str], bool]) -> str:
    """What does not work there, or ``""``."""
    for method in ("HEAD", "GET"):
        status, head = ask_server(method, link, public)
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return f"redirects {method}, which one-click requests do not follow"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"answers {method} with {status}"
    if head.get("X-Campaign") != "listen":
        what = "whether one click unsubscribes: the server is not campaign listen, so nothing was posted"
        findings.add("unverified", "unsubscribe-link", what, remedy="post to the link of a letter to yourself")
        return ""
    if status != HTTPStatus.OK:
        return f"answers GET with {status}"
    status, head = ask_server("POST", link, public, _FORM)
    return "" if status == HTTPStatus.OK else f"answers a one-click POST with {status}"
