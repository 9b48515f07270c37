"""Forms of a feedback source's ``url`` that are refused before anything is asked."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from campaign.config.feedback import PROVIDER_LISTS, FeedbackSourceSection
from campaign.feedback.provider_lists.open_provider_list import LISTS_OF


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("sendgrid:us", "sendgrid: or sendgrid:eu"),
        ("mailgun:", "mailgun:DOMAIN or mailgun:eu:DOMAIN"),
        ("mailgun:eu", "mailgun:DOMAIN or mailgun:eu:DOMAIN"),
        ("mailgun:us:example.com", "mailgun:DOMAIN or mailgun:eu:DOMAIN"),
        ("mailgun:example.com/../x", "mailgun:DOMAIN or mailgun:eu:DOMAIN"),
        ("mailgun:example.com\n", "mailgun:DOMAIN or mailgun:eu:DOMAIN"),
        ("postmark:a/b", "postmark: or postmark:STREAM"),
        ("postmark:..", "postmark: or postmark:STREAM"),
        ("brevo:eu", "brevo:"),
        ("mailjet:user", "mailjet:"),
        ("resend://api.resend.com", "resend:"),
    ],
)
def test_a_url_that_names_no_list_of_its_provider_is_told_with_its_forms(url: str, form: str) -> None:
    with pytest.raises(ValidationError, match=f"names no list of this provider; write {form}"):
        FeedbackSourceSection(url=url)


@pytest.mark.parametrize("url", ["sendgrid", "mailgun", "hubspot:", "https://api.sendgrid.com"])
def test_a_url_that_is_no_source_is_told_with_all_forms(url: str) -> None:
    with pytest.raises(ValidationError, match=r"is no source of feedback; write imaps://.*resend: or -"):
        FeedbackSourceSection(url=url)


def test_each_provider_that_may_be_named_has_lists() -> None:
    assert {name + ":" for name in LISTS_OF} == set(PROVIDER_LISTS)
