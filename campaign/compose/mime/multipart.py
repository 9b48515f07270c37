"""Assembles the MIME body of a letter from encoded parts, always with the same bytes for the same parts.

The whole tree, in which each level is present only if needed:

    multipart/mixed                     with attachments
    ├── multipart/related               with embedded pictures
    │   ├── multipart/alternative       with both text and HTML
    │   │   ├── text/plain
    │   │   └── text/html
    │   ├── image/png                   cid, each picture once
    │   └── …
    ├── application/pdf                 attachments
    └── …

A letter with a single part has no boundary. `letter_headers.py` writes the header fields of the letter itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from campaign.compose.mime.transfer_encoding import Encoded

END = b"\r\n"  #: the CRLF before a boundary belongs to the boundary, so a part that ends in one needs another


class Assembled(msgspec.Struct, frozen=True, gc=False):
    """The body of a letter, in ``pieces`` that are joined only once. ``encoding`` is empty for a multipart body."""

    content_type: str
    encoding: str
    pieces: Sequence[bytes]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)


def assembled(
    text: Encoded | None,
    html: Encoded | None,
    images: Sequence[bytes],
    attachments: Sequence[bytes],
    boundary: str,
) -> Assembled:
    """The letter's body. ``images`` and ``attachments`` are finished parts that end in CRLF.

    At least one of ``text`` and ``html`` is present. ``boundary`` cannot occur in any part: it begins with ``=_``,
    which no encoding produces.
    """
    whole = _alternative(text, html, boundary)
    if images:
        kind = whole.content_type.partition(";")[0]
        parts = [_part(whole), *([image] for image in images)]
        whole = _multipart(f'multipart/related; type="{kind}"', f"{boundary}.r", parts)
    if attachments:
        parts = [_part(whole), *([attachment] for attachment in attachments)]
        whole = _multipart("multipart/mixed", f"{boundary}.m", parts)
    return whole


def _alternative(text: Encoded | None, html: Encoded | None, boundary: str) -> Assembled:
    parts = [
        Assembled(content_type, part.encoding, (part.data, END))
        for content_type, part in (("text/plain; charset=utf-8", text), ("text/html; charset=utf-8", html))
        if part is not None
    ]
    return (
        parts[0]
        if len(parts) == 1
        else _multipart("multipart/alternative", f"{boundary}.a", [_part(part) for part in parts])
    )


def _multipart(kind: str, boundary: str, parts: Sequence[Sequence[bytes]]) -> Assembled:
    mark = b"--" + boundary.encode("ascii")
    opening = mark + END
    pieces = [piece for part in parts for piece in (opening, *part)]
    return Assembled(f'{kind};\r\n boundary="{boundary}"', "", (*pieces, mark, b"--\r\n"))


def _part(whole: Assembled) -> Sequence[bytes]:
    return (_head(whole.content_type, whole.encoding), *whole.pieces)


@lru_cache(maxsize=64)
def _head(content_type: str, encoding: str) -> bytes:
    more = f"\r\nContent-Transfer-Encoding: {encoding}" if encoding else ""
    return f"Content-Type: {content_type}{more}\r\n\r\n".encode("ascii")
