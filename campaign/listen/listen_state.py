"""What the routes of `campaign listen` share."""

from __future__ import annotations

import errno
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from campaign.config.listen.listen_file import ListenSettings
from campaign.errors import CampaignError, ConfigError, StorageError
from campaign.feedback.listened.listened_bucket import BucketWriter, open_bucket_writer
from campaign.feedback.listened.listened_files import ListenedFolder, ListenedWriter
from campaign.feedback.listened.listened_record import ListenedRecord
from campaign.feedback.listened.listened_store import RecordWriter
from campaign.listen.group_append import GroupAppend
from campaign.listen.listen_rates import ClickRate, ListenRates
from campaign.listen.seldom_log import SeldomLog
from campaign.listen.signatures.verify_webhook import OpenedWebhook, open_webhook
from campaign.listen.signatures.webhook_keys import webhook_secrets
from campaign.listen.unsubscribe_page import UnsubscribePage
from campaign.system.atomic_file import make_folders
from campaign.system.disk_advice import look_at_folder
from campaign.system.private_file import read_private


@dataclass(slots=True)
class ListenState:
    """The opened listen file.

    ``folder`` is ``None`` if requests are stored in a bucket. ``knows``: whether a token is one of ours, if the secret
    is here; else ``None``.
    """

    page: UnsubscribePage
    webhooks: tuple[OpenedWebhook, ...]
    fetch_tokens: tuple[str, ...] = field(repr=False)
    writer: RecordWriter
    folder: ListenedFolder | None
    group: GroupAppend
    clicks: ClickRate
    knows: Callable[[str], bool] | None = None
    rates: ListenRates = field(default_factory=ListenRates)
    troubles: SeldomLog = field(default_factory=SeldomLog)
    clock: Callable[[], float] = time.time

    async def stored(self, record: ListenedRecord) -> bool:
        """Make ``record`` durable; whether that was possible."""
        try:
            await self.group.stored(record)
        except OSError as error:
            self.troubles.report("a request could not be stored", error.strerror or str(error))
            return False
        return True


def open_state(
    settings: ListenSettings, writer: RecordWriter | None = None, knows: Callable[[str], bool] | None = None
) -> ListenState:
    """Read keys and tokens, and see that requests can be stored. Raises ConfigError and StorageError."""
    section = settings.listen
    folder = None if section.in_bucket else ListenedFolder(_writable(Path(settings.place)))
    writer = writer or (_bucket_writer(settings) if section.in_bucket else ListenedWriter(Path(settings.place)))
    token_file = section.fetch_token_file
    return ListenState(
        page=UnsubscribePage(section),
        webhooks=tuple(open_webhook(one, settings.base) for one in section.webhook),
        fetch_tokens=webhook_secrets(settings.path(token_file)) if token_file else (),
        writer=writer,
        folder=folder,
        group=GroupAppend(writer.append),
        knows=knows,
        clicks=ClickRate(section.clicks_per_minute),
    )


def _writable(folder: Path) -> Path:
    try:
        make_folders(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StorageError(
            f"Requests cannot be stored in {folder}.",
            evidence=error.strerror or str(error),
            next_step=f"let this user write there: {look_at_folder(folder)}",
        ) from None
    return folder


def _bucket_writer(settings: ListenSettings) -> BucketWriter:
    section = settings.listen
    key_file = settings.path(section.bucket_key_file) if section.bucket_key_file else None
    ca_file = settings.path(section.bucket_ca_file) if section.bucket_ca_file else None
    key_text = (lambda: read_private(key_file, "access key")) if key_file else None
    writer = open_bucket_writer(section.events, os.environ, key_text, _bucket_trust(ca_file))
    try:
        writer.show_sign_of_life()
    except CampaignError as error:
        writer.close()
        raise StorageError(
            f"Requests cannot be stored in {section.events}.",
            evidence=(error.what, *error.evidence),
            next_step=error.next_step,
        ) from None
    return writer


def _bucket_trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(
            f"bucket_ca_file {ca_file} cannot be used.",
            evidence=error.strerror or str(error),
            next_step="name the PEM file of the authority that signed the certificate of the bucket's server",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
