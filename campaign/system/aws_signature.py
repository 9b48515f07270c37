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

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """An access key, its secret, and the session token of temporary keys."""

    key_id: str
    secret: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SigningScope:
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
) -> dict[str, str]:
    """All headers of a request without a query: ``headers``, which must include Host, with time and signature.

    ``now`` is POSIX seconds; Amazon refuses times that differ from its own by more than 15 minutes.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {**headers, "X-Amz-Date": stamp}
    if credentials.session_token:
        signed["X-Amz-Security-Token"] = credentials.session_token
    names, canonical = _canonical_request(method, path, signed, body)
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join((ALGORITHM, stamp, place, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{credentials.secret}".encode()
    for part in place.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authority = f"{ALGORITHM} Credential={credentials.key_id}/{place}, SignedHeaders={names}, Signature={signature}"
    return {**signed, "Authorization": authority}


def _canonical_request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """The names of the signed headers, and the text that is signed."""
    folded = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    names = ";".join(name for name, _ in folded)
    lines = "".join(f"{name}:{value}\n" for name, value in folded)
    return names, "\n".join((method, path, "", lines, names, hashlib.sha256(body).hexdigest()))
