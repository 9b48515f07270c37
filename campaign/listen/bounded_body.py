"""Reads the body of a request within a size and a time, whether its length is announced or not."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

#: Seconds for a whole body.
LONGEST_READ = 15.0


class BodyRefused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A body that is not read to its end, and the status to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def read_body(request: Request, most: int, seconds: float = LONGEST_READ) -> bytes:
    """The body, of at most ``most`` octets. Raises BodyRefused."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 12 or int(announced) > most:
        raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except TimeoutError:
        raise BodyRefused(HTTPStatus.REQUEST_TIMEOUT) from None
    except ClientDisconnect:
        raise BodyRefused(HTTPStatus.BAD_REQUEST) from None
    return bytes(body)
