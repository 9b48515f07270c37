"""What a check makes of return paths, of addresses for unsubscribing, and of the mailboxes that are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.check.config_checks import may_align
from campaign.check.dns.check_dns import DnsWishes, senders
from campaign.check.feedback_checks import check_feedback
from campaign.check.findings import Finding, Findings
from campaign.config import load
from campaign.pipeline.command_context import prepare

FILE = """
[campaign]
name = "hello"
from = "{sender}"
{path}
[audience]
source = "list.csv"
[compose]
subject = "Hello"
text = "body.txt"
{mailto}
[delivery]
relay = {relay}
{sources}
"""
OWN = '"smtps://smtp.example.com"'
TOKEN = 'return_path = "bounce+{token}@news.example.com"'
MAILTO = 'unsubscribe_mailto = "mailto:unsub+{token}@news.example.com?subject=out"'
READ = "imaps://bounces%40news.example.com@imap.example.com/INBOX"


def found(
    place: Path, *, path: str = "", mailto: str = "", relay: str = OWN, sources: tuple[str, ...] = (), sender: str = ""
) -> list[Finding]:
    tables = "\n".join(f'[[feedback.source]]\nurl = "{url}"' for url in sources)
    text = FILE.format(path=path, mailto=mailto, relay=relay, sources=tables, sender=sender or "news@example.com")
    (place / "hello.toml").write_text(text, encoding="utf-8")
    findings = Findings()
    check_feedback(prepare(load(place / "hello.toml", {}), environment={"CAMPAIGN_SECRET": "0" * 32}), findings)
    return list(findings)


@pytest.mark.parametrize(
    ("relay", "codes"),
    [
        (OWN, []),
        ('"workspace-relay"', []),
        ('"mailbox"', []),
        ('"ses:eu-west-1"', ["return-path-rewritten"]),
        ('"smtps://apikey@smtp.sendgrid.net:465"', ["return-path-rewritten"]),
        ('"you@example.com@office365"', ["return-path-refused"]),
        ('["brevo", "aliyun", "smtps://smtp.example.com"]', ["return-path-refused", "return-path-rewritten"]),
        ('"nobody-knows-it"', []),
    ],
)
def test_a_token_goes_only_through_a_relay_that_keeps_the_return_path(
    tmp_path: Path, relay: str, codes: list[str]
) -> None:
    told = found(tmp_path, path=TOKEN, relay=relay, sources=(READ,))
    assert [one.code for one in told] == codes
    assert all(one.where == "campaign.return_path" and "leave {token} out" in one.remedy for one in told)
    assert [one.severity for one in told] == ["error" if one.endswith("refused") else "warning" for one in codes]


@pytest.mark.parametrize(
    ("path", "relay", "sources", "told"),
    [
        ('return_path = "b@news.example.com"', OWN, (READ,), "b+{token}@news.example.com"),
        ("", OWN, (READ,), "news+{token}@example.com"),
        ("", '"workspace-relay"', ("maildir:bounces",), "news+{token}@example.com"),
        ("", OWN, ("-",), "news+{token}@example.com"),
        ("", OWN, (), None),
        ("", OWN, ("events:events.jsonl", "postfix-log:mail.log"), None),
        ("", '"ses:eu-west-1"', (READ,), None),
        ("", '"office365"', (READ,), None),
        ("", f'["sendgrid", {OWN}]', (READ,), None),
        ("", '"mailbox"', (READ,), None),
        ("", '"nobody-knows-it"', (READ,), None),
    ],
)
def test_where_it_would_help_a_token_is_proposed(
    tmp_path: Path, path: str, relay: str, sources: tuple[str, ...], told: str | None
) -> None:
    findings = found(tmp_path, path=path, relay=relay, sources=sources)
    assert [one.code for one in findings] == (["return-path-constant"] if told else [])
    assert all(f'return_path = "{told}"' in one.remedy for one in findings)


def test_what_is_proposed_can_be_written_where_from_is_a_template(tmp_path: Path) -> None:
    (one,) = found(tmp_path, sender="{{ desk }}@example.com", sources=(READ,))
    assert 'return_path = "bounces+{token}@example.com"' in one.remedy


@pytest.mark.parametrize(
    ("sources", "code"),
    [
        ((), "token-unread"),
        (("events:events.jsonl",), "token-unread"),
        (("sqs://sqs.eu-west-1.amazonaws.com/1/q",), "token-unread"),
        ((READ,), None),
        (("pop3s://bounces%40example.com@pop.example.net",), None),
        (("imaps://bounces@imap.example.net",), None),
        (("maildir:/var/mail/bounces",), None),
        (("-",), None),
        (("imaps://me%40example.net@imap.example.net",), "token-elsewhere"),
        (("imaps://me%40example.net@imap.example.net", "mbox:bounces"), None),
        (("imaps://me%40example.net@imap.example.net", READ), None),
    ],
)
@pytest.mark.parametrize("setting", ["campaign.return_path", "compose.unsubscribe_mailto"])
def test_somebody_reads_what_comes_back_with_a_token(
    tmp_path: Path, setting: str, sources: tuple[str, ...], code: str | None
) -> None:
    path, mailto = (TOKEN, "") if setting == "campaign.return_path" else ("", MAILTO)
    told = [one for one in found(tmp_path, path=path, mailto=mailto, sources=sources) if "constant" not in one.code]
    assert [(one.code, one.severity, one.where) for one in told] == ([(code, "warning", setting)] if code else [])
    assert all("news.example.com" in one.message for one in told)


def test_a_token_in_the_subject_counts_as_well(tmp_path: Path) -> None:
    (one,) = found(tmp_path, mailto='unsubscribe_mailto = "out@news.example.com?subject={token}"')
    assert one.code == "token-unread"
    assert not found(tmp_path, mailto='unsubscribe_mailto = "out@news.example.com"')


def test_the_domain_of_a_return_path_with_a_token_is_looked_up_as_any_other(tmp_path: Path) -> None:
    text = FILE.format(path=TOKEN, mailto="", relay=OWN, sources="", sender="news@example.com")
    (tmp_path / "hello.toml").write_text(text, encoding="utf-8")
    job = prepare(load(tmp_path / "hello.toml", {}), environment={"CAMPAIGN_SECRET": "0" * 32})
    found = senders(job, DnsWishes(), signing=False)
    assert found.envelope == "news.example.com"
    assert may_align(found.envelope, found.sender)
