"""What the routes of `campaign listen` share."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from campaign.config.listen.listen_file import ListenSettings
from campaign.errors import StorageError
from campaign.feedback.listened.listened_files import ListenedFolder, ListenedWriter
from campaign.feedback.listened.listened_record import ListenedRecord
from campaign.listen.group_append import GroupAppend
from campaign.listen.listen_rates import ListenRates
from campaign.listen.seldom_log import SeldomLog
from campaign.listen.signatures.verify_webhook import OpenedWebhook, open_webhook
from campaign.listen.signatures.webhook_keys import webhook_secrets
from campaign.listen.unsubscribe_page import UnsubscribePage
from campaign.system.atomic_file import make_folders
from campaign.system.disk_advice import look_at_folder


@dataclass(slots=True)
class ListenState:
    """The opened listen file. ``knows``: whether a token is one of ours, if the secret is here; else ``None``."""

    page: UnsubscribePage
    webhooks: tuple[OpenedWebhook, ...]
    fetch_tokens: tuple[str, ...] = field(repr=False)
    writer: ListenedWriter
    folder: ListenedFolder
    group: GroupAppend
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
    settings: ListenSettings, writer: ListenedWriter | None = None, knows: Callable[[str], bool] | None = None
) -> ListenState:
    """Read keys and tokens, and see that the folder is there. Raises ConfigError and StorageError."""
    section = settings.listen
    folder = settings.path(section.events)
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
    writer = writer or ListenedWriter(folder)
    token_file = section.fetch_token_file
    return ListenState(
        page=UnsubscribePage(section),
        webhooks=tuple(open_webhook(one, settings.base) for one in section.webhook),
        fetch_tokens=webhook_secrets(settings.path(token_file)) if token_file else (),
        writer=writer,
        folder=ListenedFolder(folder),
        group=GroupAppend(writer.append),
        knows=knows,
    )
