"""The Prometheus textfile and the log."""

import base64
import json
import math

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from campaign.config.report import ReportSection
from campaign.errors import StorageError
from campaign.model import Books, FeedbackOutcome
from campaign.report.facts import RunFacts, TimelineBucket
from campaign.report.feedback.feedback_facts import FeedbackFacts
from campaign.report.live.event_log import open_log
from campaign.report.telemetry.metrics import Snapshot, exposition, note_success, success, write_metrics
from campaign.report.telemetry.reply_latency import BOUNDS, SendTimes

SECRET = 'pä"ss/w+rd 7'


def facts(**changes) -> RunFacts:
    given = {
        "campaign": "gazette",
        "edition": "2026-11",
        "run": "R1",
        "folder": "runs/x",
        "generation": 1,
        "started": 1000.0,
        "ended": 1020.5,
        "books": Books(read=10, planned=10),
        "verdicts": {"accepted": 7, "rejected": 2, "in_doubt": 1},
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    return RunFacts(**(given | changes))


def samples(path) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(path.read_text("utf-8"))
    return {
        (one.name, one.labels.get("outcome") or one.labels.get("le", "")): one.value
        for family in families
        for one in family.samples
    }


def test_the_textfile_says_what_became_of_the_recipients(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts())
    said = samples(path)
    assert said["campaign_messages_total", "accepted"] == 7
    assert said["campaign_messages_total", "in_doubt"] == 1
    assert said["campaign_run_messages", "waiting"] == 0
    assert said["campaign_in_doubt", ""] == 1
    assert said["campaign_run_seconds", ""] == 20.5
    assert said["campaign_last_success_timestamp_seconds", ""] == 1020.5
    assert 'campaign_run_info{campaign="gazette",edition="2026-11",run="R1"' in path.read_text()
    assert 'trace_id="4bf92f3577b34da6a3ce929d0e0e4736"' in path.read_text()


def test_the_collector_of_another_user_may_read_it_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts())
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_the_counter_goes_on_over_runs_and_counts_a_run_written_twice_once(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts())
    write_metrics(path, facts())
    write_metrics(path, facts(verdicts={"accepted": 8, "rejected": 2}))
    assert samples(path)["campaign_messages_total", "accepted"] == 8
    write_metrics(path, facts(run="R2", verdicts={"accepted": 5}))
    said = samples(path)
    assert said["campaign_messages_total", "accepted"] == 13
    assert said["campaign_messages_total", "rejected"] == 2
    assert said["campaign_run_messages", "accepted"] == 5


@pytest.mark.parametrize(
    ("code", "success"), [(0, 2000), (3, 2000), (4, 2000), (5, 1020.5), (69, 1020.5), (75, 1020.5)]
)
def test_a_run_that_did_not_finish_does_not_forget_the_last_one_that_did(tmp_path, code, success):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts())
    write_metrics(path, facts(run="R2", ended=2000.0, exit_code=code))
    assert samples(path)["campaign_last_success_timestamp_seconds", ""] == success
    assert samples(path)["campaign_exit_code", ""] == code


@pytest.mark.parametrize("rubbish", ["", "not { a metric", "campaign_messages_total 3\n", "\x00\xff"])
def test_a_file_that_is_not_ours_is_replaced(tmp_path, rubbish):
    path = tmp_path / "gazette.prom"
    path.write_text(rubbish)
    write_metrics(path, facts())
    assert samples(path)["campaign_messages_total", "accepted"] == 7


def test_reply_times_are_a_cumulative_histogram(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts(latency_buckets={0.05: 5, 0.1: 3, math.inf: 2}, latency_sum=1.25))
    said = samples(path)
    assert [said["campaign_send_seconds_bucket", bound] for bound in ("0.05", "0.1", "+Inf")] == [5, 8, 10]
    assert said["campaign_send_seconds_count", ""] == 10
    assert said["campaign_send_seconds_sum", ""] == 1.25


def test_the_bounds_of_a_bucket_never_go_down_from_one_letter_to_the_next():
    times, before = SendTimes(), SendTimes().buckets()
    for seconds in (0.0, 1e-9, 0.0009, 0.001, 0.00249, 0.9999, 1.0, 1.04, 59.9, 60.0, 86400.0):
        times.add(seconds)
        after = times.buckets()
        assert all(after[bound] >= before[bound] for bound in BOUNDS)
        before = after
    assert sum(before.values()) == 11
    assert before[math.inf] == 1


@pytest.mark.parametrize("seconds", [0.0004, 0.003, 0.03, 0.3, 0.7, 0.95, 3.0, 30.0, 300.0])
def test_a_send_time_is_found_in_its_bucket_and_its_percentile(seconds):
    times = SendTimes()
    times.add(seconds)
    above = min(bound for bound in BOUNDS if seconds <= bound)
    assert times.buckets() == {**dict.fromkeys(BOUNDS, 0), above: 1}
    assert times.percentiles() == pytest.approx(
        {"p50": seconds, "p90": seconds, "p99": seconds, "max": seconds}, rel=0.06
    )


def test_where_nobody_was_answered_there_are_no_percentiles():
    assert SendTimes().percentiles() == {}


def test_what_came_back_is_counted_and_held_against_its_levels(tmp_path):
    path = tmp_path / "gazette.prom"
    back = FeedbackFacts(40, 1000, {FeedbackOutcome.HARD: 25, FeedbackOutcome.COMPLAINT: 4})
    write_metrics(path, facts(feedback=back))
    said = samples(path)
    assert said["campaign_feedback_events", "hard"] == 25
    assert said["campaign_feedback_events", "soft"] == 0
    assert ("campaign_feedback_events", "released") not in said
    lines = path.read_text().splitlines()
    for line in (
        'campaign_feedback_share{campaign="gazette",kind="complained"} 0.004',
        'campaign_feedback_share{campaign="gazette",kind="bounced"} 0.025',
        'campaign_feedback_level{campaign="gazette",kind="complained"} 2.0',
        'campaign_feedback_level{campaign="gazette",kind="bounced"} 1.0',
        'campaign_feedback_level{campaign="gazette",kind="not_their_fault"} 0.0',
    ):
        assert line in lines


def test_where_no_feedback_is_read_there_are_no_numbers_of_it(tmp_path):
    write_metrics(tmp_path / "gazette.prom", facts())
    assert "feedback" not in (tmp_path / "gazette.prom").read_text()


def at_work(**changes) -> Snapshot:
    given = {
        "campaign": "gazette",
        "edition": "2026-11",
        "run": "R2",
        "trace_id": "1" * 32,
        "at": 3010.0,
        "started": 3000.0,
        "planned": 10,
        "verdicts": {"waiting": 6, "accepted": 3, "in_doubt": 1},
    }
    return Snapshot(**(given | changes))


def test_a_run_at_work_says_so_and_remembers_how_the_last_one_ended(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts(exit_code=3))
    write_metrics(path, at_work())
    said = samples(path)
    assert said["campaign_running", ""] == 1
    assert said["campaign_updated_timestamp_seconds", ""] == 3010
    assert said["campaign_run_seconds", ""] == 10
    assert said["campaign_run_messages", "waiting"] == 6
    assert said["campaign_messages_total", "accepted"] == 10
    assert said["campaign_exit_code", ""] == 3
    assert (
        said["campaign_last_success_timestamp_seconds", ""] == said["campaign_last_run_timestamp_seconds", ""] == 1020.5
    )


def test_a_first_run_at_work_knows_of_no_end(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, at_work())
    said = samples(path)
    assert said["campaign_last_success_timestamp_seconds", ""] == 0
    assert ("campaign_exit_code", "") not in said
    assert ("campaign_last_run_timestamp_seconds", "") not in said


def test_no_counter_goes_down_while_a_run_works_and_ends(tmp_path):
    path, before = tmp_path / "gazette.prom", {}
    write_metrics(path, facts())
    for now in (
        at_work(verdicts={"waiting": 10}),
        at_work(verdicts={"waiting": 7, "accepted": 2, "deferred": 1}, deferrals=1),
        at_work(verdicts={"accepted": 9, "in_doubt": 1}, deferrals=2),
        facts(run="R2", started=3000.0, ended=3020.0, verdicts={"accepted": 9, "in_doubt": 1}),
        facts(run="R2", started=3000.0, ended=3030.0, verdicts={"accepted": 10}),
    ):
        write_metrics(path, now)
        after = {name: value for name, value in samples(path).items() if name[0] == "campaign_messages_total"}
        assert all(value >= before.get(name, 0) for name, value in after.items())
        before = after
    assert before["campaign_messages_total", "accepted"] == 17


def test_deferrals_are_counted_though_the_letters_were_accepted_in_the_end(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts(timeline=[TimelineBucket(1001.0, 5, 2, 0), TimelineBucket(1002.0, 2, 1, 2)]))
    assert samples(path)["campaign_deferrals_total", ""] == 3


def test_the_report_of_an_earlier_run_written_again_does_not_hide_the_newest(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts())
    newest = write_metrics(path, at_work())
    assert write_metrics(path, facts()) == newest == path.read_text()


def test_a_start_that_finds_nobody_left_is_a_success(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts(exit_code=3))
    before = samples(path)
    note_success(path, "gazette", 5000.0)
    assert samples(path) == before | {("campaign_last_success_timestamp_seconds", ""): 5000.0}
    note_success(path, "other", 6000.0)
    assert samples(path)["campaign_last_success_timestamp_seconds", ""] == 5000.0
    assert note_success(tmp_path / "none.prom", "gazette", 5000.0) == success("gazette", 5000.0)
    assert not (tmp_path / "none.prom").exists()
    (family,) = text_string_to_metric_families(success("gazette", 5000.25))
    assert (family.type, family.samples[0].labels, family.samples[0].value) == (
        "gauge",
        {"campaign": "gazette"},
        5000.25,
    )


def test_a_gateway_is_not_told_what_nobody_knows():
    assert "last_success" not in exposition(at_work())
    assert "campaign_last_success_timestamp_seconds" in exposition(Snapshot.of(facts()))


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("", True),
        ("https://push.example.com", True),
        ("https://push.example.com:9091/prefix", True),
        ("http://127.0.0.1:9091", True),
        ("http://[::1]:9091", True),
        ("http://localhost:9091", True),
        ("http://push.example.com:9091", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("https://ada:secret@push.example.com", False),
        ("https://push.example.com/?x=1", False),
        ("https://push.example.com/#x", False),
        ("ftp://127.0.0.1", False),
        ("file:///etc/passwd", False),
        ("push.example.com", False),
        ("https://", False),
    ],
)
def test_where_numbers_may_be_pushed_to(url, taken):
    if taken:
        assert ReportSection(push_url=url).push_url == url
    else:
        with pytest.raises(ValidationError):
            ReportSection(push_url=url)


def test_names_with_quotes_do_not_break_the_format(tmp_path):
    path = tmp_path / "gazette.prom"
    write_metrics(path, facts(edition='a"b\\c\nd'))
    assert samples(path)["campaign_run_messages", "accepted"] == 7


def logged(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def test_each_line_of_the_log_has_its_time_event_and_trace(tmp_path):
    with open_log(tmp_path, "abc", clock=lambda: 1795507200.25) as log:
        log.event("relay opened", relay="smtp.example.com", connections=20, tls=True)
    assert logged(tmp_path) == [
        {
            "at": "2026-11-24T08:00:00.250Z",
            "event": "relay opened",
            "trace_id": "abc",
            "relay": "smtp.example.com",
            "connections": 20,
            "tls": True,
        }
    ]
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o777 == 0o600


FORMS = {
    "as it is": SECRET,
    "in base64": base64.b64encode(SECRET.encode()).decode(),
    "in AUTH PLAIN": base64.b64encode(f"\0user\0{SECRET}".encode()).decode(),
    "in AUTH PLAIN of another user": base64.b64encode(f"\0user1\0{SECRET}".encode()).decode(),
    "and of a third": base64.b64encode(f"\0user12\0{SECRET}".encode()).decode(),
    "in a URL": "smtp://u:p%C3%A4%22ss%2Fw%2Brd%207@host",
    "in an exception": repr(ValueError(SECRET)),
    "in hexadecimal": SECRET.encode().hex(),
    "in JSON": json.dumps({"password": SECRET}),
}


def test_what_every_line_of_the_log_has_is_said_once_at_its_opening(tmp_path):
    with open_log(tmp_path, "abc", always={"worker": "mail-1:7"}) as log:
        log.event("shard leased", shard=3)
        log.event("worker left")
    assert [(line["trace_id"], line["worker"], line.get("shard")) for line in logged(tmp_path)] == [
        ("abc", "mail-1:7", 3),
        ("abc", "mail-1:7", None),
    ]


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_a_secret_reaches_the_log_in_no_form(tmp_path, text):
    with open_log(tmp_path, "abc", secrets=[SECRET]) as log:
        log.event("x", plain=text, nested={"a": [text, {text: 1}]}, thing=ValueError(text))
    written = (tmp_path / "log.jsonl").read_text("utf-8")
    core = base64.b64encode(SECRET.encode()).decode()[:-3]
    for trace in (SECRET, json.dumps(SECRET)[1:-1], json.dumps(SECRET, ensure_ascii=False)[1:-1], core, "2Fw%2Brd"):
        assert trace not in written
    assert SECRET.encode().hex() not in written
    assert written.count("[secret]") >= 4


@pytest.mark.parametrize("shift", range(3))
def test_of_base64_with_a_secret_inside_only_the_neighbours_remain(tmp_path, shift):
    secret = b"correct horse battery staple"
    mixed = base64.b64encode(b"x" * shift + secret + b"tail").decode()
    with open_log(tmp_path, "abc", secrets=[secret]) as log:
        log.event("x", auth=mixed)
    left = logged(tmp_path)[0]["auth"]
    assert "[secret]" in left
    assert len(left.replace("[secret]", "")) <= 2 + 1 + 8


def test_addresses_lose_their_name_unless_asked_for(tmp_path):
    with open_log(tmp_path, "abc") as log:
        log.event("reply", text="550 <ada.l+x@example.com> unknown", who=["grace@example.org"], url="smtps://u@h.test")
    with open_log(tmp_path, "abc", show_addresses=True) as log:
        log.event("reply", text="ada@example.com")
    first, second = logged(tmp_path)
    assert first["text"] == "550 <***@example.com> unknown"
    assert first["who"] == ["***@example.org"]
    assert first["url"] == "smtps://***@h.test"
    assert second["text"] == "ada@example.com"


def test_a_line_torn_by_a_kill_spoils_no_other(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"event": "half')
    with open_log(tmp_path, "abc") as log:
        log.event("resumed")
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[1])["event"] == "resumed"


def test_values_json_does_not_know_are_written_as_text(tmp_path):
    with open_log(tmp_path, "abc") as log:
        log.event("x", rate=math.inf, folder=tmp_path, reply="a\r\n\x1b[31mb\ud800")
    assert logged(tmp_path)[0]["rate"] == "inf"
    assert "\x1b" not in (tmp_path / "log.jsonl").read_text()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


def test_a_log_that_cannot_be_written_is_counted_and_ends_no_run(tmp_path):
    log = open_log(tmp_path, "abc")
    log.close()
    log.event("too late")
    assert log.lost == 1


def test_a_log_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(StorageError, match=r"log\.jsonl cannot be written"):
        open_log(tmp_path / "gone", "abc")
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        open_log(tmp_path, "abc")
