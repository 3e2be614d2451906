"""OpenTelemetry to Application Insights. Loaded by `telemetry.configure` alone, since its imports cost a second.

One trace a run: the work of a run is spread over several invocations, on several machines, and no span outlives its
process. So a run's trace id is computed from its id, and every span of the run is put into that trace, below a parent
that is computed too and that nobody ever sends; the span of the invocation in which it happened is linked.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from connector.outside.telemetry.names import LOGGER, METRICS
from connector.outside.telemetry.spans import Span, Value

if TYPE_CHECKING:
    from opentelemetry.instrumentation.httpx import RequestInfo, ResponseInfo

# Only what is about to end is waited for: what does not get through in this time is sent by the exporters' own retries.
FLUSH_MILLISECONDS = 5_000

# The distribution's names of what it would instrument by itself (its README, "Officially supported instrumentations").
_INSTRUMENTATIONS = (
    "azure_sdk",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "httpx2",
    "psycopg2",
    "requests",
    "urllib",
    "urllib3",
)


def run_context(feed: str, run: str) -> trace.SpanContext:
    """The trace of a run and the parent of its spans: the same ones in every process."""
    digest = hashlib.sha256(f"{feed}/{run}".encode()).digest()
    return trace.SpanContext(
        trace_id=int.from_bytes(digest[:16]),
        span_id=int.from_bytes(digest[16:24]),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )


class OpenTelemetry:
    """`telemetry.Exporter` over the SDK's providers. `close` takes the instrumentation of httpx back."""

    def __init__(self, tracers: TracerProvider, meters: MeterProvider, loggers: LoggerProvider | None = None) -> None:
        self._tracers = tracers
        self._meters = meters
        self._loggers = loggers
        self._tracer = tracers.get_tracer(LOGGER)
        self._instruments = _instruments(meters)
        self._httpx = HTTPXClientInstrumentor()
        if self._httpx.is_instrumented_by_opentelemetry:
            # By the Functions worker, without what follows.
            self._httpx.uninstrument()
        self._httpx.instrument(
            tracer_provider=tracers,
            meter_provider=meters,
            async_request_hook=_asked,
            async_response_hook=_answered,
            skip_dep_check=True,
        )

    def begin(self, name: str, feed: str, run: str, attributes: Mapping[str, Value]) -> Span:
        around = trace.get_current_span().get_span_context()
        context = None
        links: list[trace.Link] = []
        if run:
            parent = run_context(feed, run)
            if around.trace_id != parent.trace_id:
                context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
                if around.is_valid:
                    links = [trace.Link(around)]
            attributes = {"feed": feed, "run": run, **attributes}
        return _Span(self._tracer.start_span(name, context, attributes=attributes, links=links))

    def measure(self, name: str, value: float, attributes: Mapping[str, Value]) -> None:
        self._instruments[name](value, dict(attributes))

    def flush(self) -> None:
        for provider in (self._tracers, self._meters, self._loggers):
            if provider is not None:
                provider.force_flush(FLUSH_MILLISECONDS)

    def close(self) -> None:
        self._httpx.uninstrument()


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._ended = False

    def set(self, **attributes: Value) -> None:
        self._span.set_attributes(attributes)

    @contextmanager
    def current(self) -> Iterator[None]:
        # An exception's message and trace may quote what a file holds: they stay here.
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def end(self, error: BaseException | None = None) -> None:
        if not self._ended:
            self._ended = True
            if error is not None:
                self._span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            self._span.end()


def _instruments(meters: MeterProvider) -> dict[str, Any]:
    """What to call with a value and attributes, by metric."""
    meter = meters.get_meter(LOGGER)
    instruments: dict[str, Any] = {}
    for name, metric in METRICS.items():
        if metric.kind == "counter":
            instruments[name] = meter.create_counter(name, metric.unit, metric.about).add
        elif metric.kind == "gauge":
            instruments[name] = meter.create_gauge(name, metric.unit, metric.about).set
        else:
            instruments[name] = meter.create_histogram(name, metric.unit, metric.about).record
    return instruments


async def _asked(span: trace.Span, request: RequestInfo) -> None:
    """The id under which Microsoft's support finds the call, and the URL without its query: a nextLink has tokens."""
    if request.headers is not None and (sent := request.headers.get("client-request-id")):
        span.set_attribute("client-request-id", sent)
    if isinstance(span, ReadableSpan) and span.attributes:
        for name in {"http.url", "url.full"} & span.attributes.keys():
            span.set_attribute(name, str(span.attributes[name]).partition("?")[0])


async def _answered(span: trace.Span, request: RequestInfo, response: ResponseInfo) -> None:
    if response.headers is not None and (given := response.headers.get("request-id")):
        span.set_attribute("request-id", given[:200])


def azure_monitor(connection_string: str) -> OpenTelemetry:
    """Sends to Application Insights, as the identity of APPLICATIONINSIGHTS_AUTHENTICATION_STRING.

    Every span is kept: a tenant's quota is at most thousands of calls a day, and a trace with holes explains nothing.
    Azure SDK spans are off, since their URLs hold the names of blobs, and so are the other libraries' log records.
    """
    from azure.core.settings import settings
    from azure.monitor.opentelemetry import configure_azure_monitor
    from opentelemetry._logs import get_logger_provider
    from opentelemetry.metrics import get_meter_provider

    tracers = theirs = trace.get_tracer_provider()
    if not isinstance(theirs, TracerProvider):
        configure_azure_monitor(
            connection_string=connection_string,
            logger_name=LOGGER,
            sampling_ratio=1.0,
            enable_live_metrics=False,
            enable_performance_counters=False,
            instrumentation_options={name: {"enabled": False} for name in _INSTRUMENTATIONS},
        )
        tracers = trace.get_tracer_provider()
    else:
        # PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY made the worker configure it, for all that it can collect.
        tracers = _narrowed(theirs, connection_string)
    settings.tracing_enabled = False
    settings.tracing_implementation = None
    logging.getLogger(LOGGER).setLevel(logging.INFO)
    # The worker hands on what reaches the root logger.
    for name in ("httpx", "azure"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # But that telemetry does not get through is worth knowing, where anybody looks.
    logging.getLogger("azure.monitor").setLevel(logging.ERROR)
    meters, loggers = get_meter_provider(), get_logger_provider()
    if not isinstance(tracers, TracerProvider) or not isinstance(meters, MeterProvider):
        raise AssertionError("azure-monitor-opentelemetry has set no providers")
    return OpenTelemetry(tracers, meters, loggers if isinstance(loggers, LoggerProvider) else None)


def _narrowed(theirs: TracerProvider, connection_string: str) -> TracerProvider:
    """Makes of the distribution's defaults what `azure_monitor` asks of it: every span of ours, and nobody else's.

    Gives a provider of our own, since theirs samples, and its tracers keep their sampler.
    """
    from azure.monitor.opentelemetry.exporter import ApplicationInsightsSampler, AzureMonitorTraceExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.instrumentation.urllib import URLLibInstrumentor
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    for instrumentor in (RequestsInstrumentor(), URLLibInstrumentor(), URLLib3Instrumentor()):
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
    root, ours = logging.getLogger(), logging.getLogger(LOGGER)
    for handler in [handler for handler in root.handlers if isinstance(handler, LoggingHandler)]:
        root.removeHandler(handler)
        ours.addHandler(handler)
    tracers = TracerProvider(sampler=ApplicationInsightsSampler(1.0), resource=theirs.resource)
    tracers.add_span_processor(BatchSpanProcessor(AzureMonitorTraceExporter(connection_string=connection_string)))
    return tracers
