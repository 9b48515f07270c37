"""The context of a command: the campaign file with its edition and secret, and the options of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from campaign.audience.sources.kept_lists.https_list import keep_lists_in
from campaign.config import Settings, load
from campaign.config.campaign_secret import load_secret
from campaign.config.feedback import OTHERS, FeedbackSection
from campaign.config.ledger import InDoubt
from campaign.errors import ConfigError, StorageError
from campaign.ledger import run_folder
from campaign.ledger.feedback import feedback_store, suppressed_csv
from campaign.ledger.postgres.runs.copy_mark import campaign_file
from campaign.ledger.recovery import read_history
from campaign.model import Identity
from campaign.report.live.console import path_text
from campaign.report.printed_commands import command_text

if TYPE_CHECKING:  # loaded by the commands that use them
    from campaign.audience.screening.suppression_list import Suppression
    from campaign.compose.composer import Brief

#: The trace id of letters that no run sends: previews, tests, checks (W3C Trace Context calls it invalid).
NO_TRACE = "0" * 32


class Options(msgspec.Struct, frozen=True):
    """The options of the command line, which add to the campaign file for one command."""

    limit: int | None = None
    fresh: bool = False
    again: bool = False
    retry: bool = False
    in_doubt: InDoubt | None = None
    accept_changes: bool = False
    run: str = ""
    relay: str = ""
    max_duration: float | None = None
    wait: bool = True
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A campaign at a given time: settings with the options applied, edition, folders and secret."""

    settings: Settings
    edition: str
    directory: Path
    folder: Path
    secret: bytes = field(repr=False)

    @property
    def domain(self) -> str:
        """The domain of Message-IDs made now: that of the sender."""
        return self.settings.campaign.sender.address.rpartition("@")[2]

    @property
    def rehearsal(self) -> bool:
        """Whether letters go into the embedded mailbox, so that no one gets them."""
        return "mailbox" in self.settings.delivery.urls

    def command(self, verb: str) -> str:
        """The command ``campaign VERB FILE`` to type next, with the options that this command was given."""
        return command_text(verb, path_text(self.settings.file), self.settings.relay_option)

    def identity(self, generation: int, *, test: bool = False) -> Identity:
        """The identity from which this edition's Message-IDs and tokens are derived."""
        return Identity(self.settings.campaign.name, self.edition, generation, self.secret, test)

    def brief(self, columns: tuple[str, ...], generation: int, *, test: bool = False, trace: str = NO_TRACE) -> Brief:
        """Everything that rendering needs; ``trace`` is the run's trace id, if the letters belong to a run."""
        from campaign.audience.columns.template_names import column_of
        from campaign.compose.composer import Brief
        from campaign.delivery.relays.relay_rewrites import idempotency_header, rewritten

        campaign, compose = self.settings.campaign, self.settings.compose
        token = column_of(compose.unsubscribe_id, columns) if compose.unsubscribe_id else None
        return Brief(
            identity=self.identity(generation, test=test),
            sender=campaign.sender,
            reply_to=campaign.reply_to,
            return_path=campaign.return_path,
            settings=compose.model_copy(update={"unsubscribe_id": token}) if token else compose,
            base=self.settings.base,
            columns=columns,
            trace_header=self.settings.report.trace_header,
            trace_id=trace,
            private=tuple(private_files(self.settings)),
            rewritten=rewritten(self.settings.delivery),
            idempotency_header=idempotency_header(self.settings.delivery),
        )

    def suppression(self) -> Suppression:
        """The suppressed addresses, read again: the campaign's own lists, and those derived from feedback."""
        from campaign.audience.screening.suppression_list import Suppression
        from campaign.pipeline.operate.suppression_view import told_entries

        told = told_entries(self.directory, self.settings)
        return Suppression.load(self.settings.audience, self.settings.base, told=told)


def private_files(settings: Settings) -> Iterator[Path]:
    """Files that no letter may contain, whatever a row names: the campaign file, lists, secrets, and the runs."""
    from campaign.audience.sources.file_set import matching_files

    base, audience, delivery = settings.base, settings.audience, settings.delivery
    passwords = (
        audience.password_file,
        delivery.password_file,
        delivery.token_file,
        settings.ledger.store_password_file,
        *delivery.password_files.values(),
    )
    logins = (delivery.oauth and delivery.oauth.file, settings.report.push_login_file)
    keys = (
        *(delivery.tls_client_certificate, delivery.tls_client_key),
        *(*delivery.tls_client_certificates.values(), *delivery.tls_client_keys.values()),
    )
    yield settings.file
    for name in (settings.campaign.secret_file, delivery.warmup_file, *passwords, *logins, *keys):
        if name:
            yield base / name
    for source in (audience.source, *audience.suppress):
        file = source.removeprefix("sqlite:///").partition("?")[0]
        if file and "://" not in file:
            yield base / file
            yield from matching_files(file, base)
    yield from (base / file for file in _feedback_files(settings.feedback))
    runs = base / settings.ledger.directory
    if (base / settings.compose.root).resolve().is_relative_to(runs.resolve()):  # then it also holds others' files
        yield from (
            runs / name
            for name in (settings.campaign.name, "pacing", "feedback", feedback_store.NAME, suppressed_csv.NAME)
        )
    else:
        yield runs


def _feedback_files(feedback: FeedbackSection) -> Iterator[Path]:
    """Files with logins for mailboxes, and mailboxes, logs and event lists that are files."""
    for source in feedback.source:
        yield from (file for file in (source.password_file, source.oauth and source.oauth.file) if file)
        form, _, path = source.url.partition(":")
        if path and f"{form}:" in OTHERS:
            yield Path(path)


def prepare(settings: Settings, *, now: datetime | None = None, environment: Mapping[str, str] | None = None) -> Job:
    """Fill in the edition, find the folders, load or create the secret. Raises ConfigError or StorageError."""
    environment = os.environ if environment is None else environment
    edition = settings.campaign.edition_at(now or datetime.now().astimezone())
    directory = settings.base / settings.ledger.directory
    if settings.ledger.must_exist and not directory.is_dir():
        raise StorageError(
            f"{directory} does not exist, and must_exist forbids making it.",
            next_step="mount the disk that holds the earlier runs; without them people would be served twice",
        )
    keep_lists_in(directory)
    folder = run_folder.edition_folder(directory, settings.campaign.name, edition)
    secret = load_secret(
        settings.base / settings.campaign.secret_file, must_exist=settings.ledger.must_exist, environment=environment
    )
    return Job(settings, edition, directory, folder, secret)


def lay_over(settings: Settings, options: Options) -> Settings:
    """The settings with ``--relay`` and ``--in-doubt`` applied."""
    if options.relay:
        delivery = settings.delivery.model_copy(update={"relay": (options.relay,)})
        settings = settings.model_copy(update={"delivery": delivery, "relay_option": options.relay})
    if options.in_doubt:
        ledger = settings.ledger.model_copy(update={"in_doubt": options.in_doubt})
        settings = settings.model_copy(update={"ledger": ledger})
    return settings


def job_of(run: Path) -> Job:
    """The campaign that a run belongs to, from the file named in its journal, with the run's own name and edition.

    Raises ConfigError.
    """
    opened = read_history(run, running=True).opened
    file = campaign_file(run) or Path(opened.file)
    if not opened.file or not file.exists():
        raise ConfigError(
            "The campaign file of this run is gone.",
            evidence=f"{run}: {file if opened.file else 'no file recorded'}",
            next_step="put it back; its secret and settings are needed",
        )
    job = prepare(load(file))
    named = job.settings.campaign.model_copy(update={"name": opened.campaign})
    settings = job.settings.model_copy(update={"campaign": named})
    return Job(settings, opened.edition, job.directory, run.parent, job.secret)
