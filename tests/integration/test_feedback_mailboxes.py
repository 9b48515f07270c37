"""Mailboxes on real and on misbehaving servers: every message once, nobody else's touched, nothing in clear."""

from __future__ import annotations

import contextlib
import imaplib
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import CampaignError, ConfigError, InputError, LoginError, UnfinishedError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import FeedbackSource, Handled, Received
from campaign.feedback.mailboxes.incoming_message import LARGEST
from campaign.feedback.mailboxes.servers import imap_session
from campaign.feedback.open_source import SourceSurroundings, open_feedback_source
from campaign.model import FeedbackOutcome
from tests.support.servers import certificates
from tests.support.servers.dovecot import PASSWORD, USER, Dovecot, dovecot
from tests.support.servers.fake_mailbox import CAPABILITIES, SECRET, TOKEN, Box, Line, imap, pop3, serving

MANY = 1000


def letter(number: int, text: str = "no such user") -> bytes:
    return f"From: mailer-daemon@example.com\r\nSubject: {number}\r\n\r\n{text}\r\n".encode()


def read_subject(raw: bytes) -> tuple[FeedbackNotice, ...]:
    """Stands for the reader of messages: notices are not what these tests are about."""
    return (FeedbackNotice(FeedbackOutcome.UNKNOWN, mta=raw.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()),)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def mailboxes(server: Dovecot) -> Iterator[Dovecot]:
    """The server, its mailboxes empty before and after."""
    yield server
    for user in (USER, "other"):
        for path in sorted(server.maildir(user).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


def source(
    url: str, folder: Path, *, password: str = PASSWORD, token: str = "", trusted: bool = True, **keys: object
) -> FeedbackSource:
    certificates.ca_file(folder)
    ca_file = {"tls_ca_file": "ca.pem"} if trusted else {}
    return open_feedback_source(
        FeedbackSourceSection(url=url, **ca_file, **keys),  # type: ignore[arg-type]
        SourceSurroundings(
            folder,
            folder / "progress",
            password=None if token else lambda: password,
            access_token=(lambda: token) if token else None,
            read=read_subject,
        ),
    )


def collect(one: FeedbackSource, recognised: Callable[[Received], bool] = lambda _: True) -> list[Received]:
    """What ``campaign collect`` does with a source, in groups."""
    taken, waiting = [], []
    with closing(one):
        for received in one.receive():
            taken.append(received)
            waiting.append(Handled(received.receipt, recognised(received)))
            if len(waiting) == 37:
                one.acknowledge(waiting)
                waiting = []
        one.acknowledge(waiting)
    return taken


def acknowledge_each(one: FeedbackSource, taken: list[Received]) -> None:
    for received in one.receive():
        taken.append(received)
        one.acknowledge([Handled(received.receipt, recognised=True)])


def subjects(taken: list[Received]) -> list[int]:
    return sorted(int(one.notices[0].mta) for one in taken)


def is_even(received: Received) -> bool:
    return int(received.notices[0].mta) % 2 == 0


@pytest.mark.parametrize("protocol", ["imaps", "imap", "pop3s", "pop3"])
def test_a_thousand_messages_arrive_once_and_a_second_collect_finds_none(
    protocol: str, mailboxes: Dovecot, tmp_path: Path
) -> None:
    mailboxes.deliver(letter(number) for number in range(MANY))
    with closing(source(mailboxes.url(protocol), tmp_path)) as one:
        assert one.size() == MANY
        assert one.name == f"{protocol.removesuffix('s')}:{USER}@127.0.0.1"
    taken = collect(source(mailboxes.url(protocol), tmp_path), is_even)
    assert subjects(taken) == list(range(MANY))
    assert len({received.id for received in taken}) == MANY
    again = source(mailboxes.url(protocol), tmp_path)
    assert again.size() == 0
    assert collect(again) == []


def test_messages_are_moved_into_folders_that_the_owner_sees(mailboxes: Dovecot, tmp_path: Path) -> None:
    mailboxes.deliver(letter(number) for number in range(10))
    collect(source(mailboxes.url("imaps"), tmp_path, done="Bounces/erledigt für 2026"), is_even)
    assert len(mailboxes.files()) == 0
    assert len(mailboxes.files(".Bounces.erledigt f&APw-r 2026")) == 5
    assert len(mailboxes.files(".not-recognised")) == 5
    subscribed = (mailboxes.maildir() / "subscriptions").read_text()
    assert "erledigt f&APw-r 2026" in subscribed
    assert "not-recognised" in subscribed


def test_messages_that_a_person_has_read_count_and_nothing_is_marked_as_read(
    mailboxes: Dovecot, tmp_path: Path
) -> None:
    mailboxes.deliver([letter(1)], flags="S")
    mailboxes.deliver([letter(2)], flags="ST")  # read, and marked as deleted without being expunged
    mailboxes.deliver([letter(3)])
    with closing(source(mailboxes.url("imaps"), tmp_path)) as one:
        assert subjects(list(one.receive())) == [1, 2, 3]
    assert sorted(path.name.partition(":2,")[2] for path in mailboxes.files()) == ["", "S", "ST"]


def test_other_peoples_deleted_messages_are_not_expunged(mailboxes: Dovecot, tmp_path: Path) -> None:
    mailboxes.deliver([letter(1), letter(2)])
    mailboxes.deliver([letter(3)], flags="ST")
    one = source(mailboxes.url("imaps"), tmp_path, delete=True)
    with closing(one):
        taken = {int(received.notices[0].mta): received for received in one.receive()}
        one.acknowledge([Handled(taken[1].receipt, recognised=True), Handled(taken[2].receipt, recognised=False)])
    assert [path.read_bytes() for path in mailboxes.files()] == [letter(3)]
    assert [path.read_bytes() for path in mailboxes.files(".not-recognised")] == [letter(2)]
    assert mailboxes.files(".collected") == []


@pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
def test_messages_that_somebody_takes_away_meanwhile_are_passed_over(
    protocol: str, mailboxes: Dovecot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_session, "MESSAGES_AT_ONCE", 2)
    mailboxes.deliver(letter(number) for number in range(6))
    with closing(source(mailboxes.url(protocol), tmp_path)) as one:
        reading = one.receive()
        first = next(reading)
        for path in mailboxes.files():
            path.unlink()
        one.acknowledge([Handled(first.receipt, recognised=True)])
        assert len(list(reading)) <= 1  # of the same batch
    assert collect(source(mailboxes.url(protocol), tmp_path)) == []


def test_a_message_that_is_moved_back_has_the_same_id_over_every_protocol(mailboxes: Dovecot, tmp_path: Path) -> None:
    mailboxes.deliver([letter(1)])
    first = collect(source(mailboxes.url("imaps"), tmp_path))
    (moved,) = mailboxes.files(".collected")
    moved.rename(mailboxes.maildir() / "new" / "moved.back")
    second = collect(source(mailboxes.url("imaps"), tmp_path))
    mailboxes.deliver([letter(1).replace(b"\r\n", b"\n")])
    third = collect(source(mailboxes.url("pop3s"), tmp_path))
    assert first[0].id == second[0].id == third[0].id


def test_the_folder_of_the_url_is_read_umlauts_and_all(mailboxes: Dovecot, tmp_path: Path) -> None:
    mailboxes.deliver([letter(0)])
    mailboxes.deliver([letter(1)], folder=".R&APw-ckl&AOQ-ufer")
    mailboxes.deliver([letter(2)], folder=".Post.R&APw-ckl&AOQ-ufer")
    assert subjects(collect(source(mailboxes.url("imaps", "R%C3%BCckl%C3%A4ufer"), tmp_path))) == [1]
    assert subjects(collect(source(mailboxes.url("imaps", "Post/R%C3%BCckl%C3%A4ufer"), tmp_path))) == [2]
    with pytest.raises(InputError, match="no folder 'Nowhere'"):
        collect(source(mailboxes.url("imaps", "Nowhere"), tmp_path))


@pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
def test_pop3_and_imap_delete_what_is_ours_only_when_told_to(protocol: str, mailboxes: Dovecot, tmp_path: Path) -> None:
    mailboxes.deliver(letter(number) for number in range(6))
    collect(source(mailboxes.url(protocol), tmp_path, delete=True), is_even)
    left = [*mailboxes.files(), *mailboxes.files(".not-recognised")]
    assert sorted(path.read_bytes() for path in left) == [letter(1), letter(3), letter(5)]
    assert collect(source(mailboxes.url(protocol), tmp_path, delete=True)) == []


@pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
def test_a_message_of_50_mb_is_read_at_its_beginning_and_takes_no_room(
    protocol: str, mailboxes: Dovecot, tmp_path: Path
) -> None:
    mailboxes.deliver([letter(1, "x" * 76 + "\r\n" + "y" * 50_000_000), letter(2), letter(3, "z\r\n.\r\n..\r\n" * 9)])
    seen: dict[int, int] = {}

    def read(raw: bytes) -> tuple[FeedbackNotice, ...]:
        seen[int(read_subject(raw)[0].mta)] = len(raw)
        return ()

    one = source(mailboxes.url(protocol), tmp_path)
    one._read = read  # type: ignore[attr-defined]
    tracemalloc.start()
    taken = collect(one)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(taken) == 3
    assert seen == {1: LARGEST, 2: len(letter(2)), 3: len(letter(3, "z\r\n.\r\n..\r\n" * 9))}
    assert peak < 12 << 20


@pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
def test_five_hundred_nested_parts_pass_through_unread(protocol: str, mailboxes: Dovecot, tmp_path: Path) -> None:
    nested = b"Subject: 7\r\n" + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (depth, depth) for depth in range(500)
    )
    mailboxes.deliver([nested, letter(8)])
    assert subjects(collect(source(mailboxes.url(protocol), tmp_path))) == [7, 8]


@pytest.mark.parametrize("protocol", ["imaps", "imap", "pop3s", "pop3"])
def test_a_refused_login_is_said_once_and_without_the_password(
    protocol: str, mailboxes: Dovecot, tmp_path: Path
) -> None:
    one = source(mailboxes.url(protocol), tmp_path, password="wr0ng")
    with closing(one), pytest.raises(LoginError, match="the login was refused") as caught:
        one.size()
    assert "wr0ng" not in str(caught.value)
    assert "password_file" in caught.value.next_step


@pytest.mark.parametrize("protocol", ["imaps", "imap", "pop3s", "pop3"])
@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", False), ("localhost", True)])
def test_a_certificate_that_is_not_right_gets_no_password(
    protocol: str, host: str, trusted: bool, mailboxes: Dovecot, tmp_path: Path
) -> None:
    one = source(mailboxes.url(protocol, host=host), tmp_path, trusted=trusted)
    with closing(one), pytest.raises(ConfigError, match="not trusted, so no password was sent") as caught:
        one.size()
    assert ("tls_ca_file" if not trusted else "the name in the source's url") in caught.value.next_step


@pytest.mark.parametrize(("protocol", "talk"), [("imap", imap), ("pop3", pop3)])
def test_a_server_without_encryption_gets_no_password(
    protocol: str, talk: Callable[[Line], None], tmp_path: Path
) -> None:
    box = Box(starttls=False)
    with serving(box, talk, encrypted=False) as port:
        one = source(f"{protocol}://u@127.0.0.1:{port}", tmp_path, password=SECRET)
        with closing(one), pytest.raises(ConfigError, match="offers no encryption"):
            one.size()
    assert not any(SECRET in line or "AUTH" in line for line in box.lines)


@pytest.mark.parametrize(("protocol", "talk"), [("imap", imap), ("pop3", pop3)])
@pytest.mark.parametrize("encrypted", [True, False])
def test_access_tokens_log_in_and_a_refused_one_is_not_shown(
    protocol: str, talk: Callable[[Line], None], encrypted: bool, tmp_path: Path
) -> None:
    box = Box({1: letter(1)})
    url = f"{protocol}{'s' if encrypted else ''}://u%40example.com@127.0.0.1"
    with serving(box, talk, encrypted=encrypted) as port:
        with closing(source(f"{url}:{port}", tmp_path, token=TOKEN)) as one:
            assert one.size() == 1
        box.refusal = "[AUTHENTICATIONFAILED] no"
        one = source(f"{url}:{port}", tmp_path, token=TOKEN)
        with closing(one), pytest.raises(LoginError) as caught:
            one.size()
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "talk", "refusal"),
    [
        ("imaps", imap, "[UNAVAILABLE] try later"),
        ("imaps", imap, "[INUSE] one at a time"),
        ("pop3s", pop3, "[IN-USE] another session holds it"),
        ("pop3s", pop3, "[SYS/TEMP] the database is away"),
    ],
)
def test_a_login_refused_for_a_passing_reason_is_unfinished_and_not_a_wrong_password(
    protocol: str, talk: Callable[[Line], None], refusal: str, tmp_path: Path
) -> None:
    with serving(Box(refusal=refusal), talk) as port:
        one = source(f"{protocol}://u@127.0.0.1:{port}", tmp_path, password=SECRET)
        with closing(one), pytest.raises(UnfinishedError) as caught:
            one.size()
    assert refusal.split()[0] in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("protocol", "talk"), [("imaps", imap), ("pop3s", pop3)])
def test_a_server_that_vanishes_in_the_middle_keeps_what_was_acknowledged(
    protocol: str, talk: Callable[[Line], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_session, "MESSAGES_AT_ONCE", 4)
    box = Box({number: letter(number) for number in range(1, 21)}, CAPABILITIES + " MOVE", fetches=10)
    with serving(box, talk) as port:
        url = f"{protocol}://u@127.0.0.1:{port}"
        one, first = source(url, tmp_path, password=SECRET), []
        with closing(one), pytest.raises(UnfinishedError, match="broke off") as caught:
            acknowledge_each(one, first)
        assert "run the same command again" in caught.value.next_step
        box.fetches = 100
        rest = collect(source(url, tmp_path, password=SECRET))
    assert len(first) >= 8
    assert sorted(subjects(first) + subjects(rest)) == list(range(1, 21))


@pytest.mark.parametrize(
    ("protocol", "talk", "silent"),
    [
        ("imaps", imap, "AUTH"),
        ("imaps", imap, "SEARCH"),
        ("imaps", imap, "BODY.PEEK"),
        ("pop3s", pop3, "PASS"),
        ("pop3s", pop3, "UIDL"),
        ("pop3s", pop3, "RETR"),
    ],
)
def test_a_server_that_falls_silent_is_not_waited_for(
    protocol: str, talk: Callable[[Line], None], silent: str, tmp_path: Path
) -> None:
    with serving(Box({1: letter(1)}, silent_after=silent), talk) as port:
        one = source(f"{protocol}://u@127.0.0.1:{port}", tmp_path, password=SECRET)
        one._patience = (10.0, 1.0) if protocol == "imaps" else 1.0  # type: ignore[attr-defined]
        with closing(one), pytest.raises(UnfinishedError, match="broke off") as caught:
            list(one.receive())
    assert "in time" in str(caught.value)


def test_nobody_listening_is_unfinished(tmp_path: Path) -> None:
    with serving(Box(), imap) as port:
        pass
    for protocol in ("imaps", "imap", "pop3s", "pop3"):
        one = source(f"{protocol}://u@127.0.0.1:{port}", tmp_path)
        with closing(one), pytest.raises(UnfinishedError, match="cannot be reached"):
            one.size()


def test_another_protocol_at_the_port_is_told_in_a_sentence(tmp_path: Path) -> None:
    def other(line: Line) -> None:
        line.say("220 mail.example.com ESMTP")
        line.hear()

    for protocol in ("imaps", "pop3s"):
        with serving(Box(), other) as port:
            one = source(f"{protocol}://u@127.0.0.1:{port}", tmp_path)
            with closing(one), pytest.raises(UnfinishedError, match="cannot be reached"):
                one.size()


def test_without_move_messages_are_copied_and_only_they_are_expunged(tmp_path: Path) -> None:
    box = Box({number: letter(number) for number in range(1, 6)}, CAPABILITIES + " UIDPLUS", deleted={3})
    box.prefix, box.delimiter, box.capabilities = "INBOX.", ".", box.capabilities + " NAMESPACE"
    with serving(box, imap) as port:
        one = source(f"imaps://u@127.0.0.1:{port}", tmp_path, password=SECRET, done="bounces/done")
        with closing(one):
            taken = [received for received in one.receive() if subjects([received]) != [3]]
            one.acknowledge([Handled(received.receipt, recognised=True) for received in taken])
    assert box.folders == {"INBOX.bounces.done": [letter(number) for number in (1, 2, 4, 5)]}
    assert box.subscribed == ["INBOX.bounces.done"]
    assert box.messages == {3: letter(3)}
    assert box.expunged == [1, 2, 4, 5]
    assert not any(line.partition(" ")[2] == "EXPUNGE" for line in box.lines)


def test_a_folder_that_is_the_same_by_another_name_is_not_moved_into_itself(tmp_path: Path) -> None:
    box = Box({1: letter(1)}, CAPABILITIES + " MOVE NAMESPACE", prefix="INBOX.", delimiter=".")
    box.folders["INBOX.Bounces"] = []
    with serving(box, imap) as port:
        one = source(f"imaps://u@127.0.0.1:{port}/INBOX/Bounces", tmp_path, password=SECRET, done="Bounces")
        with pytest.raises(ConfigError, match="that they are read from"):
            collect(one)
    assert box.messages == {1: letter(1)}


@pytest.mark.parametrize("reason", ["neither MOVE nor UIDPLUS", "read-only"])
def test_messages_that_cannot_be_moved_stay_and_are_not_read_again(reason: str, tmp_path: Path) -> None:
    capabilities = CAPABILITIES + (" MOVE UIDPLUS" if reason == "read-only" else "")
    box = Box({number * 3: letter(number) for number in range(1, 90)}, capabilities, read_only=reason == "read-only")
    with serving(box, imap) as port:
        url = f"imaps://u@127.0.0.1:{port}"
        assert len(collect(source(url, tmp_path, password=SECRET), is_even)) == 89
        box.messages[900] = letter(300)
        assert subjects(collect(source(url, tmp_path, password=SECRET, delete=True))) == [300]
        assert collect(source(url, tmp_path, password=SECRET)) == []
        box.validity += 1  # the server has numbered its messages anew: all are read, and ids tell which are known
        assert len(collect(source(url, tmp_path, password=SECRET))) == 90
    assert len(box.messages) == 90
    assert not any(word in line for line in box.lines for word in ("STORE", "COPY", "MOVE ", "EXPUNGE"))


def test_more_messages_than_fit_one_answer_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_session, "UIDS_AT_ONCE", 7)
    monkeypatch.setattr(imap_session, "SIZES_AT_ONCE", 5)
    box = Box({number * 1000: letter(number) for number in range(1, 31)})
    with serving(box, imap) as port:
        assert len(collect(source(f"imaps://u@127.0.0.1:{port}", tmp_path, password=SECRET))) == 30


def test_a_pop3_session_that_breaks_deletes_nothing(tmp_path: Path) -> None:
    box = Box({number: letter(number) for number in range(1, 6)}, fetches=3)
    with serving(box, pop3) as port:
        url = f"pop3s://u@127.0.0.1:{port}"
        one = source(url, tmp_path, password=SECRET, delete=True)
        with closing(one), pytest.raises(UnfinishedError):
            acknowledge_each(one, [])
        assert len(box.messages) == 5
        box.fetches = 100
        assert len(collect(source(url, tmp_path, password=SECRET, delete=True))) == 5
    assert box.messages == {}


JUNK = (
    b"(",
    b")",
    b"{3}",
    b"{999999999999}",
    b'"',
    b"NIL",
    b"\\",
    b"[",
    b"+ ",
    b"-ERR",
    b"\xff",
    b"9" * 20,
    b"\r\n* BYE",
)
MORE_JUNK = (b"\r\n* 5 EXPUNGE", b"\r\n* 3 FETCH (FLAGS (x))", b"\r\n* OK [UIDVALIDITY x]", b"\r\n.\r\n", b"\0")


@pytest.mark.parametrize(("protocol", "talk"), [("imaps", imap), ("pop3s", pop3)])
@pytest.mark.parametrize("seed", range(20))
def test_of_garbled_answers_comes_no_traceback_and_no_message_is_lost(
    protocol: str, talk: Callable[[Line], None], seed: int, tmp_path: Path
) -> None:
    dice = random.Random(f"{protocol} {seed}")

    def garble(answer: bytes) -> bytes:
        if dice.random() < 0.95:
            return answer
        at = dice.randrange(len(answer))
        return answer[:at] + dice.choice(JUNK + MORE_JUNK) + answer[at + dice.randrange(4) :]

    offered = CAPABILITIES + dice.choice(["", " MOVE", " UIDPLUS NAMESPACE"])
    box = Box({number: letter(number) for number in range(1, 9)}, offered, garble=garble)
    with serving(box, talk) as port:
        one = source(f"{protocol}://u@127.0.0.1:{port}", tmp_path, password=SECRET)
        one._patience = (10.0, 0.3) if protocol == "imaps" else 0.3  # type: ignore[attr-defined]
        with closing(one), contextlib.suppress(CampaignError):
            acknowledge_each(one, [])
    kept = [*box.messages.values(), *(message for folder in box.folders.values() for message in folder)]
    assert {letter(number) for number in range(1, 9)} <= set(kept)


def test_the_library_reads_as_much_as_we_ask_for_at_once() -> None:
    """A line of UIDs, the longest there are, stays within what the standard library takes in one line."""
    assert len("* SEARCH") + imap_session.UIDS_AT_ONCE * len(" 4294967295") < imaplib._MAXLINE  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("protocol", "talk", "silent", "receipt"),
    [("imaps", imap, "BODY.PEEK", 1), ("pop3s", pop3, "RETR", (1, "id1"))],
)
def test_after_a_connection_broke_nothing_more_is_said_over_it(
    protocol: str, talk: Callable[[Line], None], silent: str, receipt: object, tmp_path: Path
) -> None:
    box = Box({1: letter(1)}, CAPABILITIES + " UIDPLUS", silent_after=silent)
    with serving(box, talk) as port:
        one = source(f"{protocol}://u@127.0.0.1:{port}", tmp_path, password=SECRET, delete=True)
        one._patience = (10.0, 1.0) if protocol == "imaps" else 1.0  # type: ignore[attr-defined]
        with closing(one):
            for act in (lambda: list(one.receive()), lambda: one.acknowledge([Handled(receipt, recognised=True)])):
                with pytest.raises(UnfinishedError, match="broke off"):
                    act()
    assert silent in box.lines[-1]
