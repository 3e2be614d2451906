"""Plans a run: reads its drop twice, decides every row, and fills its spool. Nothing is sent before all is decided."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from connector.mapping import LoadedFeed
from connector.outside import telemetry
from connector.outside.blobs import LEASE_SECONDS, Lease
from connector.outside.keys import Secrets, no_secrets
from connector.outside.store import Store
from connector.planning.decide import DropRejected, Notes, decide, plaintext
from connector.planning.feeds import Feeds
from connector.planning.spool_writer import SPOOLERS, SpoolWriter
from connector.reporting.publisher import Publisher
from connector.vocabulary.bulk_request import BulkRequest, PlannedBody
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import (
    Conflict,
    ConnectorError,
    FeedUnusable,
    Retryable,
    Stopped,
    StorageDown,
    Unusable,
)
from connector.vocabulary.run import Decision, Drop, PlannedRow, Problem, ProblemCode, Run, State, Times

log = logging.getLogger(__name__)


class Planner:
    """Takes drops to `sending`, or to `rejected` with the reason."""

    def __init__(
        self,
        store: Store,
        feeds: Feeds,
        clock: Clock,
        *,
        publisher: Publisher,
        secrets: Secrets | None = None,
        spoolers: int = SPOOLERS,
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._clock = clock
        self._publisher = publisher
        self._secrets = secrets or no_secrets()
        self._spoolers = spoolers

    def plan(self, drop: Drop) -> Run | None:
        """The run of a drop, planned; None when another instance has it in hand, or did it already.

        Raises Retryable and Stopped; Unusable becomes the run's state.
        """
        self._store.create_run(Run(drop=drop, times=Times(landed=drop.landed)))
        try:
            lease = self._store.lease_run(drop)
        except Conflict:
            return None
        with _kept(lease):
            found = self._store.run(drop.feed, drop.run_id)
            if found is None or found[0].state is not State.PLANNING:
                return None
            run, etag = found
            with telemetry.span("plan", feed=run.feed, run=run.id) as span:
                try:
                    run = self._plan_or_reject(run)
                except StorageDown:
                    raise
                except (Stopped, Retryable) as error:
                    self._save_problem(run, etag, lease, error)
                    raise
                span.set(state=run.state.value, requests=run.requests, **telemetry.row_counts(run.rows))
            if run.state.final:
                # Before the state that nobody looks at again.
                self._publisher.publish(run)
            try:
                self._store.save_run(run, etag, lease)
            except Conflict:
                return None
        if not run.state.final:
            self._publisher.publish(run)
        log.info(
            "run planned",
            extra={
                "feed": run.feed,
                "run": run.id,
                "state": run.state.value,
                "requests": run.requests,
                **telemetry.row_counts(run.rows),
            },
        )
        for decision, count in (run.rows or {}).items():
            telemetry.measure("connector.rows", count, feed=run.feed, decision=decision.value)
        return run

    def _save_problem(self, run: Run, etag: str, lease: Lease, error: Stopped | Retryable) -> None:
        """Says in the run's summary why it is still being planned."""
        advice = error.advice if isinstance(error, Stopped) else "nothing: every tick tries again"
        message = error.message if isinstance(error, Stopped) else str(error)
        waiting = replace(run, problem=Problem(code=ProblemCode.PLANNING, message=message, advice=advice))
        with suppress(ConnectorError):
            if waiting.problem != run.problem:
                self._store.save_run(waiting, etag, lease)
            self._publisher.publish(waiting)

    def reopen(self, feed: str, run_id: str) -> bool:
        """Puts a rejected run back to `planning` when what it was rejected for has changed since.

        That is the feed file, or a table beside it: a drop may lack a column that the mapping names no more.
        """
        found = self._store.run(feed, run_id)
        if found is None:
            return False
        run, etag = found
        problem = run.problem
        if run.state is not State.REJECTED or problem is None:
            return False
        try:
            now = self._feeds.load(feed)[1]
        except FeedUnusable as error:
            if problem.code is not ProblemCode.FEED or problem.message == _told(error):
                return False
        else:
            if problem.code is not ProblemCode.FEED and now == run.feed_etag:
                return False
        again = Run(drop=run.drop, times=Times(landed=run.drop.landed))
        with suppress(Conflict):
            self._store.save_run(again, etag)
        return True

    def _plan_or_reject(self, run: Run) -> Run:
        # An earlier attempt may have left bodies that this one does not write again.
        for number in self._store.spooled(run):
            self._store.delete_request(run, number)
        try:
            feed, etag = self._feeds.load(run.feed)
        except FeedUnusable as error:
            file = self._store.feed_file(run.feed)
            return self._as_rejected(run, error, ProblemCode.FEED, feed_etag=file[1] if file else "")
        run = replace(run, feed_etag=etag, upload_path=feed.feed.endpoint.upload_path)
        try:
            return self._fill_spool(run, feed)
        except DropRejected as error:
            return self._as_rejected(run, error.cause, ProblemCode.DROP, rows=error.rows, feed_etag=etag)

    def _as_rejected(self, run: Run, error: Unusable, code: ProblemCode, *, feed_etag: str, rows: int = 0) -> Run:
        now = self._clock.now()
        advice = "mend the feed file: the drop is then planned again by itself" if code is ProblemCode.FEED else ""
        if len(error.faults) == 1 and error.faults[0].advice:
            advice = "; ".join(filter(None, (error.faults[0].advice, advice)))
        return replace(
            run,
            state=State.REJECTED,
            feed_etag=feed_etag,
            rows={Decision.REJECTED: rows},
            times=replace(run.times, planned=now, settled=now),
            problem=Problem(
                code=code,
                message=_told(error),
                advice=advice,
            ),
        )

    def _fill_spool(self, run: Run, feed: LoadedFeed) -> Run:
        index: list[PlannedBody] = []
        decisions: Counter[Decision] = Counter()
        notes: tuple[str, ...] = ()
        with self._store.write_plan(run) as planned, SpoolWriter(self._store, run, self._spoolers) as spool:
            for item in self._decide(run.drop, feed):
                if isinstance(item, BulkRequest):
                    spool.put(item)
                    index.append(PlannedBody(item.people_count, item.digest))
                elif isinstance(item, Notes):
                    notes = item.texts
                else:
                    planned.add(item)
                    decisions[item.decision] += 1
        self._store.put_requests_index(run, index)
        now = self._clock.now()
        sent = {} if index else {"sent": now, "settled": now}
        return replace(
            run,
            state=State.SENDING if index else State.SETTLED,
            rows=dict(decisions),
            requests=len(index),
            notes=notes,
            times=replace(run.times, planned=now, **sent),
        )

    def respool(self, run: Run, missing: list[int]) -> set[int]:
        """Makes the bodies of the numbered requests again; gives the numbers that came out as they were.

        The same drop and feed file give the same bytes. Where one of them has changed, the body is not made.
        """
        wanted = set(missing)
        index = self._store.requests_index(run)
        made: set[int] = set()
        try:
            feed, etag = self._feeds.load(run.feed)
            if etag != run.feed_etag:
                return made
            for item in self._decide(run.drop, feed):
                if isinstance(item, BulkRequest) and item.number in wanted:
                    if item.number <= len(index) and item.digest != index[item.number - 1].digest:
                        continue
                    self._store.put_request(run, item.number, item.body)
                    made.add(item.number)
        except (Unusable, DropRejected):
            return made
        return made

    def _decide(self, drop: Drop, feed: LoadedFeed) -> Iterator[PlannedRow | BulkRequest | Notes]:
        opened = plaintext(lambda: self._store.open_drop(drop), name=drop.path, feed=feed, secrets=self._secrets)
        return decide(opened, name=drop.path, landed=drop.landed, feed=feed)


def _told(error: Unusable) -> str:
    """The faults, a line each; of several, each keeps its own advice beside it."""
    return "\n".join(str(fault if len(error.faults) > 1 else replace(fault, advice="")) for fault in error.faults)


@contextmanager
def _kept(lease: Lease) -> Iterator[None]:
    """Renews a lease in the background while the block runs, then releases it.

    Where renewing fails, the lease runs out and the block's last write, which names it, is refused.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_SECONDS / 3):
            with suppress(ConnectorError):
                lease.renew()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(ConnectorError):
            lease.release()
