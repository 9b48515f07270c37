"""Spans: one trace a run, one span a stage and a pass, and nothing where nobody asked."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from campaign.config.report import ReportSection
from campaign.errors import ConfigError, RelayError
from campaign.report.telemetry.tracing import begin, conclude, span, traced, wanted

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ASKED = ReportSection(traces="otlp")
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def taken() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def by_name(taken: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    spans = taken.get_finished_spans()
    assert len({one.name for one in spans}) == len(spans)
    return {one.name: one for one in spans}


def test_a_turn_at_a_run_is_a_tree_of_its_stages_and_passes(taken: InMemorySpanExporter) -> None:
    async def serving() -> None:
        with span("pass", number=1):
            await asyncio.sleep(0)

    with traced(ASKED, {}, taken):
        begin(TRACE, name="gazette", edition="2026-11", run="R1")
        with span("load"):
            pass
        with span("serve"):
            asyncio.run(serving())
        conclude(3, {"accepted": 7, "rejected": 2})
    found = by_name(taken)
    parents = {name: one.parent and one.parent.span_id for name, one in found.items()}
    ids = {name: one.context.span_id for name, one in found.items()}
    assert parents == {"run": None, "load": ids["run"], "serve": ids["run"], "pass": ids["serve"]}
    assert found["run"].attributes == {
        "campaign.name": "gazette",
        "campaign.edition": "2026-11",
        "campaign.run": "R1",
        "campaign.exit_code": 3,
        "campaign.verdicts.accepted": 7,
        "campaign.verdicts.rejected": 2,
    }
    assert found["pass"].attributes == {"campaign.number": 1}
    assert found["run"].status.status_code is StatusCode.UNSET
    assert found["run"].resource.attributes["service.name"] == "campaign"


def test_every_process_that_takes_a_run_up_adds_to_the_one_trace_of_the_run() -> None:
    turns = [InMemorySpanExporter(), InMemorySpanExporter()]
    for taken in turns:
        with traced(ASKED, {}, taken):
            begin(TRACE)
    first, second = (by_name(taken)["run"] for taken in turns)
    assert {f"{one.context.trace_id:032x}" for one in (first, second)} == {TRACE}
    assert first.context.span_id != second.context.span_id
    assert first.parent is second.parent is None


def test_the_run_begins_when_the_process_took_it_up_and_nothing_is_known_before(taken: InMemorySpanExporter) -> None:
    with traced(ASKED, {}, taken):
        with span("too early"):
            pass
        begin(TRACE)
        begin("f" * 32)
        with span("load"):
            pass
    found = by_name(taken)
    assert found.keys() == {"run", "load"}
    assert found["run"].start_time < found["load"].start_time <= found["load"].end_time <= found["run"].end_time
    assert f"{found['load'].context.trace_id:032x}" == TRACE


def test_a_failure_marks_the_spans_around_it_and_tells_nobodys_address(taken: InMemorySpanExporter) -> None:
    def fail() -> None:
        with traced(ASKED, {}, taken):
            begin(TRACE)
            with span("load"):
                raise RelayError("550 no mailbox ada@example.com", evidence="ada@example.com")

    with pytest.raises(RelayError):
        fail()
    found = by_name(taken)
    for one in found.values():
        assert (one.status.status_code, one.status.description) == (StatusCode.ERROR, "RelayError")
        assert not one.events
    assert "ada@" not in "".join(one.to_json() for one in found.values())


@pytest.mark.parametrize(
    ("code", "status"), [(0, "UNSET"), (4, "UNSET"), (75, "UNSET"), (143, "UNSET"), (69, "ERROR"), (70, "ERROR")]
)
def test_a_turn_that_ended_badly_is_an_error(taken: InMemorySpanExporter, code: int, status: str) -> None:
    with traced(ASKED, {}, taken):
        begin(TRACE)
        conclude(code, {})
    assert by_name(taken)["run"].status.status_code.name == status


def test_a_start_that_has_no_run_has_no_spans(taken: InMemorySpanExporter) -> None:
    with traced(ASKED, {}, taken):
        conclude(0, {})
    assert taken.get_finished_spans() == ()


def test_a_span_may_be_a_decorator_and_looks_for_its_turn_when_it_is_called(taken: InMemorySpanExporter) -> None:
    @span("close")
    def close() -> int:
        return 7

    assert close() == 7
    with traced(ASKED, {}, taken):
        begin(TRACE)
        assert close() == 7
    assert by_name(taken).keys() == {"run", "close"}


@pytest.mark.parametrize(
    ("traces", "environment", "asked"),
    [
        ("", {}, False),
        ("", ENDPOINT, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ("", {**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ("", {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ("", {**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp,console"}, True),
        ("off", ENDPOINT, False),
        ("otlp", {}, True),
    ],
)
def test_who_asks_for_spans(traces: Any, environment: dict[str, str], asked: bool) -> None:
    assert wanted(ReportSection(traces=traces), environment) is asked


def test_where_nobody_asked_the_library_is_not_even_loaded() -> None:
    script = (
        "import sys\n"
        "from campaign.config.report import ReportSection\n"
        "from campaign.report.telemetry.tracing import begin, conclude, span, traced\n"
        "with traced(ReportSection(), {}):\n"
        "    begin('1' * 32)\n"
        "    with span('load'): pass\n"
        "    conclude(0, {})\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[otel\]'"), traced(ASKED, {}):
        pytest.fail("began without it")


def test_a_variable_set_for_the_whole_machine_refuses_no_newsletter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with traced(ReportSection(), ENDPOINT):
        begin(TRACE)
    assert "pip install '.[otel]'" in caplog.text


class Broken(InMemorySpanExporter):
    """Takes nothing, in one way or the other."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error

    def export(self, spans: Any) -> SpanExportResult:
        logging.getLogger("opentelemetry.exporter").error("nobody\nat home")
        if self.error:
            raise self.error
        return SpanExportResult.FAILURE


@pytest.mark.parametrize(("error", "why"), [(None, r"nobody\nat home"), (OSError("no route"), "no route")])
def test_spans_that_nobody_takes_are_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture, error: Exception | None, why: str
) -> None:
    with traced(ASKED, {}, Broken(error)):
        begin(TRACE)
        with span("load"):
            pass
    assert caplog.messages == [f"2 spans of this run were not taken: {why}"]
