"""The campaign's secret: keys Message-IDs, boundaries and unsubscribe tokens. Made at first use, never shown."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from campaign.errors import ConfigError, StorageError

VARIABLE = "CAMPAIGN_SECRET"
LEAST_OCTETS = 16


def load_secret(file: Path, *, must_exist: bool, environment: Mapping[str, str] | None = None) -> bytes:
    """The secret from the environment or ``file``, which is made (0600) unless ``must_exist``.

    Several lines are allowed: the first signs, older ones below it still open tokens.
    Raises StorageError or ConfigError.
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


def _from_file(file: Path, must_exist: bool) -> bytes:
    try:
        return file.read_bytes().strip()
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
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(secret + b"\n")
            out.flush()
            os.fsync(out.fileno())
        return _keep_first(temporary, file, secret)
    except OSError as error:
        raise StorageError(
            f"The secret {file} cannot be made.",
            evidence=error.strerror or str(error),
            next_step=f"set secret_file or {VARIABLE}",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _keep_first(temporary: Path, file: Path, secret: bytes) -> bytes:
    try:
        os.link(temporary, file)
    except FileExistsError:
        return file.read_bytes().strip()
    return secret
