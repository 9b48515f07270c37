"""Where {token} may stand in an address, and what is said of every other brace."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.config import load
from campaign.errors import ConfigError

FILE = """
[campaign]
name = "gazette"
from = "news@example.com"
{campaign}
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
{compose}
"""
ONCE, OTHER, BEFORE, LONG = (
    "may stand there once",
    "can only be part of {token}",
    "stands before the @",
    "64 are possible",
)


def loaded(place: Path, campaign: str = "", compose: str = "") -> tuple[str | None, str]:
    file = place / "gazette.toml"
    file.write_text(FILE.format(campaign=campaign, compose=compose), encoding="utf-8")
    settings = load(file, {})
    return settings.campaign.return_path, settings.compose.unsubscribe_mailto


@pytest.mark.parametrize(
    "written",
    [
        "bounce+{token}@news.example.com",
        "{token}@news.example.com",
        "b{token}c@news.example.com",
        f"{'b' * 40}{{token}}@news.example.com",
        "bounces@news.example.com",
        "b?{token}@news.example.com",
    ],
)
def test_a_return_path_may_hold_a_token_before_the_at(tmp_path: Path, written: str) -> None:
    assert loaded(tmp_path, f'return_path = "{written}"')[0] == written


@pytest.mark.parametrize(
    "written",
    [
        "",
        "leave@example.com",
        "mailto:leave@example.com?subject=out",
        "unsub+{token}@example.com",
        "mailto:unsub+{token}@example.com",
        "leave@example.com?subject={token}",
        "leave@example.com?subject=out&body={token}",
    ],
)
def test_an_address_for_unsubscribing_may_hold_one_there_or_in_its_subject(tmp_path: Path, written: str) -> None:
    assert loaded(tmp_path, compose=f'unsubscribe_mailto = "{written}"')[1] == written


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{token}+{token}@example.com", ONCE),
        ("bounce@{token}.example.com", BEFORE),
        ("bounce+{Token}@example.com", OTHER),
        ("bounce+{number}@example.com", OTHER),
        ("bounce+{token}}@example.com", OTHER),
        ("bounce+{@example.com", OTHER),
        ("bounce+}@example.com", OTHER),
        (f"{'b' * 41}{{token}}@example.com", LONG),
    ],
)
def test_anything_else_in_braces_is_refused_in_a_sentence(tmp_path: Path, written: str, told: str) -> None:
    for campaign, compose in ((f'return_path = "{written}"', ""), ("", f'unsubscribe_mailto = "{written}"')):
        with pytest.raises(ConfigError) as refused:
            loaded(tmp_path, campaign, compose)
        assert told in str(refused.value)
        assert written[:20] in str(refused.value)


@pytest.mark.parametrize(
    ("campaign", "compose", "told"),
    [
        ('return_path = "{{ token }}@example.com"', "", "cannot be a template here"),
        ('return_path = "Bounces <{token}@example.com>"', "", "should be a bare address"),
        ('return_path = "{token}"', "", "is not a mailbox"),
        ("return_path = 7", "", "is not a mailbox"),
        ("", "unsubscribe_mailto = 7", "should be text in quotes"),
        ("", 'unsubscribe_mailto = "out@example.com?subject={token}{token}"', ONCE),
        ("", 'unsubscribe_mailto = "out@{token}.example.com?subject=out"', BEFORE),
        ("", 'unsubscribe_mailto = "mailto:out@example.com?subject={tokens}"', OTHER),
    ],
)
def test_what_is_wrong_otherwise_is_told_as_ever(tmp_path: Path, campaign: str, compose: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, campaign, compose)
    assert told in str(refused.value)
