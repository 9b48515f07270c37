"""TLS to a mailbox's server: 1.2 or newer, with certificate and name checked; nothing is sent without it."""

from __future__ import annotations

import ssl
from pathlib import Path

from campaign.errors import ConfigError

#: OpenSSL's error numbers (X509_V_ERR_…): the certificate has expired; it is for another name or address.
_ENDED, _OTHER_NAMES = 10, (62, 64)


def server_trust(ca_file: Path | None) -> ssl.SSLContext:
    """The context for a connection; ``ca_file`` replaces the system's authorities. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
    except OSError as error:
        raise ConfigError(
            f"tls_ca_file {ca_file} of a feedback source cannot be used.",
            evidence=error.strerror or str(error),
            next_step="name the PEM file of the authority that signed the mail server's certificate",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def not_trusted(host: str, error: ssl.SSLCertVerificationError) -> ConfigError:
    """The error of an untrusted server certificate; nothing was sent."""
    if error.verify_code in _OTHER_NAMES:
        advice = "write the name in the source's url that the server's certificate is for"
    elif error.verify_code == _ENDED:
        advice = "have the server's certificate renewed"
    else:
        advice = (
            "if the server is your own, name the PEM file of the authority that signed it as the source's tls_ca_file"
        )
    return ConfigError(
        f"The certificate of {host} is not trusted, so no password was sent.",
        evidence=error.verify_message,
        next_step=advice,
    )


def no_encryption(host: str, protocol: str) -> ConfigError:
    """The error of a server without encryption."""
    return ConfigError(
        f"{host} offers no encryption, so no password was sent.",
        evidence=f"{protocol}:// begins in clear, and the server does not take "
        + ("STARTTLS" if protocol == "imap" else "STLS"),
        next_step=f"write {protocol}s:// in the source's url, or have encryption turned on at the server",
    )
