"""URLs of mailboxes on servers, and what is remembered of UIDs."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from campaign.errors import ConfigError
from campaign.feedback.mailboxes.servers.handled_uids import HandledUids
from campaign.feedback.mailboxes.servers.imap_session import MESSAGES_AT_ONCE, OCTETS_AT_ONCE, batches
from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret, shown
from campaign.feedback.mailboxes.servers.server_url import ServerUrl, parse_server_url


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("imaps://u@h.example", ServerUrl("imap", True, "u", "h.example", 993)),
        ("imap://u@h.example/", ServerUrl("imap", False, "u", "h.example", 143)),
        ("pop3s://u@h.example", ServerUrl("pop3", True, "u", "h.example", 995)),
        ("pop3://u@h.example:1110", ServerUrl("pop3", False, "u", "h.example", 1110)),
        ("imaps://u@x.example@h.example/A/B", ServerUrl("imap", True, "u@x.example", "h.example", 993, "A/B")),
        ("imaps://u%40x.example@h.example", ServerUrl("imap", True, "u@x.example", "h.example", 993)),
        ("imaps://u@[::1]:1993/inbox", ServerUrl("imap", True, "u", "::1", 1993)),
        ("imaps://u@h.example/R%C3%BCck%20lauf%2FA", ServerUrl("imap", True, "u", "h.example", 993, "Rück lauf/A")),
        ("imaps://u@h.example/Rückläufer", ServerUrl("imap", True, "u", "h.example", 993, "Rückläufer")),
    ],
)
def test_a_url_says_where_the_mailbox_is(url: str, meant: ServerUrl) -> None:
    assert parse_server_url(url) == meant


@pytest.mark.parametrize(
    "url",
    [
        "imaps://h.example",
        "imaps://u@",
        "imaps:///INBOX",
        "imaps://u@h.example:port",
        "imaps://u@h.example:99999",
        "imaps://u@[::1",
        "imaps://u@h.example/%FF",
        "imaps://u@h.example/a?b",
        "imaps://u@h.example/a#b",
        "imaps://u%0D%0Aa1%20LOGOUT@h.example",
        "imaps://u@h.example/a%00b",
        "pop3s://u@h.example/Folder",
    ],
)
def test_what_is_no_mailbox_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match="is no mailbox") as caught:
        parse_server_url(url)
    assert "imaps://user@" in caught.value.next_step


def test_the_name_in_events_holds_the_folder_only_where_it_is_not_the_usual_one() -> None:
    assert parse_server_url("imaps://b@h.example").name == "imap:b@h.example"
    assert parse_server_url("imap://b@h.example/X").name == "imap:b@h.example/X"


def test_uids_that_are_done_come_back_from_a_few_ranges() -> None:
    present = list(range(10, 2_000, 7))
    dice = random.Random(5)
    done = {uid for uid in present if dice.random() < 0.9}
    first = HandledUids(3, {})
    first.update(done)
    noted = first.noted(present)
    again = HandledUids(3, noted)
    assert {uid for uid in present if uid in again} == done
    assert 9 not in again
    assert 2_001 not in again
    assert all(before[1] < after[0] for before, after in pairwise(noted["ranges"]))
    again.update(present)
    assert again.noted(present)["ranges"] == [[present[0], present[-1]]]


@pytest.mark.parametrize(
    "noted",
    [
        {"uidvalidity": 4, "ranges": [[1, 9]]},
        {"uidvalidity": 3, "ranges": [[1], [2, 3, 4]]},
        {"uidvalidity": 3, "ranges": [["1", "9"]]},
        {"uidvalidity": 3, "ranges": "1-9"},
        {"uidvalidity": 3},
    ],
)
def test_ranges_of_another_validity_and_what_are_none_are_forgotten(noted: dict[str, object]) -> None:
    assert 5 not in HandledUids(3, noted)


def test_batches_hold_few_messages_and_few_octets() -> None:
    sizes = (
        [(uid, 1_000) for uid in range(1, 91)]
        + [(uid, 1 << 20) for uid in range(91, 121)]
        + [(uid, 50 << 20) for uid in range(121, 131)]
    )
    found = list(batches(sizes))
    assert [uid for batch in found for uid in batch] == list(range(1, 131))
    assert max(map(len, found)) == MESSAGES_AT_ONCE
    assert found[-10:] == [[uid] for uid in range(121, 131)]
    assert all(sum(sizes[uid - 1][1] for uid in batch) <= OCTETS_AT_ONCE for batch in found[:-10])
    assert list(batches([])) == []


def test_a_servers_words_are_shown_without_the_secret_and_without_control_characters() -> None:
    assert shown("no \x1b[2J login for s3cret (czNjcmV0)", "s3cret") == "no  [2J login for [withheld] ([withheld])"
    assert len(shown("x" * 10_000)) == 300


@pytest.mark.parametrize(
    ("secret", "meant"),
    [
        (MailboxSecret(password=lambda: "p"), ("p", False)),
        (MailboxSecret(access_token=lambda: "t"), ("t", True)),
        (MailboxSecret(password=lambda: "p", access_token=lambda: "t"), ("t", True)),
    ],
)
def test_a_token_goes_before_a_password(secret: MailboxSecret, meant: tuple[str, bool]) -> None:
    assert secret.fetch("imap:u@h") == meant


@pytest.mark.parametrize("secret", [MailboxSecret(), MailboxSecret(password=lambda: "")])
def test_no_password_is_told_before_anything_is_sent(secret: MailboxSecret) -> None:
    with pytest.raises(ConfigError, match="no password for imap:u@h"):
        secret.fetch("imap:u@h")
