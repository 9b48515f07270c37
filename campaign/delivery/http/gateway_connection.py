"""Opening a connection to a gateway: TCP, TLS, login, and once for each account what the gateway says about it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import ssl
import time
from dataclasses import dataclass, field

from campaign.config.delivery import DeliverySection, Timeouts
from campaign.config.units import Rate
from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest
from campaign.delivery.http.gateway_api import GatewayAccount, GatewayApi, gateway_api
from campaign.delivery.http.http_stream import HttpStream
from campaign.delivery.relays.gateway_presets import GatewayPreset
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Stage
from campaign.delivery.smtp.connection import no_trusted_encryption
from campaign.delivery.smtp.dial import connect_error_text, dial
from campaign.delivery.transport_errors import ConnectFailed, ConnectionLost
from campaign.errors import InternalError
from campaign.model import Reply

log = logging.getLogger(__name__)

#: Seconds for the gateway's answer about the account.
ACCOUNT_LIMIT = 20.0
#: Answers about the account that no letter will fare better with.
REFUSED = frozenset({401, 403})


@dataclass(eq=False)
class GatewayConnection:
    """An open connection. Between two letters it may be replaced by another one to the same gateway.

    ``limits`` are those of the account, if the gateway told them; ``letters``, ``accepted`` and ``budget`` are as for
    every transport.
    """

    relay: Relay
    timeouts: Timeouts
    api: GatewayApi
    stream: HttpStream = field(default_factory=HttpStream)
    size: int = 0
    smtputf8: bool = False
    opened: float = 0.0
    took: float = 0.0
    greeted: float = 0.0
    letters: int = 0
    accepted: int = 0
    budget: int = 0
    limits: tuple[Rate, ...] = ()
    tls: str = ""
    expires: str = ""

    @property
    def preset(self) -> GatewayPreset:
        """The gateway that it leads to."""
        if self.relay.gateway is None:
            raise InternalError("A connection by HTTP was opened to a relay that is no gateway.")
        return self.relay.gateway

    @property
    def host(self) -> str:
        """The Host of its requests."""
        return self.preset.url.partition("://")[2]

    async def secret(self) -> str:
        """The keys or the token. Raises LoginError or ConfigError, and ConnectionError if a later try may succeed."""
        return await self.relay.login.fetch() if self.relay.login is not None else ""

    async def connect(self) -> None:
        """Open it, or replace it. Raises ConnectFailed, and leaves nothing open then."""
        self.stream.close()
        self.stream = HttpStream()
        loop, relay = asyncio.get_running_loop(), self.relay
        line = await dial(relay, self.timeouts.connect)
        try:
            transport, _ = await loop.create_connection(
                lambda: self.stream,
                sock=line,
                ssl=relay.context,
                server_hostname=relay.host if relay.context is not None else None,
                ssl_handshake_timeout=self.timeouts.banner if relay.context is not None else None,
            )
        except (OSError, ValueError) as error:
            line.close()
            raise _not_secured(error, relay) from error
        except BaseException:
            line.close()
            raise
        self._look_at(transport.get_extra_info("ssl_object"))

    async def ask(self, request: GatewayRequest, limit: float) -> GatewayAnswer:
        """The answer to a request that is no letter. Raises ConnectionLost."""
        self.stream.load(request, self.host)
        self.stream.send()
        return await self.stream.answer(limit, limit)

    def _look_at(self, encrypted: ssl.SSLObject | None) -> None:
        if encrypted is None:
            return
        self.tls = f"{encrypted.version()} {(encrypted.cipher() or ('',))[0]}"
        self.expires = str((encrypted.getpeercert() or {}).get("notAfter", ""))
        found = hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").digest()
        if self.relay.fingerprint and not hmac.compare_digest(self.relay.fingerprint, found):
            self.stream.abort()
            raise ConnectFailed(
                Stage.STARTTLS, f"the relay's certificate has another fingerprint: {found.hex()}", hopeless=True
            )


async def open_gateway(relay: Relay, settings: DeliverySection, *, ask: bool) -> GatewayConnection:
    """Connect, log in, and if we are to ``ask`` and set no rate, learn the account's limits. Raises ConnectFailed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    connection = new_connection(relay, settings)
    try:
        await connection.connect()
        connection.greeted = loop.time() - began
        if ask and not settings.rate:
            await _account_limits(connection)
        else:
            await _secret(connection)
    except BaseException:
        connection.stream.abort()
        raise
    connection.opened, connection.took = loop.time(), loop.time() - began
    return connection


def new_connection(relay: Relay, settings: DeliverySection) -> GatewayConnection:
    """A connection that is not open yet."""
    if relay.gateway is None:
        raise InternalError("A connection by HTTP was opened to a relay that is no gateway.")
    api = gateway_api(relay.gateway, relay.login.user if relay.login is not None else "")
    size, smtputf8 = relay.gateway.size, relay.gateway.smtputf8
    return GatewayConnection(relay, settings.timeouts, api, size=size, smtputf8=smtputf8)


async def ask_account(connection: GatewayConnection) -> GatewayAccount | Reply | None:
    """What the gateway says about the account, or its refusal; ``None`` if it says nothing.

    Raises ConnectFailed, and what the login raises.
    """
    secret = await _secret(connection)
    request = connection.api.account_request(secret, time.time())
    if request is None:
        return None
    try:
        answer = await connection.ask(request, ACCOUNT_LIMIT)
    except ConnectionLost as lost:
        raise ConnectFailed(Stage.EHLO, str(lost)) from lost
    if answer.status in REFUSED:
        return connection.api.letter_reply(answer)
    return connection.api.account(answer) if answer.status == 200 else None


async def _account_limits(connection: GatewayConnection) -> None:
    """The account's limits, if the gateway tells them; letters go out without, too."""
    name = connection.relay.name
    try:
        found = await ask_account(connection)
        if isinstance(found, GatewayAccount):
            connection.limits = found.limits
        elif found is not None:
            log.info("%s does not tell about the account: it answered %s", name, found.code)
    except ConnectFailed as failure:
        if failure.stage is Stage.AUTH:
            raise
        log.info("%s does not tell about the account: %s", name, failure.why)
    if not connection.stream.reusable:
        await connection.connect()


async def _secret(connection: GatewayConnection) -> str:
    try:
        return await connection.secret()
    except ConnectionError as error:
        raise ConnectFailed(Stage.AUTH, connect_error_text(error)) from error


def _not_secured(error: Exception, relay: Relay) -> ConnectFailed:
    return no_trusted_encryption(error, relay) or ConnectFailed(Stage.BANNER, connect_error_text(error))
