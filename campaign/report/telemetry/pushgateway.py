"""Pushing metrics to a Prometheus Pushgateway, for machines that are not scraped: one request per push.

`metrics.py` defines the numbers; the pipeline decides when to push, and how to report a failure.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from campaign.config.report import is_loopback
from campaign.report.formatting import printable

#: The longest a run waits for a push.
LIMIT_SECONDS = 5.0
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class NotPushedError(Exception):
    """Why the gateway did not accept the numbers, in words. No `CampaignError`, as it never ends a run."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Pushgateway. ``url`` is checked by the settings; ``login`` is ``user:password`` or empty."""

    url: str
    login: str = field(default="", repr=False)
    limit: float = LIMIT_SECONDS

    def push(self, text: str, campaign: str) -> None:
        """POST the exposition ``text`` to the group of this campaign: same names are replaced, others stay.

        Blocks for at most about ``limit`` seconds. Raises NotPushedError.
        """
        address = f"{self.url}/metrics/job/campaign/campaign/{campaign}"
        request = Request(address, text.encode("utf-8"), {"Content-Type": TEXT}, method="POST")  # noqa: S310 - https, or loopback
        if self.login:
            request.add_unredirected_header("Authorization", f"Basic {_base64(self.login)}")
        host = urlsplit(self.url).hostname or ""
        opener = build_opener(_Stay, *([ProxyHandler({})] if is_loopback(host) else []))
        try:
            with opener.open(request, timeout=self.limit) as answer:
                answer.read(1)
        except HTTPError as error:
            error.close()
            raise NotPushedError(f"it answered {error.code} {printable(str(error.reason))[:200]}") from None
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a redirect to an invalid address
            reason = getattr(error, "reason", error)
            raise NotPushedError(printable(str(reason) or type(reason).__name__)[:200]) from None


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: a gateway sends none, and a login page that does would answer 200."""

    def redirect_request(self, *_: Any) -> None:
        """Let the redirect become an HTTPError."""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
