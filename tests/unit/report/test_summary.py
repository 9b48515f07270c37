"""The end of a run: books, summary.json, failed.csv, in-doubt.csv, the tally and what to type next."""

import csv
import json
import os
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import campaign.report
from campaign.errors import RelayError, StorageError
from campaign.model import Books, FeedbackOutcome, Verdict
from campaign.report import formatting
from campaign.report.facts import DoubtRow, FailedRow, ReplyTally, RunFacts, TimelineBucket
from campaign.report.feedback.feedback_facts import BounceTally, FeedbackFacts, ProviderTally
from campaign.report.summary import (
    balance,
    books_text,
    next_steps,
    summary_json,
    tally,
    write_failed,
    write_in_doubt,
    write_summary,
)
from campaign.report.time_buckets import rebinned
from campaign.system.formula_guard import unguard


def facts(**changes) -> RunFacts:
    given = {
        "campaign": "gazette",
        "edition": "2026-11",
        "run": "20261124T080000Z",
        "folder": "runs/gazette/2026-11/20261124T080000Z",
        "generation": 1,
        "started": 1795507200.0,
        "ended": 1795507220.4,
        "books": Books(read=1010, invalid=4, duplicate=6, planned=1000),
        "verdicts": {"accepted": 996, "rejected": 3, "in_doubt": 1},
        "exit_code": 4,
        "file": "gazette.toml",
    }
    return RunFacts(**(given | changes))


def test_further_addresses_of_cells_are_part_of_the_books():
    books = Books(read=3, further=1, invalid=1, planned=3)
    assert balance(books, {"accepted": 3}) == []
    assert books_text(books) == "3 rows read + 1 further address = 1 invalid + 3 planned"
    assert "3 rows and 2 further addresses were read" in balance(replace(books, further=2), {"accepted": 3})[0]
    assert summary_json(facts(books=books))["books"]["further"] == 1


def test_books_that_balance_leave_nothing_to_say():
    assert balance(facts().books, facts().verdicts) == []


@pytest.mark.parametrize("screen", ["read", "invalid", "duplicate", "merged", "suppressed", "filtered", "already"])
def test_one_row_too_many_anywhere_in_the_screening_is_noticed(screen):
    counts = {"read": 10, "invalid": 1, "planned": 9}
    counts[screen] = counts.get(screen, 0) + 1
    complaints = balance(Books(**counts), {"accepted": 9})
    assert len(complaints) == 1
    assert "rows were read" in complaints[0]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_one_recipient_too_many_under_any_verdict_is_noticed(verdict):
    books = Books(read=5, planned=5)
    assert balance(books, {"accepted": 5} if verdict == "accepted" else {"accepted": 4, verdict: 1}) == []
    complaints = balance(books, {"accepted": 5, verdict: 1} if verdict != "accepted" else {"accepted": 6})
    assert len(complaints) == 1
    assert "5 recipients were planned" in complaints[0]
    assert complaints[0].endswith("make 6")


def test_negative_counts_and_strange_verdicts_are_noticed_though_the_sums_agree():
    assert "waiting is -1" in balance(Books(read=5, planned=5), {"accepted": 6, "waiting": -1})[0]
    assert "'lost' is no verdict" in balance(Books(read=5, planned=5), {"accepted": 4, "lost": 1})[0]


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_failed_rows_keep_the_sources_own_columns_and_feed_back_in_unchanged(tmp_path):
    values = ["ada@example.com", 'Lovelace, "Ada"\r\n', "=cmd|' /C calc'!A0", "007", "张伟"]
    rows = [FailedRow(values, "rejected", 550, "5.1.1", "no such user\nhere"), FailedRow(values, "expired", 0, "", "")]
    assert write_failed(tmp_path, ["email", "name", "@x", "id", "who"], iter(rows)) == 2
    header, first, second = read(tmp_path / "failed.csv")
    assert [unguard(name) for name in header[:5]] == ["email", "name", "@x", "id", "who"]
    assert header[5:] == ["verdict", "code", "enhanced_code", "reason"]
    assert [unguard(cell) for cell in first[:5]] == values
    assert first[5:] == ["rejected", "550", "5.1.1", r"no such user\nhere"]
    assert second[5:] == ["expired", "", "", ""]


def test_typed_values_are_written_as_a_source_would_write_them(tmp_path):
    values = [None, True, 3, 2.5, date(2026, 11, 24), ["a", {"when": date(2026, 1, 2)}]]
    write_failed(tmp_path, list("abcdef"), [FailedRow(values, "rejected", 550, "", "")])
    assert read(tmp_path / "failed.csv")[1][:6] == [
        "",
        "true",
        "3",
        "2.5",
        "2026-11-24",
        '["a", {"when": "2026-01-02"}]',
    ]


def test_a_failed_list_fed_in_again_has_its_four_columns_replaced_not_doubled(tmp_path):
    columns = ["email", "verdict", "code", "enhanced_code", "reason"]
    write_failed(
        tmp_path, columns, [FailedRow(["a@example.com", "old", "1", "2", "3"], "rejected", 550, "5.1.1", "new")]
    )
    assert read(tmp_path / "failed.csv") == [columns, ["a@example.com", "rejected", "550", "5.1.1", "new"]]


def test_a_column_of_the_source_that_has_our_name_is_kept_and_ours_is_renamed(tmp_path):
    write_failed(tmp_path, ["email", "code"], [FailedRow(["a@example.com", "SAVE10"], "rejected", 550, "5.1.1", "no")])
    header, row = read(tmp_path / "failed.csv")
    assert header == ["email", "code", "verdict", "campaign_code", "enhanced_code", "reason"]
    assert row[:2] == ["a@example.com", "SAVE10"]


def test_letters_in_doubt_are_listed_with_what_finds_them_in_the_relays_log(tmp_path):
    rows = [DoubtRow(7, "=1@example.com", "<k@example.com>", "smtp://relay.test", 1795507220.4)]
    assert write_in_doubt(tmp_path, rows) == 1
    assert read(tmp_path / "in-doubt.csv") == [
        ["number", "address", "message_id", "relay", "at"],
        ["7", "'=1@example.com", "<k@example.com>", "smtp://relay.test", "2026-11-24T08:00:20Z"],
    ]


def test_files_are_for_the_owner_only_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_summary(tmp_path, facts())
        write_failed(tmp_path, [], [])
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "summary.json": 0o600,
        "failed.csv": 0o600,
    }


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path):
    write_failed(tmp_path, ["email"], [])
    before = (tmp_path / "failed.csv").read_bytes()

    def rows():
        yield FailedRow(["a@example.com"], "rejected", 550, "", "")
        raise RuntimeError("the source of rows broke")

    with pytest.raises(RuntimeError):
        write_failed(tmp_path, ["email"], rows())
    assert (tmp_path / "failed.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["failed.csv"]


def test_a_folder_that_cannot_be_written_is_a_storage_error_that_says_what_to_do(tmp_path):
    with pytest.raises(StorageError, match=r"summary\.json cannot be written") as caught:
        write_summary(tmp_path / "gone", facts())
    assert "campaign report" in caught.value.next_step


KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def check(value, schema, path="summary") -> None:
    """The part of JSON Schema that the schema uses."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(value is None if kind == "null" else isinstance(value, KINDS[kind]) for kind in kinds), path
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value), path
        for name, inner in value.items():
            rest = schema.get("additionalProperties")
            assert name in schema.get("properties", {}) or rest, f"{path}.{name} is not documented"
            check(inner, schema.get("properties", {}).get(name, rest), f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            check(inner, schema["items"], f"{path}[]")


def described(schema) -> bool:
    return all("description" in inner and described(inner) for inner in schema.get("properties", {}).values())


def test_the_summary_is_what_its_schema_documents(tmp_path):
    schema = json.loads((Path(campaign.report.__file__).parent / "summary.schema.json").read_text("utf-8"))
    assert described(schema)
    rich = facts(
        by_domain={"example.com": {"accepted": 9}},
        by_reply=[ReplyTally(550, "5.1.1", "no", "rejected", 3, "take it off")],
        timeline=[TimelineBucket(1795507200.0, 5, 1, 0)],
        latency={"p50": 0.04, "max": float("nan")},
        relays={"smtp://relay.test": 996},
        settings={"delivery.rate": "50/s"},
        fingerprints={"body": "00"},
        notes=["a note"],
        feedback=FeedbackFacts(
            9,
            996,
            {FeedbackOutcome.HARD: 4},
            [BounceTally(FeedbackOutcome.HARD, "no_such_user", 4)],
            [ProviderTally("google", 500, {FeedbackOutcome.HARD: 4})],
            1,
            2,
        ),
    )
    for one in (rich, facts()):
        write_summary(tmp_path, one)
        check(json.loads((tmp_path / "summary.json").read_text("utf-8")), schema)


def test_those_whose_address_is_dead_are_not_to_be_tried_again():
    some = facts(verdicts={"accepted": 990, "rejected": 10}, dead=4)
    assert ("campaign retry gazette.toml", True) in [
        (command, why.startswith("6 failed") and why.endswith("4 more are dead and in suppressed.csv"))
        for command, why in next_steps(some)
    ]
    dead = facts(verdicts={"accepted": 990, "rejected": 10}, dead=10)
    assert not any(command.startswith("campaign retry") for command, _ in next_steps(dead))


def test_the_summary_holds_no_recipients_address():
    spoken = summary_json(
        facts(
            by_reply=[ReplyTally(550, "5.1.1", "<ada@example.com>: unknown", "rejected", 1)],
            in_doubt=[DoubtRow(1, "grace@example.com", "<m@example.com>", "r", 0.0)],
            notes=["grace@example.com bounced"],
        )
    )
    text = json.dumps(spoken)
    assert "ada@" not in text
    assert "grace@" not in text
    assert spoken["replies"][0]["reason"] == "<***@example.com>: unknown"


def test_the_tally_says_how_it_went_where_the_report_is_and_what_to_type():
    assert tally(facts()) == (
        "gazette 2026-11: 996 of 1,000 accepted, 20s at 48.8/s\n"
        "\n"
        "  accepted     996   99.6 %\n"
        "  rejected       3    0.3 %\n"
        "  in doubt       1    0.1 %\n"
        "\n"
        "Books   1,010 rows read = 4 invalid + 6 duplicate + 1,000 planned; they balance\n"
        "Report  runs/gazette/2026-11/20261124T080000Z/report.html\n"
        "Failed  runs/gazette/2026-11/20261124T080000Z/failed.csv\n"
        "\n"
        "Next    1 in doubt, listed in in-doubt.csv; settle those whose Message-ID is in the relay's log:\n"
        "          campaign resolve runs/gazette/2026-11/20261124T080000Z --accepted LOG\n"
        "        or send them once more; some may get it twice:\n"
        "          campaign retry gazette.toml --in-doubt\n"
        "        3 failed: see failed.csv, correct what can be corrected, try those again:\n"
        "          campaign retry gazette.toml\n"
        "        4 invalid rows got no letter: see runs/gazette/2026-11/20261124T080000Z/screened.csv, "
        "fix the list, then send it to them:\n"
        "          campaign send gazette.toml\n"
    )


def test_the_commonest_reason_of_failures_is_told_without_addresses():
    replies = [
        ReplyTally(250, "", "ok", "accepted", 996),
        ReplyTally(550, "5.1.1", "no such user ada@example.com", "rejected", 2),
        ReplyTally(0, "", "There is no file 'a.pdf'.", "unrenderable", 1),
    ]
    text = tally(facts(by_reply=replies))
    assert "failed.csv; 2 because: no such user" in text
    assert "ada@" not in text


def test_letters_kept_in_the_embedded_mailbox_are_shown_where_they_lie():
    assert "Letters runs/gazette/2026-11/20261124T080000Z/mailbox, a Maildir\n" in tally(
        facts(settings={"relay": "mailbox"})
    )
    assert "Maildir" not in tally(facts(settings={"relay": "smtp://127.0.0.1:25"}))


def test_books_that_do_not_balance_are_shouted():
    assert "THE BOOKS DO NOT BALANCE: 1,000 recipients were planned" in tally(facts(verdicts={"accepted": 999}))


def test_nothing_left_to_serve_is_said_plainly():
    text = tally(facts(books=Books(read=3, already=3), verdicts={}, exit_code=0))
    assert text.startswith("gazette 2026-11: nobody was left to serve")
    assert "Next" not in text


RUN = "runs/gazette/2026-11/20261124T080000Z"
SITUATIONS = [
    (0, {"accepted": 1000}, []),
    (3, {"accepted": 990, "unrenderable": 10}, ["campaign retry 'my list.toml'"]),
    (3, {"accepted": 990, "expired": 10}, []),
    (5, {"accepted": 900, "waiting": 100}, [f"campaign resume {RUN}"]),
    (75, {"accepted": 900, "deferred": 90, "rejected": 10}, ["campaign send 'my list.toml'"]),
    (143, {"accepted": 900, "waiting": 100}, ["campaign send 'my list.toml'"]),
    (69, {"accepted": 900, "waiting": 100}, ["campaign check 'my list.toml'", "campaign send 'my list.toml'"]),
    (77, {"waiting": 1000}, ["campaign check 'my list.toml'", "campaign send 'my list.toml'"]),
    (70, {"accepted": 1}, [f"campaign repair {RUN} --dry-run"]),
]


@pytest.mark.parametrize(("code", "verdicts", "commands"), SITUATIONS)
def test_each_situation_names_the_next_thing_to_type(code, verdicts, commands):
    ended = facts(exit_code=code, verdicts=verdicts, file="my list.toml", books=Books(read=1000, planned=1000))
    assert [command for command, _ in next_steps(ended)] == commands


@pytest.mark.parametrize(("code", "verdicts", "commands"), SITUATIONS)
def test_what_to_type_goes_through_the_relay_that_the_run_was_given(code, verdicts, commands):
    given = {"relay": "smtp://relay.test:25", "--relay": "smtp://relay.test:25"}
    ended = facts(
        exit_code=code, verdicts=verdicts, file="my list.toml", settings=given, books=Books(1000, planned=1000)
    )
    assert [command for command, _ in next_steps(ended)] == [
        f"{command} --relay smtp://relay.test:25" if command.endswith(".toml'") else command for command in commands
    ]


@pytest.mark.parametrize(("left", "named"), [({}, True), ({"waiting": 1}, False)])
def test_invalid_rows_are_named_with_their_count_and_file_once_nobody_waits(left, named):
    verdicts = {"accepted": 7 - sum(left.values()), **left}
    text = tally(facts(books=Books(read=10, invalid=3, planned=7), verdicts=verdicts, exit_code=75 if left else 0))
    assert (f"3 invalid rows got no letter: see {RUN}/screened.csv" in text) is named


@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 9)), max_size=40), st.integers(1, 300))
def test_folding_the_timeline_keeps_every_letter_and_the_number_of_columns(seconds, most):
    buckets = [TimelineBucket(1000.0 + at, count, 0, 1) for at, count in seconds]
    width, bins = rebinned(buckets, 1.0, most)
    assert len(bins) <= most
    assert sum(one.accepted for one in bins) == sum(one.accepted for one in buckets)
    assert sum(one.rejected for one in bins) == len(buckets)
    assert all(later.at - earlier.at == width for earlier, later in pairwise(bins))


def test_an_error_that_ended_the_run_is_said_once_with_one_next():
    what = "smtp://relay.test:25 turned us away: it is closed."
    error = RelayError(what, evidence="it answered 554 closed", next_step="ask its operator")
    some = facts(verdicts={"waiting": 1000}, exit_code=69, notes=["an earlier note", f"{what} It answered 554 closed."])
    text = tally(some, error)
    assert text.count(what) == text.count("554 closed") == text.count("Next") == 1
    assert "Note    an earlier note\n" in text
    assert "\nNext: ask its operator;\n" in text
    assert text.endswith("then to go on where it stopped:\n        campaign send gazette.toml\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no such user", "No such user."),
        ("smtp://127.0.0.1:1: no connection", "smtp://127.0.0.1:1: no connection."),
        ("delivery.stop_share sets the limit", "delivery.stop_share sets the limit."),
        ("in_doubt is hold", "in_doubt is hold."),
        ("ärger, sagt er!", "Ärger, sagt er!"),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_it_begins_with_a_url_or_a_key(text, said):
    assert formatting.sentence(text) == said


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("zoe@xn--bcher-kva.example", "zoe@bücher.example"),
        ("zoe@XN--bcher-kva.example", "zoe@bücher.example"),
        ("ada@example.com", "ada@example.com"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("ada@xn--no-such-thing-.example", "ada@xn--no-such-thing-.example"),
    ],
)
def test_people_read_a_domain_in_its_own_letters(address, said):
    assert formatting.people_address(address) == said


def test_every_figure_of_the_summary_is_described_in_at_least_three_words():
    schema = json.loads((Path(campaign.report.__file__).parent / "summary.schema.json").read_text("utf-8"))
    assert [name for name, text in descriptions(schema) if len(text.split()) < 3] == []


def descriptions(schema):
    """The name and the description of every property, of those of nested objects too."""
    for name, shape in schema.get("properties", {}).items():
        yield name, shape.get("description", "")
        yield from descriptions(shape)
        yield from descriptions(shape.get("items", {}))
