"""Unsubscribe tokens: opaque, reproducible, bound to their campaign, and opened by the documented verifier."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.compose.tokens.unsubscribe_token import SHORTEST, OpenedToken, UnsubscribeTokens
from campaign.errors import ConfigError
from campaign.model import Identity

OLD, NEW = b"0123456789abcdef0123456789abcdef", b"another secret of thirty-two octets"
IDENTITY = Identity("gazette", "2026-11", 1, NEW)
TOKENS = UnsubscribeTokens(NEW)
ADDRESS = "ada@example.com"
MANUAL = (Path(__file__).parents[3] / "docs" / "unsubscribe.md").read_text(encoding="utf-8")


def snippet(name, names):
    """Run the code block of the manual that this comment announces, and return its names."""
    code = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", MANUAL, re.DOTALL)[1]
    exec(compile(code, f"docs/unsubscribe.md:{name}", "exec"), names)
    return names


subjects = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)


@given(subjects)
def test_a_token_opens_to_what_it_was_made_for(subject):
    token = TOKENS.token(IDENTITY, subject)
    assert TOKENS.open(token) == OpenedToken(subject, "gazette", "2026-11", test=False)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert token == TOKENS.token(IDENTITY, subject)


def test_the_shortest_token_there_can_be_opens():
    token = TOKENS.token(Identity("n", "", 1, NEW), "7")
    assert len(token) == SHORTEST == 47
    assert TOKENS.open(token) == OpenedToken("7", "n", "", test=False)
    assert len(TOKENS.token(Identity("", "", 1, NEW, test=True), "")) == SHORTEST
    with pytest.raises(ValueError, match="not one of our"):
        TOKENS.open(token[:-1])


@given(subjects)
def test_the_verifier_in_the_manual_opens_the_same(subject):
    open_token = snippet("verifier", {})["open_token"]
    token = TOKENS.token(IDENTITY, subject)
    assert open_token(token, [OLD, NEW]) == (subject, "gazette", "2026-11", 0)


def test_the_verifier_in_the_manual_is_about_ten_lines():
    code = snippet("verifier", {})["open_token"].__code__
    assert len({line for _, _, line in code.co_lines() if line}) <= 10


@pytest.mark.parametrize("junk", ["", "x", "A" * 90, "é", "=" * 90, "_" * 200, "../../etc/passwd", "A" * 100_000])
def test_neither_opens_anything_else(junk):
    open_token = snippet("verifier", {})["open_token"]
    with pytest.raises(ValueError):  # noqa: PT011 - the manual's own, and base64's, have different words
        open_token(junk, [NEW])
    with pytest.raises(ValueError, match="not one of our"):
        TOKENS.open(junk)


def test_a_token_shows_neither_address_nor_edition_nor_its_neighbour():
    one, other = TOKENS.token(IDENTITY, ADDRESS), TOKENS.token(IDENTITY, "bob@example.com")
    octets = base64.urlsafe_b64decode(one + "==")
    for text in (b"ada", b"example", b"gazette", b"2026"):
        assert text not in octets
    assert one[4:20] != other[4:20]
    assert len(one) == len(other)


def test_a_token_is_bound_to_campaign_and_edition():
    identities = [IDENTITY, replace(IDENTITY, campaign="other"), replace(IDENTITY, edition="2026-12")]
    made = {TOKENS.token(identity, ADDRESS) for identity in identities}
    assert len(made) == 3
    assert {TOKENS.open(token).edition for token in made} == {"2026-11", "2026-12"}


def test_a_second_generation_keeps_its_links():
    assert TOKENS.token(replace(IDENTITY, generation=2), ADDRESS) == TOKENS.token(IDENTITY, ADDRESS)


def test_every_single_altered_character_is_noticed():
    token = TOKENS.token(IDENTITY, ADDRESS)
    for at, character in enumerate(token):
        for other in ("A", "B", "_"):
            if character != other:
                with pytest.raises(ValueError, match="not one of our"):
                    TOKENS.open(token[:at] + other + token[at + 1 :])
    for altered in (token[:-1], token + "A", token + "=", token + "\n", " " + token, token * 2):
        with pytest.raises(ValueError, match="not one of our"):
            TOKENS.open(altered)


def test_a_test_letter_carries_a_token_that_stands_for_nobody():
    tested = replace(IDENTITY, test=True)
    token = TOKENS.token(tested, ADDRESS)
    assert TOKENS.open(token) == OpenedToken("", "gazette", "2026-11", test=True)
    assert token == TOKENS.token(tested, "bob@example.com")
    assert token != TOKENS.token(IDENTITY, "")


def test_a_replaced_secret_still_opens_old_links_and_makes_new_ones():
    rotated = UnsubscribeTokens(NEW + b"\n" + OLD + b"\n")
    old, new = UnsubscribeTokens(OLD).token(IDENTITY, ADDRESS), rotated.token(IDENTITY, ADDRESS)
    assert rotated.open(old) == rotated.open(new)
    assert new == TOKENS.token(IDENTITY, ADDRESS)
    with pytest.raises(ValueError, match="not one of our"):
        UnsubscribeTokens(OLD).open(new)


@pytest.mark.parametrize("secret", [b"", b"\n \n", b"short", NEW + b"\nshort"])
def test_a_secret_too_short_to_be_one_is_a_mistake_of_the_configuration(secret):
    with pytest.raises(ConfigError, match="at least 16 octets"):
        UnsubscribeTokens(secret)


def test_the_secret_is_not_shown():
    assert "another" not in repr(TOKENS) + repr(vars(TOKENS)) + repr(IDENTITY)


def call(endpoint, method, token):
    answer = []
    body = b"".join(endpoint({"REQUEST_METHOD": method, "PATH_INFO": f"/u/{token}"}, lambda *a: answer.append(a)))
    return answer[0][0], body


def test_the_endpoint_in_the_manual_acts_on_post_and_only_shows_a_page_on_get(tmp_path):
    file = tmp_path / "unsubscribed.csv"
    names = snippet("endpoint", snippet("verifier", {"SECRETS": [NEW], "UNSUBSCRIBED": file}))
    token = TOKENS.token(IDENTITY, ADDRESS)
    status, page = call(names["endpoint"], "GET", token)
    assert (status, file.exists()) == ("200 OK", False)
    assert b"method=post" in page
    assert call(names["endpoint"], "POST", token)[0] == "200 OK"
    assert file.read_text() == f"{ADDRESS}\n"
    assert call(names["endpoint"], "POST", TOKENS.token(replace(IDENTITY, test=True), ADDRESS))[0] == "200 OK"
    assert call(names["endpoint"], "POST", token[:-1])[0] == "404 Not Found"
    assert file.read_text() == f"{ADDRESS}\n"
