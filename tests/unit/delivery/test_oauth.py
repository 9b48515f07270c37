"""Access tokens: one for all, renewed in time, and no provider's words or our secrets in the wrong place."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.credentials.token_refresh import (
    ASK_AGAIN,
    LONGEST_WORDS,
    MARGIN,
    Token,
    TokenCache,
    in_thread,
    unreachable,
    without_secrets,
)
from campaign.delivery.relays.relay import open_relays
from campaign.errors import ConfigError, LoginError

REFRESH = "1//0gRefreshTokenThatNobodyMaySee-x"


class Provider:
    """Gives token after token, or fails as told."""

    def __init__(self, lasts: float = 3600.0) -> None:
        self.lasts = lasts
        self.given = 0
        self.fails: Exception | None = None
        self.threads: set[str] = set()

    def __call__(self) -> Token:
        self.threads.add(threading.current_thread().name)
        if self.fails is not None:
            raise self.fails
        self.given += 1
        return Token(f"token{self.given}", self.lasts)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_twenty_connections_that_log_in_at_once_ask_once() -> None:
    provider = Provider()
    kept = TokenCache(in_thread(provider), Clock())
    assert set(await asyncio.gather(*(kept() for _ in range(20)))) == {"token1"}
    assert provider.given == 1
    assert threading.current_thread().name not in provider.threads


@pytest.mark.parametrize(
    ("lasts", "age", "token"),
    [
        (3600.0, 0.0, "token1"),
        (3600.0, 3600.0 - MARGIN - 1, "token1"),
        (3600.0, 3600.0 - MARGIN, "token2"),
        (400.0, 199.0, "token1"),
        (400.0, 200.0, "token2"),
        (0.0, 59.0, "token1"),
        (0.0, 61.0, "token2"),
    ],
)
async def test_a_token_is_renewed_before_it_ends(lasts: float, age: float, token: str) -> None:
    clock = Clock()
    kept = TokenCache(in_thread(Provider(lasts)), clock)
    await kept()
    clock.now += age
    assert await kept() == token


async def test_a_token_that_is_still_good_serves_while_the_provider_is_away() -> None:
    clock, provider = Clock(), Provider()
    kept = TokenCache(in_thread(provider), clock)
    await kept()
    provider.fails = ConnectionError("away")
    clock.now += 3600.0 - MARGIN + 1
    assert await kept() == "token1"
    provider.fails = None
    assert await kept() == "token1"  # not asked again at once
    clock.now += ASK_AGAIN
    assert await kept() == "token2"


async def test_a_token_that_has_ended_is_not_used() -> None:
    clock, provider = Clock(), Provider()
    kept = TokenCache(in_thread(provider), clock)
    await kept()
    provider.fails = ConnectionError("away")
    clock.now += 3601.0
    with pytest.raises(ConnectionError):
        await kept()


async def test_a_refusal_is_not_hidden_by_a_token_that_is_still_good() -> None:
    clock, provider = Clock(), Provider()
    kept = TokenCache(in_thread(provider), clock)
    await kept()
    provider.fails = LoginError("no")
    clock.now += 3600.0 - MARGIN
    with pytest.raises(LoginError):
        await kept()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("invalid_grant: Token has been expired or revoked.", "invalid_grant: Token has been expired or revoked."),
        (f"bad token {REFRESH}!", "bad token [secret]!"),
        ("bad assertion eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ4In0.abc-_x", "bad assertion [secret]"),
        ("application 11111111-2222-3333-4444-555555555555", "application 11111111-2222-3333-4444-555555555555"),
        ("two\r\nlines\x1b[31m", "two lines [31m"),
    ],
)
def test_what_a_provider_says_is_told_without_secrets(words: str, told: str) -> None:
    assert without_secrets(words, [REFRESH, ""]) == told


def test_a_long_story_is_cut() -> None:
    assert len(without_secrets("word " * 200, [])) <= LONGEST_WORDS + 4


def test_a_token_shows_in_no_repr() -> None:
    assert "geheim" not in repr(Token("geheim", 1.0))


def test_a_failure_of_the_web_is_told_in_words() -> None:
    class ReadTimeout(OSError):  # noqa: N818 - the library's name
        pass

    answered = OSError("long story")
    answered.response = type("Response", (), {"status_code": 503})()  # type: ignore[attr-defined]
    wrapped = OSError("wrapped")
    wrapped.__cause__ = ReadTimeout()
    told = [str(unreachable("Google", one)).partition(": ")[2] for one in (answered, wrapped, OSError("x"))]
    assert told == ["it answered 503", "no answer in time", "no connection"]


# -- the campaign file


def chosen(**oauth: object) -> DeliverySection:
    return DeliverySection.model_validate({"relay": "smtps://u@smtp.example.com", "oauth": oauth})


@pytest.mark.parametrize(
    ("oauth", "complaint"),
    [
        ({"provider": "google"}, "file"),
        ({"provider": "yahoo", "file": "x"}, "google"),
        ({"provider": "microsoft", "file": "x"}, "client_id and tenant"),
        ({"provider": "microsoft", "file": "x", "client_id": "a"}, "client_id and tenant"),
        ({"provider": "microsoft", "file": "x", "client_id": "a", "tenant": "a/../b"}, "tenant"),
        ({"provider": "google", "file": "x", "client_id": "a"}, "for microsoft"),
        ({"provider": "google", "file": "x", "secret": "a"}, "secret"),
    ],
)
def test_what_is_missing_or_too_much_is_said(oauth: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        chosen(**oauth)


def test_tokens_have_one_source() -> None:
    with pytest.raises(ValueError, match="takes the place"):
        DeliverySection.model_validate({"oauth": {"provider": "google", "file": "x"}, "token_command": "echo x"})


MICROSOFT = {"provider": "microsoft", "file": "held", "client_id": "app", "tenant": "example.com"}
GOOGLE = {"provider": "google", "file": "held"}


@pytest.mark.parametrize(
    ("oauth", "content", "complaint"),
    [
        (GOOGLE, "not json", "neither an authorised user"),
        (GOOGLE, "[]", "neither an authorised user"),
        (GOOGLE, '{"type": "external_account"}', "neither an authorised user"),
        (GOOGLE, '{"installed": {"client_id": "x"}}', "neither an authorised user"),
        (GOOGLE, f'{{"type": "authorized_user", "refresh_token": "{REFRESH}"}}', "lacks client_id, client_secret"),
        (
            GOOGLE,
            '{"type": "service_account", "client_email": "a@b", "private_key": "geheim", "token_uri": "https://x"}',
            "cannot be used",
        ),
        (MICROSOFT, "", "empty"),
        (MICROSOFT, '{"access_token": "x"}', "neither a token cache"),
        (MICROSOFT, "{broken", "neither a token cache"),
        (MICROSOFT, "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", "its certificate"),
        (
            MICROSOFT,
            "".join(f"-----BEGIN {one}-----\nx\n-----END {one}-----\n" for one in ("PRIVATE KEY", "CERTIFICATE")),
            "cannot be read",
        ),
    ],
)
async def test_a_file_of_the_wrong_kind_is_told_before_anybody_is_asked(
    oauth: dict[str, object], content: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "held").write_text(content)
    (tmp_path / "held").chmod(0o600)
    with pytest.raises(ConfigError, match=complaint) as caught:
        await open_relays(chosen(**oauth), tmp_path, {})
    assert REFRESH not in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("oauth", [GOOGLE, MICROSOFT], ids=["google", "microsoft"])
async def test_a_file_that_others_can_read_is_refused(oauth: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "held").write_text("{}")
    (tmp_path / "held").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        await open_relays(chosen(**oauth), tmp_path, {})


@pytest.mark.parametrize(
    ("oauth", "library", "content"),
    [
        (GOOGLE, "google.oauth2", '{"refresh_token": "a", "client_id": "b", "client_secret": "c"}'),
        (MICROSOFT, "msal", "geheim"),
    ],
    ids=["google", "microsoft"],
)
async def test_a_missing_library_is_told_with_its_extra(
    oauth: dict[str, object], library: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "held").write_text(content)
    (tmp_path / "held").chmod(0o600)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"pip install '\.\[{oauth['provider']}\]'"):
        await open_relays(chosen(**oauth), tmp_path, {})
