"""Relays by name."""

from __future__ import annotations

import re

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.relays.presets import known, lookup, return_path_at, rewritten_at, suggestion
from campaign.delivery.relays.relay_rewrites import (
    drops_second_copies,
    idempotency_header,
    return_paths,
    rewritten,
)
from campaign.errors import ConfigError

REGION = {"ses": ":eu-west-1", "aliyun-intl": ":us-east-1", "directmail-intl": ":us-east-1"}


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("gmail", "smtps://smtp.gmail.com:465"),
        ("workspace", "smtps://smtp.gmail.com:465"),
        ("workspace-relay", "smtp://smtp-relay.gmail.com:587"),
        ("office365", "smtp://smtp.office365.com:587"),
        ("ses:eu-west-1", "smtps://email-smtp.eu-west-1.amazonaws.com:465"),
        ("ses:us-gov-west-1", "smtps://email-smtp.us-gov-west-1.amazonaws.com:465"),
        ("sendgrid", "smtps://smtp.sendgrid.net:465"),
        ("mailgun", "smtps://smtp.mailgun.org:465"),
        ("mailgun-eu", "smtps://smtp.eu.mailgun.org:465"),
        ("postmark", "smtp://smtp.postmarkapp.com:587"),
        ("postmark-broadcast", "smtp://smtp-broadcasts.postmarkapp.com:587"),
        ("brevo", "smtps://smtp-relay.brevo.com:465"),
        ("resend", "smtps://smtp.resend.com:465"),
        ("qq", "smtps://smtp.qq.com:465"),
        ("exmail", "smtps://smtp.exmail.qq.com:465"),
        ("163", "smtps://smtp.163.com:465"),
        ("aliyun", "smtps://smtpdm.aliyun.com:465"),
        ("aliyun-intl:ap-southeast-1", "smtps://smtpdm-ap-southeast-1.aliyuncs.com:465"),
        (" Gmail ", "smtps://smtp.gmail.com:465"),
    ],
)
def test_a_name_stands_for_a_relay(name: str, url: str) -> None:
    preset = lookup(name)
    assert preset is not None
    assert preset.url == url


@pytest.mark.parametrize("name", known())
def test_every_preset_is_whole_and_every_figure_has_a_source(name: str) -> None:
    preset = lookup(name + REGION.get(name, ""))
    assert preset is not None
    assert preset.tls == ("implicit" if preset.port in (465, 2465) else "starttls")
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", preset.host)
    assert preset.username
    assert preset.notes
    said = " ".join(preset.sources)
    assert re.search(r"[a-z0-9-]+\.(com|org)\b", said), "the vendor's page is named"
    assert "return_path: " in said, "what becomes of a return path has a source, or is said to be unverified"
    if preset.connections or preset.letters or preset.rate:
        assert "connections" in said or "messages" in said


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("email-smtp.eu-west-1.amazonaws.com", ("Date", "Message-ID")),
        ("EMAIL-SMTP.us-gov-west-1.amazonaws.com", ("Date", "Message-ID")),
        ("email-smtp.eu-west-1.amazonaws.com.example.com", ()),
        ("smtp.sendgrid.net", ()),
        ("smtp.example.com", ()),
    ],
)
def test_what_a_relay_rewrites_is_known_by_its_host(host: str, names: tuple[str, ...]) -> None:
    assert rewritten_at(host) == names


@pytest.mark.parametrize(
    ("relays", "names"),
    [
        (("ses:eu-west-1",), ("Date", "Message-ID")),
        (("user@ses:eu-west-1", "sendgrid"), ("Date", "Message-ID")),
        (("smtps://user@email-smtp.eu-west-1.amazonaws.com:2465",), ("Date", "Message-ID")),
        (("sendgrid", "smtp://smtp.example.com"), ()),
        (("mailbox",), ()),
        (("nobody-knows-it",), ()),
    ],
)
def test_a_campaign_leaves_out_what_any_of_its_relays_rewrites(relays: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert rewritten(DeliverySection(relay=relays)) == names


@pytest.mark.parametrize(
    ("relays", "habits"),
    [
        (("ses:eu-west-1",), {"email-smtp.eu-west-1.amazonaws.com": "rewritten"}),
        (
            ("smtps://user@email-smtp.us-east-1.amazonaws.com:2465",),
            {"email-smtp.us-east-1.amazonaws.com": "rewritten"},
        ),
        (("you@example.com@gmail",), {"smtp.gmail.com": "rewritten"}),
        (("workspace-relay",), {"smtp-relay.gmail.com": "kept"}),
        (("office365", "163"), {"smtp.office365.com": "own", "smtp.163.com": "own"}),
        (("resend", "smtps://mail.example.com"), {"smtp.resend.com": "rewritten", "mail.example.com": None}),
        (("nobody-knows-it",), {}),
    ],
)
def test_what_becomes_of_a_return_path_is_known_of_each_preset(
    relays: tuple[str, ...], habits: dict[str, str | None]
) -> None:
    assert return_paths(DeliverySection(relay=relays)) == habits


@pytest.mark.parametrize("name", known())
def test_a_return_path_is_judged_by_host_as_by_name(name: str) -> None:
    preset = lookup(name + REGION.get(name, ""))
    assert preset is not None
    assert return_path_at(preset.host.upper()) == preset.return_path
    assert preset.return_path in ("kept", "rewritten", "own")


def test_published_limits_are_kept() -> None:
    limits = {
        name: [str(one) for one in preset.rate] for name in ("gmail", "office365", "aliyun") if (preset := lookup(name))
    }
    assert limits == {
        "gmail": ["1/s", "500/day"],
        "office365": ["30/min", "10000/day"],
        "aliyun": ["27/s", "5000/180s", "2000/day"],
    }
    office = lookup("office365")
    assert office is not None
    assert office.connections == 3


@pytest.mark.parametrize(
    "text", ["smtps://user@smtp.example.com", "mailbox", "localhost:25", "", "sendgird", "[::1]:25"]
)
def test_what_is_no_preset_is_left_to_others(text: str) -> None:
    assert lookup(text) is None


@pytest.mark.parametrize(
    "text", ["ses", "ses:", "ses:eu", "ses:../../evil", "ses:eu-west-1.evil.example", "gmail:eu", "ses:EU-WEST-1@x"]
)
def test_a_wrong_region_is_refused_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        lookup(text)
    assert refused.value.next_step.startswith('write it as relay = "')


def test_a_slip_of_the_pen_is_answered_with_the_name_meant() -> None:
    assert suggestion("sendgird") == "did you mean 'sendgrid'?"
    assert suggestion("office356") == "did you mean 'office365'?"
    assert "gmail" in suggestion("zzz")


@pytest.mark.parametrize(
    ("relays", "header", "seconds"),
    [
        (("resend",), "Resend-Idempotency-Key", 86400.0),
        (("resend", "smtp://smtp.example.com"), "Resend-Idempotency-Key", 0.0),
        (("smtp://smtp.example.com",), "", 0.0),
        (("mailbox",), "", 0.0),
    ],
)
def test_second_copies_are_dropped_only_where_every_relay_does_so(
    relays: tuple[str, ...], header: str, seconds: float
) -> None:
    settings = DeliverySection(relay=relays)
    assert (idempotency_header(settings), drops_second_copies(settings)) == (header, seconds)
