"""Opens the provider's list that a ``url`` names, with its key."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from campaign.errors import ConfigError
from campaign.feedback.mailboxes.servers.server_trust import server_trust
from campaign.feedback.provider_lists.brevo_event_list import brevo_event_list
from campaign.feedback.provider_lists.list_client import ListClient
from campaign.feedback.provider_lists.list_source import ProviderListSource
from campaign.feedback.provider_lists.mailgun_event_list import mailgun_event_list
from campaign.feedback.provider_lists.mailjet_message_list import mailjet_message_list
from campaign.feedback.provider_lists.postmark_lists import postmark_lists
from campaign.feedback.provider_lists.provider_api import ProviderApi
from campaign.feedback.provider_lists.resend_suppressions import resend_suppressions
from campaign.feedback.provider_lists.sendgrid_lists import sendgrid_lists
from campaign.feedback.provider_lists.sparkpost_event_list import sparkpost_event_list
from campaign.system.https_client import HttpsEndpoint

#: Name in the ``url`` -> the lists, of what stands behind the colon.
LISTS_OF: dict[str, Callable[[str], ProviderApi]] = {
    "sendgrid": sendgrid_lists,
    "mailgun": mailgun_event_list,
    "postmark": postmark_lists,
    "brevo": brevo_event_list,
    "sparkpost": sparkpost_event_list,
    "mailjet": mailjet_message_list,
    "resend": resend_suppressions,
}
_KEY = re.compile(r"[!-~]{1,500}")


def open_provider_list(
    url: str,
    base: Path,
    environment: Mapping[str, str],
    progress_file: Path,
    *,
    password: Callable[[], str] | None = None,
    tls_ca_file: Path | None = None,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    endpoint: HttpsEndpoint | None = None,
) -> ProviderListSource:
    """The lists of ``url``. ``password`` returns the key, else it is in ``environment``; it is read before it is used.

    ``tls_ca_file`` may be relative to ``base``; only tests give an ``endpoint``. Raises ConfigError.
    """
    name, _, place = url.partition(":")
    api = LISTS_OF[name](place)
    if endpoint is None:
        endpoint = HttpsEndpoint(api.host, 443, server_trust(base / tls_ca_file if tls_ca_file else None))
    key = functools.partial(find_list_key, api, environment, password)
    return ProviderListSource(url, api, ListClient(api, key, endpoint, now=now, sleep=sleep), progress_file, now)


def find_list_key(api: ProviderApi, environment: Mapping[str, str], password: Callable[[], str] | None) -> str:
    """The key that ``password`` returns, else the one in the environment. Raises ConfigError."""
    found = [password().strip()] if password else [environment.get(name, "").strip() for name in api.variables]
    if not all(found):
        wanted = " and ".join(api.variables)
        raise ConfigError(
            f"There is no key for {api.title}.",
            evidence=f"neither password_file of this [[feedback.source]] nor {wanted} in the environment is set",
            next_step="write it into a file, chmod 600 it, and name it as password_file; docs/feedback-providers.md",
        )
    key = ":".join(found)
    if not _KEY.fullmatch(key) or key.count(":") < len(api.variables) - 1:
        form = "KEY:SECRET" if len(api.variables) > 1 else "one word"
        raise ConfigError(
            f"What password_file or password_command of this [[feedback.source]] gives is no key for {api.title}.",
            evidence=f"it should be {form}",
            next_step="write only the key there, as the provider showed it when it was made",
        )
    return key
