"""From encoded parts to the body of one letter: MIME put together by hand, always the same bytes for the same parts.

The whole tree, of which each level is there only when it is needed:

    multipart/mixed                     with attachments
    ├── multipart/related               with embedded pictures
    │   ├── multipart/alternative       with both text and HTML
    │   │   ├── text/plain
    │   │   └── text/html
    │   ├── image/png                   cid, each picture once
    │   └── …
    ├── application/pdf                 attachments
    └── …

A letter of one part alone has no boundary. Header fields of the letter itself are `letterhead.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from campaign.compose.quoting import Encoded


class Assembled(NamedTuple):
    """The body of a letter. ``encoding`` is empty for a multipart one: its parts have theirs."""

    content_type: str
    encoding: str
    body: bytes


def assembled(
    text: Encoded | None,
    html: Encoded | None,
    images: Sequence[bytes],
    attachments: Sequence[bytes],
    boundary: str,
) -> Assembled:
    """The letter's body. ``images`` and ``attachments`` are finished parts that end in CRLF.

    At least one of ``text`` and ``html`` is there. ``boundary`` cannot occur in any part: it begins with ``=_``,
    which no encoding makes.
    """
    whole = _alternative(text, html, boundary)
    if images:
        kind = whole.content_type.partition(";")[0]
        whole = _multipart(f'multipart/related; type="{kind}"', f"{boundary}.r", [_part(whole), *images])
    if attachments:
        whole = _multipart("multipart/mixed", f"{boundary}.m", [_part(whole), *attachments])
    return whole


def _alternative(text: Encoded | None, html: Encoded | None, boundary: str) -> Assembled:
    parts = [
        Assembled(f"text/{kind}; charset=utf-8", part.encoding, _ended(part.data))
        for kind, part in (("plain", text), ("html", html))
        if part is not None
    ]
    return (
        parts[0]
        if len(parts) == 1
        else _multipart("multipart/alternative", f"{boundary}.a", [_part(part) for part in parts])
    )


def _multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> Assembled:
    mark = b"--" + boundary.encode("ascii")
    opening = mark + b"\r\n"
    body = opening + opening.join(parts) + mark + b"--\r\n"
    return Assembled(f'{kind};\r\n boundary="{boundary}"', "", body)


def _part(whole: Assembled) -> bytes:
    encoding = f"\r\nContent-Transfer-Encoding: {whole.encoding}" if whole.encoding else ""
    return f"Content-Type: {whole.content_type}{encoding}\r\n\r\n".encode("ascii") + whole.body


def _ended(data: bytes) -> bytes:
    """The CRLF before a boundary belongs to the boundary, so the part's own last one needs another."""
    return data + b"\r\n"
