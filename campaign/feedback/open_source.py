"""Opens the source that a ``[[feedback.source]]`` names, by the form of its ``url``."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from campaign.config.feedback import PROVIDER_LISTS, SERVERS, FeedbackSourceSection
from campaign.errors import ConfigError
from campaign.feedback.feedback_source import FeedbackSource
from campaign.feedback.mailboxes.incoming_message import Reader


@dataclass(frozen=True, slots=True)
class SourceSurroundings:
    """What sources need besides their section.

    ``base`` is the campaign file's folder, to which paths are relative; ``progress`` is the folder of progress files.
    ``password`` and ``access_token`` are called just before a login and may raise ConfigError; at most one is given.
    ``environment`` is for queues and lists; ``stdin`` and ``read`` replace standard input and `read_message`.
    """

    base: Path
    progress: Path
    password: Callable[[], str] | None = field(default=None, repr=False)
    access_token: Callable[[], str] | None = field(default=None, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: BinaryIO | None = None
    read: Reader | None = None

    def path(self, name: str) -> Path:
        """The absolute form of a path in the campaign file."""
        return (self.base / name).absolute()

    def progress_file(self, kind: str, name: str) -> Path:
        """The progress file of a source, named by its ``kind`` and a digest of its ``name``."""
        return self.progress / f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def open_feedback_source(settings: FeedbackSourceSection, around: SourceSurroundings) -> FeedbackSource:
    """The source that ``settings.url`` names. Nothing is connected or read yet. Raises ConfigError."""
    if settings.url.startswith(SERVERS):
        return _server(settings, around)
    if settings.url == "-":
        from campaign.feedback.mailboxes.files.standard_input import StandardInput

        return StandardInput(around.stdin or sys.stdin.buffer, _reader(around))
    if settings.url.startswith(tuple(PROVIDER_LISTS)):
        return _provider_list(settings, around)
    form, _, name = settings.url.partition(":")
    if not name.strip("/"):
        raise ConfigError(
            f"The feedback source {settings.url!r} names nothing.",
            next_step=f"write the path or the queue behind {form}:",
        )
    return _OTHERS[form](settings, around, name)


def _server(settings: FeedbackSourceSection, around: SourceSurroundings) -> FeedbackSource:
    from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret
    from campaign.feedback.mailboxes.servers.server_trust import server_trust
    from campaign.feedback.mailboxes.servers.server_url import parse_server_url

    where = parse_server_url(settings.url)
    trust = server_trust(around.path(str(settings.tls_ca_file)) if settings.tls_ca_file is not None else None)
    secret = MailboxSecret(around.password, around.access_token)
    progress_file = around.progress_file(where.protocol, f"{where.user}@{where.host}:{where.port}/{where.folder}")
    if where.protocol == "pop3":
        from campaign.feedback.mailboxes.servers.pop3_mailbox import Pop3Mailbox

        return Pop3Mailbox(where, settings, trust, secret, progress_file=progress_file, read=_reader(around))
    from campaign.feedback.mailboxes.servers.imap_mailbox import ImapMailbox

    return ImapMailbox(where, settings, trust, secret, progress_file=progress_file, read=_reader(around, "imap"))


def _maildir(settings: FeedbackSourceSection, around: SourceSurroundings, name: str) -> FeedbackSource:
    from campaign.feedback.mailboxes.files.maildir_mailbox import MaildirMailbox

    return MaildirMailbox(around.path(name), settings, _reader(around))


def _mbox(_: FeedbackSourceSection, around: SourceSurroundings, name: str) -> FeedbackSource:
    from campaign.feedback.mailboxes.files.mbox_mailbox import MboxMailbox

    path = around.path(name)
    return MboxMailbox(path, progress_file=around.progress_file("mbox", str(path)), read=_reader(around))


def _postfix_log(_: FeedbackSourceSection, around: SourceSurroundings, name: str) -> FeedbackSource:
    from campaign.feedback.event_feeds.postfix_log import PostfixLog

    path = around.path(name)
    return PostfixLog(path, around.progress_file("postfix-log", str(path)))


def _events(_: FeedbackSourceSection, around: SourceSurroundings, name: str) -> FeedbackSource:
    from campaign.feedback.event_feeds.event_lines import EventLines

    path = around.path(name)
    return EventLines(path, around.progress_file("events", str(path)))


def _listen(settings: FeedbackSourceSection, around: SourceSurroundings, name: str) -> FeedbackSource:
    from campaign.feedback.listened.listened_files import ListenedFolder
    from campaign.feedback.listened.listened_https import ListenedHost
    from campaign.feedback.listened.listened_source import ListenedSource
    from campaign.feedback.mailboxes.servers.server_trust import server_trust

    if name.startswith(("https://", "s3://")):
        trust = server_trust(around.path(str(settings.tls_ca_file)) if settings.tls_ca_file is not None else None)
        progress_file = around.progress_file("listen", name)
        if name.startswith("https://"):
            return ListenedSource(ListenedHost(name, around.password, trust), progress_file)
        from campaign.feedback.listened.listened_bucket import open_listened_bucket

        return ListenedSource(open_listened_bucket(name, around.environment, around.password, trust), progress_file)
    path = around.path(name)
    return ListenedSource(ListenedFolder(path), around.progress_file("listen", str(path)))


def _queue(settings: FeedbackSourceSection, around: SourceSurroundings, _: str) -> FeedbackSource:
    from campaign.feedback.event_feeds.ses_queue import SesQueue

    return SesQueue(
        settings.url,
        around.base,
        around.environment,
        password=around.password,
        tls_ca_file=settings.tls_ca_file,
    )


def _provider_list(settings: FeedbackSourceSection, around: SourceSurroundings) -> FeedbackSource:
    from campaign.feedback.provider_lists.open_provider_list import open_provider_list

    return open_provider_list(
        settings.url,
        around.base,
        around.environment,
        around.progress_file("list", settings.url),
        password=around.password,
        tls_ca_file=settings.tls_ca_file,
    )


_OTHERS: dict[str, Callable[[FeedbackSourceSection, SourceSurroundings, str], FeedbackSource]] = {
    "maildir": _maildir,
    "mbox": _mbox,
    "postfix-log": _postfix_log,
    "events": _events,
    "listen": _listen,
    "sqs": _queue,
}


def _reader(around: SourceSurroundings, extra: str = "bounces") -> Reader:
    """What reads a message; ``extra`` has the libraries for it. Raises ConfigError if they are not installed."""
    if around.read is not None:
        return around.read
    from campaign.feedback.messages.bounce_text import require_bounce_library
    from campaign.feedback.messages.read_message import read_message

    require_bounce_library(extra)
    return read_message
