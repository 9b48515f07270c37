"""A forgotten person is in no file of the ledger, and nobody else is served twice, lost or renumbered for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.audience.screening.key_set import digest
from campaign.config import load
from campaign.exit_codes import ExitCode
from campaign.ledger.checkpoint import Checkpoint
from campaign.model import Outcome, Verdict
from campaign.pipeline.command_context import Options
from campaign.pipeline.operate import manage
from campaign.pipeline.operate.run_standing import run_standing
from campaign.pipeline.send import send
from campaign.pipeline.start.already_served_count import served_earlier
from campaign.report.live.console import Console
from campaign.report.summary import balance
from tests.support.forget_place import ADA, GREETING, Place, in_doubt, named_in, others, relay, verdicts


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with relay(tmp_path / "relay") as url:
        yield Place(tmp_path, url)


def test_who_was_served_is_erased_and_stays_served(place: Place) -> None:
    assert place.send() is ExitCode.DONE
    before = others(place)
    result = place.forget()
    assert (result.code, result.left) == (ExitCode.DONE, {})
    assert named_in(place.runs) == []
    assert others(place) == {number: address for number, address in before.items() if number != 2}
    place.people("p0", "p1", "Ada", "p3", "p4", "p5", "new")
    assert place.send() is ExitCode.DONE
    assert place.mailed() == sorted([ADA, *(f"{name}@example.com" for name in ("p0", "p1", "p3", "p4", "p5", "new"))])


def test_who_still_waited_is_withdrawn_and_the_others_get_their_letters(place: Place) -> None:
    assert place.send(limit=1) is ExitCode.UNFINISHED
    result = place.forget()
    assert result.counts["letters withdrawn"] == 1
    assert verdicts(place.run) == {"accepted": 1, "withdrawn": 1, "waiting": 4}
    assert place.send() is ExitCode.DONE
    assert place.mailed() == [f"p{n}@example.com" for n in (0, 1, 3, 4, 5)]
    assert named_in(place.runs) == []
    facts = manage.report(place.run)
    assert balance(facts.books, facts.verdicts) == []


def test_a_doubt_stays_one_and_the_relays_log_settles_it(place: Place) -> None:
    run = in_doubt(place, 2, 4)
    manage.report(run)
    [ours] = [row["message_id"] for row in doubts(run) if row["address"].lower() == ADA]
    result = place.forget()
    assert (result.in_doubt, result.left) == (1, {})
    assert named_in(place.runs) == []
    assert verdicts(run) == {"accepted": 4, "in_doubt": 2}
    manage.report(run)
    assert next((row["address"], row["message_id"]) for row in doubts(run)) == ("", ours)
    (place.folder / "relay.log").write_text(f"message-id={ours}\n", encoding="utf-8")
    assert manage.resolve(run, place.folder / "relay.log") == (1, 1)


def doubts(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "in-doubt.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("by_loss_of_power", [False, True])
def test_a_doubt_of_a_forgotten_person_is_not_sent_again(place: Place, by_loss_of_power: bool) -> None:
    run = in_doubt(place, 2, 4)
    if by_loss_of_power:  # then nobody knows what bytes the letter had
        checkpoint = Checkpoint(run, boot="another")
        checkpoint.close()
    place.forget()
    place.send(retry=True, in_doubt="resend")
    assert place.mailed() == ["p4@example.com"]
    assert verdicts(run) == {"accepted": 5, "in_doubt": 1}
    assert place.send() is ExitCode.DONE
    assert place.mailed() == ["p4@example.com"]


def test_who_was_refused_leaves_the_tables_and_can_be_retried_from_a_later_list(place: Place) -> None:
    chosen = place.made()
    checkpoint = Checkpoint(chosen.folder)
    checkpoint.begin_pass()
    for number in range(chosen.plan.size):
        reply = f"5.7.1 <{chosen.plan.recipient(number).address}>: {'ada' if number == 2 else 'he'} may not get it"
        checkpoint.verdict(Outcome(number, Verdict.REJECTED, reply, 550, "5.7.1", relay=place.url))
    checkpoint.end(3)
    checkpoint.close()
    manage.report(chosen.folder)
    result = place.forget()
    assert result.counts["table rows"] == 1
    assert named_in(place.runs) == []
    assert "ada " not in (chosen.folder / "checkpoint.journal").read_text(encoding="utf-8")
    assert len((chosen.folder / "failed.csv").read_text(encoding="utf-8").splitlines()) == 6
    facts = manage.report(chosen.folder)
    assert len((chosen.folder / "failed.csv").read_text(encoding="utf-8").splitlines()) == 6
    assert (facts.by_domain["(forgotten)"], balance(facts.books, facts.verdicts)) == ({"rejected": 1}, [])
    assert place.send(retry=True) is ExitCode.DONE
    assert len(place.mailed()) == 6


@pytest.mark.parametrize("typed", ["ADA@example.COM", " ada@Example.com ", "Ada@example.com"])
def test_any_spelling_with_the_same_key_will_do(place: Place, typed: str) -> None:
    place.send()
    assert place.forget(typed).counts["planned letters"] == 1
    assert named_in(place.runs) == []


def test_the_rules_of_large_providers_count_where_the_campaign_has_them(place: Place) -> None:
    place.settings("provider_rules = true")
    place.people("p0", "a.d.a+news", "p2", row="{0}@gmail.com,{0}")
    place.send()
    place.forget("ada@gmail.com")
    assert named_in(place.runs, "a.d.a+news@gmail.com", "ada@gmail.com") == []
    assert place.send() is ExitCode.DONE
    assert len(place.mailed()) == 3


def test_an_internationalised_domain_is_found_in_both_forms(place: Place) -> None:
    place.people("p0", "ada", row="{0}@b\u00fccher.example.com,{0}")
    place.send()
    assert place.forget("ada@xn--bcher-kva.example.com").counts["planned letters"] == 1
    assert named_in(place.runs, "ada@b\u00fccher.example.com") == []


def test_rows_that_were_set_aside_keep_their_reasons_and_counts(place: Place) -> None:
    place.people("p0", "ada", "ADA", "p3")
    place.send()
    before = (place.run / "screened.csv").read_text(encoding="utf-8")
    place.forget()
    after = (place.run / "screened.csv").read_text(encoding="utf-8")
    assert (before.count("duplicate"), after.count("duplicate")) == (1, 1)
    assert named_in(place.runs) == []


def test_lists_are_read_afterwards_with_the_usual_limit_of_a_field(place: Place) -> None:
    usual = csv.field_size_limit()
    place.people("ada", "ADA", "p1")
    place.send()
    place.forget()
    assert csv.field_size_limit() == usual


def test_letters_of_the_key_column_are_all_erased_and_stay_served(place: Place) -> None:
    place.settings('key = "invoice"')
    rows = ["email,name,invoice", "p0@example.com,P,1", "ada@example.com,Ada,2", "ada@example.com,Ada,3"]
    (place.folder / "people.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    place.send()
    assert place.forget().counts["planned letters"] == 2
    (place.folder / "people.csv").write_text("\n".join([*rows, "ada@example.com,Ada,4"]) + "\n", encoding="utf-8")
    place.send()
    assert place.mailed() == [ADA, ADA, ADA, "p0@example.com"]


def test_grouped_rows_are_erased_with_their_items(place: Place) -> None:
    place.settings('key = "email"\nitems = ["title"]')
    rows = ["email,name,title", "p0@example.com,P,A", "ada@example.com,Ada,B", "ada@example.com,Ada,ada@example.com"]
    (place.folder / "people.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    place.send(limit=1)
    assert place.forget().left == {}
    assert place.send() is ExitCode.DONE
    assert place.mailed() == ["p0@example.com"]
    assert place.send() is ExitCode.DONE
    assert place.mailed() == ["p0@example.com"]


def test_one_of_a_cells_addresses_is_forgotten_and_the_other_stays(place: Place) -> None:
    place.settings("split_addresses = true")
    rows = ["email,name", "p0@example.com; ada@example.com,Both", "p3@example.com,P"]
    (place.folder / "people.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    place.send()
    result = place.forget()
    assert result.left == {}
    assert sorted(others(place).values()) == ["p0@example.com", "p3@example.com"]
    place.send()
    assert place.mailed() == [ADA, "p0@example.com", "p3@example.com"]


def test_a_rehearsals_letters_are_deleted(place: Place) -> None:
    place.send(relay="mailbox")
    assert place.forget().counts["letters"] == 1
    assert named_in(place.runs) == []
    assert len(list(place.run.glob("mailbox/new/*"))) == 5
    assert place.send(relay="mailbox") is ExitCode.DONE
    assert len(list(place.runs.glob("gazette/*/mailbox/new/*"))) == 5


def test_a_canary_goes_on_without_a_forgotten_person(place: Place) -> None:
    text = place.file.read_text(encoding="utf-8")
    place.file.write_text(text + '[delivery]\ncanary = 3\ncanary_hold = "1s"\n', encoding="utf-8")
    place.send(limit=1)
    place.forget()
    place.send()
    assert place.mailed() == [f"p{n}@example.com" for n in (0, 1, 3, 4, 5)]
    assert verdicts(place.run) == {"accepted": 5, "withdrawn": 1}


def test_every_edition_and_every_campaign_of_the_ledger_is_covered(place: Place) -> None:
    for head in ('edition = "one"', 'edition = "two"'):
        place.settings(head=head)
        place.send()
    other = place.file.read_text(encoding="utf-8").replace('"gazette"', '"other"')
    place.file.with_name("other.toml").write_text(other, encoding="utf-8")
    send(load(place.folder / "other.toml", GREETING), Options(relay=place.url), Console(stream=io.StringIO()))
    assert place.forget().counts["planned letters"] == 3
    assert named_in(place.runs) == []


def send_other(place: Place) -> None:
    """Another campaign of the same ledger, with a secret of its own."""
    text = place.file.read_text(encoding="utf-8").replace('"gazette"', '"other"\nsecret_file = "other.secret"')
    (place.folder / "other.toml").write_text(text, encoding="utf-8")
    send(load(place.folder / "other.toml", GREETING), Options(relay=place.url), Console(stream=io.StringIO()))


def test_each_campaign_recognises_whom_it_served_by_its_own_secret(place: Place) -> None:
    place.send()
    send_other(place)
    assert place.forget().notes == []
    place.send()
    send_other(place)
    assert place.mailed().count(ADA) == 2


def test_a_campaign_whose_file_is_gone_is_erased_all_the_same_and_it_is_said(place: Place) -> None:
    send_other(place)
    (place.folder / "other.toml").unlink()
    result = place.forget()
    assert (result.left, len(result.notes)) == ({}, 1)
    assert "the campaign file of other" in result.notes[0]
    assert named_in(place.runs) == []


def test_a_secret_that_got_another_first_line_still_recognises_who_was_served(place: Place) -> None:
    place.send()
    place.forget()
    secret = place.folder / "campaign.secret"
    secret.write_bytes(b"another first line of the secret, which is long enough\n" + secret.read_bytes())
    assert place.send() is ExitCode.DONE
    assert place.mailed().count(ADA) == 1


def test_who_was_served_by_a_key_column_is_recognised_once_the_address_is_the_key(place: Place) -> None:
    place.settings('key = "name"')
    place.send()
    place.forget()
    place.settings()
    assert place.send() is ExitCode.DONE
    assert place.mailed().count(ADA) == 1


def test_an_address_of_the_campaign_itself_is_left_in_its_settings(place: Place) -> None:
    place.send(limit=1)
    result = place.forget("news@example.com")
    assert list(result.left.values()) == ["the campaign's own settings name this address, such as from or reply_to"]
    assert place.send() is ExitCode.DONE
    assert len(place.mailed()) == 6


def test_check_and_status_work_afterwards(place: Place) -> None:
    place.send()
    place.forget()
    assert served_earlier(place.job).contains([digest("p1@example.com"), digest(ADA), digest("new@example.com")]) == [
        True,
        True,
        False,
    ]
    assert run_standing(place.run).state == "finished"


def test_an_address_that_is_nowhere_changes_nothing(place: Place) -> None:
    place.send()
    before = {path: path.read_bytes() for path in place.runs.rglob("*") if path.is_file() and path.stat().st_size}
    result = place.forget("nobody@example.com")
    assert (result.code, dict(result.counts), result.listed) == (ExitCode.DONE, {}, [])
    assert {path: path.read_bytes() for path in before} == before


def test_a_dry_run_tells_the_same_and_changes_nothing(place: Place) -> None:
    place.send(limit=1)
    before = {path: path.read_bytes() for path in place.runs.rglob("*") if path.is_file()}
    told = place.forget(dry_run=True)
    assert {path: path.read_bytes() for path in place.runs.rglob("*") if path.is_file()} == before
    assert told.counts == place.forget().counts


def test_the_campaigns_own_list_is_told_by_line_and_not_changed(place: Place) -> None:
    place.people("p0", "Ada", "p2", "ADA")
    before = (place.folder / "people.csv").read_bytes()
    place.send()
    assert place.forget().listed == ["people.csv:3", "people.csv:5"]
    assert (place.folder / "people.csv").read_bytes() == before
