"""The ASGI application of `campaign listen`. ``app`` is the one of the listen file that CAMPAIGN_LISTEN names."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from campaign.config.listen.listen_file import load_listen
from campaign.errors import ConfigError
from campaign.listen import listen_routes
from campaign.listen.listen_state import ListenState, open_state
from campaign.listen.signatures.verify_webhook import OpenedWebhook

VARIABLE = "CAMPAIGN_LISTEN"

Answer = Callable[[Request, ListenState], Awaitable[Response]]


def create_app(state: ListenState) -> Starlette:
    """The application. At its end, what waits is stored first."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await state.group.finished()
        state.writer.close()

    def route(path: str, answer: Answer, *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await answer(request, state)

        return Route(path, endpoint, methods=methods)

    routes = [
        route("/u/{token}", listen_routes.unsubscribe_link, "GET", "POST"),
        route("/health", listen_routes.health, "GET"),
        route("/events", listen_routes.stored_files, "GET"),
        route("/events/{name}", listen_routes.stored_file, "GET", "DELETE"),
        *(route(one.section.address, _webhook(one), "POST") for one in state.webhooks),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


def _webhook(opened: OpenedWebhook) -> Answer:
    async def answer(request: Request, state: ListenState) -> Response:
        return await listen_routes.webhook(request, state, opened)

    return answer


def __getattr__(name: str) -> Any:
    """``app``, made when a server asks for it. Raises ConfigError."""
    if name != "app":
        raise AttributeError(name)
    file = os.environ.get(VARIABLE, "")
    if not file:
        raise ConfigError(
            f"{VARIABLE} names no listen file.",
            next_step=f"export {VARIABLE}=/etc/campaign/listen.toml, then start again",
        )
    return create_app(open_state(load_listen(Path(file))))
