"""Suppression lists: who is on one, in whatever spelling and format, and what happens to a list that is odd."""

from __future__ import annotations

import gzip
import hashlib
import sqlite3
from pathlib import Path

import pytest

from campaign.audience.screening.screen_rows import Suppression
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError


def load(folder: Path, text: str | bytes = "", name: str = "gone.txt", **settings: object) -> Suppression:
    data = text.encode() if isinstance(text, str) else text
    if data:
        (folder / name).write_bytes(data)
    settings.setdefault("suppress", [name])
    return Suppression.load(AudienceSection(source="list.csv", **settings), folder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "address", "covered"),
    [
        ("ada@example.com", "ada@example.com", True),
        ("ADA@Example.com", "ada@example.com", True),
        ("ada@example.com", "ADA@EXAMPLE.COM", True),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", True),
        ("ada@xn--bcher-kva.example", "ada@BÜCHER.example", True),
        ("zoe\u0308@example.com", "zoë@example.com", True),
        ("Ada <ada@example.com>", "ada@example.com", True),
        ("  ada@example.com ", "ada@example.com", True),
        ("@example.org", "anyone@example.org", True),
        ("*@example.org", "anyone@EXAMPLE.ORG", True),
        ("@example.org", "anyone@sub.example.org", False),
        ("@bücher.example", "x@xn--bcher-kva.example", True),
        ("a.da@gmail.com", "ada@gmail.com", False),
        ("bob@example.com", "ada@example.com", False),
        (hashlib.sha256(b"ada@example.com").hexdigest(), "Ada@example.com", True),
        (hashlib.sha256(b"ada@example.com").hexdigest().upper(), "ada@example.com", True),
        (hashlib.md5(b"ada@example.com", usedforsecurity=False).hexdigest(), "ada@example.com", True),
        (
            hashlib.md5("ada@bücher.example".encode(), usedforsecurity=False).hexdigest(),
            "ada@xn--bcher-kva.example",
            True,
        ),
        (hashlib.sha256(b"ada@example.com\n").hexdigest(), "ada@example.com", False),
    ],
)
def test_an_entry_covers_every_spelling_of_who_it_means(
    tmp_path: Path, entry: str, address: str, covered: bool
) -> None:
    assert load(tmp_path, entry + "\n").covers(address) == ("listed in gone.txt" if covered else "")


def test_provider_rules_reach_suppression_too(tmp_path: Path) -> None:
    found = load(tmp_path, "a.da+news@googlemail.com\n", provider_rules=True)
    assert found.covers("ada@gmail.com")


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com\nbob@example.com\n",
        "email\nada@example.com\nbob@example.com\n",
        "E-Mail;Datum\nada@example.com;2026-01-01\nbob@example.com;2026-01-02\n",
        "id,address,why\n1,ada@example.com,left\n2,bob@example.com,left\n",
        "2026-01-01\tada@example.com\n2026-01-02\tbob@example.com\n",
        "# who left\n\nada@example.com\r\n\r\nbob@example.com",
        '"email","note"\n"ada@example.com","said ""no"""\n"bob@example.com",""\n',
        'email,note\nada@example.com,"a quote that never closes\nbob@example.com,x\n',
        "address,reason,code,since,campaign\nada@example.com,dead,550,2026,x\nbob@example.com,dead,550,2026,x\n",
        "\ufeffemail\nada@example.com\nbob@example.com\n",
    ],
)
def test_plain_lines_and_csv_with_or_without_a_header_are_lists(tmp_path: Path, text: str) -> None:
    found = load(tmp_path, text)
    assert [bool(found.covers(f"{name}@example.com")) for name in ("ada", "bob", "eve")] == [True, True, False]


def test_a_list_may_be_utf_16_or_compressed(tmp_path: Path) -> None:
    assert load(tmp_path, "email\nada@example.com\n".encode("utf-16")).covers("ada@example.com")
    assert load(tmp_path, gzip.compress(b"ada@example.com\n"), "gone.csv.gz").covers("ada@example.com")


def test_the_audiences_own_address_column_is_preferred(tmp_path: Path) -> None:
    found = load(tmp_path, "email,member\nx@example.com,ada@example.com\n", address="member")
    assert found.covers("ada@example.com")
    assert not found.covers("x@example.com")


def test_a_list_with_nobody_on_it_is_a_list(tmp_path: Path) -> None:
    assert len(load(tmp_path, "email\n")) == 0


def test_a_database_is_a_list(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "crm.db") as database:
        database.execute("CREATE TABLE gone (email TEXT)")
        database.execute("INSERT INTO gone VALUES ('ada@example.com'), (NULL)")
    database.close()
    found = load(tmp_path, suppress=["sqlite:///crm.db"], suppress_query="SELECT email FROM gone")
    assert found.covers("Ada@Example.com") == "listed in sqlite:///crm.db"


def test_several_lists_are_each_named(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("ada@example.com\n")
    (tmp_path / "two.txt").write_text("bob@example.com\n@example.org\n")
    found = load(tmp_path, suppress=["one.txt", "two.txt"])
    assert len(found) == 3
    assert found.covers("ada@example.com") == "listed in one.txt"
    assert found.covers("eve@example.org") == "listed in two.txt"


@pytest.mark.parametrize(
    ("entry", "address", "why"),
    [
        ("Ada@example.com", "ada@EXAMPLE.com", "hard bounce on 2026-11-28"),
        ("@example.com", "ada@example.com", "hard bounce on 2026-11-28"),
        (hashlib.sha256(b"ada@example.com").hexdigest(), "Ada@example.com", "hard bounce on 2026-11-28"),
        ("nonsense", "ada@example.com", ""),
        ("bob@example.com", "ada@example.com", ""),
    ],
)
def test_entries_told_beside_the_lists_cover_with_their_reason(
    tmp_path: Path, entry: str, address: str, why: str
) -> None:
    settings = AudienceSection(source="list.csv")
    found = Suppression.load(settings, tmp_path, [(entry, "hard bounce on 2026-11-28")])
    assert found.covers(address) == why
    assert len(found) == (entry != "nonsense")


def test_a_list_is_named_before_what_is_told_beside_it(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("ada@example.com\n")
    settings = AudienceSection(source="list.csv", suppress=["gone.txt"])
    found = Suppression.load(settings, tmp_path, [("ada@example.com", "complaint"), ("bob@example.com", "complaint")])
    assert found.covers("ada@example.com") == "listed in gone.txt"
    assert found.covers("bob@example.com") == "complaint"


def test_unreadable_lines_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    found = load(tmp_path, "ada@example.com\nnonsense\n" + "more @ nonsense\n" * 100)
    assert found.unreadable == 101
    assert found.complaints[0] == "gone.txt:2: 'nonsense'"
    assert len(found.complaints) == 20


@pytest.mark.parametrize(
    ("text", "settings", "error", "told"),
    [
        ("", {"suppress": ["nowhere.txt"]}, InputError, "cannot be opened"),
        ("name\nAda\nBob\n", {}, InputError, "holds no address, @domain or hash"),
        ("", {"suppress": ["https://example.com/gone.csv"]}, ConfigError, "is a URL"),
        ("", {"suppress": ["sqlite:///crm.db"]}, ConfigError, "suppress_query"),
        ("first,last\nAda,Lovelace\n", {}, ConfigError, "unclear which column"),
        (b"email\nzo\xeb@example.com\n", {}, InputError, "is not UTF-8"),
    ],
)
def test_a_list_that_cannot_be_read_stops_the_run(
    tmp_path: Path, text: str | bytes, settings: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        load(tmp_path, text, **settings)
