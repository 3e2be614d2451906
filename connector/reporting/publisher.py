"""Writes a run's summary as things stand: JSON, page and CSVs, and which of a feed is the latest."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from connector.outside.store import Store
from connector.reporting.causes import FAILURES
from connector.reporting.csv_files import outcomes_csv, rejects_csv
from connector.reporting.page import PAGE_LINES, html
from connector.reporting.run_so_far import RunSoFar, readable_plan
from connector.reporting.summary_file import is_newer, parse_summary, summary_json
from connector.vocabulary.errors import Conflict, ConnectorError, Fault, StateUnusable, Unusable
from connector.vocabulary.order import RunKey, landing
from connector.vocabulary.run import Decision, PlannedRow, Problem, ProblemCode, Run, State, Times
from connector.vocabulary.summary import Outcomes, Rows, Summary, SummaryDrop

log = logging.getLogger(__name__)


class Publisher:
    """Any step may publish a run, at any time; what is written later is at least as new. Raises Retryable, Stopped."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(self, run: Run) -> Summary:
        """Of a run of which only its state is at hand."""
        return self.publish_so_far(RunSoFar.load(self._store, run))

    def publish_so_far(self, so_far: RunSoFar) -> Summary:
        """Gives what is in storage then: a final summary is not written over with an older state."""
        run = so_far.run
        summary = so_far.summary()
        name = run.id
        found = self._store.summary(run.feed, f"{name}.json")
        if found is not None and is_newer(found[0]):
            log.error("run is damaged", extra={"feed": run.feed, "run": run.id})
            return summary
        if found is not None and not run.state.final:
            with suppress(ConnectorError):
                earlier = parse_summary(found[0])
                if earlier.state.final and earlier.times.planned == summary.times.planned:
                    # A slower instance must not write an older state over the last one.
                    return earlier
        final = so_far.endings(closing=run.state is State.SETTLED)
        failures = [ending for ending in final if ending.outcome in FAILURES]
        rejected = list(self._rejects(so_far, limit=PAGE_LINES))
        page = html(
            summary,
            failures=failures[:PAGE_LINES],
            rejected=rejected,
            total_failures=len(failures),
            total_rejected=summary.rows.rejected,
        )
        store = self._store
        store.write_summary(run.feed, f"{name}.outcomes.csv", outcomes_csv(final), "text/csv; charset=utf-8")
        store.write_summary(
            run.feed, f"{name}.rejects.csv", rejects_csv(self._rejects(so_far)), "text/csv; charset=utf-8"
        )
        store.put_summary(run.feed, f"{name}.html", page.encode(), "text/html; charset=utf-8")
        data = summary_json(summary, failures=failures)
        store.put_summary(run.feed, f"{name}.json", data, "application/json")
        self._put_latest((run.feed, run.id), data)
        return summary

    def publish_damage(self, feed: str, run_id: str, error: StateUnusable) -> None:
        """Says in the summary of a run whose state cannot be read which blob it is; the counts stay what they were.

        A summary that says so already stays as it is, and one of a newer version too.
        """
        fault = error.faults[0]
        problem = Problem(code=ProblemCode.DAMAGED, message=f"{error.name} {fault.message}", advice=fault.advice)
        found = self._store.summary(feed, f"{run_id}.json")
        if found is not None and is_newer(found[0]):
            return
        try:
            before = parse_summary(found[0]) if found else _unknown(feed, run_id)
        except Unusable:
            before = _unknown(feed, run_id)
        if before.problem == problem:
            return
        summary = replace(before, problem=problem)
        page = html(summary, failures=[], rejected=[], total_failures=0, total_rejected=summary.rows.rejected)
        self._store.put_summary(feed, f"{run_id}.html", page.encode(), "text/html; charset=utf-8")
        data = summary_json(summary)
        self._store.put_summary(feed, f"{run_id}.json", data, "application/json")
        self._put_latest((feed, run_id), data)

    def _put_latest(self, key: RunKey, data: bytes) -> None:
        """`latest.json` is the summary of the drop that landed last, whichever run was written last."""
        feed, run_id = key
        for _ in range(3):
            found = self._store.summary(feed, "latest.json")
            if found is not None:
                if is_newer(found[0]):
                    return
                with suppress(ConnectorError):
                    if parse_summary(found[0]).run > run_id:
                        return
            with suppress(Conflict):
                self._store.put_summary(feed, "latest.json", data, "application/json", etag=found[1] if found else "")
                return

    def _rejects(self, so_far: RunSoFar, limit: int = 0) -> Iterator[PlannedRow]:
        """The rows that were not sent for a fault of theirs: what rejects.csv lists."""
        count = 0
        for planned in readable_plan(self._store, so_far.run):
            row = planned
            receipt = so_far.receipts.get(planned.request)
            if receipt is not None and receipt.lost_person(planned.external_id):
                row = replace(planned, decision=Decision.REJECTED, request=0, faults=(_LOST,))
            if row.decision in {Decision.REJECTED, Decision.DUPLICATE}:
                if limit and row.decision is not Decision.REJECTED:
                    continue
                yield row
                count += 1
                if count == limit:
                    return


def _unknown(feed: str, run_id: str) -> Summary:
    """Of a run of which nothing but its name is known."""
    landed = landing(run_id) or datetime.fromtimestamp(0, UTC)
    drop = SummaryDrop(name="", etag="", bytes=0)
    return Summary(
        feed=feed,
        run=run_id,
        state=State.PLANNING,
        drop=drop,
        rows=Rows(),
        outcomes=Outcomes(),
        times=Times(landed=landed),
    )


_LOST = Fault(
    message="its bulk request vanished from the spool before it was sent, and the drop is gone",
    advice="drop the file again",
)
