"""The client certificate for relays that require mutual TLS, selected by host and checked before dialling.

The key is as secret as a password, so its file follows the same rule. The certificate is no secret.
"""

from __future__ import annotations

import shlex
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from campaign.config.delivery import DeliverySection
from campaign.errors import ConfigError
from campaign.system.private_file import read_private


class ClientCertificate(msgspec.Struct, frozen=True):
    """A certificate with its key. ``expires`` is in POSIX seconds."""

    file: Path
    key: Path
    expires: float

    def load_into(self, context: ssl.SSLContext) -> None:
        """Present the certificate in this context's handshakes when the relay asks for one. Raises ConfigError."""
        try:
            context.load_cert_chain(self.file, self.key, password=lambda: "")  # never ask on the terminal
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ConfigError(
                    f"The key {self.key} does not belong to the certificate {self.file}.",
                    next_step="name the key that the certificate was made for in delivery.tls_client_key",
                ) from None
            raise ConfigError(
                f"The key {self.key} cannot be used.",
                evidence=error.reason or str(error),
                next_step="it should be a private key in PEM form; name it in delivery.tls_client_key",
            ) from None


def client_certificate(
    host: str, settings: DeliverySection, base: Path, now: Callable[[], float] = time.time
) -> ClientCertificate | None:
    """The certificate that ``settings`` has for this relay, or ``None``. Raises ConfigError."""
    if host in settings.tls_client_certificates:
        file, key = settings.tls_client_certificates[host], settings.tls_client_keys.get(host)
    elif settings.tls_client_certificate is not None:
        file, key = settings.tls_client_certificate, settings.tls_client_key
    else:
        return None
    path, key_path = base / file, base / (key or file)
    _refuse_passphrase(key_path)
    return ClientCertificate(path, key_path, _expiry(path, now()))


def _refuse_passphrase(key: Path) -> None:
    if "ENCRYPTED" in read_private(key, "key"):
        raise ConfigError(
            f"The key {key} has a passphrase, and nobody is there to type it.",
            next_step=f"openssl pkey -in {key} -out plain.key, chmod 600 plain.key, and name that one",
        )


def _expiry(file: Path, now: float) -> float:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        found = load_pem_x509_certificate(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"The client certificate {file} cannot be read.",
            evidence=error.strerror or str(error),
            next_step="name its PEM file in delivery.tls_client_certificate, and let this user read it",
        ) from None
    except ValueError:
        raise ConfigError(
            f"{file} holds no client certificate that can be read.",
            next_step="it should be in PEM form, with any certificates between it and its authority below it",
        ) from None
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    if not begins <= datetime.fromtimestamp(now, UTC) <= ends:
        raise ConfigError(
            f"The client certificate {file} is not valid today.",
            evidence=f"it is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d %H:%M} UTC",
            next_step=f"have it renewed; its dates: openssl x509 -noout -dates -in {shlex.quote(str(file))}",
        )
    return ends.timestamp()
