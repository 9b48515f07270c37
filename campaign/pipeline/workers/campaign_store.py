"""The store of a campaign: its address with the password, and what a campaign in a store must not ask for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.config import Settings
from campaign.errors import ConfigError, StorageError
from campaign.pipeline.command_context import Job
from campaign.report.live.console import path_text
from campaign.system.private_file import read_private

if TYPE_CHECKING:  # loaded only by who has a store
    from campaign.system.postgres import StoreAddress

PASSWORD = "CAMPAIGN_STORE_PASSWORD"  # noqa: S105 - the name of a variable


def store_of(settings: Settings, environment: Mapping[str, str] | None = None) -> StoreAddress:
    """The address of ``ledger.store``. Raises ConfigError."""
    from campaign.system.postgres import store_address

    environment = os.environ if environment is None else environment
    password = environment.get(PASSWORD, "")
    if not password and settings.ledger.store_password_file:
        password = read_private(settings.base / settings.ledger.store_password_file, "password").partition("\n")[0]
    return store_address(settings.ledger.store, password.strip())


def needed_store(settings: Settings) -> StoreAddress:
    """As `store_of`, for a command that needs a store. Raises ConfigError if none is set."""
    if not settings.ledger.store:
        raise ConfigError(
            "This command is for a campaign with a store, and ledger.store is not set.",
            evidence=path_text(settings.file),
            next_step="set store under [ledger], as docs/scale.md says, then run the same command again",
        )
    return store_of(settings)


def refuse_unsuited(job: Job) -> None:
    """Raise ConfigError for settings that make no sense, or are not supported, for runs in a store."""
    delivery = job.settings.delivery
    if job.rehearsal:
        raise ConfigError(
            "A rehearsal is not kept in a store: its letters would lie in mailboxes on several machines.",
            next_step="rehearse without ledger.store and in a folder of its own: CAMPAIGN__LEDGER__STORE= "
            f"CAMPAIGN__LEDGER__DIRECTORY=rehearsal {job.command('send')}",
        )
    if delivery.processes != 1:
        raise ConfigError(
            "With a store, each command is one sender; several are several workers.",
            evidence=f"delivery.processes = {delivery.processes}",
            next_step="leave delivery.processes out, then start as many: "
            f"make workers N={delivery.processes if delivery.processes != 'auto' else os.cpu_count() or 1} "
            f"CAMPAIGN={shlex.quote(path_text(job.settings.file))}",
        )


def gone_run(job: Job, run: Path) -> StorageError:
    """The error for a copy of a run that the store does not have."""
    return StorageError(
        f"{path_text(run)} is the copy of a run that the store does not have.",
        evidence=store_of(job.settings).text,
        next_step="if the run was deleted there, delete this folder, too; if not, let ledger.store name its store",
    )
