"""What the connector says of itself: every event, metric and span by name.

Names and fields are data, because alerts and workbook are written against them: tests hold what is logged and every
KQL query against these tables.

No personal data: a feed's name, a run's id, counts, codes and durations are all that a field can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from connector.vocabulary.run import Decision, Outcome

LOGGER = "connector"
"""What is logged below this name is exported and nothing else: libraries log URLs, and a blob's name is HR's choice."""


_ROWS = frozenset(f"rows_{decision.value}" for decision in Decision)
_OUTCOMES = frozenset(f"outcome_{outcome.value}" for outcome in Outcome)
_RUN = frozenset({"feed", "run"})

EVENTS: Mapping[str, frozenset[str]] = {
    # a run, in the order in which it happens
    "drop is gone": frozenset(),
    "marker missing": _RUN,
    "blobs ignored": frozenset({"feed", "blobs"}),
    "blobs passed over": frozenset({"feed", "code", "blobs"}),
    "planning failed": _RUN | {"error"},
    "planning unfinished": _RUN | {"error", "attempts"},
    "sweep out of time": frozenset(),
    "settling out of time": frozenset(),
    "receipt kept apart": _RUN | {"request"},
    "step failed": _RUN | {"step", "error"},
    "index repaired": frozenset({"runs"}),
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
    "log entries passed over": frozenset({"entries"}),
    "clocks disagree": frozenset({"ahead"}),
    "ledger damaged": frozenset({"ignored"}),
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
