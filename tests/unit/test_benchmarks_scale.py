"""The model of very large mailings: its figures follow from the costs that it prints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import Mailing, forecast

MAILING = Mailing(100_000_000, 10, 100, relay=0.05, store=0.0005)
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def test_more_workers_send_in_proportion_until_the_store_is_busy() -> None:
    ten, twenty = forecast(MAILING), forecast(replace(MAILING, workers=20))
    assert twenty.letters_a_second == pytest.approx(2 * ten.letters_a_second)
    assert twenty.send_hours == pytest.approx(ten.send_hours / 2)
    assert twenty.plan_hours == ten.plan_hours
    crowd = forecast(replace(MAILING, workers=500))
    assert crowd.letters_a_second < 50 * ten.letters_a_second
    assert crowd.letters_an_append > ten.letters_an_append


def test_a_limit_holds_whatever_the_number_of_workers() -> None:
    for workers in (1, 5, 50):
        found = forecast(replace(MAILING, workers=workers, rate=500.0))
        assert (found.letters_a_second, found.bound) == (pytest.approx(500), "rate")
        assert found.store_connections == 4 * workers + 2


def test_many_connections_are_bound_by_the_processor_and_few_by_the_round_trip() -> None:
    few, many = forecast(replace(MAILING, connections=10)), forecast(replace(MAILING, connections=1_000))
    assert (few.bound, many.bound) == ("connections", "processor")
    assert few.letters_a_second <= 10 * 10 / MAILING.relay
    assert many.worker_cores == pytest.approx(10 * scale.cost("linear"))


def test_a_distant_store_slows_less_than_in_proportion_since_more_letters_share_an_append() -> None:
    near, far = forecast(MAILING), forecast(replace(MAILING, store=0.05))
    assert near.letters_a_second > far.letters_a_second > near.letters_a_second / 3
    assert far.store_cores < near.store_cores
    assert far.store_gigabytes < near.store_gigabytes


def test_every_cost_is_printed_with_its_unit_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    scale.main(["--workers", "5"])
    said = capsys.readouterr().out
    assert all(f"  {name} " in said and one.source in said for name, one in scale.MEASURED.items())
    assert all(line in said for line in scale.ASSUMED)
    scale.main(["--workers", "5", "--json"])
    assert json.loads(capsys.readouterr().out)["forecasts"][0]["workers"] == 5


def test_the_page_shows_the_table_that_its_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    scale.main([])
    table = capsys.readouterr().out.split("\n\n")[1]
    assert table in PAGE.read_text(encoding="utf-8"), "put it there: python -m benchmarks.scale"


@pytest.mark.parametrize("words", [["--letters", "0"], ["--workers", "0"], ["--rate", "-1"]])
def test_numbers_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        scale.main(words)
