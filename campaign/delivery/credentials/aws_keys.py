"""Finds keys for Amazon Web Services where Amazon's own tools find them, in the same order.

1. the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
2. the profile AWS_PROFILE, or default, in the shared file ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE)
3. the container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
4. the role of this machine (EC2 instance metadata, version 2)

The latter two are temporary: they come with their lifetime, and `TokenCache` fetches others before it ends.
"""

from __future__ import annotations

import configparser
import datetime as dt
import http.client
import ipaddress
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from campaign.delivery.credentials.token_refresh import Token
from campaign.errors import ConfigError, LoginError
from campaign.system.aws_signature import AwsCredentials
from campaign.system.private_file import read_private

ID, SECRET, SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
CONTAINER = "http://169.254.170.2"
MACHINE = "http://169.254.169.254"
#: Hosts besides loopback that container credentials may come from: the agents of ECS and EKS.
AGENTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
#: Seconds for one answer. The metadata service is on the same machine, or there is none.
PATIENCE = 2.0
#: Largest answer that is read, in octets.
LARGEST = 64 * 1024
ROLES = "/latest/meta-data/iam/security-credentials/"


def keys_as_token(keys: AwsCredentials, lasts: float = math.inf) -> Token:
    """Keys in the form that `TokenCache` keeps; `keys_of` reads them."""
    return Token(f"{keys.key_id}\n{keys.secret}\n{keys.session_token}", lasts)


def keys_of(text: str) -> AwsCredentials:
    """The keys in a token's text."""
    return AwsCredentials(*text.split("\n"))


def refuse_half_a_key(environment: Mapping[str, str]) -> None:
    """Raise ConfigError if the environment has one part of a key without the other."""
    key_id, secret = environment.get(ID, ""), environment.get(SECRET, "")
    if bool(key_id) != bool(secret):
        there, missing = (ID, SECRET) if key_id else (SECRET, ID)
        raise ConfigError(
            "Half of an access key for Amazon is in the environment.",
            evidence=f"{there} is set, {missing} is not",
            next_step=f"export {missing}=…, or unset {there}",
        )


def find_aws_keys(environment: Mapping[str, str]) -> Token:
    """The first keys there are. Blocks. Raises ConfigError, LoginError, ConnectionError if a later try may succeed."""
    refuse_half_a_key(environment)
    if environment.get(ID):
        keys = AwsCredentials(environment[ID], environment[SECRET], environment.get(SESSION, ""))
        return keys_as_token(keys)
    found = _profile(environment) or _container(environment) or _machine(environment)
    if found is None:
        raise LoginError(
            "There are no keys for Amazon.",
            evidence=f"neither {ID}, nor ~/.aws/credentials, nor a container or machine with a role",
            next_step=f"export {ID}=… {SECRET}=…, or see docs/gateways.md",
        )
    return found


def _profile(environment: Mapping[str, str]) -> Token | None:
    wanted = environment.get("AWS_PROFILE", "")
    default = Path(environment.get("HOME", "~")).expanduser() / ".aws" / "credentials"
    path = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or default).expanduser()
    if not path.exists():
        if wanted:
            raise _no_profile(wanted, path, "there is no such file")
        return None
    parser = configparser.RawConfigParser(interpolation=None)
    try:
        parser.read_string(read_private(path))
    except configparser.Error:
        raise ConfigError(f"{path} cannot be read as a file of profiles.", next_step="run `aws configure`") from None
    name = wanted or "default"
    if not parser.has_option(name, "aws_access_key_id") or not parser.has_option(name, "aws_secret_access_key"):
        if wanted:
            raise _no_profile(wanted, path, f"there is no access key under [{wanted}]")
        return None
    section = parser[name]
    return keys_as_token(
        AwsCredentials(
            section["aws_access_key_id"].strip(),
            section["aws_secret_access_key"].strip(),
            section.get("aws_session_token", "").strip(),
        )
    )


def _no_profile(name: str, path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The profile {name} has no access key.",
        evidence=f"{path}: {why}",
        next_step=f'for a profile of another kind: eval "$(aws configure export-credentials --profile {name} '
        '--format env)"',
    )


def _container(environment: Mapping[str, str]) -> Token | None:
    relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    url = CONTAINER + relative if relative else environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" and not _may_hand_out_keys(parts.hostname or ""):
        raise ConfigError(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI names a place that keys must not come from.",
            evidence=f"{parts.scheme}://{parts.hostname}",
            next_step="it should be https, or an agent on this machine; unset it if you did not set it",
        )
    token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if file := environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = read_private(Path(file), "token").strip()
    answer = _ask("GET", url, {"Authorization": token} if token else {})
    if answer is None:
        raise ConnectionError("the container gives no keys for Amazon")
    return _temporary(answer)


def _machine(environment: Mapping[str, str]) -> Token | None:
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    base = (environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or MACHINE).rstrip("/")
    session = _ask("PUT", f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"})
    if session is None:
        return None
    proof = {"X-aws-ec2-metadata-token": session.strip()}
    roles = _ask("GET", base + ROLES, proof)
    role = (roles or "").strip().partition("\n")[0]
    answer = _ask("GET", base + ROLES + role, proof) if role else None
    return None if answer is None else _temporary(answer)


def _may_hand_out_keys(host: str) -> bool:
    try:
        return host in AGENTS or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ask(method: str, url: str, headers: Mapping[str, str]) -> str | None:
    """The text of an answer with status 200; ``None`` for any other, and if nobody answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    line = kind(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        line.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=dict(headers))
        answer = line.getresponse()
        text = answer.read(LARGEST).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        line.close()
    return text if answer.status == http.client.OK else None


def _temporary(text: str) -> Token:
    try:
        found: Any = json.loads(text)
        keys = AwsCredentials(found["AccessKeyId"], found["SecretAccessKey"], found.get("Token") or "")
        ends = dt.datetime.fromisoformat(found["Expiration"]).timestamp() if found.get("Expiration") else math.inf
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConnectionError("what gives keys for Amazon answered something else") from None
    return keys_as_token(keys, max(1.0, ends - time.time()))
