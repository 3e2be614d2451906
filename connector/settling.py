"""Polls the provisioning log for the runs that wait for it, closes them, and writes every run's summary."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import tenacity

from connector import report, telemetry
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
    ProblemCode,
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
    owners,
    parse_event_line,
    poll_from,
    quiet_since,
)
from connector.store import RunEntry, Store

log = logging.getLogger(__name__)

LOG_ATTEMPTS = 5

SHARE_AFTER = timedelta(hours=1)
"""How long the log has to be silent until one change counts for two runs that had the person."""
CLAIM_MARGIN = timedelta(minutes=1)


@dataclass(slots=True)
class Open:
    """A run that waits for the log, with all that settling needs of it."""

    run: Run
    etag: str
    people: dict[str, Sent]
    receipts: dict[int, Receipt]
    events: dict[str, Event]
    foreign: set[str]
    claimed: frozenset[str] = frozenset()
    fresh: bool = False
    sharing: bool = False

    def endings(self, *, closing: bool = False) -> list[Ending]:
        return endings(
            self.people,
            self.receipts,
            self.events.values(),
            closing=closing,
            foreign=self.foreign,
            sharing=self.sharing,
        )

    def accepted(self, person: str) -> datetime | None:
        """When Entra had this person from this run."""
        sent = self.people.get(person)
        receipt = self.receipts.get(sent.request) if sent else None
        return receipt.accepted if receipt and not receipt.lost_person(person) else None

    def silent_for(self, span: timedelta, now: datetime) -> bool:
        """All is sent, and the log has said nothing of this run for so long."""
        sent = self.run.times.sent
        if self.run.state is not State.SETTLING or sent is None:
            return False
        return now - quiet_since(sent, self.endings()) >= span


def _share_out(runs: Sequence[Open]) -> None:
    """Of people who are in several open runs, gives each event to the run that it is about."""
    counts = Counter(person for opened in runs for person in opened.people)
    events: dict[str, dict[str, Event]] = {}
    for opened in runs:
        for event in opened.events.values():
            if counts[event.person] > 1 or opened.claimed:
                events.setdefault(event.person, {})[event.id] = event
    foreign: dict[int, set[str]] = {
        index: set(opened.claimed & opened.events.keys()) for index, opened in enumerate(runs)
    }
    claimed: set[str] = set().union(*(opened.claimed for opened in runs))
    for person, found in events.items():
        sent = sorted((at, index) for index, opened in enumerate(runs) if (at := opened.accepted(person)))
        mine = owners([at for at, _ in sent], (event for event in found.values() if event.id not in claimed))
        for event_id, owner in mine.items():
            for position, (_, index) in enumerate(sent):
                if position != owner and event_id in runs[index].events:
                    foreign[index].add(event_id)
    for index, opened in enumerate(runs):
        opened.fresh = opened.fresh or opened.foreign != foreign[index]
        opened.foreign = foreign[index]


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
                    opened.claimed = await asyncio.to_thread(self._claimed, opened, overview)
                    jobs.setdefault(opened.run.upload_path, []).append(opened)
        settled: list[Run] = []
        for path, runs in jobs.items():
            job_path = path.rpartition("/")[0]
            with telemetry.span("poll", runs=len(runs)):
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
        lines = [parse_event_line(line) for line in self._store.events(run).splitlines()]
        events = {event.id: event for event, _ in lines}
        foreign = {event.id for event, foreign in lines if foreign}
        return Open(run, etag, people, self._store.receipts(run), events, foreign)

    def _claimed(self, opened: Open, overview: Mapping[tuple[str, str], RunEntry]) -> frozenset[str]:
        """The events that were about earlier runs of the feed, which are settled: about this one they are not."""
        accepted = [receipt.accepted for receipt in opened.receipts.values()]
        if not accepted:
            return frozenset()
        earlier = [run for feed, run in overview if feed == opened.run.feed and run < opened.run.id]
        claimed: set[str] = set()
        for run_id in sorted(earlier, reverse=True):
            if overview[opened.run.feed, run_id].state is not State.SETTLED:
                continue
            found = self._store.run(opened.run.feed, run_id)
            settled = found[0].times.settled if found else None
            if found is None or settled is None or settled < min(accepted) - CLAIM_MARGIN:
                break
            lines = (parse_event_line(line) for line in self._store.events(found[0]).splitlines())
            claimed |= {event.id for event, foreign in lines if not foreign}
        return frozenset(claimed)

    async def _poll(self, job_id: str, runs: list[Open]) -> Problem | None:
        """Reads the job's log once for all its runs, and gives each its events."""
        now = self._clock.now()
        starts = [
            start
            for opened in runs
            if (
                start := poll_from(
                    opened.receipts,
                    opened.run.watermark,
                    closing=opened.silent_for(self._settings.settle_deadline, now),
                )
            )
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
            return Problem(code=ProblemCode.LOG, message=error.message, advice=error.advice)
        except ConnectorError as error:
            log.warning("log not reached", extra={"runs": len(runs)})
            return Problem(code=ProblemCode.LOG, message=str(error), advice="nothing: every tick tries again")
        for opened in runs:
            opened.run = replace(opened.run, watermark=newest)
        _share_out(runs)
        return None

    def _close(self, opened: Open, problem: Problem | None) -> Run:
        """Keeps what the poll brought; closes the run where everybody has an outcome, or the deadline has passed."""
        with telemetry.span("settle", feed=opened.run.feed, run=opened.run.id) as span:
            run = self._closed(opened, problem)
            counts = telemetry.outcome_counts(self._outcomes(opened))
            span.set(state=run.state.value, events=len(opened.events), **counts)
        return run

    def _closed(self, opened: Open, problem: Problem | None) -> Run:
        before, now = opened.run, self._clock.now()
        if opened.fresh:
            lines = (event_line(event, foreign=event.id in opened.foreign) for event in opened.events.values())
            self._store.put_events(before, b"".join(lines))
        run = before
        if run.state is State.SETTLING:
            run = replace(run, problem=problem)
            # A log that cannot be read is not silent: nobody is unconfirmed before it has been asked.
            readable = problem is None or problem.code is not ProblemCode.LOG
            overdue = readable and opened.silent_for(self._settings.settle_deadline, now)
            opened.sharing = overdue or (readable and opened.silent_for(SHARE_AFTER, now))
            # Also those whom a lost plan no longer names.
            waiting = self._outcomes(opened).waiting > 0
            # Half a log says who was mentioned, and not what it said last, nor which of two runs it is about.
            if overdue or (readable and not waiting):
                run = replace(run, state=State.SETTLED, times=replace(run.times, settled=now), problem=None)
        opened.run = run
        self._publish(opened)
        with suppress(Conflict):
            self._store.save_run(run, opened.etag)
            if run.state is State.SETTLED:
                self._tell(opened, seconds=(now - run.times.landed).total_seconds())
        return run

    def _tell(self, opened: Open, *, seconds: float) -> None:
        """What alerts and trends know of a run that is settled."""
        run, outcomes = opened.run, self._outcomes(opened)
        log.info(
            "run settled",
            extra={
                "feed": run.feed,
                "run": run.id,
                "seconds": round(seconds, 1),
                **telemetry.outcome_counts(outcomes),
            },
        )
        telemetry.measure("connector.run.duration", seconds, feed=run.feed)
        for outcome in Outcome:
            count = getattr(outcomes, outcome.value)
            telemetry.measure("connector.outcomes", count, feed=run.feed, outcome=outcome.value)
        unhappy = Counter(
            (ending.outcome.value, telemetry.plain_code(ending.code))
            for ending in opened.endings(closing=True)
            if ending.outcome in {*report.FAILURES, Outcome.SKIPPED}
        )
        for (kind, code), people in unhappy.most_common(report.TOP_CAUSES):
            log.info(
                "people failed",
                extra={"feed": run.feed, "run": run.id, "outcome": kind, "code": code, "people": people},
            )

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
        count = 0
        for planned in self._store.read_plan(opened.run):
            row = planned
            receipt = opened.receipts.get(planned.request)
            if receipt is not None and receipt.lost_person(planned.external_id):
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
