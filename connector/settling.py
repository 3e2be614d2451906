"""Polls the provisioning log for the runs that wait for it, closes them, and writes every run's summary."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import tenacity

from connector import report
from connector.clock import Clock
from connector.errors import Conflict, ConnectorError, Fault, Stopped
from connector.graph import Graph
from connector.jobs import job_problem
from connector.retries import retrying
from connector.run import (
    Decision,
    Ending,
    Outcome,
    Outcomes,
    PlannedRow,
    Problem,
    Receipt,
    Requests,
    Run,
    State,
    Summary,
    SummaryDrop,
)
from connector.settings import Settings
from connector.settle import (
    Event,
    Sent,
    belongs,
    count_outcomes,
    count_rows,
    endings,
    event_line,
    parse_event_line,
    poll_from,
    quiet_since,
)
from connector.store import Store

log = logging.getLogger(__name__)

LOG_ATTEMPTS = 5


@dataclass(slots=True)
class Open:
    """A run that waits for the log, with all that settling needs of it."""

    run: Run
    etag: str
    people: dict[str, Sent]
    receipts: dict[int, Receipt]
    events: dict[str, Event]
    fresh: bool = False

    def endings(self, *, closing: bool = False) -> list[Ending]:
        return endings(self.people, self.receipts, self.events.values(), closing=closing)

    def overdue(self, now: datetime, settings: Settings) -> bool:
        """All is sent, and the log has been silent for longer than SETTLE_DEADLINE."""
        sent = self.run.times.sent
        if self.run.state is not State.SETTLING or sent is None:
            return False
        return now - quiet_since(sent, self.endings()) >= settings.settle_deadline


class Settler:
    """Takes runs from `settling` to `settled`."""

    def __init__(
        self, store: Store, graph: Graph, clock: Clock, settings: Settings, *, random_source: random.Random
    ) -> None:
        self._store = store
        self._graph = graph
        self._clock = clock
        self._settings = settings
        self._random = random_source

    def _policy(self) -> tenacity.AsyncRetrying:
        return retrying(self._clock, self._random, attempts=LOG_ATTEMPTS)

    async def settle(self) -> list[Run]:
        """One poll a job. Gives the runs that waited, as they are now. Raises Retryable and Stopped of the storage."""
        overview = await asyncio.to_thread(self._store.overview)
        jobs: dict[str, list[Open]] = {}
        for (feed, run_id), entry in sorted(overview.items()):
            if entry.state in {State.SENDING, State.SETTLING}:
                opened = await asyncio.to_thread(self._open, feed, run_id)
                if opened is not None:
                    jobs.setdefault(opened.run.upload_path, []).append(opened)
        settled: list[Run] = []
        for path, runs in jobs.items():
            job_path = path.rpartition("/")[0]
            problem = await self._poll(job_path.rpartition("/")[2], runs)
            problem = problem or await job_problem(self._graph, job_path)
            settled += [await asyncio.to_thread(self._close, opened, problem) for opened in runs]
        return settled

    def _open(self, feed: str, run_id: str) -> Open | None:
        found = self._store.run(feed, run_id)
        if found is None or found[0].state not in {State.SENDING, State.SETTLING}:
            return None
        run, etag = found
        return self._load(run, etag)

    def _load(self, run: Run, etag: str) -> Open:
        people = {
            row.external_id: Sent(row.row, row.request)
            for row in self._store.read_plan(run)
            if row.decision is Decision.SEND
        }
        events = (parse_event_line(line) for line in self._store.events(run).splitlines())
        return Open(run, etag, people, self._store.receipts(run), {event.id: event for event in events})

    async def _poll(self, job_id: str, runs: list[Open]) -> Problem | None:
        """Reads the job's log once for all its runs, and gives each its events."""
        now = self._clock.now()
        starts = [
            start
            for opened in runs
            if (start := poll_from(opened.receipts, opened.run.watermark, closing=opened.overdue(now, self._settings)))
        ]
        if not starts:
            return None
        newest = min(starts)
        try:
            # Report APIs allow few requests (entra-api.md, section 2): a page that is throttled is asked for again.
            async for page in self._graph.events(job_id, min(starts), self._policy):
                for event in page:
                    newest = max(newest, event.at)
                    for opened in runs:
                        if event.id not in opened.events and belongs(event, opened.people, opened.receipts):
                            opened.events[event.id] = event
                            opened.fresh = True
        except Stopped as error:
            log.warning("log not readable", extra={"runs": len(runs)})
            return Problem(code="log", message=error.message, advice=error.advice)
        except ConnectorError as error:
            log.warning("log not reached", extra={"runs": len(runs)})
            return Problem(code="log", message=str(error), advice="nothing: every tick tries again")
        for opened in runs:
            opened.run = replace(opened.run, watermark=newest)
        return None

    def _close(self, opened: Open, problem: Problem | None) -> Run:
        """Keeps what the poll brought; closes the run where everybody has an outcome, or the deadline has passed."""
        before, now = opened.run, self._clock.now()
        if opened.fresh:
            self._store.put_events(before, b"".join(event_line(event) for event in opened.events.values()))
        run = before
        if run.state is State.SETTLING:
            run = replace(run, problem=problem)
            waiting = any(ending.outcome is Outcome.WAITING for ending in opened.endings())
            # A log that cannot be read is not silent: nobody is unconfirmed before it has been asked.
            silent = problem is None or problem.code != "log"
            if not waiting or (silent and opened.overdue(now, self._settings)):
                run = replace(run, state=State.SETTLED, times=replace(run.times, settled=now), problem=None)
        opened.run = run
        self._publish(opened)
        with suppress(Conflict):
            self._store.save_run(run, opened.etag)
        if run.state is State.SETTLED:
            log.info("run settled", extra={"feed": run.feed, "run": run.id, **_counts(self._outcomes(opened))})
        return run

    def publish(self, run: Run) -> Summary:
        """Writes the run's summary as things stand. Raises Retryable and Stopped."""
        return self._publish(self._load(run, ""))

    def _publish(self, opened: Open) -> Summary:
        run = opened.run
        summary = self._summary(opened)
        name = run.id
        found = self._store.summary(run.feed, f"{name}.json")
        if found is not None and not run.state.final:
            with suppress(ConnectorError):
                earlier = report.parse_summary(found[0])
                if earlier.state.final and earlier.times.planned == summary.times.planned:
                    # A slower instance must not write an older state over the last one.
                    return earlier
        final = opened.endings(closing=run.state is State.SETTLED)
        failures = [ending for ending in final if ending.outcome in report.FAILURES]
        rejected = list(self._rejects(opened, limit=report.PAGE_LINES))
        page = report.html(
            summary,
            failures=failures[: report.PAGE_LINES],
            rejected=rejected,
            total_failures=len(failures),
            total_rejected=summary.rows.rejected,
        )
        store = self._store
        store.write_summary(run.feed, f"{name}.outcomes.csv", report.outcomes_csv(final), "text/csv; charset=utf-8")
        store.write_summary(
            run.feed, f"{name}.rejects.csv", report.rejects_csv(self._rejects(opened)), "text/csv; charset=utf-8"
        )
        store.put_summary(run.feed, f"{name}.html", page.encode(), "text/html; charset=utf-8")
        data = report.summary_json(summary, failures=failures)
        store.put_summary(run.feed, f"{name}.json", data, "application/json")
        self._put_latest(run, data)
        return summary

    def _put_latest(self, run: Run, data: bytes) -> None:
        """`latest.json` is the summary of the drop that landed last, whichever run was written last."""
        for _ in range(3):
            found = self._store.summary(run.feed, "latest.json")
            if found is not None:
                with suppress(ConnectorError):
                    if report.parse_summary(found[0]).run > run.id:
                        return
            with suppress(Conflict):
                self._store.put_summary(
                    run.feed, "latest.json", data, "application/json", etag=found[1] if found else ""
                )
                return

    def _rejects(self, opened: Open, limit: int = 0) -> Iterator[PlannedRow]:
        """The rows that were not sent for a fault of theirs: what rejects.csv lists."""
        lost = {number for number, receipt in opened.receipts.items() if receipt.lost}
        count = 0
        for planned in self._store.read_plan(opened.run):
            row = planned
            if planned.request in lost:
                row = replace(planned, decision=Decision.REJECTED, request=0, faults=(_LOST,))
            if row.decision in {Decision.REJECTED, Decision.DUPLICATE}:
                if limit and row.decision is not Decision.REJECTED:
                    continue
                yield row
                count += 1
                if count == limit:
                    return

    def _outcomes(self, opened: Open) -> Outcomes:
        closing = opened.run.state is State.SETTLED
        outcomes = count_outcomes(opened.endings(closing=closing))
        # People whose plan was lost have no row to be found by; they are not forgotten for that.
        unknown = count_rows(opened.run.rows, opened.receipts).sent - outcomes.sum
        if closing:
            return replace(outcomes, unconfirmed=outcomes.unconfirmed + unknown)
        return replace(outcomes, waiting=outcomes.waiting + unknown)

    def _summary(self, opened: Open) -> Summary:
        run = opened.run
        answered = len(opened.receipts)
        return Summary(
            feed=run.feed,
            run=run.id,
            state=run.state,
            drop=SummaryDrop(name=run.drop.name, etag=run.drop.etag, bytes=run.drop.bytes),
            rows=count_rows(run.rows, opened.receipts),
            outcomes=self._outcomes(opened),
            times=run.times,
            requests=Requests(total=run.requests, sent=answered, left=run.requests - answered),
            problem=run.problem,
            notes=run.notes,
        )


_LOST = Fault(
    message="its bulk request vanished from the spool before it was sent, and the drop is gone",
    advice="drop the file again",
)


def _counts(outcomes: Outcomes) -> dict[str, int]:
    return {f"outcome_{outcome.value}": getattr(outcomes, outcome.value) for outcome in Outcome}
