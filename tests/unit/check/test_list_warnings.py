"""What `check` points at: likely typing errors, text decoded twice, addresses that ask more of a relay."""

from __future__ import annotations

import subprocess
import sys

import pytest

from campaign.check.list_warnings import meant_text, survey, typo_hints
from campaign.model import Recipient


@pytest.mark.parametrize(
    ("domains", "hints"),
    [
        ({"gmail.com": 90, "gmial.com": 2}, {"gmial.com": "gmail.com"}),
        ({"gmail.com": 90, "gmai.com": 1, "ggmail.com": 1, "gmail.con": 1, "gmailcom": 1}, 4),
        ({"gmail.com": 90, "mail.com": 9, "ymail.com": 3}, {}),
        (
            {"firm.example": 9, "gmial.com": 1, "hotmial.com": 2},
            {"hotmial.com": "hotmail.com", "gmial.com": "gmail.com"},
        ),
        ({"firm.example": 9, "gmial.com": 11}, {}),
        ({"hotmail.com": 1, "hotmail.se": 1, "hotmail.de": 1, "yahoo.fi": 1, "yahoo.co": 1, "mail.com": 1}, {}),
        ({"example.com": 30, "example.org": 5}, {}),
        ({"company.example": 10, "conpany.example": 9}, {}),
        ({"company.example": 10, "conpany.example": 3}, {"conpany.example": "company.example"}),
        ({"company.example": 2, "conpany.example": 1}, {}),
        ({"qq.com": 500, "q.com": 2}, {}),
        ({}, {}),
    ],
)
def test_a_rare_domain_one_letter_from_a_common_one_is_a_likely_typing_error(
    domains: dict[str, int], hints: dict[str, str] | int
) -> None:
    found = typo_hints(domains)
    assert (len(found) if isinstance(hints, int) else found) == hints


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ZoÃ«", "Zoë"),
        ("Ã©tÃ©", "été"),
        ("ä½\xa0å¥½", "你好"),
        ("â€œhiâ€\x9d", "“hi”"),
        ("ðŸ˜€", "😀"),
        ("Å\x81Ã³dÅº", "Łódź"),
    ],
)
def test_text_that_was_decoded_twice_is_recognised(text: str, meant: str) -> None:
    assert meant_text(text) == meant


@pytest.mark.parametrize(
    "text", ["Zoë", "été", "你好", "“hi”", "NÃO", "SÃO PAULO", "Łódź", "Ärger", "À bientôt", "naïve", "Ünïcödé", "10 £"]
)
def test_text_that_was_not_is_left_alone(text: str) -> None:
    assert meant_text(text) == ""


def test_a_survey_ends_in_sentences_with_line_and_column() -> None:
    people = [Recipient(n, f"p{n}@example.com", str(n), "", n + 2, {"name": "Ann"}) for n in range(30)]
    people += [
        Recipient(30, "x@exmaple.com", "x", "", 32, {"name": "ZoÃ«"}),
        Recipient(31, "zoë@example.com", "z", "", 33, {}),
    ]
    people += [Recipient(n, f"q{n}@example.org", str(n), "", n, {"name": "Ã¼"}) for n in range(40, 50)]
    told = survey(people).warnings("list.csv")
    assert told[0] == "list.csv:32: name 'ZoÃ«' looks decoded twice; it was probably 'Zoë'"
    assert "list.csv: 6 more values look decoded twice" in told
    assert "list.csv: 1 at exmaple.com, perhaps example.com" in told
    assert "list.csv: 1 addresses need a relay that offers SMTPUTF8" in told


def test_a_csv_list_is_frozen_without_loading_pandas_or_a_database_library() -> None:
    program = (
        "import sys, pathlib, tempfile; from campaign.audience.plan.plan_reader import freeze;"
        "heavy = {'pandas', 'sqlalchemy', 'numpy', 'email_validator'} & set(sys.modules); assert not heavy, heavy;"
        "from campaign.audience.screening.screen_rows import Suppression;"
        "from campaign.config.audience import AudienceSection;"
        "folder = pathlib.Path(tempfile.mkdtemp()); (folder / 'l.csv').write_text('email\\na@example.com\\n');"
        "freeze(AudienceSection(source='l.csv'), folder, folder, suppression=Suppression());"
        "heavy = {'pandas', 'sqlalchemy', 'pyarrow'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
