"""OpenTelemetry spans: one for a process's session on a run, one for each stage and each pass, none for a letter.

Their trace is the run's own: the trace id that its journal, its log, its metrics and its letters carry, so that every
process that serves a run adds to one trace. Off unless requested, and then `span` costs nothing. No span holds an
address or a reply of a relay, and a failure to export never ends a run.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from campaign.config.report import ReportSection
from campaign.errors import ConfigError, install_extra
from campaign.report.formatting import printable

if TYPE_CHECKING:  # an extra, and a tenth of a second
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)

#: The longest a run waits for the export of its last spans, unless OTEL_EXPORTER_OTLP_TIMEOUT is set.
LIMIT_SECONDS = 5.0
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
INSTALL = install_extra("otel")
#: Exit codes of sessions that worked as they should: the verdicts tell the rest.
IN_ORDER = frozenset({0, 3, 4, 5, 75, 130, 143})

_current: ContextVar[Traces | None] = ContextVar("campaign_traces", default=None)


@contextmanager
def traced(
    settings: ReportSection, environment: Mapping[str, str] | None = None, exporter: SpanExporter | None = None
) -> Iterator[None]:
    """While the block runs, `begin` and `span` make spans, if settings or environment ask for any.

    The remaining spans are exported when it ends, within `LIMIT_SECONDS`. ``exporter`` replaces OTLP. Raises
    ConfigError when the settings ask and the extra ``otel`` is not installed.
    """
    environment = os.environ if environment is None else environment
    traces = _open(settings, environment, exporter) if exporter or wanted(settings, environment) else None
    if traces is None:
        yield
        return
    token = _current.set(traces)
    try:
        with traces.turn():
            yield
    finally:
        _current.reset(token)


def wanted(settings: ReportSection, environment: Mapping[str, str]) -> bool:
    """Whether spans are requested: by the settings first, then by OpenTelemetry's own variables."""
    if settings.traces:
        return settings.traces == "otlp"
    exporters = environment.get("OTEL_TRACES_EXPORTER", "") or "otlp"
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or "otlp" not in exporters.split(",")
    return not disabled and any(environment.get(name) for name in ENDPOINTS)


def begin(trace_id: str, **attributes: str) -> None:
    """Start the span of the run; ``trace_id`` is 32 hexadecimal digits. Spans before this call are dropped."""
    if traces := _current.get():
        traces.begin(trace_id, attributes)


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """A span around the block (also as a decorator), inside the enclosing one; nothing if spans are off."""
    traces = _current.get()
    if traces is None:
        yield
    else:
        with traces.span(name, attributes):
            yield


def conclude(exit_code: int, verdicts: Mapping[str, int]) -> None:
    """Record the result of this session."""
    if traces := _current.get():
        traces.conclude(exit_code, verdicts)


class Traces:
    """The spans of one process's session on a run."""

    def __init__(self, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Ids(RandomIdGenerator):
            trace_id = 0

            def generate_trace_id(self) -> int:
                return self.trace_id

        self._ids, self._sink = Ids(), Sink(exporter)
        self._provider = TracerProvider(resource=_resource(), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(cast("SpanExporter", self._sink)))
        self._tracer: Tracer = self._provider.get_tracer("campaign")
        self._began = time.time_ns()
        self._stack = ExitStack()
        self._root: Span | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """End the span of the run, if it began, when the block ends, and export the remaining spans.

        Spans that could not be exported are reported in one line of the log.
        """
        try:
            with _hushed(self._sink), ExitStack() as last:
                last.callback(self._provider.shutdown)
                with self._stack:
                    yield
        finally:
            if self._sink.lost:
                log.warning(
                    "%d spans of this run were not taken: %s", self._sink.lost, self._sink.why or "no reason given"
                )

    def begin(self, trace_id: str, attributes: Mapping[str, str]) -> None:
        """Start the span of the run, dated from when this process began to serve it."""
        if self._root is None:
            self._ids.trace_id = int(trace_id, 16)
            self._root = self._stack.enter_context(self._started("run", attributes, self._began))

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int]) -> Iterator[None]:
        """A span below the one that is open now."""
        if self._root is None:
            yield
        else:
            with self._started(name, attributes):
                yield

    def conclude(self, exit_code: int, verdicts: Mapping[str, int]) -> None:
        """Set the attributes of the run's span, and an error status if the session itself failed."""
        if self._root is None:
            return
        self._root.set_attribute("campaign.exit_code", exit_code)
        for verdict, count in verdicts.items():
            self._root.set_attribute(f"campaign.verdicts.{verdict}", count)
        if exit_code not in IN_ORDER:
            _fail(self._root, f"exit code {exit_code}")

    @contextmanager
    def _started(self, name: str, attributes: Mapping[str, str | int], at: int | None = None) -> Iterator[Span]:
        given = {f"campaign.{key}": value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name, attributes=given, start_time=at, record_exception=False, set_status_on_exception=False
        ) as current:
            try:
                yield current
            except BaseException as error:
                _fail(current, type(error).__name__)  # its text may hold addresses
                raise


class Sink:
    """An exporter that counts spans it could not export, and keeps the reason. Never raises."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.lost, self.why = 0, ""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - an exporter may be third-party, and must not end a run
            self.why, result = printable(str(error))[:200], SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Nothing to do."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered here."""
        return self._exporter.force_flush(timeout_millis)


def _open(settings: ReportSection, environment: Mapping[str, str], exporter: SpanExporter | None) -> Traces | None:
    try:
        return Traces(exporter or _otlp(environment))
    except ModuleNotFoundError:
        refuse_untraceable(settings)
        # The variable may be set for whole machines and clusters, which is no reason to refuse a newsletter.
        log.warning("No spans: %s is set, and it takes %s (or report.traces = 'off')", ENDPOINTS[0], INSTALL)
        return None


def refuse_untraceable(settings: ReportSection) -> None:
    """Raise ConfigError if the settings ask for spans and the extra ``otel`` is not installed."""
    if settings.traces != "otlp":
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError("report.traces needs libraries that are not installed.", next_step=INSTALL) from None


def _otlp(environment: Mapping[str, str]) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    told = any(environment.get(name) for name in TIMEOUTS)
    return OTLPSpanExporter(timeout=None if told else LIMIT_SECONDS)


def _resource() -> Any:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    found = Resource.create()
    unnamed = str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    return found.merge(Resource({SERVICE_NAME: "campaign"})) if unnamed else found


def _fail(span: Span, why: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, why))


@contextmanager
def _hushed(sink: Sink) -> Iterator[None]:
    """Turn the library's own complaints, several for each attempt, into the reason in `Sink.why`."""

    class Last(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sink.why = printable(record.getMessage())[:200]

    logger, handler = logging.getLogger("opentelemetry"), Last(logging.WARNING)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
