"""Certificates for the TLS tests, good and bad, from an authority that nobody trusts by default."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from functools import cache
from pathlib import Path

import trustme

NOW = dt.datetime.now(dt.UTC)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def ca_file(folder: Path) -> Path:
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


def server(*names: str, expired: bool = False, oldest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    ends = NOW - dt.timedelta(days=1) if expired else NOW + dt.timedelta(days=30)
    certificate = authority().issue_cert(*(names or ("127.0.0.1",)), not_after=ends)
    return _context(certificate, oldest)


def self_signed() -> ssl.SSLContext:
    return _context(trustme.CA().issue_cert("127.0.0.1"), None)


def pinned() -> tuple[ssl.SSLContext, str]:
    """A server nobody vouches for, and the fingerprint that is enough for it."""
    certificate = trustme.CA().issue_cert("other.example")
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    return _context(certificate, None), hashlib.sha256(der).hexdigest()


def _context(certificate: trustme.LeafCert, only: ssl.TLSVersion | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if only is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = only
    return context
