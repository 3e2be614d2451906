"""Polls the provisioning log for the runs that wait for it, closes them, and writes every run's summary."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import tenacity

from connector.outside import telemetry
from connector.outside.graph import Graph
from connector.outside.retries import retrying
from connector.outside.settings import Settings
from connector.outside.store import RunEntry, Store
from connector.provisioning.job_status import job_problem
from connector.reporting.causes import FAILURES
from connector.reporting.outcomes import belongs, poll_from
from connector.reporting.publisher import Publisher
from connector.reporting.run_so_far import RunSoFar
from connector.reporting.summary_file import TOP_CAUSES
from connector.settling.sharing import share_out
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Conflict, ConnectorError, Exceeded, Stopped
from connector.vocabulary.event import Event
from connector.vocabulary.lines import event_line, parse_event_line
from connector.vocabulary.order import earlier_runs
from connector.vocabulary.run import Outcome, Problem, ProblemCode, Run, State

log = logging.getLogger(__name__)

LOG_ATTEMPTS = 5

SHARE_AFTER = timedelta(hours=1)
"""How long the log has to be silent until one change counts for two runs that had the person."""
CLAIM_MARGIN = timedelta(minutes=1)
ENTRIES_A_PERSON = 20
SPARE_ENTRIES = 1000
"""A change gives two or three entries, and what failed is tried again a few times a day: a log that says more of a run
has no end, and would not fit into memory."""


class Settler:
    """Takes runs from `settling` to `settled`."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        clock: Clock,
        settings: Settings,
        *,
        publisher: Publisher,
        random_source: random.Random,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._graph = graph
        self._clock = clock
        self._settings = settings
        self._random = random_source

    def _policy(self) -> tenacity.AsyncRetrying:
        return retrying(self._clock, self._random, attempts=LOG_ATTEMPTS)

    async def settle(self) -> list[Run]:
        """One poll a job. Gives the runs that waited, as they are now. Raises Retryable and Stopped of the storage."""
        overview = await asyncio.to_thread(self._store.overview)
        jobs: dict[str, list[RunSoFar]] = {}
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
        if jobs and (ahead := self._graph.clocks().ahead):
            log.warning("clocks disagree", extra={"ahead": round(ahead.total_seconds())})
        return settled

    def _open(self, feed: str, run_id: str) -> RunSoFar | None:
        found = self._store.run(feed, run_id)
        if found is None or found[0].state not in {State.SENDING, State.SETTLING}:
            return None
        run, etag = found
        return RunSoFar.load(self._store, run, etag)

    def _claimed(self, opened: RunSoFar, overview: Mapping[tuple[str, str], RunEntry]) -> frozenset[str]:
        """The events that were about earlier runs of the feed, which are settled: about this one they are not."""
        accepted = [receipt.accepted for receipt in opened.receipts.values()]
        if not accepted:
            return frozenset()
        claimed: set[str] = set()
        for key in earlier_runs((opened.run.feed, opened.run.id), overview):
            if overview[key].state is not State.SETTLED:
                continue
            found = self._store.run(*key)
            settled = found[0].times.settled if found else None
            if found is None or settled is None or settled < min(accepted) - CLAIM_MARGIN:
                break
            lines = (parse_event_line(line) for line in self._store.events(found[0]).splitlines())
            claimed |= {event.id for event, foreign in lines if not foreign}
        return frozenset(claimed)

    async def _poll(self, job_id: str, runs: list[RunSoFar]) -> Problem | None:
        """Reads the job's log once for all its runs, and gives each its events."""
        clocks = self._graph.clocks()
        starts = [
            start
            for opened in runs
            if (
                start := poll_from(
                    opened.receipts,
                    # Further than it is late now, nobody has read.
                    known if (known := opened.run.watermark) and known <= clocks.latest else None,
                    closing=opened.silent_for(self._settings.settle_deadline, clocks),
                )
            )
        ]
        if not starts:
            return None
        newest = min(starts)
        found: list[dict[str, Event]] = [{} for _ in runs]
        try:
            # Report APIs allow few requests (docs/entra.md, "The log"): a page that is throttled is asked for again.
            async for page in self._graph.events(job_id, min(starts), self._policy):
                for event in page:
                    newest = max(newest, event.at)
                    for opened, fresh in zip(runs, found, strict=True):
                        if event.id not in opened.events and belongs(event, opened.people, opened.receipts):
                            fresh[event.id] = event
                for opened, fresh in zip(runs, found, strict=True):
                    if len(opened.events) + len(fresh) > ENTRIES_A_PERSON * len(opened.people) + SPARE_ENTRIES:
                        raise Exceeded(f"the provisioning log has more than {ENTRIES_A_PERSON} entries a person")
        except Stopped as error:
            log.warning("log not readable", extra={"runs": len(runs)})
            return Problem(code=ProblemCode.LOG, message=error.message, advice=error.advice)
        except ConnectorError as error:
            log.warning("log not reached", extra={"runs": len(runs)})
            return Problem(code=ProblemCode.LOG, message=str(error), advice="nothing: every tick tries again")
        # Not before the log was read to its end: half of one says of nobody what it said last.
        for opened, fresh in zip(runs, found, strict=True):
            opened.events |= fresh
            opened.fresh = opened.fresh or bool(fresh)
            opened.run = replace(opened.run, watermark=newest)
        share_out(runs)
        return None

    def _close(self, opened: RunSoFar, problem: Problem | None) -> Run:
        """Keeps what the poll brought; closes the run where everybody has an outcome, or the deadline has passed."""
        with telemetry.span("settle", feed=opened.run.feed, run=opened.run.id) as span:
            run = self._closed(opened, problem)
            counts = telemetry.outcome_counts(opened.outcomes())
            span.set(state=run.state.value, events=len(opened.events), **counts)
        return run

    def _closed(self, opened: RunSoFar, problem: Problem | None) -> Run:
        # After the poll: by the Date of the very answer that may have said nothing.
        before, clocks = opened.run, self._graph.clocks()
        if opened.fresh:
            lines = (event_line(event, foreign=event.id in opened.foreign) for event in opened.events.values())
            self._store.put_events(before, b"".join(lines))
        run = before
        if run.state is State.SETTLING:
            run = replace(run, problem=problem)
            # A log that cannot be read is not silent: nobody is unconfirmed before it has been asked.
            readable = problem is None or problem.code is not ProblemCode.LOG
            overdue = readable and opened.silent_for(self._settings.settle_deadline, clocks)
            opened.sharing = overdue or (readable and opened.silent_for(SHARE_AFTER, clocks))
            # Also those whom a lost plan no longer names.
            waiting = opened.outcomes().waiting > 0
            # Half a log says who was mentioned, and not what it said last, nor which of two runs it is about.
            if overdue or (readable and not waiting):
                run = replace(run, state=State.SETTLED, times=replace(run.times, settled=clocks.now), problem=None)
        opened.run = run
        self._publisher.publish_so_far(opened)
        with suppress(Conflict):
            self._store.save_run(run, opened.etag)
            if run.state is State.SETTLED:
                self._log_settled(opened, seconds=(clocks.now - run.times.landed).total_seconds())
        return run

    def _log_settled(self, opened: RunSoFar, *, seconds: float) -> None:
        """What alerts and trends know of a run that is settled."""
        run, outcomes = opened.run, opened.outcomes()
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
            if ending.outcome in {*FAILURES, Outcome.SKIPPED}
        )
        for (kind, code), people in unhappy.most_common(TOP_CAUSES):
            log.info(
                "people failed",
                extra={"feed": run.feed, "run": run.id, "outcome": kind, "code": code, "people": people},
            )
