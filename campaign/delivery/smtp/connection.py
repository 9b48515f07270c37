"""Opening an SMTP connection: TCP, TLS, EHLO and login by aiosmtplib, then handing the transport to `ReplyStream`.

The only module that uses aiosmtplib. It does not choose a relay, try again, or carry letters. A connection that could
not be opened is a `ConnectFailed` with its stage and, if there was one, the relay's reply.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import aiosmtplib

from campaign.config.delivery import Timeouts
from campaign.config.units import Rate
from campaign.delivery.credentials.login import Login
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Stage
from campaign.delivery.smtp.dial import connect_error_text, dial
from campaign.delivery.smtp.reply_parser import printable_reply, reply
from campaign.delivery.smtp.reply_stream import ReplyStream
from campaign.delivery.transport_errors import ConnectFailed

#: Password mechanisms, best first. Only the first that the relay offers is tried, once: trying the next after a refusal
#: can lock the account.
MECHANISMS = ("plain", "login", "cram-md5")
#: OpenSSL's numbers (X509_V_ERR_…): the certificate has expired; it is for another name or address.
EXPIRED, OTHER_NAME = 10, (62, 64)
#: Alerts (RFC 8446, 6.2) by which a relay refuses a client's certificate, or the lack of one.
OURS_REFUSED = frozenset(
    {
        *("certificate required", "bad certificate", "unsupported certificate", "certificate revoked"),
        *("certificate expired", "certificate unknown", "unknown ca", "access denied"),
    }
)


@dataclass(eq=False)
class Connection:
    """An open, greeted and logged-in connection. ``size`` is the relay's limit in octets, 0 for none stated.

    ``opened`` is on the loop's clock; ``greeted`` is how many seconds after dialling the relay greeted us. ``letters``
    and ``accepted`` count what it has carried, ``budget`` is how many it may carry until the pool is asked again.
    """

    stream: ReplyStream
    relay: Relay
    extensions: dict[str, str]
    size: int
    opened: float
    took: float
    tls: str = ""
    certificate: bytes = b""
    expires: str = ""
    greeted: float = 0.0
    letters: int = 0
    accepted: int = 0
    budget: int = 0
    limits: tuple[Rate, ...] = ()

    @property
    def pipelining(self) -> bool:
        """Whether MAIL, RCPT and DATA may go in one flight (RFC 2920)."""
        return "pipelining" in self.extensions

    @property
    def smtputf8(self) -> bool:
        """Whether addresses may hold non-ASCII characters (RFC 6531)."""
        return "smtputf8" in self.extensions


async def open_connection(relay: Relay, limits: Timeouts) -> Connection:
    """Dial, greet, secure and log in. Raises ConnectFailed; nothing is left open when it does."""
    opening = _Opening(relay, limits)
    try:
        return await opening.run()
    except ConnectFailed:
        opening.drop()
        raise
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        opening.drop()
        raise _not_opened(opening.stage, error, relay) from error
    except BaseException:
        opening.drop()
        raise


class _Client(aiosmtplib.SMTP):
    """Closes at once: over TLS a graceful close leaves the transport on a descriptor that the next dial would get."""

    def close(self) -> None:
        """Close and discard unsent data, which is never a letter."""
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class _Opening:
    """One attempt; ``stage`` is how far it got."""

    def __init__(self, relay: Relay, limits: Timeouts) -> None:
        self.relay = relay
        self.limits = limits
        self.stage = Stage.CONNECT
        self.greeted = 0.0
        self.socket: socket.socket | None = None
        # A new client each time: aiosmtplib's cannot be reused after its transport was handed over.
        self.client = _Client(
            hostname=relay.host,
            use_tls=relay.tls == "implicit",
            start_tls=False,
            tls_context=relay.context,
            timeout=limits.banner,
        )

    async def run(self) -> Connection:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.socket = await dial(self.relay, self.limits.connect)
        self.stage = Stage.BANNER
        client = self.client
        await client.connect(
            sock=self.socket, port=None, local_hostname=self.relay.local_hostname or _literal(self.socket)
        )
        self.greeted = loop.time() - began
        if self.relay.tls == "implicit":
            self._check_fingerprint()
        await self._greet()
        if self.relay.tls == "starttls":
            await self._secure()
        if self.relay.login is not None:
            self.stage = Stage.AUTH
            await self._log_in(self.relay.login)
        return self._hand_over(loop.time(), loop.time() - began)

    def drop(self) -> None:
        """Close everything that is open, at once."""
        transport = self.client.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
        elif self.socket is not None:
            self.socket.close()

    async def _greet(self) -> None:
        self.stage = Stage.EHLO
        try:
            await self.client.ehlo(timeout=self.limits.ehlo)
        except aiosmtplib.SMTPHeloError as refused:
            if not 500 <= refused.code <= 504:
                raise
            await self.client.helo(timeout=self.limits.ehlo)

    async def _secure(self) -> None:
        self.stage = Stage.STARTTLS
        if not self.client.supports_extension("starttls"):
            raise ConnectFailed(
                self.stage, "the relay does not offer STARTTLS, so nothing was sent in the clear", hopeless=True
            )
        # aiosmtplib >= 5.1.2 discards clear text that arrives behind the 220 (injected replies).
        await self.client.starttls(timeout=self.limits.ehlo)
        self._check_fingerprint()
        await self._greet()

    def _check_fingerprint(self) -> None:
        wanted = self.relay.fingerprint
        found = hashlib.sha256(self._tls().getpeercert(binary_form=True) or b"").digest()
        if wanted and not hmac.compare_digest(wanted, found):
            raise ConnectFailed(
                Stage.STARTTLS, f"the relay's certificate has another fingerprint: {found.hex()}", hopeless=True
            )

    def _tls(self) -> ssl.SSLObject:
        found = self.client.get_transport_info("ssl_object")
        if not isinstance(found, ssl.SSLObject):
            raise ConnectFailed(Stage.STARTTLS, "the connection is not encrypted", hopeless=True)
        return found

    async def _log_in(self, login: Login) -> None:
        self._tls()  # a login in clear is impossible, whatever the settings say
        offered = self.client.server_auth_methods
        wanted = ("xoauth2",) if login.kind == "token" else MECHANISMS
        chosen = next((name for name in wanted if name in offered), None)
        if chosen is None:
            raise ConnectFailed(
                self.stage,
                f"the relay offers no way to log in that we take: it offers "
                f"{printable_reply(' '.join(offered)) or 'none'}, "
                f"we take {' '.join(wanted)}",
                hopeless=True,
            )
        secret = await login.fetch()
        speak = getattr(self.client, "auth_" + chosen.replace("-", ""))
        with login.withheld(secret):
            await speak(login.user, secret, timeout=self.limits.auth)

    def _hand_over(self, now: float, took: float) -> Connection:
        transport = self.client.transport
        if not isinstance(transport, asyncio.Transport) or transport.is_closing():
            raise ConnectFailed(self.stage, "the relay closed the connection")
        extensions = dict(self.client.esmtp_extensions)
        size = _size(extensions.get("size", ""))
        connection = Connection(ReplyStream(transport), self.relay, extensions, size, now, took, greeted=self.greeted)
        encrypted = transport.get_extra_info("ssl_object")
        if encrypted is not None:
            connection.tls = f"{encrypted.version()} {encrypted.cipher()[0]}"
            connection.certificate = encrypted.getpeercert(binary_form=True) or b""
            connection.expires = (encrypted.getpeercert() or {}).get("notAfter", "")
        return connection


def _not_opened(stage: Stage, error: Exception, relay: Relay) -> ConnectFailed:
    """The error for an exception of aiosmtplib or ssl, in our words."""
    code = getattr(error, "code", 0)
    if isinstance(error, aiosmtplib.SMTPResponseException) and 200 <= code <= 599:
        answer = reply((code, error.message.encode("utf-8", "surrogateescape")))
        return ConnectFailed(
            stage, f"the relay answered {code} {answer.enhanced} {answer.text}".replace("  ", " "), reply=answer
        )
    return no_trusted_encryption(error, relay) or ConnectFailed(stage, connect_error_text(error))


def no_trusted_encryption(error: Exception, relay: Relay) -> ConnectFailed | None:
    """The error for an exception of ssl, in our words; ``None`` if it is of another kind."""
    encrypted = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if encrypted is None or isinstance(encrypted, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return None
    if (alert := _alert(encrypted)) in OURS_REFUSED:
        return _not_known(alert, shown=relay.own_certificate is not None)
    why = getattr(encrypted, "verify_message", "") or encrypted.reason or str(encrypted)
    advice = certificate_advice(encrypted) if isinstance(encrypted, ssl.SSLCertVerificationError) else ""
    if alert == "handshake failure":
        advice = "ask the relay's owner; it may require a client certificate (delivery.tls_client_certificate)"
    return ConnectFailed(
        Stage.STARTTLS, f"no trusted encryption: {printable_reply(str(why))}", hopeless=True, advice=advice
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _alert(error: ssl.SSLError) -> str:
    """The TLS alert that the relay sent, as TLS names it; empty if it sent none."""
    return (error.reason or "").partition("_ALERT_")[2].replace("_", " ").lower()


def _not_known(alert: str, *, shown: bool) -> ConnectFailed:
    if shown:
        return ConnectFailed(
            Stage.STARTTLS,
            f"the relay does not take our certificate: {alert}",
            hopeless=True,
            advice="ask its owner which authority and names it takes, then correct delivery.tls_client_certificate",
        )
    return ConnectFailed(
        Stage.STARTTLS,
        f"the relay requires a client certificate: {alert}",
        hopeless=True,
        advice="name the one that its owner gave you in delivery.tls_client_certificate",
    )


def certificate_advice(error: ssl.SSLCertVerificationError) -> str:
    """Advice about a certificate that is not trusted."""
    if error.verify_code in OTHER_NAME:
        return "write the name in delivery.relay that the relay's certificate is for"
    if error.verify_code == EXPIRED:
        return "have the relay's certificate renewed"
    return (
        "if the relay is your own, name the PEM file of the authority that signed its certificate in "
        "delivery.tls_ca_file; if it is a provider's, ask why its certificate is not a public one"
    )


def _size(text: str) -> int:
    """The SIZE limit in octets (RFC 1870); 0 if the relay states none."""
    with suppress(ValueError):
        return max(0, int(text.split()[0])) if text.split() else 0
    return 0


def _literal(line: socket.socket) -> str:
    address = str(line.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
