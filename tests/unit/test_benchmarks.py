"""The pure parts of the benchmarks: rows, ratios, goals, tables, and what a kill is counted as."""

from __future__ import annotations

import csv
import json
import re
import socket
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from benchmarks import charts, killtest, measure, messages, peers, profiling, report, rows, targets, verify
from benchmarks.ours import Setup
from benchmarks.sink import Delivery, Witness, light_sink


def run(count: int, wall: float, cpu: float, memory: float = 80.0) -> dict[str, float]:
    return {"rows": count, "wall": wall, "cpu": cpu, "memory": memory, "hash": 57.0}


def test_every_row_differs_from_every_other_and_is_the_same_each_time() -> None:
    made = [json.dumps(rows.row(number)) for number in range(3000)]
    assert len(set(made)) == 3000
    assert made[7] == json.dumps(rows.row(7))


def test_both_lists_hold_the_same_values(tmp_path: Path) -> None:
    with rows.write_csv(tmp_path / "a.csv", 5).open(encoding="utf-8", newline="") as file:
        nested = list(csv.DictReader(file))
    with rows.write_flat_csv(tmp_path / "b.csv", 5).open(encoding="utf-8", newline="") as file:
        flat = list(csv.DictReader(file))
    for one, other in zip(nested, flat, strict=True):
        assert one["name"] == other["name"]
        assert json.loads(one["items"])[4] == {"title": other["title5"], "price": other["price5"]}


def test_a_command_is_accounted_for_with_its_children() -> None:
    burn = "python3 -c 'sum(range(3_000_000))'"
    usage = measure.run(["sh", "-c", f"{burn}; {burn}; echo said; exit 3"])
    assert usage.code == 3
    assert usage.talk == "said\n"
    assert usage.cpu > 0.04
    assert usage.memory > 3


def test_a_command_that_does_not_end_is_ended() -> None:
    assert measure.run(["sleep", "60"], limit=0.05).code == -9


def test_ratios_are_taken_round_by_round() -> None:
    assert measure.ratios([1.0, 2.0, 4.0], [10.0, 20.0, 20.0]) == (10.0, 5.0, 10.0)


@pytest.mark.parametrize(
    ("value", "word"), [(12.0, "aim met"), (10.0, "aim met"), (7.0, "must met"), (4.9, "**missed**")]
)
def test_a_goal_is_met_missed_or_exceeded(value: float, word: str) -> None:
    assert targets.word(value, targets.Goal("speed", 5, 10, "×", True, lambda _: value)) == word


def test_where_less_is_better_the_words_turn_round() -> None:
    goal = targets.Goal("CPU", 250, 120, "µs", False, lambda _: None)
    assert [targets.word(value, goal) for value in (100.0, 200.0, 251.0)] == ["aim met", "must met", "**missed**"]


def test_the_marginal_cost_compares_the_long_lists_with_the_short_ones() -> None:
    def cpu(count: int) -> list[dict[str, float]]:
        return [run(count, 1.0, 0.5 + count * 0.0002)]

    assert targets.marginal({"sizes": {str(n): cpu(n) for n in (1_000, 10_000, 100_000, 1_000_000)}}) == pytest.approx(
        1
    )
    assert targets.marginal({"sizes": {"1000": cpu(1000)}}) is None


def test_what_was_not_measured_is_not_judged() -> None:
    assert not list(targets.judged({}))
    assert "missed" not in report.goals({})


def findings() -> dict[str, Any]:
    ours, theirs = [run(100, 1.0, 0.02)] * 3, [run(100, 10.0, 0.2)] * 3
    return {
        "machine": {"processor": "P", "cores": "2", "memory": "1 GB", "system": "S", "python": "3.11", "loop": "3.2"},
        "versions": {"nodemailer": "1.0"},
        "hash_before": 50.0,
        "hash_after": 60.0,
        "seconds": 300,
        "skipped": {"emails": "no network"},
        "titles": {"campaign": ["campaign", ""], "nodemailer": ["nodemailer", "no resume"], "emails": ["emails", ""]},
        "loopback": {"runs": {"campaign": ours, "nodemailer": theirs}, "ceiling": []},
        "kills": {"people": 100, "tolls": [toll().plain()]},
    }


def toll() -> killtest.Toll:
    return killtest.Toll("campaign", 100, kills=1, typed=["campaign send x.toml"], seconds=[0.5])


def test_the_page_names_the_machine_the_skipped_and_the_ratios() -> None:
    text = report.markdown(findings(), "make bench")
    assert "Made by `make bench` in 5 minutes on P, 2 cores" in text
    assert "10.0 × (10.0 to 10.0)" in text
    assert "Skipped: emails: no network" in text
    assert "| messages a second against nodemailer with juice once | ≥ 7 × | ≥ 9 × | 10 × | aim met |" in text
    assert "SHA-256 of 100 kB took 55 µs" in text
    assert "Behind 20 ms" not in text


def test_short_lists_show_what_we_take_of_the_time_of_others() -> None:
    lengths = {"10": {"campaign": [run(10, 0.5, 0.5)], "nodemailer": [run(10, 1.0, 1.0)]}}
    text = report.markdown(findings() | {"lengths": lengths}, "make bench")
    assert "| nodemailer | 1.00 s (0.5 × (0.5 to 0.5)) |" in text
    assert "1,000 rows from start to end" not in text
    longer = {"1000": lengths["10"]}
    assert "| 1,000 rows from start to end against nodemailer | ≤ 1 × | ≤ 0.7 × | 0.5 × | aim met |" in report.markdown(
        findings() | {"lengths": longer}, "make bench"
    )


def test_our_cpu_is_shown_as_a_part_of_that_of_go_on_one_core() -> None:
    found = findings()
    found["loopback"]["runs"]["go_one"] = [run(100, 1.0, 0.04)] * 3
    (goal,) = [one for one in targets.judged(found) if "Go" in one.measure]
    assert (goal.found, goal.word) == ("0.5 ×", "aim met")


def test_the_templates_for_go_have_no_more_of_jinja_and_their_styles_inlined(tmp_path: Path) -> None:
    peers.write_go_templates(tmp_path)
    for name in ("newsletter.html.tpl", "newsletter.txt.tpl"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "{%" not in text
        assert '{{ if eq .plan "pro" }}' in text
        assert "{{ range .items }}" in text
        assert "{{ else }}" in text
        assert text.count("{{ end }}") == 2
        assert not re.search(r"\{\{ (?!\.|if|range|else|end)", text)
    assert (tmp_path / "newsletter.html.tpl").read_text(encoding="utf-8").count("style=") > 20


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.between(page, "new") == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match="lacks"):
        report.between("no markers", "new")


def test_many_different_commands_are_told_briefly() -> None:
    told = report.typed(["send"] * 10 + [f"resume {n}" for n in range(9)])
    assert told.startswith("10 × `send`<br>7 more")
    assert told.endswith("1 × `resume 7`<br>1 × `resume 8`")


def test_the_longest_bar_is_that_of_the_fastest() -> None:
    chart = charts.chart("Speed", [("a <b>", 100.0, True), ("c", 50.0, False)])
    assert "a &lt;b&gt;" in chart
    assert chart.count("<rect") == 2


def test_letters_and_people_are_counted_after_kills() -> None:
    found = toll()
    addresses = [rows.row(number)["email"] for number in range(10)]
    killtest.count(found, [*addresses[:7], addresses[0], addresses[0]], 10, {addresses[8]})
    assert (found.doubled, found.lost, found.listed) == (2, 2, 1)


def test_kills_are_spread_evenly_over_those_who_are_left() -> None:
    assert killtest.next_kill(0, 2000, 10) == 181
    assert killtest.next_kill(1800, 2000, 1) == 1900


def test_mailmerge_is_resumed_behind_the_last_message_that_it_named() -> None:
    again = killtest.CONTESTANTS[1].again
    command, words = again(["mailmerge"], ">>> message 41 sent\n>>> message 42\n")
    assert command == ["mailmerge", "--resume", "42"]
    assert words.endswith("--resume 42")
    assert again(command, "nothing yet")[0] == command


def test_a_letter_that_lacks_a_value_is_noticed() -> None:
    content = b"Subject: hello\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    assert verify.missing(rows.row(0), Delivery("x", 0.0, content), True)


def test_the_stopwatch_books_time_to_the_innermost_door() -> None:
    watch = profiling.Stopwatch()
    inner = watch.wrap("inner", lambda: sum(range(100_000)))
    outer = watch.wrap("outer", lambda: inner() and None)
    outer()
    watch.stop()
    assert watch.calls == {"inner": 1, "outer": 1}
    assert watch.seconds["inner"] > watch.seconds["outer"]


def test_every_door_of_the_profile_exists() -> None:
    for place in chain.from_iterable(profiling.DOORS.values()):
        holder, attribute = profiling.found(place)
        assert callable(getattr(holder, attribute))


def test_the_picture_is_a_png_of_the_size_asked_for() -> None:
    made = messages.picture(50_000)
    assert made.startswith(b"\x89PNG")
    assert abs(len(made) - 50_000) < 1_000


def test_every_campaign_of_the_benchmarks_is_a_sound_campaign_file(tmp_path: Path) -> None:
    from campaign.config import load

    for variant in (*messages.OPTIONS, *messages.MESSAGES):
        settings = load(variant.setup.lay_out(tmp_path, 25, 1), {})
        assert settings.delivery.connections == 20


def test_the_template_for_mailmerge_holds_both_parts(tmp_path: Path) -> None:
    peers.write_mailmerge(tmp_path, 2525, 1)
    template = (tmp_path / "template.txt").read_text()
    assert "for title, price in [(title1, price1)" in template
    assert "item." not in template.replace('"item"', "").replace(".item td", "")


def test_no_file_of_a_peer_names_a_registry() -> None:
    for file in Path(peers.HERE).rglob("*"):
        if file.is_file() and file.suffix in {".json", ".txt"}:
            assert '"resolved"' not in file.read_text()
            assert "registry" not in file.read_text()


def test_the_witness_remembers_who_got_what() -> None:
    import smtplib

    with Witness(keep=True) as witness:
        with smtplib.SMTP("127.0.0.1", witness.port) as client:
            client.sendmail("a@example.com", ["b@example.com"], "Message-ID: <x@example.com>\r\n\r\n.dot\r\n")
        assert witness.wait_for(1)
        assert [one.recipient for one in witness.deliveries] == ["b@example.com"]
        assert witness.message_ids() == ["<x@example.com>"]
        assert verify.unstuffed(witness.deliveries[0].content).endswith(b"\r\n\r\n.dot\r\n")


@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_the_light_sink_counts_letters_however_they_are_cut(piece: int) -> None:
    envelope = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"
    talk = b"EHLO x\r\n" + envelope + b"..\r\n.x\r\n\r\n.\r\n" + envelope + b".\r\n" + b"QUIT\r\n"
    with light_sink() as sink, socket.create_connection(("127.0.0.1", sink.port), timeout=10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(talk), piece):
            line.sendall(talk[at : at + piece])
        answers = b""
        while some := line.recv(4096):
            answers += some
        assert sink.messages() == 2
    codes = [answer[:3] for answer in answers.splitlines() if answer[3:4] == b" "]
    assert codes == [b"220", b"250", *[b"250", b"250", b"354", b"250"] * 2, b"221"]


def test_a_campaign_file_says_what_a_setup_changes() -> None:
    text = Setup(ledger={"durability": '"power"'}).toml(2525)
    assert 'relay = "smtp://127.0.0.1:2525"' in text
    assert 'durability = "power"' in text
