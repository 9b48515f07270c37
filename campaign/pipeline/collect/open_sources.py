"""Opens a campaign's sources of feedback with their logins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from campaign.config import Settings
from campaign.config.feedback import PROVIDER_LISTS, SERVERS, FeedbackSourceSection
from campaign.feedback.feedback_source import FeedbackSource
from campaign.feedback.open_source import SourceSurroundings, open_feedback_source
from campaign.pipeline.collect.judge_notice import OWN_PROGRAM, PROVIDER_LIST, WEBHOOK

STANDARD_INPUT = "-"
_MAILBOXES = (*SERVERS, "maildir:", "mbox:")


def tells_of_all_mail(section: FeedbackSourceSection) -> bool:
    """Whether it is a log, a queue, a provider's list or a file of events: trusted, but also about other mail."""
    return section.url != STANDARD_INPUT and not section.url.startswith(_MAILBOXES)


def believed_as(section: FeedbackSourceSection) -> str:
    """What an address in it is noted as found by, if nobody else can name one there; else ``""``."""
    if section.url.startswith(tuple(PROVIDER_LISTS)):
        return PROVIDER_LIST
    if section.url.startswith("listen:"):
        return WEBHOOK
    return OWN_PROGRAM if section.url.startswith("events:") else ""


def opened_source(
    section: FeedbackSourceSection, settings: Settings, progress: Path, stdin: BinaryIO
) -> FeedbackSource:
    """The source; ``progress`` is the folder of progress files. Raises ConfigError."""
    around = SourceSurroundings(
        settings.base,
        progress,
        password=_password(section, settings),
        access_token=_access_token(section, settings.base),
        environment=os.environ,
        stdin=stdin,
    )
    return open_feedback_source(section, around)


def _password(section: FeedbackSourceSection, settings: Settings) -> Callable[[], str] | None:
    """A function that reads the password; None if the section names none."""
    if section.password_file is None and not section.password_command:
        return None

    def password() -> str:
        import asyncio

        from campaign.delivery.credentials.login import read_secret, run_for_secret

        if section.password_file is not None:
            return read_secret(settings.base / section.password_file)
        command = run_for_secret(section.password_command, settings.base, settings.delivery.command_environment)
        return asyncio.run(command)

    return password


def _access_token(section: FeedbackSourceSection, base: Path) -> Callable[[], str] | None:
    """A function that fetches a token; None if the section has no ``oauth``."""
    oauth = section.oauth
    if oauth is None:
        return None

    def access_token() -> str:
        from campaign.delivery.credentials.oauth import mailbox_token
        from campaign.feedback.mailboxes.servers.server_url import parse_server_url

        where = parse_server_url(section.url)
        return mailbox_token(where.user, where.protocol, oauth, base)

    return access_token
