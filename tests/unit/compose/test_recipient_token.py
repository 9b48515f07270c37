"""Tokens in addresses: each opens to one recipient of one run, for one purpose, and nobody can make another."""

from __future__ import annotations

import re
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.compose.composer import Composer
from campaign.compose.tokens import recipient_token
from campaign.compose.tokens.recipient_token import NOBODY, Purpose, RecipientTokens, possible_tokens
from campaign.config import load
from campaign.errors import ConfigError
from campaign.model import Letter, Recipient
from campaign.pipeline.command_context import prepare
from campaign.pipeline.start.sample_letter import write_sample

SECRET, OLDER = b"0" * 32, b"another secret of thirty-two octets"
RUN, OTHER_RUN = "2c5e11b480524fd3942025b9a84eef83", "dc6ca6362d9049928d450f9802748406"
TOKENS = RecipientTokens(SECRET, "return path")
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
numbers = st.integers(0, 2**32 - 1)
FILE = """
[campaign]
name = "gazette"
from = "{sender}"
{campaign}
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
{compose}
"""


def composer(place: Path, campaign: str = "", compose: str = "", *, test: bool = False, sender: str = "") -> Composer:
    (place / "letter.txt").write_text("Hello\n", encoding="utf-8")
    text = FILE.format(campaign=campaign, compose=compose, sender=sender or "news@example.com")
    (place / "gazette.toml").write_text(text, encoding="utf-8")
    job = prepare(load(place / "gazette.toml", {}), environment={"CAMPAIGN_SECRET": SECRET.decode()})
    return Composer(job.brief(("email", "desk"), 1, test=test, trace=RUN))


def made(one: Composer, number: int) -> Letter:
    address = f"p{number}@example.com"
    letter = one.compose(Recipient(number, address, address, "", number + 2, {"email": address, "desk": "south"}), 0.0)
    assert isinstance(letter, Letter)
    return letter


def unsubscribe(letter: Letter) -> str:
    return str(message_from_bytes(letter.content, policy=default)["List-Unsubscribe"])


# -- a token


@given(numbers, st.sampled_from([RUN, OTHER_RUN, "", "ü"]), st.sampled_from(["return path", "unsubscribe by mail"]))
def test_a_token_opens_to_its_run_and_recipient(number: int, trace: str, purpose: Purpose) -> None:
    tokens = RecipientTokens(SECRET, purpose)
    token = tokens.token(trace, number)
    assert re.fullmatch("[a-z2-7]{24}", token)
    assert token == RecipientTokens(SECRET, purpose).token(trace, number)
    assert tokens.open(token, [RUN, OTHER_RUN, "", "ü"]) == (trace, number)
    assert tokens.open(token.upper(), iter([OTHER_RUN, trace])) == (trace, number)


@given(numbers, st.integers(0, 23), st.sampled_from(ALPHABET))
def test_no_other_character_makes_another_token(number: int, place: int, character: str) -> None:
    token = TOKENS.token(RUN, number)
    forged = token[:place] + character + token[place + 1 :]
    assert TOKENS.open(forged, [RUN]) == ((RUN, number) if forged == token else None)


@given(st.text(ALPHABET, min_size=24, max_size=24) | st.text(max_size=30) | st.text(ALPHABET, max_size=60))
def test_what_somebody_makes_up_opens_to_nobody(text: str) -> None:
    assert TOKENS.open(text, [RUN, OTHER_RUN]) is None


@pytest.mark.parametrize(
    ("tokens", "traces"),
    [
        (RecipientTokens(SECRET, "unsubscribe by mail"), [RUN]),
        (RecipientTokens(OLDER, "return path"), [RUN]),
        (TOKENS, [OTHER_RUN]),
        (TOKENS, []),
    ],
    ids=["for another purpose", "of another secret", "of another run", "of no run"],
)
def test_a_token_opens_to_nobody_where_it_is(tokens: RecipientTokens, traces: list[str]) -> None:
    assert tokens.open(TOKENS.token(RUN, 7), traces) is None


def test_a_replaced_secret_still_opens_what_it_made() -> None:
    both = RecipientTokens(SECRET + b"\n" + OLDER + b"\n", "return path")
    old = RecipientTokens(OLDER, "return path").token(RUN, 7)
    assert both.open(old, [RUN]) == (RUN, 7)
    assert both.token(RUN, 7) == TOKENS.token(RUN, 7) != old


def test_tokens_of_neighbours_have_nothing_in_common_but_the_run() -> None:
    """The first four characters are the run's tag; what follows would show the number if it were not masked."""
    made_up = [TOKENS.token(RUN, number) for number in range(1000)]
    assert len({token[:4] for token in made_up}) == 1
    assert len({token[5:11] for token in made_up}) > 990
    assert len(set(made_up)) == 1000


def test_runs_with_the_same_tag_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.compose.tokens.recipient_token._Keys.tag", lambda *_: b"abc")
    tokens = RecipientTokens(SECRET, "return path")
    for trace in (RUN, OTHER_RUN):
        assert tokens.open(tokens.token(trace, 9), [OTHER_RUN, RUN]) == (trace, 9)


def test_what_does_not_begin_like_a_token_of_a_known_run_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(recipient_token, "b32decode", lambda text: decoded.append(text) or bytes(15))
    tokens = RecipientTokens(b"0123456789abcdef", "return path")
    assert [tokens.open(one, ["a" * 32]) for one in possible_tokens("a2" * 400)] == [None] * 777
    assert not decoded


def test_the_table_of_runs_is_made_once_and_anew_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, traces = RecipientTokens(SECRET, "return path"), [f"{number:032x}" for number in range(50)]
    tagged: list[str] = []
    plain = type(tokens._keys[0]).tag

    def counted(keys: object, trace: str) -> bytes:
        tagged.append(trace)
        return plain(keys, trace)  # type: ignore[arg-type] # the very class it was taken from

    monkeypatch.setattr("campaign.compose.tokens.recipient_token._Keys.tag", counted)
    sought = [TOKENS.token(traces[3], number) for number in range(20)]
    tagged.clear()
    assert [tokens.open(token, traces) for token in sought] == [(traces[3], number) for number in range(20)]
    assert tagged == traces
    latest = TOKENS.token(RUN, 1)
    assert tokens.open(latest, traces) is None
    traces.append(RUN)
    assert tokens.open(latest, traces) == (RUN, 1)


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_number_that_no_plan_has_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        TOKENS.token(RUN, number)


@pytest.mark.parametrize("secret", [b"", b"\n", b"short", b"0" * 32 + b"\nshort"])
def test_a_secret_that_is_none_makes_no_tokens(secret: bytes) -> None:
    with pytest.raises(ConfigError, match="at least 16 octets"):
        RecipientTokens(secret, "return path")


# -- where tokens are found


@pytest.mark.parametrize(
    "text",
    [
        "bounce+{}@news.example.com",
        "BOUNCE+{}@NEWS.EXAMPLE.COM",
        "b{}z@news.example.com",
        "SRS0=HHH=TT=news.example.com=bounce+{}@forwarder.example",
        "prvs=1234567890=bounce+{}@news.example.com",
        "Re: unsubscribe {} please",
    ],
)
def test_a_token_is_found_wherever_it_stands(text: str) -> None:
    token = TOKENS.token(RUN, 12)
    for written in (text.format(token), text.format(token.upper())):
        opened = {TOKENS.open(one, [RUN]) for one in possible_tokens(written)}
        assert (RUN, 12) in opened
        assert opened <= {(RUN, 12), None}


def test_a_text_without_end_is_not_searched_to_its_end() -> None:
    assert len(list(possible_tokens("a" * 1_000_000))) < 1000
    assert not list(possible_tokens("bounces@news.example.com"))


# -- in letters


def test_each_letter_has_a_return_path_of_its_own(tmp_path: Path) -> None:
    one = composer(tmp_path, 'return_path = "bounce+{token}@news.example.com"')
    paths = [made(one, number).sender for number in range(20)]
    assert len(set(paths)) == 20
    for number, path in enumerate(paths):
        local, _, domain = path.partition("@")
        assert domain == "news.example.com"
        assert TOKENS.open(local.removeprefix("bounce+"), [RUN]) == (RUN, number)
    assert paths == [
        made(composer(tmp_path, 'return_path = "bounce+{token}@news.example.com"'), n).sender for n in range(20)
    ]


def test_it_goes_before_the_address_of_a_from_that_is_a_template(tmp_path: Path) -> None:
    one = composer(tmp_path, 'return_path = "{token}@b.example.com"', sender="{{ desk }}@example.com")
    assert made(one, 3).sender == f"{TOKENS.token(RUN, 3)}@b.example.com"


def test_the_return_path_changes_no_octet_of_the_letter(tmp_path: Path) -> None:
    with_token = made(composer(tmp_path, 'return_path = "bounce+{token}@news.example.com"'), 5)
    assert with_token.content == made(composer(tmp_path, 'return_path = "bounces@news.example.com"'), 5).content


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("unsub+{token}@news.example.com", "<mailto:unsub+{}@news.example.com>"),
        ("mailto:{token}@news.example.com", "<mailto:{}@news.example.com>"),
        ("out@news.example.com?subject=out%20{token}", "<mailto:out@news.example.com?subject=out%20{}>"),
    ],
)
def test_each_letter_has_an_address_of_its_own_for_unsubscribing(tmp_path: Path, written: str, form: str) -> None:
    one = composer(tmp_path, compose=f'unsubscribe_mailto = "{written}"')
    tokens = RecipientTokens(SECRET, "unsubscribe by mail")
    for number in (0, 7, 4_000_000_000):
        token = tokens.token(RUN, number)
        assert unsubscribe(made(one, number)) == form.format(token)
        assert tokens.open(token, [RUN]) == (RUN, number)
        assert TOKENS.open(token, [RUN]) is None, "a bounce unsubscribes nobody, and the reverse"


def test_the_address_stands_behind_the_link(tmp_path: Path) -> None:
    link = 'unsubscribe = "https://example.com/u/{{ unsubscribe_token }}"'
    one = composer(tmp_path, compose=f'{link}\nunsubscribe_mailto = "unsub+{{token}}@news.example.com"')
    token = RecipientTokens(SECRET, "unsubscribe by mail").token(RUN, 3)
    assert re.fullmatch(
        rf"<https://example.com/u/\S+>, <mailto:unsub\+{token}@news.example.com>", unsubscribe(made(one, 3))
    )


def test_letters_of_a_test_stand_for_nobody(tmp_path: Path) -> None:
    settings = 'return_path = "{token}@news.example.com"', 'unsubscribe_mailto = "{token}@news.example.com"'
    letter = made(composer(tmp_path, *settings, test=True), 3)
    by_mail = RecipientTokens(SECRET, "unsubscribe by mail")
    mailto = unsubscribe(letter).removeprefix("<mailto:")[:24]
    assert TOKENS.open(letter.sender[:24], [RUN]) is None
    assert by_mail.open(mailto, [RUN]) is None
    assert TOKENS.open(letter.sender[:24], [NOBODY]) == by_mail.open(mailto, [NOBODY]) == (NOBODY, 0)


def test_the_sample_of_a_report_stands_for_nobody(tmp_path: Path) -> None:
    one = composer(tmp_path, compose='unsubscribe_mailto = "{token}@news.example.com"')

    class OfOne:
        def recipient(self, number: int) -> Recipient:
            return Recipient(
                number, "p0@example.com", "p0@example.com", "", 2, {"email": "p0@example.com", "desk": "x"}
            )

    write_sample(tmp_path, OfOne(), one, 0.0)  # type: ignore[arg-type] # all of a plan that it asks for
    found = message_from_bytes((tmp_path / "sample.eml").read_bytes(), policy=default)["List-Unsubscribe"]
    token = str(found).removeprefix("<mailto:")[:24]
    by_mail = RecipientTokens(SECRET, "unsubscribe by mail")
    assert by_mail.open(token, [RUN]) is None
    assert by_mail.open(token, [NOBODY]) == (NOBODY, 0)


def test_a_generation_and_a_fingerprint_hang_on_the_setting_and_not_on_the_token(tmp_path: Path) -> None:
    one = composer(tmp_path, 'return_path = "bounce+{token}@news.example.com"')
    again = Composer(replace(one.brief, trace_id=OTHER_RUN))
    assert one.fingerprints() == again.fingerprints()
    assert one.fingerprints()["campaign.return_path"] == "bounce+{token}@news.example.com"
    assert made(one, 1).sender != made(again, 1).sender
