"""Forms of ``url`` and the sources that they name; standard input; what a message is known by."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import ConfigError, InputError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Received
from campaign.feedback.mailboxes.incoming_message import LARGEST, content_id
from campaign.feedback.open_source import SourceSurroundings, open_feedback_source
from campaign.model import FeedbackOutcome


def read(raw: bytes) -> tuple[FeedbackNotice, ...]:
    return (FeedbackNotice(FeedbackOutcome.UNKNOWN, mta=raw.decode("latin-1")),)


def around(base: Path, stdin: bytes = b"") -> SourceSurroundings:
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
    return SourceSurroundings(base, base / "progress", environment=keys, stdin=BytesIO(stdin), read=read)


def standard_input(base: Path, content: bytes) -> list[Received]:
    one = open_feedback_source(FeedbackSourceSection(url="-"), around(base, content))
    assert one.size() == 1
    taken = list(one.receive())
    one.acknowledge([])
    one.close()
    return taken


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("imaps://b@h.example", "ImapMailbox", "imap:b@h.example"),
        ("imap://b@h.example/X", "ImapMailbox", "imap:b@h.example/X"),
        ("pop3s://b@h.example", "Pop3Mailbox", "pop3:b@h.example"),
        ("pop3://b@h.example", "Pop3Mailbox", "pop3:b@h.example"),
        ("maildir:Mail", "MaildirMailbox", "maildir:{base}/Mail"),
        ("maildir:/var/mail/b", "MaildirMailbox", "maildir:/var/mail/b"),
        ("mbox:mbox", "MboxMailbox", "mbox:{base}/mbox"),
        ("postfix-log:mail.log", "PostfixLog", "postfix-log:{base}/mail.log"),
        ("events:events.jsonl", "EventLines", "events:{base}/events.jsonl"),
        (
            "sqs://sqs.eu-west-1.amazonaws.com/123456789012/q",
            "SesQueue",
            "sqs://sqs.eu-west-1.amazonaws.com/123456789012/q",
        ),
        ("sendgrid:", "ProviderListSource", "sendgrid:"),
        ("sendgrid:eu", "ProviderListSource", "sendgrid:eu"),
        ("mailgun:example.com", "ProviderListSource", "mailgun:example.com"),
        ("mailgun:eu:mg.example.com", "ProviderListSource", "mailgun:eu:mg.example.com"),
        ("postmark:", "ProviderListSource", "postmark:"),
        ("postmark:broadcast", "ProviderListSource", "postmark:broadcast"),
        ("brevo:", "ProviderListSource", "brevo:"),
        ("sparkpost:", "ProviderListSource", "sparkpost:"),
        ("sparkpost:eu", "ProviderListSource", "sparkpost:eu"),
        ("mailjet:", "ProviderListSource", "mailjet:"),
        ("resend:", "ProviderListSource", "resend:"),
        ("-", "StandardInput", "stdin"),
    ],
)
def test_a_url_names_a_source_that_reads_nothing_yet(url: str, kind: str, name: str, tmp_path: Path) -> None:
    one = open_feedback_source(FeedbackSourceSection(url=url), around(tmp_path))
    assert (type(one).__name__, one.name) == (kind, name.format(base=tmp_path))
    one.close()
    assert not (tmp_path / "progress").exists()


@pytest.mark.parametrize("url", ["maildir:", "mbox:", "events:", "postfix-log:", "sqs://"])
def test_a_form_without_a_path_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names nothing"):
        open_feedback_source(FeedbackSourceSection(url=url), around(tmp_path))


@pytest.mark.parametrize("keys", [{"done": "INBOX"}, {"unknown": "inbox"}, {"done": ""}])
def test_messages_are_not_moved_to_where_they_are_read(keys: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be moved to the folder"):
        open_feedback_source(FeedbackSourceSection(url="imaps://b@h.example", **keys), around(tmp_path))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "extra"), [("maildir:Mail", "bounces"), ("-", "bounces"), ("imaps://b@h.example", "imap")]
)
def test_a_missing_library_for_bounces_is_told_before_anything_is_read(
    url: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flufl", None)
    with pytest.raises(ConfigError, match=rf"pip install '\.\[{extra}\]'"):
        open_feedback_source(FeedbackSourceSection(url=url), replace(around(tmp_path), read=None))


def test_a_log_needs_no_library_for_bounces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flufl", None)
    open_feedback_source(FeedbackSourceSection(url="postfix-log:l"), replace(around(tmp_path), read=None)).close()


def test_a_missing_file_of_authorities_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tls_ca_file"):
        open_feedback_source(FeedbackSourceSection(url="pop3s://b@h.example", tls_ca_file="no"), around(tmp_path))


def test_each_source_notes_its_progress_in_a_file_of_its_own(tmp_path: Path) -> None:
    names = ["a@h:993/INBOX", "a@h:993/X", "b@h:993/INBOX"]
    assert len({around(tmp_path).progress_file("imap", name) for name in names}) == 3
    assert around(tmp_path).progress_file("imap", "../../x").parent == tmp_path / "progress"


def test_nothing_secret_is_in_what_is_printed_of_the_surroundings(tmp_path: Path) -> None:
    shown = repr(
        SourceSurroundings(tmp_path, tmp_path, password=lambda: "x", environment={"AWS_SECRET_ACCESS_KEY": "k"})
    )
    assert "password" not in shown
    assert "AWS" not in shown


def test_one_message_comes_by_standard_input_without_the_line_of_the_mail_server(tmp_path: Path) -> None:
    (bare,) = standard_input(tmp_path, b"Subject: 1\n\nx\n")
    (piped,) = standard_input(tmp_path, b"From MAILER-DAEMON Mon Nov  2 10:00:00 2026\nSubject: 1\n\nx\n")
    assert bare == piped
    assert bare.notices[0].mta == "Subject: 1\n\nx\n"


def test_of_a_huge_message_the_beginning_is_read_and_the_rest_is_taken(tmp_path: Path) -> None:
    stdin = BytesIO(b"Subject: 1\n\n" + b"x" * (3 * LARGEST))
    one = open_feedback_source(
        FeedbackSourceSection(url="-"), SourceSurroundings(tmp_path, tmp_path, stdin=stdin, read=read)
    )
    (received,) = one.receive()
    assert len(received.notices[0].mta) == LARGEST
    assert stdin.read() == b""


@pytest.mark.parametrize("content", [b"", b"\n\n", b"From x\n"])
def test_no_message_on_standard_input_is_told(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no message on standard input"):
        standard_input(tmp_path, content)


def test_a_message_is_known_by_its_content_whatever_its_line_ends() -> None:
    assert content_id(b"Subject: 1\r\n\r\nx\r\n") == content_id(b"Subject: 1\n\nx\n") == content_id(b"Subject: 1\n\nx")
    assert content_id(b"Subject: 1\n\nx") != content_id(b"Subject: 1\n\ny")
    assert len(content_id(b"")) == 64
