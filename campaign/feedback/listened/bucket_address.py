"""Where a bucket is: ``s3://BUCKET/PREFIX?region=REGION``, with ``endpoint=https://HOST`` if it is not Amazon's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from campaign.errors import ConfigError

#: Environment variables that name the region if the url does not.
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
#: The region of a server that has none.
ANY_REGION = "us-east-1"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_PREFIX = re.compile(r"(?:[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,99}/){0,10}")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
#: Buckets that Amazon's certificate covers as a part of the host's name.
_HOST_PART = re.compile(r"[a-z0-9-]+")


class BucketAddress(NamedTuple):
    """``path`` comes before a key in a request; ``prefix`` is empty or ends in a slash. ``host`` may have a port."""

    url: str
    bucket: str
    prefix: str
    region: str
    host: str
    path: str

    @property
    def name_and_port(self) -> tuple[str, int]:
        """The host's name and its port."""
        parts = urlsplit(f"https://{self.host}")
        return parts.hostname or "", parts.port or 443

    def __str__(self) -> str:
        """The bucket and the prefix."""
        return f"s3://{self.bucket}/{self.prefix}".removesuffix("/")


def parse_bucket_url(url: str, environment: Mapping[str, str]) -> BucketAddress:
    """The bucket that ``url`` names. Its region may be in ``environment``. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
        host = _endpoint(options.pop("endpoint", ""))
    except ValueError as error:
        raise _no_bucket(url, str(error)) from None
    bucket, prefix = parts.netloc, parts.path.strip("/") + "/" if parts.path.strip("/") else ""
    region = options.pop("region", "") or next(filter(None, map(environment.get, REGION_VARIABLES)), "")
    if parts.scheme != "s3" or not _BUCKET.fullmatch(bucket) or parts.fragment:
        raise _no_bucket(url, "it is no s3://BUCKET")
    if not _PREFIX.fullmatch(prefix):
        raise _no_bucket(url, f"{prefix!r} is no prefix of letters, digits, -, _, = and ., in parts with / between")
    if options:
        raise _no_bucket(url, f"{next(iter(options))!r} is no option; region and endpoint are")
    if not region and not host:
        raise _no_bucket(url, f"neither region= in it nor {' or '.join(REGION_VARIABLES)} is set")
    region = region or ANY_REGION
    if not _REGION.fullmatch(region):
        raise _no_bucket(url, f"{region!r} is no region")
    if host:
        return BucketAddress(url, bucket, prefix, region, host, f"/{bucket}/")
    amazon = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    if _HOST_PART.fullmatch(bucket):
        return BucketAddress(url, bucket, prefix, region, f"{bucket}.{amazon}", "/")
    return BucketAddress(url, bucket, prefix, region, amazon, f"/{bucket}/")


def _endpoint(url: str) -> str:
    """The host and port of an endpoint; "" for none. Raises ValueError."""
    if not url:
        return ""
    parts = urlsplit(url)
    plain = f"https://{parts.netloc}"
    if not parts.hostname or "@" in parts.netloc or url.rstrip("/") != plain or not url.isascii():
        raise ValueError(f"{url!r} is no https://HOST or https://HOST:PORT")
    return parts.netloc if parts.port not in (None, 443) else parts.hostname


def _no_bucket(url: str, why: str) -> ConfigError:
    return ConfigError(
        f"{url} names no bucket.",
        evidence=why,
        next_step="write s3://BUCKET/PREFIX?region=REGION, or s3://BUCKET/PREFIX?endpoint=https://HOST for a server "
        "that is not Amazon's",
    )
