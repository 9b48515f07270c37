"""A run seen from outside: its numbers while it works and after, its spans, the trace id in all that it leaves."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from campaign.config import load
from campaign.exit_codes import ExitCode
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Intent, Opened, Started, VerdictRecord, encode
from campaign.pipeline.command_context import Options
from campaign.pipeline.send import send
from campaign.pipeline.serve.live_metrics import Tail
from campaign.report.feedback.feedback_facts import FeedbackFacts
from campaign.report.live.console import Console
from campaign.report.telemetry.metrics import Snapshot, exposition
from campaign.report.telemetry.pushgateway import Gateway, NotPushedError
from tests.support.servers.collector import Collector
from tests.support.stand import parsed, toml

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"
PATIENCE = 30.0
Numbers = dict[tuple[str, str], float]


@pytest.fixture(autouse=True)
def nobody_else_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gateway() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


class Campaign:
    """A campaign of 30 people and its talk; every ``run`` is a `campaign send`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.talk = folder, io.StringIO()
        self.report: dict[str, Any] = {"metrics_file": "gazette.prom", "metrics_interval": "50ms"}
        self.compose: dict[str, Any] = {"subject": "News for {{ name }}", "text": "letter.txt"}
        self.delivery: dict[str, Any] = {"relay": "mailbox", "connections": 1}
        self.people(range(30))
        (folder / "letter.txt").write_text("Dear {{ name }}\n")

    def people(self, numbers: range) -> None:
        (self.folder / "people.csv").write_text("email,name\n" + "".join(f"p{n}@example.com,P{n}\n" for n in numbers))

    def run(self, **options: Any) -> ExitCode:
        sections = {
            "campaign": {"name": "gazette", "from": "Ada <news@example.com>"},
            "audience": {"source": "people.csv"},
            "compose": self.compose,
            "delivery": self.delivery,
            "report": self.report,
        }
        (self.folder / "gazette.toml").write_text(toml(sections))
        return send(load(self.folder / "gazette.toml", {}), Options(**options), Console(self.talk))

    @property
    def newest(self) -> Path:
        return max(self.folder.glob("runs/gazette/*/checkpoint.journal"), key=lambda path: path.parent.name).parent

    @property
    def opened(self) -> Opened:
        found = next(iter(journal_reader.read_records(self.newest / journal_reader.NAME, journal_reader.Reading())))
        assert isinstance(found, Opened)
        return found

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.newest / "log.jsonl").read_text("utf-8").splitlines()]

    @property
    def letters(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.glob("runs/gazette/*/mailbox/new/*")]

    @property
    def prom(self) -> Numbers:
        return numbers((self.folder / "gazette.prom").read_text("utf-8"))


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    return Campaign(tmp_path)


def numbers(text: str) -> Numbers:
    return {
        (one.name.removeprefix("campaign_"), one.labels.get("outcome") or one.labels.get("le", "")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def never_shrank(pushed: list[Numbers]) -> bool:
    """Whether no counter and no bucket ever went down."""
    before: Numbers = {}
    for now in pushed:
        counters = {key: value for key, value in now.items() if re.search("_(total|bucket|count|sum)$", key[0])}
        if any(counters[key] < value for key, value in before.items()):
            return False
        before = counters
    return bool(before)


# -- numbers


def test_the_numbers_are_fresh_while_the_run_works_and_final_when_it_ends(
    campaign: Campaign, gateway: Collector
) -> None:
    campaign.report["push_url"] = gateway.url
    campaign.delivery["rate"] = "40/s"
    assert campaign.run() is ExitCode.DONE
    pushed = [numbers(one.body.decode()) for one in gateway.taken]
    assert {(one.method, one.path) for one in gateway.taken} == {("POST", "/metrics/job/campaign/campaign/gazette")}
    first, last = pushed[0], pushed[-1]
    assert (first["running", ""], first["run_messages", "waiting"], first["messages_total", "accepted"]) == (1, 30, 0)
    assert len({one["messages_total", "accepted"] for one in pushed}) >= 3
    assert never_shrank(pushed)
    assert (last["running", ""], last["run_messages", "waiting"], last["messages_total", "accepted"]) == (0, 0, 30)
    assert last["send_seconds_count", ""] == 30
    assert last["last_success_timestamp_seconds", ""] == pytest.approx(time.time(), abs=PATIENCE)
    assert ("exit_code", "") not in first
    assert campaign.prom == last


def test_a_run_taken_up_again_goes_on_counting_where_it_was(campaign: Campaign, gateway: Collector) -> None:
    campaign.report["push_url"] = gateway.url
    assert campaign.run(limit=10) is ExitCode.UNFINISHED
    assert campaign.prom["running", ""] == 0
    assert campaign.prom["exit_code", ""] == 75
    assert campaign.run() is ExitCode.DONE
    pushed = [numbers(one.body.decode()) for one in gateway.taken]
    assert never_shrank(pushed)
    assert pushed[-1]["send_seconds_count", ""] == 30


def test_a_second_run_adds_to_the_first_and_one_that_finds_nobody_is_a_success(campaign: Campaign) -> None:
    campaign.run()
    success = campaign.prom["last_success_timestamp_seconds", ""]
    campaign.people(range(35))
    assert campaign.run() is ExitCode.DONE
    assert campaign.prom["messages_total", "accepted"] == 35
    assert campaign.prom["run_messages", "accepted"] == 5
    before = campaign.prom
    assert campaign.run() is ExitCode.DONE
    assert campaign.prom["last_success_timestamp_seconds", ""] > before["last_success_timestamp_seconds", ""] > success
    assert campaign.prom["run_messages", "accepted"] == 5


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("kind", ["refused", "500", "redirect", "login"])
def test_a_gateway_that_takes_nothing_is_a_line_of_the_log_and_ends_no_run(
    campaign: Campaign, gateway: Collector, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign.report["push_url"] = f"http://127.0.0.1:{closed_port()}" if kind == "refused" else gateway.url
    gateway.status = {"500": 500, "redirect": 302}.get(kind, 200)
    gateway.location = "http://127.0.0.1:1/login" if kind == "redirect" else ""
    if kind == "login":
        campaign.report["push_login_file"] = "nobody.login"
    assert campaign.run() is ExitCode.DONE
    assert len(campaign.letters) == 30
    why = {"refused": "Connection refused", "500": "500", "redirect": "302", "login": "nobody.login"}[kind]
    said = [line["event"] for line in campaign.log if line.get("level") == "warning"]
    assert len(said) == 2, "once while it worked, once at its end"
    assert all("could not be pushed" in text and why in text for text in said)
    assert {line["trace_id"] for line in campaign.log} == {campaign.opened.trace}
    assert why in campaign.talk.getvalue() + capsys.readouterr().err
    assert campaign.prom["messages_total", "accepted"] == 30


def test_a_metrics_file_that_cannot_be_written_ends_no_run(
    campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign.report["metrics_file"] = "nowhere/gazette.prom"
    assert campaign.run() is ExitCode.DONE
    assert campaign.opened.trace
    assert "The metrics file could not be written: " in campaign.talk.getvalue()
    assert "nowhere/gazette.prom" in capsys.readouterr().err
    assert len([line for line in campaign.log if line.get("level") == "warning"]) == 2


def test_the_login_of_a_gateway_goes_to_the_gateway_alone(campaign: Campaign, gateway: Collector) -> None:
    secret = "grace:open sesame é"
    login = campaign.folder / "push.login"
    login.write_text(secret + "\n")
    login.chmod(0o600)
    campaign.report |= {"push_url": gateway.url, "push_login_file": "push.login"}
    assert campaign.run() is ExitCode.DONE
    expected = f"Basic {base64.b64encode(secret.encode()).decode()}"
    assert {one.headers["authorization"] for one in gateway.taken} == {expected}
    login.unlink()
    written = b"".join(path.read_bytes() for path in campaign.folder.rglob("*") if path.is_file())
    assert b"sesame" not in written
    assert expected[6:].encode() not in written
    assert "sesame" not in repr(Gateway(gateway.url, secret))


def test_a_gateway_that_never_answers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with pytest.raises(NotPushedError, match="timed out"):
            Gateway(url, limit=0.05).push("x 1\n", "gazette")


def test_what_the_journal_adds_up_to_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / journal_reader.NAME
    tail = Tail(path)
    tail.advance()
    lines = [
        encode(Started(100.5, "boot", 1, "process")),
        encode(Intent(0, "ab", 100.0)),
        encode(VerdictRecord(0, "deferred", 101.0, took=0.25)),
        encode(Started(200.0, "boot", 2, "process")),
        encode(VerdictRecord(0, "accepted", 201.0, took=0.5)),
        encode(VerdictRecord(1, "in_doubt", 202.0, took=600.0)),
        encode(VerdictRecord(2, "withdrawn", 202.0)),
    ]
    whole = b"".join(lines)
    for end in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:end])
        tail.advance()
    path.write_bytes(whole)
    tail.advance()
    tail.advance()
    assert (tail.started, tail.deferrals, tail.times.sum, sum(tail.times.bounds)) == (100.5, 1, 0.75, 2)


# -- the trace id


def test_one_trace_id_runs_through_journal_log_metrics_summary_and_letters(campaign: Campaign) -> None:
    campaign.run(limit=10)
    campaign.run()
    trace = campaign.opened.trace
    assert re.fullmatch("[0-9a-f]{32}", trace)
    assert {line["trace_id"] for line in campaign.log} == {trace}
    assert f'trace_id="{trace}"' in (campaign.folder / "gazette.prom").read_text()
    assert json.loads((campaign.newest / "summary.json").read_text())["trace_id"] == trace
    assert [parsed(letter).get_all("X-Campaign-Trace") for letter in campaign.letters] == [[trace]] * 30


def test_the_header_can_be_named_otherwise_or_left_out(campaign: Campaign) -> None:
    campaign.report["trace_header"] = "X-Gazette-Run"
    campaign.run()
    assert {parsed(letter)["X-Gazette-Run"] for letter in campaign.letters} == {campaign.opened.trace}
    campaign.report["trace_header"] = ""
    campaign.people(range(40))
    campaign.run()
    assert sum(campaign.opened.trace.encode() in letter for letter in campaign.letters) == 0
    assert sum(b"Trace" in letter for letter in campaign.letters) == 0


def test_a_header_that_is_ours_or_stands_there_twice_is_refused_before_anything_is_sent(campaign: Campaign) -> None:
    for name, words in (("Bcc", "report.trace_header: the header Bcc"), ("Received", "the header Received")):
        campaign.report["trace_header"] = name
        with pytest.raises(Exception, match=words):
            campaign.run()
    assert not campaign.letters


def test_a_run_whose_header_was_renamed_meanwhile_is_not_taken_up(campaign: Campaign) -> None:
    campaign.run(limit=10)
    campaign.report["trace_header"] = "X-Other"
    with pytest.raises(Exception, match=r"report\.trace_header changed"):
        campaign.run()
    assert len(campaign.letters) == 10


def test_letters_of_other_processes_carry_it_too(campaign: Campaign) -> None:
    campaign.delivery["processes"] = 2
    assert campaign.run() is ExitCode.DONE
    assert {parsed(letter)["X-Campaign-Trace"] for letter in campaign.letters} == {campaign.opened.trace}


# -- spans


def spans(collector: Collector) -> list[Span]:
    found: list[Span] = []
    for one in collector.taken:
        assert one.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(one.body).resource_spans:
            named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            assert named["service.name"] == "campaign"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def test_the_spans_of_all_processes_are_one_trace_that_is_the_runs(
    campaign: Campaign, gateway: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gateway.url)
    campaign.run(limit=10)
    first = spans(gateway)
    gateway.taken.clear()
    campaign.run()
    second = spans(gateway)
    assert {one.trace_id.hex() for one in first + second} == {campaign.opened.trace}
    assert sorted(one.name for one in first) == ["close", "load", "pass", "plan", "run", "serve"]
    assert sorted(one.name for one in second) == ["close", "pass", "plan", "run", "serve"]
    for turn, code in ((first, 75), (second, 0)):
        ids = {one.name: one.span_id for one in turn}
        parents = {one.name: one.parent_span_id for one in turn}
        assert parents.pop("run") == b""
        assert parents.pop("pass") == ids["serve"]
        assert set(parents.values()) == {ids["run"]}
        run = next(one for one in turn if one.name == "run")
        attributes = {pair.key: pair.value for pair in run.attributes}
        assert attributes["campaign.exit_code"].int_value == code
        assert attributes["campaign.run"].string_value == campaign.newest.name
    assert b"example.com" not in b"".join(one.body for one in gateway.taken)


def test_a_collector_that_is_not_there_ends_no_run(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    campaign.report["traces"] = "otlp"
    assert campaign.run() is ExitCode.DONE
    assert len(campaign.letters) == 30
    assert [text for text in caplog.messages if "not taken" in text] == [
        text for text in caplog.messages if text.startswith("6 spans of this run were not taken: ")
    ]


# -- real peers


#: What a run through a relay writes besides, as nothing comes back from a rehearsal.
FEEDBACK = "\n".join(
    line
    for line in exposition(
        Snapshot("gazette", "", "R1", "", 20.0, 10.0, 30, {"accepted": 30}, feedback=FeedbackFacts(0, 30))
    ).split("\n")
    if "campaign_feedback" in line
)


@pytest.fixture
def prometheus(tmp_path: Path, campaign: Campaign) -> Iterator[str]:
    """A Prometheus that scrapes the textfile each second as if node_exporter served it, with our rules loaded."""
    program = shutil.which("prometheus")
    if not program:
        pytest.skip("prometheus is not installed")
    campaign.run()
    served = tmp_path / "served"
    served.mkdir()
    rehearsed = (campaign.folder / "gazette.prom").read_text(encoding="utf-8")
    (served / "metrics.txt").write_text(f"{rehearsed}{FEEDBACK}\n", encoding="utf-8")
    port, mine = closed_port(), closed_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: { scrape_interval: 500ms, evaluation_interval: 500ms }\n"
        f"rule_files: ['{GRAFANA / 'alerts.yml'}']\n"
        "scrape_configs:\n- { job_name: node, metrics_path: /metrics.txt, "
        f"static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "-b", "127.0.0.1", "-d", str(served)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    words = [
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{mine}",
    ]
    peer = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{mine}"
    finally:
        for process in (peer, server):
            process.terminate()
            process.wait()


def asked(url: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(query)}", timeout=5) as answer:
        return json.load(answer)["data"]


def eventually(url: str, expression: str) -> list[Any]:
    """The answer to a query once there is any; [] when patience is over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := asked(url, "/api/v1/query", query=expression)["result"]:
                return list(found)
        time.sleep(0.1)  # a server of another language; it cannot be waited for otherwise
    return []


def test_prometheus_answers_every_question_of_the_dashboard(prometheus: str) -> None:
    dashboard = json.loads((GRAFANA / "campaign.json").read_text(encoding="utf-8"))
    found = {}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$campaign", "gazette").replace("$__rate_interval", "1m")
            if panel["description"].startswith("With a store only."):
                asked(prometheus, "/api/v1/query", query=expression)  # understood, though this run has no store
                continue
            found[panel["title"]] = eventually(prometheus, expression)
            assert found[panel["title"]], f"{panel['title']}: {expression}"
    values = {title: answer[0]["value"][1] for title, answer in found.items()}
    assert values["Accepted"] == "30"
    assert values["Done"] == "1"
    assert values["State"] == "0"
    assert values["Exit code"] == "0"
    assert float(values["Last success"]) == pytest.approx(time.time() * 1000, abs=120_000)
    assert len(found["Send time"]) >= 15
    rules = asked(prometheus, "/api/v1/rules")["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert asked(prometheus, "/api/v1/alerts")["alerts"] == []


def test_promtool_has_nothing_to_say_about_our_names(campaign: Campaign) -> None:
    program = shutil.which("promtool")
    if not program:
        pytest.skip("promtool is not installed")
    campaign.run()
    done = subprocess.run(
        [program, "check", "metrics"],
        input=(campaign.folder / "gazette.prom").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_real_pushgateway_takes_our_numbers(campaign: Campaign, tmp_path: Path) -> None:
    program = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
    if not program:
        pytest.skip("the Pushgateway is not installed")
    port = closed_port()
    peer = subprocess.Popen(
        [program, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)  # as above
        del campaign.report["metrics_file"]
        campaign.report["push_url"] = f"http://127.0.0.1:{port}"
        assert campaign.run() is ExitCode.DONE
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            said = numbers(answer.read().decode())
        assert said["messages_total", "accepted"] == 30
        assert said["send_seconds_bucket", "+Inf"] == 30
        assert [line for line in campaign.log if line.get("level") == "warning"] == []
    finally:
        peer.terminate()
        peer.wait()
