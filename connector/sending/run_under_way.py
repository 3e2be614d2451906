"""One run while it is being sent: what is left of it, and what is known of its bodies."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from connector.outside import telemetry
from connector.outside.store import Store
from connector.vocabulary.bulk_request import PlannedBody
from connector.vocabulary.errors import ConnectorError, StateUnusable, Stopped
from connector.vocabulary.run import Problem, ProblemCode, Receipt, Run

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RunUnderWay:
    """One run under way: what is left of it, and what is known of its bodies."""

    run: Run
    saved: Run
    """As it is in storage, with this ETag."""
    etag: str
    path: str
    index: list[PlannedBody]
    receipts: dict[int, Receipt]
    left: deque[int]
    begun: dict[int, Receipt] = field(default_factory=dict)
    in_flight: int = 0
    missing: list[int] = field(default_factory=list)
    turn: int = 0
    problem: Problem | None = None
    last_problem: Problem | None = None
    receipts_apart: bool = False
    sent: int = 0
    span: telemetry.Span = field(default_factory=lambda: telemetry.NO_SPAN)
    noting: asyncio.Lock = field(default_factory=asyncio.Lock)
    in_doubt_since: datetime | None = None
    """Of whatever has no receipt: an earlier sender was ended, and nobody knows what it had sent by then."""
    in_doubt: dict[int, datetime] = field(default_factory=dict)
    """Since when Entra may have a request that this sender has no receipt of."""

    @property
    def cautious(self) -> bool:
        """An administrator has to act first, as far as is known: one request finds out whether that was done."""
        stopped = self.last_problem is not None and self.last_problem.code is ProblemCode.STOPPED
        return stopped and not self.sent

    @property
    def idle(self) -> bool:
        return not self.left and not self.in_flight

    def end_span(self) -> None:
        self.span.set(requests=self.sent, left=len(self.left))
        self.span.end()

    def earliest(self, number: int) -> datetime | None:
        """Since when Entra may have the request, where that is earlier than its answer tells."""
        return self.in_doubt_since or self.in_doubt.get(number)

    def left_in_doubt(self) -> datetime | None:
        """What the next sender has to know."""
        return self.in_doubt_since or min(self.in_doubt.values(), default=None)


def planned_bodies(store: Store, run: Run) -> list[PlannedBody]:
    """How many people each body has, and what `intact` knows it by: "" when the index and the plan are gone."""
    index = store.requests_index(run)
    if len(index) == run.requests:
        return index
    records: dict[int, list[str]] = {}
    try:
        for row in store.read_plan(run):
            if row.request:
                records.setdefault(row.request, []).append(row.digest)
    except StateUnusable:
        # What half a plan says of a body may be half of it.
        records = {}
    numbers = range(1, run.requests + 1)
    return [PlannedBody(len(records.get(number, ())), "".join(records.get(number, ()))) for number in numbers]


def problem_of(feed: str, run_id: str, error: Exception) -> Problem:
    """Why a run cannot be sent now, where that is its own trouble."""
    if isinstance(error, Stopped):
        message, advice = error.message, error.advice
    elif isinstance(error, ConnectorError):
        message, advice = str(error), "nothing: every tick tries again"
    else:
        # Of an exception that is not ours its class alone: its words may be a person's.
        log_failed(feed, run_id, error)
        message = f"sending runs/{feed}/{run_id} made the connector fail ({type(error).__name__})"
        advice = "please report it with this message; every tick tries again, and no other feed is held up by it"
    return Problem(code=ProblemCode.STOPPED, message=message, advice=advice)


def log_failed(feed: str, run_id: str, error: Exception) -> None:
    log.error("step failed", extra={"step": "send", "feed": feed, "run": run_id, "error": type(error).__name__})
