"""The ``[[listen.webhook]]`` sections of a listen file: which provider's webhooks are taken, and how verified.

Keys and secrets are in files of their own. A secret's file may have several lines while a secret is exchanged: a
request made with any of them is taken.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from campaign.config.base_section import Section

#: Providers by the way in which their requests are verified.
BY_SECRET = ("mailgun", "resend", "standard-webhooks")
BY_CREDENTIALS = ("postmark", "brevo", "sparkpost", "mailjet")
#: A topic of Amazon SNS; its groups are the partition and the region.
TOPIC = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}(?:-[a-z]+)+-[0-9]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?"
)

_PATH = re.compile(r"[A-Za-z0-9_-]{16,128}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")


class ListenWebhookSection(Section):
    """The webhooks of one provider."""

    provider: Literal[
        "ses", "sendgrid", "mailgun", "postmark", "brevo", "sparkpost", "mailjet", "resend", "standard-webhooks"
    ] = Field(
        description="ses (through Amazon SNS), sendgrid, mailgun, postmark, brevo, sparkpost, mailjet, resend, or "
        "standard-webhooks for your own program"
    )
    path: str = Field(
        "", description="16 or more letters and digits that nobody can guess, at the end of the webhook's address"
    )
    topic: str = Field("", description="ses: the ARN of the SNS topic")
    key_file: Path | None = Field(None, description="sendgrid: file with the verification key")
    secret_file: Path | None = Field(
        None,
        description="file with the signing secret, or with the token that is sent as a bearer token or in `header`; "
        "mode 0600, one a line",
    )
    header: str = Field("", description="the header that holds the token of secret_file, in place of Authorization")
    user: str = Field("", description="user name of the address, if the provider sends one (HTTP basic authentication)")
    password_file: Path | None = Field(None, description="file with the password of `user`, mode 0600, one a line")

    @property
    def address(self) -> str:
        """The path of the webhook's address."""
        return f"/webhooks/{self.provider}" + (f"/{self.path}" if self.path else "")

    @field_validator("path")
    @classmethod
    def _hard_to_guess(cls, path: str) -> str:
        if path and not _PATH.fullmatch(path):
            raise ValueError("path is 16 to 128 letters, digits, - and _; `openssl rand -hex 16` makes one")
        return path

    @field_validator("header")
    @classmethod
    def _header_name(cls, header: str) -> str:
        if header and not _HEADER.fullmatch(header):
            raise ValueError(f"{header!r} is no name of a header; letters, digits and - are allowed")
        return header.lower()

    @field_validator("topic")
    @classmethod
    def _topic_arn(cls, topic: str) -> str:
        if topic and not TOPIC.fullmatch(topic):
            raise ValueError(f"{topic!r} is no ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:ses-events")
        return topic

    @model_validator(mode="after")
    def _complete(self) -> ListenWebhookSection:
        needed = self._needed()
        for key in needed:
            if not getattr(self, key):
                raise ValueError(f"{self.provider} needs {' and '.join(needed)}")
        allowed = {*needed, "provider", "path", *(("header",) if self._by_token() else ())}
        for key in sorted(self.model_fields_set - allowed):
            if getattr(self, key):
                raise ValueError(f"{key} has no meaning here; {self.provider} is verified by {' and '.join(needed)}")
        return self

    def _needed(self) -> tuple[str, ...]:
        if self.provider == "ses":
            return ("topic",)
        if self.provider == "sendgrid":
            return ("key_file",)
        if self.provider in BY_SECRET or self._by_token():
            return ("secret_file",)
        return ("user", "password_file")

    def _by_token(self) -> bool:
        return self.provider in BY_CREDENTIALS and self.secret_file is not None and not self.user
