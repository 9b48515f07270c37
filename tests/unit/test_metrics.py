"""The Prometheus textfile and the log."""

import base64
import json
import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from campaign.errors import StorageError
from campaign.model import Books
from campaign.report.facts import RunFacts
from campaign.report.log import open_log
from campaign.report.metrics import write_metrics

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
