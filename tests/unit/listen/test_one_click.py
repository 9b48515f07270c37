"""What a request to an unsubscribe link means, and the page that answers it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from campaign.config.listen.listen_file import ListenSection, load_listen
from campaign.errors import ConfigError
from campaign.feedback.listened.listened_record import RESERVED_TOKEN
from campaign.listen.listen_rates import MOST_NETWORKS, ClickRate, ListenRates, network_of
from campaign.listen.one_click import answer_click
from campaign.listen.seldom_log import SeldomLog
from campaign.listen.unsubscribe_page import STATES, WORDS, UnsubscribePage, preferred_language, text_colour

TOKEN = "T" * 60
FORM = "application/x-www-form-urlencoded"
ASKED = b"List-Unsubscribe=One-Click"
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
    'multipart/form-data; boundary="x"',
)


@pytest.mark.parametrize(
    ("method", "token", "kind", "body", "status", "store"),
    [
        ("GET", TOKEN, "", b"", 200, False),
        ("HEAD", TOKEN, "", b"", 200, False),
        ("POST", TOKEN, FORM, ASKED, 200, True),
        ("POST", TOKEN, "", ASKED, 200, True),
        ("POST", TOKEN, FORM, ASKED + b"\r\n", 200, True),
        ("POST", TOKEN, MULTIPART[1], MULTIPART[0], 200, True),
        ("POST", TOKEN, MULTIPART[1], MULTIPART[0].replace(b"One-Click", b"Two"), 400, False),
        ("POST", TOKEN, "multipart/form-data", MULTIPART[0], 400, False),
        ("POST", TOKEN, "multipart/form-data; boundary=\nx", MULTIPART[0], 400, False),
        ("POST", TOKEN, FORM, b"", 400, False),
        ("POST", TOKEN, FORM, b"List-Unsubscribe=Two-Clicks", 400, False),
        ("POST", TOKEN, FORM, b"\xff\xfe", 400, False),
        ("POST", TOKEN, FORM, b"a=1&" * 100 + ASKED, 400, False),
        ("POST", RESERVED_TOKEN, FORM, ASKED, 200, False),
        ("POST", "short", FORM, ASKED, 404, False),
        ("POST", "T" * 2001, FORM, ASKED, 404, False),
        ("POST", "ü" * 60, FORM, ASKED, 404, False),
        ("GET", TOKEN + "\n", "", b"", 404, False),
    ],
)
def test_only_a_post_that_says_so_unsubscribes(
    method: str, token: str, kind: str, body: bytes, status: int, store: bool
) -> None:
    answer = answer_click(method, token, kind, body)
    assert (answer.status, answer.store) == (status, store)


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("pt-BR,en;q=0.5", "pt"),
        ("zh-CN", "zh-Hans"),
        ("xx,ar;q=0.4,fr;q=0.8", "fr"),
        ("en;q=0,tr;q=0.1", "tr"),
        (";;;,,,=" * 1000, "en"),
        ("*", "en"),
    ],
)
def test_the_page_is_in_the_language_that_the_browser_prefers(accept: str, language: str) -> None:
    assert preferred_language(accept, "en") == language


def test_all_languages_have_all_words() -> None:
    assert len(WORDS) >= 12
    assert {frozenset(words) for words in WORDS.values()} == {frozenset(WORDS["en"])}
    for words in WORDS.values():
        assert all(words.values())
        assert "{name}" in words["ask"]
        assert "{name}" in words["done"]


def test_the_page_has_one_button_no_script_and_nothing_from_elsewhere() -> None:
    page = UnsubscribePage(ListenSection(name="<Ada & Co>", privacy="https://example.com/?a=1&b=2"))
    for language in WORDS:
        for state in STATES:
            text = page.page(state, language).decode()
            assert text.count("<button") == (state in ("ask", "busy"))
            assert "<script" not in text
            assert not re.search(r"\b(src|url\()", text)
            assert "&lt;Ada &amp; Co&gt;" in text
            assert 'href="https://example.com/?a=1&amp;b=2"' in text
    assert 'dir="rtl"' in page.page("ask", "ar").decode()
    assert "script" not in page.policy


@pytest.mark.parametrize(("colour", "text"), [("#ffffff", "#000"), ("#000000", "#fff"), ("#ffcc00", "#000")])
def test_the_button_can_be_read_on_any_colour(colour: str, text: str) -> None:
    assert text_colour(colour) == text


def test_a_network_that_is_refused_often_is_told_to_wait_and_others_are_not() -> None:
    rates = ListenRates(per_network=3, in_sum=5)
    assert [rates.allows("192.0.2.1", 0.0) for _ in range(4)] == [True, True, True, False]
    assert not rates.allows("192.0.2.200", 0.0)
    assert rates.allows("2001:db8::1", 0.0)
    assert rates.allows("192.0.2.1", 20.0)


def test_the_limit_in_sum_holds_over_all_networks() -> None:
    rates = ListenRates(per_network=60, in_sum=2)
    assert [rates.allows(f"10.0.{n}.1", 0.0) for n in range(3)] == [True, True, False]


def test_networks_are_remembered_within_a_bound() -> None:
    rates = ListenRates()
    for n in range(MOST_NETWORKS + 50):
        rates.allows(f"10.{n >> 8}.{n & 255}.1", 0.0)
    assert len(rates) == MOST_NETWORKS


def test_a_network_is_a_24_or_a_64() -> None:
    assert network_of("192.0.2.77") == network_of("::ffff:192.0.2.1") == "192.0.2.0/24"
    assert network_of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert network_of("nobody") == ""


def test_a_trouble_is_logged_once_a_minute() -> None:
    now, lines = 0.0, list[str]()
    log = SeldomLog(lines.append, lambda: now)
    log.report("full", "no space")
    log.report("full", "no space")
    now = 61.0
    log.report("full", "no space")
    assert lines == ["full (1 times): no space", "full (2 times): no space"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "listen: "),
        ("[listen]\nevnts = 'x'", "listen.evnts: unknown key"),
        ("[listen]\ncolour = 'red'", "is no colour such as #1f5fbf"),
        ("[listen]\nprivacy = 'http://example.com'", "is no https:// address"),
        ("[listen]\nport = 70000", "listen.port"),
        ("[listen", "not valid TOML"),
        (
            "[listen]\n" + "[[listen.webhook]]\nprovider='sendgrid'\nkey_file='k'\n" * 2,
            "two webhooks have the address /webhooks/sendgrid",
        ),
    ],
)
def test_a_mistake_in_the_listen_file_is_named(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "listen.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_listen(file)
    assert told in str(error.value)


def test_a_listen_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_listen(tmp_path / "listen.toml")


def test_options_replace_keys_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "listen.toml"
    file.write_text("[listen]\nport = 1\n")
    assert load_listen(file, {"port": 2}).listen.port == 2


def test_unsubscribes_are_limited_in_sum_and_a_thousand_a_second_are_within_the_default() -> None:
    rate = ClickRate(ListenSection().clicks_per_minute)
    seconds = [sum(rate.allows("T" * 120, 1000.0 + second) for _ in range(1000)) for second in range(180)]
    assert seconds == [1000] * 180
    flood = sum(rate.allows("T" * 120, 1180.0) for _ in range(200_000))
    assert 60_000 <= flood <= 61_000
    assert not rate.allows("T" * 120, 1180.0)
    assert rate.allows("T" * 120, 1180.1)


def test_a_long_token_counts_for_several() -> None:
    rate = ClickRate(100)
    assert sum(rate.allows("T" * 2000, 1.0) for _ in range(100)) == 20


def test_a_clock_that_is_set_back_gives_nothing_away() -> None:
    rate = ClickRate(60)
    assert sum(rate.allows("T" * 60, 1000.0) for _ in range(100)) == 60
    assert not rate.allows("T" * 60, 10.0)
    assert rate.allows("T" * 60, 11.1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('events = "s3://events"\nfetch_token_file = "t"', "fetch_token_file has no meaning with a bucket"),
        ('bucket_key_file = "k"', "need a bucket"),
        ('events = ""', "at least 1 character"),
        ("clicks_per_minute = 0", "greater than or equal to 60"),
    ],
)
def test_a_listen_file_has_one_place_for_what_is_stored(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "listen.toml").write_text(f"[listen]\n{text}\n")
    with pytest.raises(ConfigError) as told:
        load_listen(tmp_path / "listen.toml")
    assert why in str(told.value)


def test_every_key_of_a_listen_file_is_described() -> None:
    page = (Path(__file__).parents[3] / "docs" / "listen.md").read_text()
    described = set(re.findall(r"`(\w+)`", "".join(re.findall(r"(?m)^\|([^|]+)\|", page))))
    assert set(ListenSection.model_fields) - described == {"webhook"}
