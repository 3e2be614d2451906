"""What the connector says of itself: every event, metric and span by name, and the few calls that say them.

Names and fields are data, because alerts and workbook are written against them: tests hold every log record and every
KQL query against these tables. Nothing here imports OpenTelemetry: without APPLICATIONINSIGHTS_CONNECTION_STRING each
call does nothing, and `exporting.py`, which does the work, is never loaded.

No personal data: a feed's name, a run's id, counts, codes and durations are all that a field can be.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol

from connector.errors import ConnectorError, Retryable, Stopped
from connector.run import Decision, Outcome, Outcomes

log = logging.getLogger(__name__)

LOGGER = "connector"
"""What is logged below this name is exported and nothing else: libraries log URLs, and a blob's name is HR's choice."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")
_ROWS = frozenset(f"rows_{decision.value}" for decision in Decision)
_OUTCOMES = frozenset(f"outcome_{outcome.value}" for outcome in Outcome)
_RUN = frozenset({"feed", "run"})

EVENTS: Mapping[str, frozenset[str]] = {
    # a run, in the order in which it happens
    "drop is gone": frozenset(),
    "marker missing": _RUN,
    "blobs ignored": frozenset({"feed", "blobs"}),
    "planning failed": _RUN | {"error"},
    "run is damaged": _RUN,
    "run planned": _RUN | {"state", "requests"} | _ROWS,
    "request sent": _RUN | {"request", "people"},
    "request lost": _RUN | {"request"},
    "run sent": _RUN | {"requests"},
    "run waits": _RUN | {"code"},
    "run settled": _RUN | {"seconds"} | _OUTCOMES,
    "people failed": _RUN | {"outcome", "code", "people"},
    # sending and asking
    "uplink is held by another instance": frozenset(),
    "throttled": frozenset({"wait"}),
    "sending paused": frozenset({"code"}),
    "outage over": frozenset(),
    "log not readable": frozenset({"runs"}),
    "log not reached": frozenset({"runs"}),
    "job status not readable": frozenset(),
    # facts that every tick states anew
    "feed status": frozenset(
        {
            "feed",
            "open_runs",
            "oldest_open_hours",
            "last_drop_hours",
            "expected_hours",
            "overdue_hours",
            "spooled",
            "job",
        }
    ),
    "connector status": frozenset(
        {
            "open_runs",
            "oldest_open_hours",
            "spooled",
            "quota_limit",
            "quota_left",
            "quota_used_percent",
            "poison_messages",
        }
    ),
    "facts not gathered": frozenset({"error"}),
    # once a day
    "examined": frozenset({"failed", "warned"}),
    "examination failed": frozenset({"error"}),
    "invocation ended": frozenset({"function", "result", "error", "detail", "seconds"}),
}
"""Each event's name (the log record's message, `Message` in AppTraces) and its fields (`Properties`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`unit` as UCUM has it: s, 1, or {thing}. `attributes` are its dimensions."""

    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    about: str
    attributes: frozenset[str] = frozenset()


_FEED = frozenset({"feed"})

METRICS: Mapping[str, Metric] = {
    "connector.rows": Metric(
        kind="counter", unit="{row}", about="rows planned, by decision", attributes=_FEED | {"decision"}
    ),
    "connector.requests": Metric(
        kind="counter",
        unit="{request}",
        about="calls to Graph by kind (upload, log, job) and HTTP status; unreachable where there was no answer",
        attributes=frozenset({"call", "status"}),
    ),
    "connector.throttled": Metric(
        kind="counter", unit="{request}", about="calls that Graph answered with 429", attributes=frozenset({"call"})
    ),
    "connector.window.use": Metric(
        kind="gauge", unit="1", about="calls of a drain as a share of what SEND_LIMIT allowed in its time"
    ),
    "connector.quota.left": Metric(kind="gauge", unit="{request}", about="calls left of SEND_QUOTA"),
    "connector.spool.depth": Metric(
        kind="gauge", unit="{request}", about="bulk requests still to be sent", attributes=_FEED
    ),
    "connector.runs.open": Metric(kind="gauge", unit="{run}", about="runs without a final state", attributes=_FEED),
    "connector.runs.oldest": Metric(
        kind="gauge", unit="s", about="age of the oldest open run, from its landing; 0: none", attributes=_FEED
    ),
    "connector.drop.age": Metric(kind="gauge", unit="s", about="time since the feed's last drop", attributes=_FEED),
    "connector.run.duration": Metric(
        kind="histogram", unit="s", about="from a drop's landing until its run is settled", attributes=_FEED
    ),
    "connector.outcomes": Metric(
        kind="counter", unit="{person}", about="people of settled runs, by outcome", attributes=_FEED | {"outcome"}
    ),
}
"""Each metric by name (`Name` in AppMetrics); `docs/telemetry.md` says the same in words, and a test compares."""

SPANS: Mapping[str, frozenset[str]] = {
    "plan": _RUN | {"state", "requests"} | _ROWS,
    "read": frozenset({"rows"}),
    "spool": frozenset({"requests"}),
    "send": _RUN | {"requests", "left"},
    "settle": _RUN | {"state", "events"} | _OUTCOMES,
    "poll": frozenset({"runs"}),
}
"""Each span by name (`Name` in AppDependencies) and its attributes. All but `poll` are in the trace of their run."""

Value = str | int | float


class Span(Protocol):
    """Something that takes time. `set` adds attributes, `current` makes it the parent of what starts in the block."""

    def set(self, **attributes: Value) -> None: ...

    def current(self) -> AbstractContextManager[None]: ...

    def end(self, error: BaseException | None = None) -> None:
        """Once; a second time does nothing. Of the error, its class is told and not its message."""


class Exporter(Protocol):
    """What `exporting.py` is to this module."""

    def begin(self, name: str, feed: str, run: str, attributes: Mapping[str, Value]) -> Span: ...

    def measure(self, name: str, value: float, attributes: Mapping[str, Value]) -> None: ...

    def flush(self) -> None: ...


class _NoSpan:
    def set(self, **attributes: Value) -> None:
        pass

    def current(self) -> AbstractContextManager[None]:
        return nullcontext()

    def end(self, error: BaseException | None = None) -> None:
        pass


NO_SPAN: Span = _NoSpan()
_exporter: Exporter | None = None


def active() -> bool:
    """Whether anybody is told: facts that cost a call are gathered only then."""
    return _exporter is not None


def configure(connection_string: str) -> None:
    """Exports to the Application Insights of the connection string from now on; nothing with "". Once a process."""
    global _exporter  # noqa: PLW0603 - OpenTelemetry's own providers are the process's too
    if connection_string and _exporter is None:
        from connector.exporting import azure_monitor

        _exporter = azure_monitor(connection_string)


@contextmanager
def exporting_to(exporter: Exporter) -> Iterator[None]:
    """Exports to `exporter` while the block runs."""
    global _exporter  # noqa: PLW0603 - as above
    before, _exporter = _exporter, exporter
    try:
        yield
    finally:
        _exporter = before


def begin(name: str, *, feed: str = "", run: str = "", **attributes: Value) -> Span:
    """A span that outlives the function that begins it; with a run, in that run's trace. Its `end` is the caller's."""
    return NO_SPAN if _exporter is None else _exporter.begin(name, feed, run, attributes)


@contextmanager
def span(name: str, *, feed: str = "", run: str = "", **attributes: Value) -> Iterator[Span]:
    """A span for the block, and the parent of those that begin in it."""
    begun = begin(name, feed=feed, run=run, **attributes)
    try:
        with begun.current():
            yield begun
    except BaseException as error:
        begun.end(error)
        raise
    begun.end()


def measure(name: str, value: float, **attributes: Value) -> None:
    """Adds to a counter, sets a gauge, records in a histogram: whatever METRICS says that `name` is."""
    if _exporter is not None:
        _exporter.measure(name, value, attributes)


def row_counts(rows: Mapping[Decision, int] | None) -> dict[str, int]:
    """The fields `rows_…`, with all decisions."""
    return {f"rows_{decision.value}": (rows or {}).get(decision, 0) for decision in Decision}


def plain_code(code: str) -> str:
    """An error code as Entra gives it; "other" for what does not look like one, whoever put it there."""
    return code if _CODE.fullmatch(code) else "other" if code else "none"


def outcome_counts(outcomes: Outcomes) -> dict[str, int]:
    """The fields `outcome_…`, with all outcomes."""
    return {f"outcome_{outcome.value}": getattr(outcomes, outcome.value) for outcome in Outcome}


class InvocationFailed(ConnectorError):
    """What the Functions host is told of a failure. It logs message and trace, and chained ones too: so there is none,
    and the message has nothing that a file or a server's answer may have put into it."""


@asynccontextmanager
async def invocation(function: str, connection_string: str) -> AsyncIterator[None]:
    """Around a function's whole work: exports while it runs, says how it ended, and sends what is still buffered.

    Raises InvocationFailed in the place of any exception, where telemetry is on.
    """
    configure(connection_string)
    began = time.monotonic()
    try:
        yield
    except BaseException as error:
        seconds = round(time.monotonic() - began, 1)
        kind, detail = type(error).__name__, safe_detail(error)
        log.error(
            "invocation ended",
            extra={"function": function, "result": "failed", "error": kind, "detail": detail, "seconds": seconds},
        )
        if _exporter is not None and isinstance(error, Exception):
            raise InvocationFailed(f"{function}: {kind} {detail}".rstrip()) from None
        raise
    else:
        seconds = round(time.monotonic() - began, 1)
        log.info(
            "invocation ended",
            extra={"function": function, "result": "completed", "error": "", "detail": "", "seconds": seconds},
        )
    finally:
        if _exporter is not None:
            # An instance may be frozen or gone as soon as its function has ended.
            await asyncio.to_thread(_exporter.flush)


def safe_detail(error: BaseException) -> str:
    """The part of our own message that says what the other side answered, without the blob that it is about.

    "" for anything else: what other messages quote, Entra's about an operation among them, nobody knows.
    """
    if isinstance(error, Retryable | Stopped):
        said = error.message if isinstance(error, Stopped) else str(error)
        return said.rpartition(": ")[2]
    return ""
