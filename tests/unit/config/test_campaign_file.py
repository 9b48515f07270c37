"""A campaign file becomes frozen settings, or every mistake at once by its dotted path."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from campaign.config import Settings, load
from campaign.config.units import Rate, bare_address, duration, mailbox, rate, rates
from campaign.errors import ConfigError
from campaign.model import Mailbox

LEAST = """
[campaign]
name = "gazette"
from = "Ada's Gazette <news@example.com>"
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gazette.toml"
    path.write_text(LEAST, encoding="utf-8")
    return path


def told(file: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, environment or {})
    return list(caught.value.evidence)


def with_lines(file: Path, *lines: str) -> Path:
    file.write_text(LEAST + "\n".join(lines), encoding="utf-8")
    return file


# -- the file


def test_the_least_file_is_enough(file: Path) -> None:
    settings = load(file, {})
    assert settings.campaign.sender == Mailbox("Ada's Gazette", "news@example.com")
    assert settings.delivery.relay == ("mailbox",)
    assert settings.ledger.in_doubt == "hold"
    assert settings.base == file.parent
    assert settings.file == file


def test_a_byte_order_mark_does_no_harm(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load(file, {}).campaign.name == "gazette"


def test_settings_are_frozen(file: Path) -> None:
    settings = load(file, {})
    with pytest.raises(ValidationError):
        settings.campaign.name = "another"  # type: ignore[misc] # that is the point


def test_paths_are_relative_to_the_file_wherever_one_stands(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent.parent)
    assert load(Path(file.parent.name) / file.name, {}).base == file.parent


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("[delivery]\nconections = 5", "delivery.conections: unknown key; did you mean 'connections'?"),
        ("[delivery]\nzzz = 5", "delivery.zzz: unknown key; known here: relay, "),
        ("[delivery]\nconnections = 0", "delivery.connections: should be greater than or equal to 1"),
        ("[delivery]\nconnections = 'many'", "delivery.connections: should be a whole number"),
        ("[delivery]\nrelay = 5", "delivery.relay: should be text in quotes, or a list"),
        ("[delivery]\nrate = 'fast'", "delivery.rate: 'fast' is not a rate; write one such as '50/s'"),
        ("[delivery]\nrate = ['50/s', '0/s']", "delivery.rate: '0/s' is not a rate"),
        ("[delivery]\ngive_up_after = 'soon'", "delivery.give_up_after: 'soon' is not a duration"),
        ("[delivery]\ntimeouts = { dott = 3 }", "delivery.timeouts.dott: unknown key; did you mean 'dot'?"),
        ("[delivery]\ndomain_rate = { 'gmail.com' = 'x' }", "delivery.domain_rate.\"gmail.com\": 'x' is not a rate"),
        ("[ledger]\nmust_exist = 3", "ledger.must_exist: should be true or false"),
        ("[ledger]\nin_doubt = 'perhaps'", "ledger.in_doubt: should be 'hold', 'resend' or 'skip'"),
        ("[report]\nmetrics_file = []", "report.metrics_file: "),
        ("[ledgre]\na = 1", "ledgre: unknown key; did you mean 'ledger'?"),
        ("delivery = 5", "compose.delivery: unknown key"),
    ],
)
def test_a_mistake_is_told_by_its_path(file: Path, line: str, mistake: str) -> None:
    [found] = told(with_lines(file, line))
    assert found.startswith(mistake)


@pytest.mark.parametrize(
    ("key", "mistakes"),
    [
        ("dkim = 5", 1),
        ("dkim = { domain = 'example.com', selector = 's' }", 1),
        ("dkim = { domain = 'example.com', selektor = 's', key_file = 'k' }", 2),
        ("dkim = [{ domain = 'example.com' }]", 2),
        ("processes = 'some'", 1),  # a key of an earlier release
    ],
)
def test_of_a_value_of_several_kinds_only_keys_are_told(file: Path, key: str, mistakes: int) -> None:
    found = told(with_lines(file, key))
    assert len(found) == mistakes
    for one in found:
        assert one.startswith(("compose.dkim", "compose.processes: "))
        assert "Section" not in one
        assert "[" not in one.partition(":")[0]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "empty.toml"
    file.write_text("[campaign]\nname = 'no good!'\n", encoding="utf-8")
    assert [one.partition(":")[0] for one in told(file)] == ["campaign.name", "campaign.from", "audience", "compose"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a" * 65, "naïve"])
def test_a_name_that_cannot_name_a_folder_is_refused(file: Path, name: str) -> None:
    file.write_text(LEAST.replace('"gazette"', repr(name)), encoding="utf-8")
    [found] = told(file)
    assert found.startswith("campaign.name: ")


def test_a_time_without_a_zone_is_refused(file: Path) -> None:
    file.write_text(LEAST.replace("[audience]", "not_after = 2026-11-24T20:00:00\n[audience]"), encoding="utf-8")
    [found] = told(file)
    assert found.startswith("campaign.not_after: ")


def test_a_date_pattern_is_filled_in_when_the_run_starts(file: Path) -> None:
    file.write_text(LEAST.replace("[audience]", 'edition = "%Y-%m"\n[audience]'), encoding="utf-8")
    assert load(file, {}).campaign.edition_at(datetime(2026, 11, 24, tzinfo=UTC)) == "2026-11"


# -- the environment


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DELIVERY__CONNECTIONS", "7", lambda settings: settings.delivery.connections == 7),
        ("DELIVERY__RATE", "20/s", lambda settings: settings.delivery.rate == (Rate(20, 1),)),
        ("DELIVERY__RATE", '["20/s", "9/h"]', lambda settings: settings.delivery.rate == (Rate(20, 1), Rate(9, 3600))),
        ("LEDGER__DIRECTORY", "/var/lib/runs", lambda settings: settings.ledger.directory == Path("/var/lib/runs")),
        ("LEDGER__MUST_EXIST", "true", lambda settings: settings.ledger.must_exist is True),
        ("DELIVERY__TIMEOUTS__DOT", "90s", lambda settings: settings.delivery.timeouts.dot == 90.0),
        ("CAMPAIGN__NAME", "another", lambda settings: settings.campaign.name == "another"),
        ("COMPOSE__SUBJECT", 'He said "hi"', lambda settings: settings.compose.subject == 'He said "hi"'),
    ],
)
def test_the_environment_is_laid_over_the_file(file: Path, name: str, value: str, expected: Any) -> None:
    assert expected(load(file, {f"CAMPAIGN__{name}": value, "PATH": "/bin"}))


def test_a_mistake_in_the_environment_is_told_by_its_path(file: Path) -> None:
    [found] = told(file, {"CAMPAIGN__DELIVERY__CONECTIONS": "7"})
    assert found.startswith("delivery.conections: unknown key")
    with pytest.raises(ConfigError, match="points into a value"):
        load(file, {"CAMPAIGN__CAMPAIGN__NAME__FIRST": "x"})


def test_values_are_not_repeated_where_they_might_be_secret(file: Path) -> None:
    found = told(file, {"CAMPAIGN__DELIVERY__PASSWORD": "hunter2"})
    assert "hunter2" not in "".join(found)


# -- what people write


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("15m", 900), ("24h", 86400), ("2d", 172800), ("1h 30m", 5400), ("250ms", 0.25), (5, 5), (0, 0)],
)
def test_durations(written: object, seconds: float) -> None:
    assert duration(written) == seconds


@pytest.mark.parametrize("written", ["", "soon", "5", "-5s", "5 weeks", True, None, -1, "5s later"])
def test_what_is_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("50/s", Rate(50, 1)),
        ("100000/day", Rate(100000, 86400)),
        ("10/10s", Rate(10, 10)),
        ("0.5/s", Rate(0.5, 1)),
        (" 3 / min ", Rate(3, 60)),
    ],
)
def test_rates(written: str, expected: Rate) -> None:
    assert rate(written) == expected
    assert rates([written, "1/h"]) == (expected, Rate(1, 3600))


@pytest.mark.parametrize("written", ["", "50", "fast", "0/s", "-1/s", "5/week", 50, None])
def test_what_is_no_rate(written: object) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        rate(written)


@given(st.integers(1, 10**9), st.sampled_from(["s", "min", "h", "day"]))
def test_a_rate_is_written_as_it_is_read(count: int, unit: str) -> None:
    again = rate(str(rate(f"{count}/{unit}"))) if count < 10**6 else rate(f"{count}/{unit}")
    assert again == rate(f"{count}/{unit}")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("news@example.com", Mailbox("", "news@example.com")),
        ("Ada <news@Example.COM>", Mailbox("Ada", "news@example.com")),
        ('"Ada, Countess" <news@example.com>', Mailbox("Ada, Countess", "news@example.com")),
        ("李 <news@bücher.example>", Mailbox("李", "news@xn--bcher-kva.example")),
    ],
)
def test_mailboxes(written: str, expected: Mailbox) -> None:
    assert mailbox(written) == expected


@pytest.mark.parametrize(
    "written",
    ["", "news", "@example.com", "a@b@c.example", "Ada <a@b.example", "a b@example.com", "a@exa mple.com",
     "Ada <a@example.com>, b@example.com", "Ada <a@example.com\r\nBcc: b@example.com>", 5],
)  # fmt: skip
def test_what_is_no_mailbox(written: object) -> None:
    with pytest.raises(ValueError, match="is not a"):
        mailbox(written)


def test_an_envelope_sender_has_no_name() -> None:
    assert bare_address("<bounces@example.com>") == "bounces@example.com"
    with pytest.raises(ValueError, match="without a name"):
        bare_address("Bounces <bounces@example.com>")


def test_every_key_is_described() -> None:
    def described(model: Any) -> None:
        for name, field in model.model_fields.items():
            annotation = field.annotation
            if hasattr(annotation, "model_fields"):
                described(annotation)
            elif name not in {"base", "file", "relay_option"}:
                assert field.description, f"{model.__name__}.{name}"

    described(Settings)
