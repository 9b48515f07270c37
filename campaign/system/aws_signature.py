"""Signatures of requests to Amazon Web Services, version 4.

Implemented here because it is two dozen lines, unchanged since 2012, while the library that has them, botocore, takes
15 MB. The tests compare it with that library and with Amazon's published examples.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """An access key, its secret, and the session token of temporary keys."""

    key_id: str
    secret: str = field(repr=False)
    session_token: str = field(default="", repr=False)


class SigningScope(msgspec.Struct, frozen=True):
    """The scope of a signature: a region such as ``eu-west-1``, and a service such as ``sqs``."""

    region: str
    service: str


def sign_request(
    headers: Mapping[str, str],
    body: bytes,
    credentials: AwsCredentials,
    scope: SigningScope,
    now: float,
    *,
    method: str = "POST",
    path: str = "/",
    query: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """All headers of a request: ``headers``, which must include Host, with time and signature.

    ``path`` is in the form in which it is sent, and ``query`` is sent as `signed_query` writes it. ``now`` is POSIX
    seconds; Amazon refuses times that differ from its own by more than 15 minutes.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {**headers, "X-Amz-Date": stamp}
    if credentials.session_token:
        signed["X-Amz-Security-Token"] = credentials.session_token
    if scope.service == "s3":  # which alone wants the digest of the body among the headers
        signed["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    names, canonical = _canonical_request(method, f"{path}\n{signed_query(query or {})}", signed, body)
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join((ALGORITHM, stamp, place, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{credentials.secret}".encode()
    for part in place.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authority = f"{ALGORITHM} Credential={credentials.key_id}/{place}, SignedHeaders={names}, Signature={signature}"
    return {**signed, "Authorization": authority}


def signed_query(query: Mapping[str, str]) -> str:
    """A query in the one form that a signature covers: sorted, and encoded but for letters, digits and ``-_.~``."""
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in encoded)


def _canonical_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """The names of the signed headers, and the text that is signed. ``target`` is the path and, below it, the query."""
    folded = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    names = ";".join(name for name, _ in folded)
    lines = "".join(f"{name}:{value}\n" for name, value in folded)
    return names, "\n".join((method, target, lines, names, hashlib.sha256(body).hexdigest()))
