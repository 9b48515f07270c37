"""Preflight checks before a run is made: is each relay written so that it can be dialled, with a secret if needed?

It opens no connection, looks up no name and runs no command: that happens when letters go out. What would certainly
fail then is reported here, before rows are read and a folder is made.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from campaign.delivery.relays.relay import find, login_at
from campaign.errors import ConfigError
from campaign.pipeline.command_context import Job


def refuse_unready(job: Job, environment: Mapping[str, str] | None = None) -> None:
    """Raise ConfigError for the first relay that cannot be used as it is written."""
    asyncio.run(_look(job, os.environ if environment is None else environment))


async def _look(job: Job, environment: Mapping[str, str]) -> None:
    delivery = job.settings.delivery
    for position, written in enumerate(delivery.urls, 1):
        if written == "mailbox":
            continue
        where, preset = find(written)
        user = where.user or delivery.user
        if preset and not user and "or none" not in preset.username:  # some accept letters from a known IP address
            raise ConfigError(
                f"The relay {written!r} needs to know who logs in.",
                evidence=f"the user of {preset.title} is {preset.username}",
                next_step='set user = "…" under [delivery], and a password_file',
            )
        if (user or where.gateway) and (delivery.oauth or not delivery.password_command):
            await login_at(written, where, position, delivery, job.settings.base, environment)
