"""Decides what a request to an unsubscribe link means (RFC 8058): a pure function."""

from __future__ import annotations

import email
import email.policy
from http import HTTPStatus
from urllib.parse import parse_qsl

import msgspec

from campaign.feedback.listened.listened_record import RESERVED_TOKEN, is_token

#: Fields of a form that are looked at, and the longest form in octets.
MOST_FIELDS, LONGEST_FORM = 20, 16 << 10


class ClickAnswer(msgspec.Struct, frozen=True):
    """``store``: the token is to be stored before the answer. ``state`` is what the page says."""

    status: int
    state: str
    store: bool = False


def answer_click(method: str, token: str, content_type: str, body: bytes) -> ClickAnswer:
    """The answer to a request for the link with ``token``. Only a POST that says so unsubscribes."""
    if not is_token(token):
        return ClickAnswer(HTTPStatus.NOT_FOUND, "broken")
    if method != "POST":
        return ClickAnswer(HTTPStatus.OK, "ask")
    if not asks_to_unsubscribe(content_type, body):
        return ClickAnswer(HTTPStatus.BAD_REQUEST, "ask")
    return ClickAnswer(HTTPStatus.OK, "done", store=token != RESERVED_TOKEN)


def asks_to_unsubscribe(content_type: str, body: bytes) -> bool:
    """Whether a form, urlencoded or multipart, holds List-Unsubscribe=One-Click."""
    if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
        return _multipart_asks(content_type, body)
    try:
        fields = parse_qsl(body.decode("ascii").strip(), max_num_fields=MOST_FIELDS)
    except ValueError:
        return False
    return ("List-Unsubscribe", "One-Click") in fields


def _multipart_asks(content_type: str, body: bytes) -> bool:
    if not content_type.isprintable() or not content_type.isascii() or body.count(b"\n--") > MOST_FIELDS:
        return False
    head = f"Content-Type: {content_type}\r\n\r\n".encode("ascii")
    message = email.message_from_bytes(head + body, policy=email.policy.compat32)
    parts = message.get_payload() if message.is_multipart() else []
    for part in parts:
        if isinstance(part, str):
            continue
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if name == "List-Unsubscribe" and isinstance(content, bytes) and content.strip() == b"One-Click":
            return True
    return False
