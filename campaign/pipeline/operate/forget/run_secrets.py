"""The secrets of a ledger's campaigns, for the keyed digests that stand for a forgotten recipient."""

from __future__ import annotations

from pathlib import Path

from campaign.compose.mime.header_values import message_id
from campaign.config import load
from campaign.config.campaign_secret import secret_fingerprint
from campaign.errors import CampaignError
from campaign.ledger.journal.journal_records import Opened
from campaign.model import Identity
from campaign.pipeline.collect.sent_runs import SECRET, earlier_secrets
from campaign.pipeline.command_context import Job, prepare

_DOMAIN = "example.com"  #: the part before the @ of a Message-ID does not depend on it


class RunSecrets:
    """Finds the secret that later commands of a run's campaign have. ``notes`` gets a sentence where it is gone."""

    def __init__(self, job: Job, notes: list[str]) -> None:
        self._job, self._notes = job, notes
        self._by_file: dict[str, bytes] = {}

    def of(self, opened: Opened | None) -> bytes:
        """The secret of the campaign that made a run; ``None`` stands for a run that never began."""
        if opened is None or opened.campaign == self._job.settings.campaign.name:
            return self._job.secret
        if opened.file not in self._by_file:
            self._by_file[opened.file] = self._of_file(opened)
        return self._by_file[opened.file]

    def message_id(self, opened: Opened, key: str) -> str:
        """The part before the @ of the Message-ID of a run's letter; empty without the secret that made it."""
        wanted = opened.fingerprints.get(SECRET)
        for secret in earlier_secrets(self.of(opened)):
            if secret_fingerprint(secret) == wanted:
                identity = Identity(opened.campaign, opened.edition, opened.generation, secret)
                return message_id(identity, _DOMAIN, key).partition("@")[0].lstrip("<")
        return ""

    def _of_file(self, opened: Opened) -> bytes:
        try:
            if Path(opened.file).is_file():
                return prepare(load(Path(opened.file))).secret
        except CampaignError:
            pass
        self._notes.append(
            f"the campaign file of {opened.campaign} ({opened.file or 'not recorded'}) cannot be read, and with it its "
            f"secret: if that campaign is sent again in this edition, it does not recognise this person as served"
        )
        return self._job.secret
