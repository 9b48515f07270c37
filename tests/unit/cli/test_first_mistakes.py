"""What a newcomer gets wrong first is told in one sentence, with the next thing to type, before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from campaign.audience.encodings.text_decoding import choose_codec
from campaign.cli.control import whole
from campaign.cli.main import cli
from campaign.compose.template.template_loader import Loader
from campaign.config import load
from campaign.config.campaign_secret import load_secret
from campaign.config.units import rate
from campaign.delivery.pacing.effective_rate import pace_for, pace_of
from campaign.errors import CampaignError, ConfigError, InputError, UnfinishedError
from campaign.ledger.journal.journal_file import unwritable
from campaign.model import Books
from campaign.pipeline.command_context import Options, lay_over, prepare
from campaign.pipeline.find_run import find_run
from campaign.pipeline.preview import send_tests
from campaign.pipeline.start.campaign_time import wait_for_start
from campaign.pipeline.start.preflight import refuse_unready
from campaign.pipeline.start.run_announcement import nobody_left
from campaign.report.live.console import Console

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes ``gazette.toml`` into the current folder, with further lines under [delivery]."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letter.txt").write_text("Dear {{ name }}\n")
    (tmp_path / "people.csv").write_text("email,name\nada@example.com,Ada\n")

    def written(delivery: str = 'relay = "mailbox"', campaign: str = "") -> Path:
        (tmp_path / "gazette.toml").write_text(
            f'[campaign]\nname = "gazette"\nfrom = "news@example.com"\n{campaign}\n[audience]\nsource = "people.csv"\n'
            f'[compose]\nsubject = "News"\ntext = "letter.txt"\n[delivery]\n{delivery}\n'
        )
        return Path("gazette.toml")

    return written


def told(kind: type[CampaignError], what: Callable[[], object]) -> str:
    """The whole message, which ends in a next step."""
    with pytest.raises(kind) as caught:
        what()
    assert caught.value.next_step
    return str(caught.value)


# -- the campaign file


def test_a_misspelt_campaign_file_leads_to_the_one_that_is_there(write: Write) -> None:
    write()
    assert "such as gazette.toml" in told(ConfigError, lambda: load(Path("gazete.toml")))
    assert "there is no folder news" in told(ConfigError, lambda: load(Path("news/gazette.toml")))


def test_a_list_in_place_of_the_campaign_file_is_not_to_be_mended(write: Write) -> None:
    write()
    message = told(ConfigError, lambda: load(Path("people.csv")))
    assert "line 1: email,name" in message
    assert message.endswith("Next: name the campaign file, such as gazette.toml")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("edition = spring", "text stands in quotes"),
        ('name = "twice"', "may stand there once"),
        ("=", "correct gazette.toml"),
    ],
)
def test_a_slip_in_toml_is_shown_with_its_line(write: Write, line: str, hint: str) -> None:
    message = told(ConfigError, lambda: load(write(campaign=line)))
    assert f"line 4: {line}" in message
    assert hint in message


def test_a_mistake_set_by_the_environment_names_its_variable(write: Write) -> None:
    message = told(ConfigError, lambda: load(write(), {"CAMPAIGN__DELIVERY__RATE": "fast"}))
    assert "(set by CAMPAIGN__DELIVERY__RATE)" in message


def test_no_pattern_is_shown_where_words_can_say_it(write: Write) -> None:
    file = write()
    file.write_text(file.read_text().replace('"gazette"', '"my gazette"'))
    message = told(ConfigError, lambda: load(file, {}))
    assert "letters, digits, dot, dash, underscore" in message
    assert "^" not in message


def test_a_time_without_its_zone_is_asked_for_one(write: Write) -> None:
    message = told(ConfigError, lambda: load(write(campaign="not_after = 2026-11-24T08:00:00"), {}))
    assert "should say its time zone, such as" in message


def test_before_its_time_the_next_thing_to_type_is_told(write: Write) -> None:
    settings = load(write(campaign="not_before = 2999-01-01T00:00:00Z"), {})
    assert "--no-wait" in told(CampaignError, lambda: wait_for_start(settings, Options(wait=False), Console()))


def test_a_short_secret_is_mended_where_it_stands(tmp_path: Path) -> None:
    short = tmp_path / "campaign.secret"
    short.write_text("abc")
    short.chmod(0o600)
    assert "remove the file" in told(ConfigError, lambda: load_secret(short, must_exist=False, environment={}))
    given = {"CAMPAIGN_SECRET": "abc"}
    assert "remove" not in told(ConfigError, lambda: load_secret(short, must_exist=False, environment=given))


# -- the list and the templates


@pytest.mark.parametrize(
    "head", [b"%PDF-1.7\n", b"PK\x03\x04\x14", b"\xd0\xcf\x11\xe0\xa1", b"PAR1\x15", b"SQLite format 3\0"]
)
def test_what_is_no_text_is_not_taken_for_another_encoding(head: bytes) -> None:
    assert "is no text file" in told(InputError, lambda: choose_codec(head, "", Path("people.csv")))


def test_an_empty_template_would_make_empty_letters(write: Write) -> None:
    file = write()
    Path("letter.txt").write_text("\n")
    assert "is empty" in told(ConfigError, lambda: prepare_composer(file))


def test_a_template_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").mkdir()
    message = told(ConfigError, lambda: Loader([tmp_path], tmp_path, []).text(tmp_path / "letter.txt"))
    assert message.startswith("The template letter.txt cannot be read.")


def prepare_composer(file: Path) -> object:
    from campaign.compose.composer import Composer

    return Composer(prepare(load(file, {})).brief(("email", "name"), 1))


def test_a_list_that_is_all_filtered_out_is_not_taken_for_served(write: Write) -> None:
    job = prepare(load(write(), {}))
    assert "Next: look at where and suppress" in nobody_left(job, Books(read=2, filtered=2), retry=False)
    served = nobody_left(job, Books(read=2, already=2), retry=False)
    assert "2 rows read = 2 already" in served
    assert "Next" not in served
    retried = nobody_left(job, Books(read=2, filtered=2), retry=True)
    assert retried.startswith("Nobody is left to be served again: this edition has no run yet.\n  2 rows read")
    assert "\nNext: campaign send" in retried
    assert "where and suppress" not in retried


# -- the relay, before rows are read and a folder is made

RELAYS = [
    ('relay = "smtp.example.com"', "There is no relay preset"),
    ('relay = "https://smtp.example.com"', "begins with neither"),
    ('relay = "smtp://127.0.0.1:many"', "is not a URL"),
    ('relay = "smtps://ada:secret@smtp.example.com"', "holds a password"),
    ('relay = "gmail"', "needs to know who logs in"),
    ('relay = "ada@gmail"', "There is no password for ada"),
    ('relay = "gmail"\nuser = "ada"\npassword_file = "gone"', "gone cannot be read"),
    ('relay = "gmail"\nuser = "ada"\npassword_file = "people.csv"', "can be read by others"),
    ('relay = "ada@gmail"\noauth = { provider = "google", file = "gone.json" }', "gone.json cannot be read"),
]


@pytest.mark.parametrize(("delivery", "sentence"), RELAYS)
def test_a_relay_that_cannot_be_used_as_written_is_told_before_a_run_is_made(
    write: Write, delivery: str, sentence: str
) -> None:
    job = prepare(load(write(delivery), {}))
    Path("people.csv").chmod(0o644)
    assert sentence in told(ConfigError, lambda: refuse_unready(job, {}))
    found = CliRunner(env={"CAMPAIGN_RELAY_PASSWORD": None}).invoke(cli, ["send", "gazette.toml"])
    assert isinstance(found.exception, ConfigError)
    assert not list(Path().glob("runs/gazette/2*"))


@pytest.mark.parametrize(
    "delivery",
    [
        'relay = "mailbox"',
        'relay = "smtp://127.0.0.1:25"',
        'relay = "workspace-relay"',
        'relay = "gmail"\nuser = "ada"\npassword_command = "false"',
        'relay = "office365"\nuser = "ada"\ntoken_command = "false"',
    ],
)
def test_nothing_is_asked_of_others_before_a_run(write: Write, delivery: str) -> None:
    refuse_unready(prepare(load(write(delivery), {})), {})


def test_tokens_that_renew_themselves_need_no_password(write: Write) -> None:
    held = Path("held.json")
    job = prepare(load(write('relay = "ada@gmail"\noauth = { provider = "google", file = "held.json" }'), {}))
    held.write_text('{"refresh_token": "r", "client_id": "c", "client_secret": "s"}')
    held.chmod(0o600)
    refuse_unready(job, {})


def test_a_password_in_the_environment_needs_no_file(write: Write) -> None:
    job = prepare(load(write('relay = "ada@gmail"\npassword_file = "gone"'), {}))
    refuse_unready(job, {"CAMPAIGN_RELAY_PASSWORD": "secret"})


def test_check_finds_a_relay_without_a_user(write: Write) -> None:
    write('relay = "gmail"')
    found = CliRunner().invoke(cli, ["check", "gazette.toml"], standalone_mode=False)
    assert "needs to know who logs in" in found.output
    assert found.return_value == 78


def test_a_test_letter_goes_to_an_address(write: Write) -> None:
    job = prepare(lay_over(load(write(), {}), Options(relay="smtp://127.0.0.1:1")))
    assert "me is not an address" in told(ConfigError, lambda: send_tests(job, Console(), to="me", rows=[]))


@pytest.mark.parametrize(
    ("rates", "letters", "expected"),
    [
        ([], 10, None),
        (["20/s"], 10, 20.0),
        (["20/s", "50000/day"], 50_000, 20.0),
        (["20/s", "86400/day"], 90_000, 1.0),
        (["86400/day"], 10, 1.0),
    ],
)
def test_a_limit_of_a_day_is_not_announced_as_the_pace_of_a_run_below_it(
    rates: list[str], letters: int, expected: float | None
) -> None:
    assert pace_for([rate(one) for one in rates], letters) == expected


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ('relay = "gmail"', 1.0),
        ('relay = "gmail"\nrate = "7/s"', 7.0),
        ('relay = ["smtp://127.0.0.1:25", "gmail"]', None),
        ('relay = [{ url = "gmail", weight = 1 }, { url = "workspace", weight = 3 }]', 2 / 0.75),
        ('relay = [{ url = "gmail", weight = 1 }, { url = "qq", weight = 0 }]\nrate = "7/s"', 7.0),
        ('relay = [{ url = "gmail", weight = 1 }, { url = "qq", weight = 1 }]\nrate = "7/s"', 14.0),
    ],
)
def test_the_pace_announced_is_that_of_the_relays_which_serve(
    write: Write, delivery: str, expected: float | None
) -> None:
    assert pace_of(load(write(delivery), {}).delivery, 10) == (expected and pytest.approx(expected))


def test_a_relay_that_cannot_be_reached_is_told_once_to_whoever_tests(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    job = prepare(lay_over(load(write(), {}), Options(relay="smtp://127.0.0.1:1")))
    said = told(UnfinishedError, lambda: send_tests(job, Console(), to="me@example.com", rows=[]))
    assert said.count("The relay cannot be reached now.") == said.count("Connection refused") == 1
    assert "Connection refused" not in capsys.readouterr().err


# -- the command line


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sned", "gazette.toml"], "did you mean: campaign send"),
        (["gazette.toml"], "did you mean: campaign send gazette.toml"),
        (["frobnicate"], "There is no command 'frobnicate'."),
        (["send", "gazette.toml", "--limit", "all"], "'all' is not a whole number from 1 up"),
        (["set", "gazette.toml", "connections=many"], "'many' is not a whole number from 1 to 1000"),
        (["set", "gazette.toml", "connections=5000"], "'5000' is not a whole number from 1 to 1000"),
    ],
)
def test_a_wrong_command_line_is_answered_with_what_was_meant(write: Write, words: list[str], sentence: str) -> None:
    write()
    found = CliRunner().invoke(cli, words)
    assert found.exit_code == 2
    assert sentence in found.output


def test_a_number_of_connections_is_one_that_the_campaign_file_could_hold() -> None:
    assert whole("1000") == 1000


def test_where_there_is_no_run_the_first_one_is_a_command_away(write: Write) -> None:
    file = write()
    assert "campaign send gazette.toml makes the first" in told(ConfigError, lambda: find_run(str(file), print))
    assert "There is no run in nowhere." in told(ConfigError, lambda: find_run("nowhere", print))
    found = CliRunner().invoke(cli, ["repair", "nowhere"])
    assert isinstance(found.exception, ConfigError)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (PermissionError(13, "Permission denied"), "the right to write"),
        (NotADirectoryError(20, "Not a directory"), "move the file"),
        (OSError(30, "Read-only file system"), "mount that disk"),
        (OSError(28, "No space left on device"), "free some space"),
        (OSError(5, "Input/output error"), "see to the disk"),
    ],
)
def test_a_disk_that_says_no_is_answered_by_what_it_said(error: OSError, hint: str) -> None:
    assert hint in unwritable(Path("runs"), error).next_step
