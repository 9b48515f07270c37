"""The ``[feedback]`` section: where bounces, complaints and unsubscribes come from, and when an address is left out."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from campaign.config.base_section import Section
from campaign.config.delivery import OauthSection
from campaign.config.units import Duration

#: Prefixes of a source's ``url``: mailboxes on a server first, then files and queues.
SERVERS = ("imaps://", "imap://", "pop3s://", "pop3://")
OTHERS = ("maildir:", "mbox:", "postfix-log:", "events:", "listen:", "sqs://")
#: Forms of a ``url`` that names lists of a provider, and how each is written.
PROVIDER_LISTS = {
    "sendgrid:": (r"(eu)?", "sendgrid: or sendgrid:eu"),
    "mailgun:": (r"(eu:)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "mailgun:DOMAIN or mailgun:eu:DOMAIN"),
    "postmark:": (r"([A-Za-z0-9][A-Za-z0-9_.-]{0,99})?", "postmark: or postmark:STREAM"),
    "brevo:": (r"", "brevo:"),
    "sparkpost:": (r"(eu)?", "sparkpost: or sparkpost:eu"),
    "mailjet:": (r"", "mailjet:"),
    "resend:": (r"", "resend:"),
}


class FeedbackSourceSection(Section):
    """One mailbox, log, queue or file that feedback is read from."""

    url: str = Field(
        description="imaps://user@host/FOLDER, imap:// (STARTTLS), pop3s://user@host, pop3://, maildir:PATH, "
        "mbox:PATH, postfix-log:PATH, sqs://HOST/ACCOUNT/QUEUE, events:PATH, listen:PATH, listen:https://HOST, "
        "listen:s3://BUCKET/PREFIX, a provider's lists (sendgrid:, mailgun:DOMAIN, postmark:, brevo:, sparkpost:, "
        "mailjet:, resend:), or - for one message on standard input",
        json_schema_extra={"pattern": rf"^(-$|{'|'.join((*SERVERS, *OTHERS, *PROVIDER_LISTS))})"},
    )
    password_file: Path | None = Field(
        None, description="file with the mailbox's password or the provider's key, mode 0600"
    )
    password_command: str = Field("", description="command that prints the mailbox's password or the provider's key")
    oauth: OauthSection | None = Field(
        None, description="provider and file, for access tokens that are renewed automatically"
    )
    tls_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the server's certificate")
    done: str = Field("collected", description="IMAP or Maildir folder to which messages about our letters are moved")
    unknown: str = Field("not-recognised", description="IMAP or Maildir folder to which all other messages are moved")
    delete: bool = Field(False, description="delete messages about our letters instead of keeping them")

    @field_validator("url")
    @classmethod
    def _known_form(cls, url: str) -> str:
        if url == "-" or url.startswith((*SERVERS, *OTHERS)):
            if re.match(r"[a-z0-9]+://[^/@]*:[^/@]*@", url):
                raise ValueError("no password stands in the URL; write password_file or password_command")
            return url
        name, colon, place = url.partition(":")
        if colon and name + colon in PROVIDER_LISTS:
            pattern, form = PROVIDER_LISTS[name + colon]
            if not re.fullmatch(pattern, place):
                raise ValueError(f"{url!r} names no list of this provider; write {form}")
            return url
        forms = ", ".join((*SERVERS, *OTHERS, *PROVIDER_LISTS))
        raise ValueError(f"{url!r} is no source of feedback; write {forms} or -")

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> FeedbackSourceSection:
        if sum((self.password_file is not None, bool(self.password_command), self.oauth is not None)) > 1:
            raise ValueError("write one of password_file, password_command and oauth")
        return self


class FeedbackSection(Section):
    """Where bounces, complaints and unsubscribes are read from, and when they leave an address out."""

    source: tuple[FeedbackSourceSection, ...] = Field((), description="where feedback is read from: mailboxes and logs")
    soft_runs: int = Field(3, ge=1, description="soft bounces in this many runs in a row leave an address out")
    soft_span: Duration = Field(7 * 86400.0, description="if the first and the last are at least this far apart")
    soft_rest: Duration = Field(
        90 * 86400.0, gt=0, description="how long soft bounces leave it out; then it is tried once more"
    )
    full_runs: int = Field(5, ge=1, description="a mailbox that is full in this many runs in a row counts as dead")
    full_span: Duration = Field(30 * 86400.0, description="if the first and the last are at least this far apart")
    alarm_share: float = Field(
        0.01, gt=0, le=1, description="share of a run bounced for our own fault above which the report raises an alarm"
    )
    trust_addresses: bool = Field(
        False, description="count bounces that name an address but no letter that was sent; anyone can forge these"
    )
