"""The ``[compose]`` section: templates, files, headers and signatures of the letters."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from campaign.config.base_section import Section, no_entries, no_items
from campaign.config.units import Duration, MailtoText


class DkimSection(Section):
    """A DKIM signature by campaign itself, for relays that do not sign."""

    domain: str = Field(description="the d= domain")
    selector: str = Field(description="the s= selector")
    key_file: Path = Field(description="PEM private key, RSA or Ed25519")


class ComposeSection(Section):
    """Templates and files: everything that shapes a letter."""

    subject: str = Field(description="template of the Subject header")
    html: str = Field("", description="template file of the HTML part")
    markdown: str = Field("", description="template file in Markdown, instead of html")
    mjml: str = Field("", description="template file in MJML, instead of html")
    text: str = Field("", description="template file of the text part (default: generated from the HTML)")
    inline_css: bool = Field(
        True, description="move style rules into the elements, for mail readers that ignore <style>"
    )
    inliner: Literal["premailer", "css-inline"] = Field(
        "premailer", description="the library that matches CSS rules to elements"
    )
    images: Literal["cid", "data", "link"] = Field(
        "cid", description="embed images as parts (cid) or as data URLs (data), or leave links (link)"
    )
    attachments: list[str] = Field(
        default_factory=no_items, description="file names under root; templates, so each row can have its own"
    )
    root: Path = Field(Path(), description="nothing outside this folder is ever read into a letter")
    locale: str = Field("en", description="locale of the filters for dates, numbers and money, or {{ column }}")
    unsubscribe: str = Field("", max_length=900, description="https URL template; adds List-Unsubscribe and One-Click")
    unsubscribe_mailto: MailtoText = Field(
        "",
        description="address for unsubscribing by mail; {token} before the @ or in ?subject= identifies the recipient",
    )
    unsubscribe_id: str = Field(
        "", description="column whose value the token stands for (default: the address, encrypted)"
    )
    headers: dict[str, str] = Field(default_factory=no_entries, description="further headers; values are templates")
    dkim: DkimSection | list[DkimSection] | None = Field(
        None, description="domain, selector, key_file; or a list of these"
    )
    max_letter_size: int = Field(20_000_000, gt=0, description="octets; a row whose letter is larger is unrenderable")
    max_attachment_size: int = Field(10_000_000, gt=0, description="octets per file")
    row_timeout: Duration = Field(5.0, gt=0, description="how long one row may take to render")
