"""The answers of `campaign listen`: unsubscribe links, webhooks, and the stored requests for whoever fetches them."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from campaign.feedback.listened.listened_files import ListenedFolder
from campaign.feedback.listened.listened_record import LONGEST_BODY, clicked, hooked
from campaign.feedback.listened.listened_store import StoredFile, is_file_name
from campaign.listen.bounded_body import BodyRefused, read_body
from campaign.listen.listen_state import ListenState
from campaign.listen.one_click import LONGEST_FORM, ClickAnswer, answer_click
from campaign.listen.signatures.verify_webhook import OpenedWebhook, verify_webhook
from campaign.listen.signatures.webhook_request import WebhookRefused

#: Seconds after which a request that could not be stored, or came too often, may come again.
RETRY_AFTER = "60"
#: A header by which a probe from outside recognises this program.
SERVICE = {"X-Campaign": "listen"}

_PLAIN = "text/plain; charset=utf-8"
_SAFE = {
    **SERVICE,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


async def unsubscribe_link(request: Request, state: ListenState) -> Response:
    """GET and HEAD show a page; POST unsubscribes, durably before the answer."""
    token = request.path_params["token"]
    body = b""
    if request.method == "POST":
        try:
            body = await read_body(request, LONGEST_FORM)
        except BodyRefused as refused:
            return _page(request, state, ClickAnswer(refused.status, "busy"), closing=True)
    answer = answer_click(request.method, token, request.headers.get("content-type", ""), body)
    if answer.store and state.knows is not None and not state.knows(token):
        answer = ClickAnswer(HTTPStatus.NOT_FOUND, "broken")
    if answer.status >= HTTPStatus.BAD_REQUEST and not _in_time(request, state):
        answer = ClickAnswer(HTTPStatus.TOO_MANY_REQUESTS, "busy")
    elif answer.store and not (_click_in_time(token, state) and await state.stored(clicked(token, state.clock()))):
        answer = ClickAnswer(HTTPStatus.SERVICE_UNAVAILABLE, "busy")
    return _page(request, state, answer)


async def webhook(request: Request, state: ListenState, opened: OpenedWebhook) -> Response:
    """Verify the request, and store its body before the answer."""
    try:
        body = await read_body(request, LONGEST_BODY)
    except BodyRefused as refused:
        return _told(refused.status, closing=True)
    try:
        found = await asyncio.to_thread(verify_webhook, opened, request.headers, body, state.clock())
    except WebhookRefused as refused:
        state.troubles.report(f"a webhook of {opened.section.provider} was refused", refused.why)
        return _told(refused.status if _in_time(request, state) else HTTPStatus.TOO_MANY_REQUESTS)
    if found.answer is not None:
        return Response(found.answer, headers={**_SAFE, "Content-Type": found.content_type})
    if not await state.stored(hooked(opened.section.provider, body, state.clock())):
        return _told(HTTPStatus.SERVICE_UNAVAILABLE)
    opened.stored(found)
    return _told(HTTPStatus.OK)


async def stored_files(request: Request, state: ListenState) -> Response:
    """The list of files of stored requests."""
    if refused := _not_allowed(request, state):
        return refused
    return await _file_answer(_listed, state)


async def stored_file(request: Request, state: ListenState) -> Response:
    """A part of a file, or its removal if it is closed."""
    if refused := _not_allowed(request, state):
        return refused
    deletes = request.method == "DELETE"
    name, number = request.path_params["name"], request.query_params.get("size" if deletes else "from", "")
    if not is_file_name(name) or not number.isdecimal() or len(number) > 12:
        return _told(HTTPStatus.NOT_FOUND)
    return await _file_answer(_removed if deletes else _part, state, name, int(number))


async def health(_request: Request, _state: ListenState) -> Response:
    """That the service answers."""
    return _told(HTTPStatus.OK)


def _listed(folder: ListenedFolder) -> bytes:
    try:
        return msgspec.json.encode(folder.files())
    except FileNotFoundError:
        return b"[]"  # nothing was stored yet


def _part(folder: ListenedFolder, name: str, offset: int) -> bytes:
    return folder.read(name, offset)


def _removed(folder: ListenedFolder, name: str, size: int) -> bytes:
    folder.remove([StoredFile(name, size, closed=True)])
    return b""


async def _file_answer(work: Callable[..., bytes], state: ListenState, *arguments: object) -> Response:
    try:
        content = await asyncio.to_thread(work, state.folder, *arguments)
    except FileNotFoundError:
        return _told(HTTPStatus.NOT_FOUND)
    except OSError as error:
        state.troubles.report("the stored requests could not be given out", error.strerror or str(error))
        return _told(HTTPStatus.SERVICE_UNAVAILABLE)
    return Response(content, headers=_SAFE, media_type="application/octet-stream")


def _not_allowed(request: Request, state: ListenState) -> Response | None:
    """An answer for whoever does not have the token."""
    if not state.fetch_tokens or state.folder is None:
        return _told(HTTPStatus.NOT_FOUND)
    word, _, given = request.headers.get("authorization", "").partition(" ")
    octets = given.strip().encode("utf-8", "surrogateescape") if word.lower() == "bearer" else b""
    if any(hmac.compare_digest(octets, one.encode()) for one in state.fetch_tokens):
        return None
    return _told(HTTPStatus.UNAUTHORIZED if _in_time(request, state) else HTTPStatus.TOO_MANY_REQUESTS)


def _in_time(request: Request, state: ListenState) -> bool:
    """Whether a refused request is within the limits."""
    return state.rates.allows(request.client.host if request.client else "", state.clock())


def _click_in_time(token: str, state: ListenState) -> bool:
    """Whether an unsubscribe is within the limit for all together."""
    if state.clicks.allows(token, state.clock()):
        return True
    state.troubles.report("an unsubscribe was put off", "more came than clicks_per_minute in the listen file allows")
    return False


def _page(request: Request, state: ListenState, answer: ClickAnswer, *, closing: bool = False) -> Response:
    content = state.page.page(answer.state, request.headers.get("accept-language", ""))
    headers = {
        **_SAFE,
        **_trouble(answer.status, closing=closing),
        "Content-Security-Policy": state.page.policy,
        "Vary": "Accept-Language",
    }
    return Response(content, answer.status, headers, "text/html")


def _told(status: int, *, closing: bool = False) -> Response:
    text = f"{HTTPStatus(status).phrase}\n"
    return Response(text, status, {**_SAFE, **_trouble(status, closing=closing), "Content-Type": _PLAIN})


def _trouble(status: int, *, closing: bool) -> dict[str, str]:
    headers = {"Connection": "close"} if closing else {}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = RETRY_AFTER
    return headers
