"""A campaign whose runs were sent, as far as its ledger says: plans and journals are real, and no letter left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from campaign.compose.mime.header_values import message_id
from campaign.compose.tokens.recipient_token import RecipientTokens
from campaign.compose.tokens.unsubscribe_token import UnsubscribeTokens
from campaign.config import load
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.model import Books, Letter, Outcome, Verdict
from campaign.pipeline.collect.sent_runs import SentRun, sent_runs
from campaign.pipeline.command_context import Job, Options, prepare
from campaign.pipeline.start.choose_run import choose

FILE = """
[campaign]
name = "{name}"
edition = "{edition}"
from = "news@example.com"
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
{compose}
[delivery]
relay = "{relay}"
{more}
"""


class SentCampaign:
    """Everything lies in ``folder``; `send` makes one more run of ``people``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        self.file = folder / "gazette.toml"
        (folder / "letter.txt").write_text("The news is good.\n", encoding="utf-8")

    def job(
        self,
        *,
        name: str = "gazette",
        edition: str = "",
        relay: str = "smtp://127.0.0.1:9",
        compose: str = "",
        more: str = "",
    ) -> Job:
        text = FILE.format(name=name, edition=edition, relay=relay, compose=compose, more=more)
        self.file.write_text(text, encoding="utf-8")
        return prepare(load(self.file, {}), environment={})

    def send(
        self,
        *addresses: str,
        name: str = "gazette",
        edition: str = "",
        relay: str = "smtp://127.0.0.1:9",
        again: bool = False,
        verdicts: Mapping[str, Verdict] | None = None,
        replies: Mapping[str, str] | None = None,
    ) -> Path:
        """One more run; everybody is accepted, with ``Ok``, whom ``verdicts`` and ``replies`` do not name."""
        rows = "".join(f"{address},{100 + number}\n" for number, address in enumerate(addresses))
        (self.folder / "people.csv").write_text(f"email,member\n{rows}", encoding="utf-8")
        job = self.job(name=name, edition=edition, relay=relay)
        run_folder.make_folder(job.folder)
        chosen = choose(job, replace(Options(), again=again, fresh=not again))
        assert not isinstance(chosen, Books), "nobody was left to be planned"
        checkpoint = Checkpoint(chosen.folder)
        for one in chosen.plan.recipients():
            verdict = (verdicts or {}).get(one.address, Verdict.ACCEPTED)
            reply = (replies or {}).get(one.address, "Ok")
            checkpoint.intent(Letter(one.number, "", "", "", b"", bytes(32)), relay)
            checkpoint.verdict(Outcome(one.number, verdict, reply, 250, "2.0.0", relay))
        checkpoint.end(4 if Verdict.IN_DOUBT in (verdicts or {}).values() else 0)
        checkpoint.close()
        return chosen.folder

    @property
    def secret(self) -> bytes:
        return (self.folder / "campaign.secret").read_bytes().strip()

    def newest(self) -> SentRun:
        return sent_runs(self.runs, self.secret)[0]

    # -- what the letters of a run held

    def return_path(self, run: SentRun, number: int) -> str:
        return f"bounce+{RecipientTokens(self.secret, 'return path').token(run.opened.trace, number)}@example.com"

    def mail_token(self, run: SentRun, number: int) -> str:
        return RecipientTokens(self.secret, "unsubscribe by mail").token(run.opened.trace, number)

    def message_id(self, run: SentRun, key: str) -> str:
        return message_id(run.identity, "example.com", key).strip("<>")

    def unsubscribe_token(self, run: SentRun, subject: str) -> str:
        return UnsubscribeTokens(self.secret).token(run.identity, subject)
