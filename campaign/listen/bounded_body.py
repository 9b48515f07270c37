"""Reads the body of a request within a size and a time, whether its length is announced or not."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

#: Seconds for a whole body.
LONGEST_READ = 15.0
#: Octets of a body that is too large which are read and dropped, if its length is announced: whoever sends it, such as
#: a web server between, then sees the answer. Of a longer one nothing is read, and the connection breaks.
LONGEST_DROPPED = 4 << 20


class BodyRefused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A body that is not read to its end, and the status to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def read_body(request: Request, most: int, seconds: float = LONGEST_READ) -> bytes:
    """The body, of at most ``most`` octets. Raises BodyRefused."""
    announced = request.headers.get("content-length", "0")
    length = int(announced) if announced.isdecimal() and len(announced) <= 12 else LONGEST_DROPPED + 1
    if length > LONGEST_DROPPED:
        raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                if length <= most:
                    body += chunk
                if len(body) > most:
                    raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except TimeoutError:
        raise BodyRefused(HTTPStatus.REQUEST_TIMEOUT) from None
    except ClientDisconnect:
        raise BodyRefused(HTTPStatus.BAD_REQUEST) from None
    if length > most:
        raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(body)
