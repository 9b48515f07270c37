"""Every way a command ends, as the number that schedules act upon; docs/contract.md lists them."""

from __future__ import annotations

import asyncio
import base64
import signal
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.support.servers.shelf import FIN, STALL, Shelf, say
from tests.support.stand import Ended, Stand, recipient, until

LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")


# -- 0 and 2


async def test_0_when_everybody_was_accepted(stand: Stand) -> None:
    ended = (await stand.send()).ends(0, "20 planned", "they balance", "report.html")
    assert ended.out == ""
    assert stand.verdicts() == {"accepted": 20}
    assert sorted(map(recipient, stand.kept())) == sorted(f"p{n}@example.com" for n in range(20))


async def test_0_when_nobody_is_left_to_be_served(stand: Stand) -> None:
    await stand.send()
    (await stand.send()).ends(0, "Nobody is left to be served")
    assert len(stand.runs) == 1
    assert len(stand.kept()) == 20


@pytest.mark.parametrize(
    "words",
    [
        ["send"],
        ["sned", "gazette.toml"],
        ["send", "gazette.toml", "--limt", "3"],
        ["send", "gazette.toml", "--limit", "0"],
        ["send", "gazette.toml", "--in-doubt", "perhaps"],
        ["send", "gazette.toml", "--fresh", "--again"],
        ["send", "gazette.toml", "--max-duration", "soon"],
        ["preview", "gazette.toml", "--row", "0"],
        ["set", "runs", "colour=green"],
        ["set", "runs", "rate=fast"],
        ["resolve", "runs"],
    ],
)
async def test_2_when_the_command_line_is_wrong(stand: Stand, words: list[str]) -> None:
    ended = (await stand.campaign(*words)).ends(2, "Usage:", "Error:")
    assert ended.out == ""
    assert not stand.runs


async def test_a_report_made_again_is_the_report_of_the_run_itself(stand: Stand, shelf: Shelf) -> None:
    (await stand.set(delivery__relay="smtp://127.0.0.1:1").send("--relay", shelf.url)).ends(0)
    before = papers(stand)
    (await stand.campaign("report", stand.file)).ends(0)
    assert papers(stand) == before


async def test_a_report_made_again_says_why_the_run_stopped(stand: Stand, shelf: Shelf) -> None:
    (await stand.set(delivery__relay="smtp://127.0.0.1:1", delivery__relay_patience="0s").send()).ends(75)
    before = papers(stand)
    assert "Connection refused" in before[0]
    (await stand.campaign("report", stand.file)).ends(0)
    assert papers(stand) == before


async def test_the_report_says_when_a_slow_relay_was_left_alone_and_for_how_long(stand: Stand, shelf: Shelf) -> None:
    shelf.waits["banner"] = 0.05
    async with Shelf() as quick:
        stand.set(delivery__relay=[shelf.url, quick.url], delivery__relay_slow_after="20ms")
        (await stand.set(delivery__letters_per_connection=1, delivery__connections=1).send()).ends(0)
        assert quick.letters
    (note,) = stand.summary()["notes"]
    assert note.startswith(f"{shelf.url} was slow and was left alone while another relay could serve: from 20")
    assert " for 30s, as it greets only after 0.0" in note
    assert note in (stand.run / "report.html").read_text(encoding="utf-8")


def papers(stand: Stand) -> list[str]:
    return [(stand.run / name).read_text(encoding="utf-8") for name in ("summary.json", "report.html")]


# -- 3, 4, 5


async def test_3_when_some_were_refused_for_good(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p7@example.com"] = "550 5.7.1 not from you"
    (await stand.send()).ends(3, "rejected", "campaign retry")
    assert stand.verdicts() == {"accepted": 19, "rejected": 1}
    failed = (stand.run / "failed.csv").read_text(encoding="utf-8").split("\n")
    assert failed[0] == "email,name,verdict,code,enhanced_code,reason"
    assert failed[1].startswith("p7@example.com,Person 7,rejected,550,5.7.1,")


async def test_3_when_a_row_makes_no_letter(stand: Stand) -> None:
    stand.write("letter.txt", "{{ 100 // (name|length - 8) }} for {{ name }}\n")
    ended = await stand.send()
    ended.ends(3, "unrenderable")
    assert stand.verdicts() == {"accepted": 10, "unrenderable": 10}
    assert (stand.run / "failed.csv").read_text(encoding="utf-8").count("unrenderable") == 10


async def test_4_when_the_relay_closes_after_the_dot(stand: Stand, shelf: Shelf) -> None:
    shelf.break_at("dot", FIN, after=4)
    (await stand.send()).ends(4, "in doubt", "campaign resolve", "campaign retry")
    assert stand.verdicts() == {"accepted": 19, "in_doubt": 1}
    listed = (stand.run / "in-doubt.csv").read_text(encoding="utf-8")
    assert shelf.recipients[4] in listed
    assert len(shelf.letters) == len(set(shelf.recipients)) == 20


async def test_5_while_an_operator_holds_the_run(stand: Stand, shelf: Shelf) -> None:
    sending = await stand.set(delivery__rate="1/s").sending()
    await until(lambda: len(shelf.letters) >= 2, "some letters are there")
    (await stand.campaign("stop", stand.run)).ends(0, "stopped")
    (await sending.end()).ends(5, "campaign resume")
    taken = len(shelf.letters)
    assert taken < 20
    (await stand.send()).ends(5, "campaign resume")
    assert len(shelf.letters) == taken
    (await stand.campaign("resume", stand.run)).ends(0, "released")
    (await stand.set(delivery__rate=[]).send()).ends(0, "continuing run")
    assert sorted(shelf.recipients) == sorted(f"p{n}@example.com" for n in range(20))


# -- 69 and 77


async def test_75_when_the_relay_still_refuses_the_connection_when_patience_ends(stand: Stand, shelf: Shelf) -> None:
    async with Shelf() as gone:
        stand.set(delivery__relay=gone.url, delivery__relay_patience="200ms")
    (await stand.send()).tells(75, f"waiting for smtp://127.0.0.1:{gone.port} until", "cannot be reached now")
    assert stand.verdicts() == {"waiting": 20}
    (await stand.send("--relay", shelf.url)).ends(0, "0 of 20 settled earlier", "20 to go")


async def test_69_when_the_relay_turns_everybody_away(stand: Stand, shelf: Shelf) -> None:
    shelf.always["mail"] = say("550 5.7.26 this sender is not authenticated")
    (await stand.send()).tells(69, "5.7.26")
    assert not shelf.letters
    assert sum(stand.verdicts().values()) == 20


async def test_69_when_policy_refuses_too_many(stand: Stand, shelf: Shelf) -> None:
    shelf.always["rcpt"] = say("554 5.7.1 this looks like spam")
    (await stand.set(delivery__stop_window=10).send()).tells(69, "refused by policy", "looks like spam")
    verdicts = stand.verdicts()
    assert verdicts["rejected"] >= 10
    assert verdicts["waiting"] + verdicts["rejected"] == 20


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    made = trustme.CA()
    file = tmp_path / "authority.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_77_when_the_relay_refuses_our_login(
    stand: Stand, authority: tuple[trustme.CA, Path], scheme: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    right = "AUTH PLAIN " + base64.b64encode(b"\0ada\0secret word").decode()
    stand.variables["CAMPAIGN_RELAY_PASSWORD"] = "wrong word"
    shelf = Shelf(users={right: "ada"}, **{"implicit" if scheme == "smtps" else "starttls": context})
    async with shelf:
        stand.set(delivery__relay=f"{scheme}://ada@127.0.0.1:{shelf.port}", delivery__tls_ca_file=str(authority[1]))
        ended = (await stand.send()).tells(77, "login", "535")
        assert shelf.told("AUTH") <= 3, "a wrong password tried again and again locks the account"
        assert "wrong word" not in ended.err
        assert not shelf.told("MAIL")
        await stand.leave()


@pytest.mark.parametrize(
    ("scheme", "stage"), [("smtp", "starttls"), ("smtp", "auth"), ("smtps", "banner"), ("smtps", "ehlo")]
)
async def test_69_when_the_relay_falls_silent_while_we_connect(
    stand: Stand, authority: tuple[trustme.CA, Path], scheme: str, stage: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    stand.variables["CAMPAIGN_RELAY_PASSWORD"] = "word"
    secure = {"implicit" if scheme == "smtps" else "starttls": context}
    async with Shelf(users={"any": "ada"}, always={stage: STALL}, **secure) as shelf:
        stand.set(
            delivery__relay=f"{scheme}://ada@127.0.0.1:{shelf.port}", delivery__tls_ca_file=str(authority[1]),
            delivery__timeouts=dict.fromkeys(("banner", "ehlo", "auth"), "300ms"),
        )  # fmt: skip
        (await stand.send()).tells(69, "no answer in time")
        assert not shelf.told("MAIL")
        await stand.leave()


async def test_a_password_never_travels_in_clear(stand: Stand, shelf: Shelf) -> None:
    stand.variables["CAMPAIGN_RELAY_PASSWORD"] = "secret word"
    shelf.users["any"] = "ada"
    (await stand.set(delivery__relay=f"smtp://ada@127.0.0.1:{shelf.port}").send()).tells(69, "TLS")
    assert not shelf.told("AUTH")
    assert not shelf.letters


# -- 75


async def test_75_after_the_limit_and_the_next_call_goes_on(stand: Stand) -> None:
    (await stand.send("--limit", 3)).ends(75, "campaign send")
    assert stand.verdicts() == {"accepted": 3, "waiting": 17}
    (await stand.send()).ends(0, "3 of 20 settled earlier, 0 in doubt, 17 to go")
    assert len(set(map(recipient, stand.kept()))) == len(stand.kept()) == 20


async def test_75_within_a_second_for_whoever_comes_second(stand: Stand, shelf: Shelf) -> None:
    shelf.break_at("dot", STALL, after=2)
    first = await stand.sending()
    await until(lambda: len(shelf.letters) == 3, "the first process waits for an answer")
    clock = asyncio.get_running_loop().time
    began = clock()
    await stand.campaign("status", stand.run)
    an_interpreter_takes, began = clock() - began, clock()
    (await stand.send()).tells(75, "Another process", step="campaign status")
    assert clock() - began < 2 * an_interpreter_takes + 1.0
    assert len(shelf.letters) == 3
    await first.kill()


async def test_75_when_the_time_is_up_and_deferred_letters_are_left(stand: Stand, shelf: Shelf) -> None:
    shelf.refuse["p3@example.com"] = "450 4.2.1 too quickly, later please"
    (await stand.send("--max-duration", "1500ms")).ends(75)
    assert stand.verdicts() == {"accepted": 19, "deferred": 1}
    assert shelf.told("RCPT TO:<P3@") == 1


async def test_75_before_the_time_has_come(stand: Stand) -> None:
    (await stand.set(campaign__not_before=LATER).send("--no-wait")).ends(75, "has not come", LATER[:10])
    assert not stand.runs


# -- 130 and 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_lets_letters_in_flight_finish(
    stand: Stand, shelf: Shelf, number: signal.Signals, code: int
) -> None:
    sending = await stand.set(delivery__rate="40/s", delivery__connections=3).sending()
    await until(lambda: len(shelf.letters) >= 5, "letters are on their way")
    sending.signal(number)
    (await sending.end()).ends(code, "letters in flight")
    assert "in_doubt" not in stand.verdicts()
    assert stand.verdicts()["accepted"] == len(shelf.letters) < 20
    (await stand.set(delivery__rate=[]).send()).ends(0, "0 in doubt")
    assert sorted(shelf.recipients) == sorted(f"p{n}@example.com" for n in range(20))


async def test_a_second_signal_stops_at_once_and_says_who_is_in_doubt(stand: Stand, shelf: Shelf) -> None:
    shelf.break_at("dot", STALL, after=2)
    sending = await stand.sending()
    await until(lambda: len(shelf.letters) == 3, "the third letter waits for its answer")
    await sending.insist(signal.SIGTERM, "stopping at once")
    (await sending.end()).ends(143, "in doubt")
    assert stand.verdicts() == {"accepted": 2, "in_doubt": 1, "waiting": 17}
    (await stand.send()).ends(4, "1 in doubt", "not sent again")
    assert len(set(shelf.recipients)) == len(shelf.letters) == 20


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_before_the_start_leaves_nothing_behind(stand: Stand, number: signal.Signals, code: int) -> None:
    sending = await stand.set(campaign__not_before=LATER).sending()
    await until(lambda: "waiting until" in sending.talk, "it waits for its time")
    sending.signal(number)
    ended: Ended = await sending.end()
    assert ended.code == code
    assert not stand.runs


async def test_what_the_relay_answered_to_a_letter_stays_in_the_journal(stand: Stand, shelf: Shelf) -> None:
    """Amazon SES and others name the letter there by an id of their own, which bounces are joined by."""
    answer = "0102018f6a3c1d2e-7b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0-000000"
    shelf.break_at("dot", say(f"250 Ok {answer}"))
    (await stand.send("--limit", 1)).ends(75)
    assert f'"reason":"Ok {answer}"' in (stand.run / "checkpoint.journal").read_text(encoding="utf-8")
