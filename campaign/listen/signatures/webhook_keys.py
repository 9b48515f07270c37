"""Reads the files that hold the keys and secrets of webhooks."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from campaign.errors import ConfigError
from campaign.system.private_file import read_private

#: Most secrets in one file, while they are exchanged.
MOST_SECRETS = 10
#: Longest file of a public key, in octets.
LONGEST_KEY = 8192
#: Shortest key of a Standard Webhooks signature, in octets.
SHORTEST_SIGNING_KEY = 16


def webhook_secrets(path: Path) -> tuple[str, ...]:
    """The secrets in a file, one a line. Raises ConfigError."""
    found = tuple(line.strip() for line in read_private(path, "webhook secret").splitlines() if line.strip())
    if not found:
        raise ConfigError(
            f"{path} holds no webhook secret.",
            evidence="the file is empty",
            next_step=f"put the secret on the first line of {path}, then start again",
        )
    if len(found) > MOST_SECRETS:
        raise ConfigError(
            f"{path} holds too many webhook secrets.",
            evidence=f"it has {len(found)} lines; {MOST_SECRETS} are allowed, while secrets are exchanged",
            next_step=f"keep the secrets that are in use in {path}, one a line, then start again",
        )
    return found


def signing_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in a file of secrets of Standard Webhooks, such as ``whsec_…``. Raises ConfigError."""
    return tuple(_signing_key(path, number, one) for number, one in enumerate(webhook_secrets(path), start=1))


def _signing_key(path: Path, line: int, secret: str) -> bytes:
    try:
        text = secret.removeprefix("whsec_").rstrip("=")
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) < SHORTEST_SIGNING_KEY:
        raise ConfigError(
            f"{path} holds no signing secret.",
            evidence=f"line {line} is not whsec_ and base64 of at least {SHORTEST_SIGNING_KEY} octets",
            next_step=f"copy the signing secret from the provider's page of the webhook to {path}, then start again",
        )
    return key


def verification_key(path: Path) -> ec.EllipticCurvePublicKey:
    """The public key in ``path``: base64 as SendGrid shows it, or PEM. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_KEY).strip()
        key = load_pem_public_key(content) if content.startswith(b"-----") else load_der_public_key(_der(content))
    except OSError as error:
        why = error.strerror or "it cannot be read"
    except (ValueError, UnsupportedAlgorithm):
        why = "it is neither the base64 text that SendGrid shows nor PEM"
    else:
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        why = "it is a key of another kind: SendGrid signs with ECDSA on the curve P-256"
    raise ConfigError(
        f"{path} holds no verification key of SendGrid.",
        evidence=why,
        next_step=f"copy the Verification Key from SendGrid's Event Webhooks page to {path}, then start again",
    )


def _der(content: bytes) -> bytes:
    return base64.b64decode(content, validate=True)
