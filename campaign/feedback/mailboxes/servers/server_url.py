"""The URL of a mailbox on a server: ``imaps://user@host:993/FOLDER``, ``pop3s://user@host``."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from campaign.errors import ConfigError

PORTS = {"imaps": 993, "imap": 143, "pop3s": 995, "pop3": 110}
INBOX = "INBOX"


class ServerUrl(NamedTuple):
    """The location of a mailbox. ``encrypted``: TLS from the first octet; otherwise STARTTLS (STLS in POP3)."""

    protocol: str
    encrypted: bool
    user: str
    host: str
    port: int
    folder: str = INBOX

    @property
    def name(self) -> str:
        """Its name in events and messages, such as ``imap:bounces@mail.example.com``."""
        return f"{self.protocol}:{self.user}@{self.host}" + (f"/{self.folder}" if self.folder != INBOX else "")


def parse_server_url(url: str) -> ServerUrl:
    """Parse; user and folder are URL-decoded, and the user may contain an @. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        user = unquote(parts.username or "", errors="strict")
        folder = unquote(parts.path.removeprefix("/").removesuffix("/"), errors="strict")
    except (ValueError, KeyError):  # an invalid port, unclosed brackets, invalid UTF-8 after %
        raise _wrong(url, "host, port or an escape such as %C3%BC is not right") from None
    if not host or not user:
        raise _wrong(url, f"it names no {'user' if host else 'host'}")
    if parts.query or parts.fragment:
        raise _wrong(url, "? and # in a folder's name are written %3F and %23")
    if any(ord(one) < ord(" ") or one == "\x7f" for one in user + host + folder):
        raise _wrong(url, "it holds control characters")
    protocol = parts.scheme.removesuffix("s")
    if protocol == "pop3" and folder:
        raise _wrong(url, "POP3 has no folders")
    encrypted = parts.scheme.endswith("s")
    return ServerUrl(protocol, encrypted, user, host, port, INBOX if folder.upper() in ("", INBOX) else folder)


def _wrong(url: str, evidence: str) -> ConfigError:
    return ConfigError(
        f"The feedback source {url!r} is no mailbox.",
        evidence=evidence,
        next_step="write it as imaps://user@mail.example.com/FOLDER or pop3s://user@mail.example.com",
    )
