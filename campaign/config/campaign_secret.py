"""The campaign's secret, the key for Message-IDs, boundaries and unsubscribe tokens; made at first use, never shown."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from campaign.errors import ConfigError, StorageError
from campaign.system.atomic_file import write_atomically
from campaign.system.private_file import private_octets

VARIABLE = "CAMPAIGN_SECRET"
LEAST_OCTETS = 16


def load_secret(file: Path, *, must_exist: bool, environment: Mapping[str, str] | None = None) -> bytes:
    """The secret from the environment or ``file``, which is made (0600) unless ``must_exist``.

    The secret may have several lines: the first signs, and the older ones below it still open tokens. Raises
    StorageError or ConfigError.
    """
    given = (os.environ if environment is None else environment).get(VARIABLE, "")
    secret = given.encode().strip() or _from_file(file, must_exist)
    if len(secret) < LEAST_OCTETS:
        raise ConfigError(
            f"The campaign's secret has {len(secret)} octets; it takes at least {LEAST_OCTETS}.",
            evidence=VARIABLE if given else str(file),
            next_step=f"put a longer one into {VARIABLE}, the one that earlier letters were signed with if there is one"
            if given
            else "remove the file to have one made, or restore the one that earlier letters were signed with",
        )
    return secret


def secret_fingerprint(secret: bytes) -> str:
    """A secret's fingerprint for journals: 64 hexadecimal digits that change with the secret and reveal nothing."""
    return hmac.digest(secret, b"fingerprint", "sha256").hex()


def _from_file(file: Path, must_exist: bool) -> bytes:
    try:
        return private_octets(file).strip()
    except FileNotFoundError:
        if must_exist:
            raise StorageError(
                f"The secret {file} is missing, and must_exist forbids making a new one.",
                next_step="mount the disk that holds it; with a new one, old unsubscribe links would die",
            ) from None
        return _make(file)
    except OSError as error:
        raise StorageError(
            f"The secret {file} cannot be read.",
            evidence=error.strerror or str(error),
            next_step=f"make it readable for this user, or set {VARIABLE}",
        ) from error


def _make(file: Path) -> bytes:
    secret = secrets.token_hex(32).encode()
    try:
        write_atomically(file, secret + b"\n", keep_first=True)
    except FileExistsError:  # another process was first
        return private_octets(file).strip()
    except OSError as error:
        raise StorageError(
            f"The secret {file} cannot be made.",
            evidence=error.strerror or str(error),
            next_step=f"set secret_file or {VARIABLE}",
        ) from error
    return secret
