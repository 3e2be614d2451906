"""Polls the provisioning log for the runs that wait for it, closes them, and writes every run's summary."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import tenacity

from connector.outside import telemetry
from connector.outside.graph import Graph
from connector.outside.provisioning_log import AHEAD
from connector.outside.retries import retrying
from connector.outside.run_index import Index
from connector.outside.settings import Settings
from connector.outside.store import Store, missing_run
from connector.provisioning.job_status import job_problem
from connector.reporting.causes import FAILURES
from connector.reporting.outcomes import belongs, first_accepted, poll_from
from connector.reporting.publisher import Publisher
from connector.reporting.run_so_far import RunSoFar
from connector.reporting.summary_file import TOP_CAUSES
from connector.settling.job_memory import JobMemory, LogDigest, Polled
from connector.settling.sharing import share_out
from connector.vocabulary.clock import Clock, Clocks
from connector.vocabulary.errors import (
    Conflict,
    ConnectorError,
    Exceeded,
    Retryable,
    StateUnusable,
    Stopped,
    StorageDown,
)
from connector.vocabulary.event import Event
from connector.vocabulary.lines import event_line
from connector.vocabulary.order import RunKey
from connector.vocabulary.run import Outcome, Problem, ProblemCode, Run, State

log = logging.getLogger(__name__)

LOG_ATTEMPTS = 5

SHARE_AFTER = timedelta(hours=1)
"""How long the log has to be silent until one change counts for two runs that had the person."""
ENTRIES_A_PERSON = 20
SPARE_ENTRIES = 1000
"""A change gives two or three entries, and what failed is tried again a few times a day: a log that says more of a run
has no end, and would not fit into memory."""
SETTLE_TIME_LIMIT = timedelta(minutes=10)
"""How long one tick settles: jobs that it has not come to by then wait for the next."""
MOST_KEPT = 5_000
"""Events of a poll that are kept in memory, where it is likely that none of them is news."""


class Poll:
    """What one reading of a job's log brought, from `start` on. `events` are all of it where it is `complete`."""

    def __init__(self) -> None:
        self.start: datetime | None = None
        self.newest = datetime.min.replace(tzinfo=UTC)
        self.events: list[Event] = []
        self.digest = LogDigest()
        self.failed = False
        self._kept_all = True

    @property
    def complete(self) -> bool:
        return self._kept_all and not self.failed

    def add(self, page: Sequence[Event], *, keep: bool) -> None:
        for event in page:
            self.newest = max(self.newest, event.at)
            # What was not asked for could be of any minute since 1970.
            if self.start is not None and event.at >= self.start:
                self.digest.add(event)
        self._kept_all = keep and self._kept_all and len(self.events) + len(page) <= MOST_KEPT
        self.events = [*self.events, *page] if self._kept_all else []


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
        self._until = math.inf
        self.errors: list[Exception] = []

    def _policy(self) -> tenacity.AsyncRetrying:
        return retrying(self._clock, self._random, attempts=LOG_ATTEMPTS)

    async def settle(self) -> list[Run]:
        """One poll a job. Gives the runs that waited, as they are now. Raises Retryable and Stopped of the storage.

        Each job and each run is an island: `errors` are what kept one of them from settling.
        """
        self.errors = []
        index = await asyncio.to_thread(self._store.index.read)
        jobs: dict[str, list[tuple[Run, str]]] = {}
        for key, state in sorted(index.open.items()):
            if state is State.PLANNING:
                continue
            try:
                found = await asyncio.to_thread(self._found, key, state, index)
            except StorageDown:
                raise
            except Exception as error:
                self._failed(error, *key)
                continue
            if found is not None:
                jobs.setdefault(found[0].upload_path, []).append(found)
        settled: list[Run] = []
        self._until = self._clock.monotonic() + SETTLE_TIME_LIMIT.total_seconds()
        # In any order: a job whose log takes all the time must not be the first one every time.
        for path, runs in self._random.sample(list(jobs.items()), len(jobs)):
            if self._clock.monotonic() > self._until:
                log.warning("settling out of time")
                break
            try:
                settled += await self._settle_job(path.rpartition("/")[0], runs)
            except StorageDown:
                raise
            except Exception as error:
                self._failed(error, runs[0][0].feed)
        if jobs and (ahead := self._graph.clocks().ahead):
            log.warning("clocks disagree", extra={"ahead": round(ahead.total_seconds())})
        return settled

    def _found(self, key: RunKey, state: State | None, index: Index) -> tuple[Run, str] | None:
        """A run that waits for the log, and its ETag."""
        feed, run_id = key
        try:
            found = self._store.run(feed, run_id)
        except StateUnusable as error:
            log.error("run is damaged", extra={"feed": feed, "run": run_id})
            self.errors.append(error)
            self._publisher.publish_damage(feed, run_id, error)
            return None
        if found is None:
            # Somebody has deleted it, or its whole folder, as is advised where it is damaged: nobody waits for it.
            log.error("run is damaged", extra={"feed": feed, "run": run_id})
            self._publisher.publish_damage(feed, run_id, missing_run(key))
            self._store.index.give_up(key, for_good=index.is_overtaken(key))
            return None
        run, etag = found
        if run.state is not state:
            # The index lags where a process died between the two.
            self._store.index.note(run)
        return (run, etag) if run.state in {State.SENDING, State.SETTLING} else None

    def _failed(self, error: Exception, feed: str, run_id: str = "") -> None:
        log.error("step failed", extra={"step": "settle", "feed": feed, "run": run_id, "error": type(error).__name__})
        self.errors.append(error)

    async def _settle_job(self, job_path: str, runs: list[tuple[Run, str]]) -> list[Run]:
        job_id = job_path.rpartition("/")[2]
        memory = JobMemory.parse(await asyncio.to_thread(self._store.job_memory, job_id))
        poll = Poll()
        problem: Problem | None = None
        unchanged = self._unchanged_since(memory, runs)
        if unchanged is not None and not unchanged:
            # Entra has had nothing of them.
            return [run for run, _ in runs]
        if unchanged:
            start = min(unchanged)
            known = await job_problem(self._graph, job_path)
            problems = [run.problem for run, _ in runs if run.state is State.SETTLING]
            if all(said == known or (said and said.code is ProblemCode.LOG) for said in problems):
                with telemetry.span("poll", runs=len(runs)):
                    problem = await self._poll(job_id, start, poll)
                same = problem is not None or poll.digest.since(start) == memory.digest
                if same and all(said == (problem or known) for said in problems):
                    return [run for run, _ in runs]
        opened = [found for run, etag in runs if (found := await asyncio.to_thread(self._open, run, etag))]
        starts = [first for each in opened if (first := self._start(each))]
        # A log that could not be read is asked again by the next tick: it may have taken minutes to find out.
        if starts and problem is None:
            if poll.start != min(starts) or not poll.complete:
                poll = Poll()
                with telemetry.span("poll", runs=len(runs)):
                    problem = await self._poll(job_id, min(starts), poll, opened)
            else:
                problem = _shared_out(poll.events, opened)
            if problem is None:
                newest = max([poll.newest, min(starts)])
                for each in opened:
                    each.run = replace(each.run, watermark=newest)
                share_out(opened)
        problem = problem or await job_problem(self._graph, job_path)
        settled: list[Run] = []
        for each in opened:
            try:
                settled.append(await asyncio.to_thread(self._close, each, problem))
            except StorageDown:
                raise
            except Exception as error:
                self._failed(error, each.run.feed, each.run.id)
        await asyncio.to_thread(self._remember, job_id, memory, opened, poll)
        return settled

    def _unchanged_since(self, memory: JobMemory, runs: list[tuple[Run, str]]) -> list[datetime] | None:
        """From when on the log is to be read for each run that Entra has a part of; None where not only the log can say
        anything new of them."""
        clocks = self._graph.clocks()
        starts: list[datetime] = []
        for run, etag in runs:
            known = memory.runs.get(f"{run.feed}/{run.id}")
            if known is None or known.etag != etag or run.in_doubt_since is not None:
                return None
            # Later than any silence ends, nobody means to look again whose clock is right.
            last = clocks.latest + max(SHARE_AFTER, self._settings.settle_deadline)
            if known.look_again is not None and not clocks.earliest < known.look_again <= last:
                return None
            if start := poll_from(known.first, _read_until(run, clocks), closing=False):
                starts.append(start)
        return starts

    def _remember(self, job_id: str, memory: JobMemory, opened: list[RunSoFar], poll: Poll) -> None:
        """Last of all: what is remembered is not looked at again."""
        clocks = self._graph.clocks()
        runs: dict[str, Polled] = {}
        starts: list[datetime] = []
        for each in opened:
            if each.run.state.final or each.stale:
                continue
            first = first_accepted(each.receipts)
            runs[f"{each.run.feed}/{each.run.id}"] = Polled(each.etag, first, self._look_again(each, clocks))
            if start := poll_from(first, _read_until(each.run, clocks), closing=False):
                starts.append(start)
        digest = poll.digest.since(min(starts)) if starts and poll.start else ""
        changed = JobMemory(runs, digest)
        if changed != memory:
            self._store.put_job_memory(job_id, changed.dump())

    def _look_again(self, opened: RunSoFar, clocks: Clocks) -> datetime | None:
        if opened.run.state is not State.SETTLING or opened.run.times.sent is None:
            return None
        quiet = opened.quiet_since(clocks) or clocks.now
        spans = (SHARE_AFTER, self._settings.settle_deadline)
        return min((quiet + span for span in spans if quiet + span > clocks.earliest), default=None)

    def _open(self, run: Run, etag: str) -> RunSoFar | None:
        try:
            opened = RunSoFar.load(self._store, run, etag)
            opened.claimed = self._claimed(opened)
        except StorageDown:
            raise
        except Exception as error:
            self._failed(error, run.feed, run.id)
            return None
        return opened

    def _claimed(self, opened: RunSoFar) -> frozenset[str]:
        """The events that were about earlier runs of the feed, which are settled: about this one they are not."""
        claimed: set[str] = set()
        if opened.receipts:
            for run_id in opened.run.beside:
                # A run that is damaged has claimed nothing that anybody could know of.
                with suppress(StateUnusable):
                    found = self._store.run(opened.run.feed, run_id)
                    if found is not None and found[0].state is State.SETTLED:
                        claimed |= {event.id for event, foreign in self._store.events(found[0])[0] if not foreign}
        return frozenset(claimed)

    def _start(self, opened: RunSoFar) -> datetime | None:
        clocks = self._graph.clocks()
        closing = opened.silent_for(self._settings.settle_deadline, clocks)
        return poll_from(first_accepted(opened.receipts), _read_until(opened.run, clocks), closing=closing)

    async def _poll(
        self, job_id: str, start: datetime, poll: Poll, opened: list[RunSoFar] | None = None
    ) -> Problem | None:
        """Reads the job's log once for all its runs; gives them their events, or keeps these in `poll`."""
        poll.start = poll.newest = start
        found: list[dict[str, Event]] = [{} for _ in opened or ()]
        try:
            # Report APIs allow few requests (docs/entra.md, "The log"): a page that is throttled is asked for again.
            async for page in self._graph.events(job_id, start, self._policy):
                if self._clock.monotonic() > self._until:
                    raise Retryable("the provisioning log was not read to its end in time")
                poll.add(page, keep=opened is None)
                for each, news in zip(opened or (), found, strict=True):
                    news.update(_news(page, each))
                    _bounded(news, each)
        except Stopped as error:
            poll.failed = True
            log.warning("log not readable", extra={"runs": len(opened or ())})
            return Problem(code=ProblemCode.LOG, message=error.message, advice=error.advice)
        except ConnectorError as error:
            poll.failed = True
            log.warning("log not reached", extra={"runs": len(opened or ())})
            return _not_reached(error)
        # Not before the log was read to its end: half of one says of nobody what it said last.
        for each, news in zip(opened or (), found, strict=True):
            _take(news, each)
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
        before, clocks = opened.saved, self._graph.clocks()
        run = opened.run
        if opened.fresh:
            lines = (event_line(event, foreign=event.id in opened.foreign) for event in opened.events.values())
            run = replace(run, events_etag=self._store.put_events(run, b"".join(lines)))
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
        # How far the log was read is told to nobody.
        if opened.sharing or replace(run, watermark=before.watermark) != before:
            self._publisher.publish_so_far(opened)
        if run == before:
            return run
        try:
            opened.etag = self._store.save_run(run, opened.etag, moved=run.state is State.SETTLED)
        except Conflict:
            opened.stale = True
            return run
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


def _read_until(run: Run, clocks: Clocks) -> datetime | None:
    """How far the log was read for this run; None also where it is said to be further than there can be a log."""
    known = run.watermark
    return known if known is not None and known <= clocks.latest + AHEAD else None


def _news(events: Iterable[Event], opened: RunSoFar) -> dict[str, Event]:
    """Of these events, by id, those about a run that it does not have."""
    return {
        event.id: event
        for event in events
        if event.id not in opened.events and belongs(event, opened.people, opened.receipts)
    }


def _bounded(news: Mapping[str, Event], opened: RunSoFar) -> None:
    """Raises Exceeded for more than any log can have to say of a run."""
    if len(opened.events) + len(news) > ENTRIES_A_PERSON * len(opened.people) + SPARE_ENTRIES:
        raise Exceeded(f"the provisioning log has more than {ENTRIES_A_PERSON} entries a person")


def _shared_out(events: Sequence[Event], opened: Sequence[RunSoFar]) -> Problem | None:
    """Gives the runs what is theirs of a whole log; or to none of them, with the reason."""
    found = [_news(events, each) for each in opened]
    try:
        for news, each in zip(found, opened, strict=True):
            _bounded(news, each)
    except Exceeded as error:
        log.warning("log not reached", extra={"runs": len(opened)})
        return _not_reached(error)
    for news, each in zip(found, opened, strict=True):
        _take(news, each)
    return None


def _not_reached(error: ConnectorError) -> Problem:
    return Problem(code=ProblemCode.LOG, message=str(error), advice="nothing: every tick tries again")


def _take(news: dict[str, Event], opened: RunSoFar) -> None:
    opened.events |= news
    opened.fresh = opened.fresh or bool(news)
