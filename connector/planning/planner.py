"""Plans a run: reads its drop twice, decides every row, and fills its spool. Nothing is sent before all is decided."""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from connector.mapping import LoadedFeed
from connector.outside import telemetry
from connector.outside.blobs import LEASE_SECONDS, Lease
from connector.outside.keys import Secrets, no_secrets
from connector.outside.store import Store
from connector.planning.decide import ROWS_BETWEEN_LOOKS, DropRejected, Notes, decide, plaintext
from connector.planning.feeds import Feeds, unforeseen
from connector.planning.spool_writer import SPOOLERS, SpoolWriter
from connector.planning.turns import TURNS, Turns
from connector.reporting.publisher import Publisher
from connector.vocabulary.bulk_request import BulkRequest, PlannedBody
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import (
    Conflict,
    ConnectorError,
    DropUnusable,
    Fault,
    FeedUnusable,
    Retryable,
    StateUnusable,
    Stopped,
    StorageDown,
    Unusable,
)
from connector.vocabulary.order import RunKey
from connector.vocabulary.run import Decision, Drop, PlannedRow, Problem, ProblemCode, Run, State, Times

log = logging.getLogger(__name__)


ATTEMPTS = 3
"""So often a drop that has killed its process, or used up its memory or time, is tried alone."""


class TryAlone(Exception):
    """An attempt at the drop did not end in good order: the next one goes alone. `alone`: how many did so."""

    def __init__(self, alone: int) -> None:
        self.alone = alone
        super().__init__("to be tried alone")


class Interrupted(Exception):
    """The host ends this process: the attempt does not count."""


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
        turns: Turns = TURNS,
        max_rows: int | None = None,
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._clock = clock
        self._publisher = publisher
        self._secrets = secrets or no_secrets()
        self._spoolers = spoolers
        self._max_rows = max_rows
        self._turns = turns
        self._ending = threading.Event()

    def end(self) -> None:
        """The host ends this process: what is being planned stops at its next row."""
        self._ending.set()

    def plan(
        self, drop: Drop, *, beside: Sequence[str] = (), until: float = math.inf, alone: bool = False
    ) -> Run | None:
        """The run of a drop, planned; None when another instance has it in hand, or did it already, or it has no turn.

        `beside` are the feed's earlier runs that may not have heard the last of the log. The attempt may last `until`,
        by the monotonic clock. Raises TryAlone, Interrupted, Retryable and Stopped; whatever else goes wrong comes from
        the drop or the feed file, and becomes the run's state.
        """
        with self._turns.turn(alone=alone) as granted:
            return self._plan(drop, beside, until, alone=alone) if granted else None

    def _plan(self, drop: Drop, beside: Sequence[str], until: float, *, alone: bool) -> Run | None:
        new = Run(drop=drop, times=Times(landed=drop.landed), attempts=1, beside=tuple(beside))
        created = self._store.create_run(new)
        try:
            lease = self._store.lease_run(drop)
        except Conflict:
            return None
        with _kept(lease):
            try:
                found = self._store.run(drop.feed, drop.run_id)
            except StateUnusable as error:
                self.say_damaged((drop.feed, drop.run_id), error)
                raise
            if found is None:
                return None
            run, etag = found
            if run.state is not State.PLANNING:
                # The index may say otherwise, where a process died between the two.
                self._store.index.note(run)
                return None
            before = (0, 0) if created else (run.attempts, run.alone)
            if run.attempts and not created and not alone:
                raise TryAlone(run.alone)
            try:
                if alone and run.alone >= ATTEMPTS:
                    run = self._given_up(run)
                else:
                    if not created:
                        # Before the attempt, so that one that kills the process counts too.
                        run = replace(run, attempts=run.attempts + 1, alone=run.alone + alone)
                        etag = self._store.save_run(run, etag, lease)
                    run = self._attempt(run, etag, lease, until, before)
                if run.state is State.REJECTED:
                    # Nobody would delete its bodies any more; but those of whoever has the lease by now are not ours.
                    lease.renew()
                    self._clear_spool(run)
                if run.state.final:
                    # Before the state that nobody looks at again.
                    self._publisher.publish(run)
                self._store.save_run(run, etag, lease, moved=True)
            except Conflict:
                return None
        self._store.index.landed(run.feed, run.id, planned=run.state is not State.REJECTED)
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

    def _attempt(self, run: Run, etag: str, lease: Lease, until: float, before: tuple[int, int]) -> Run:
        """The run as it is after planning. What did not come from the drop is saved as why it waits, and raised."""

        def go_on() -> None:
            if self._ending.is_set():
                raise Interrupted
            if self._clock.monotonic() > until:
                raise _TimeIsUp

        given_back = replace(run, attempts=before[0], alone=before[1])
        with telemetry.span("plan", feed=run.feed, run=run.id) as span:
            try:
                planned = self._plan_or_reject(run, go_on)
            except (StorageDown, Conflict, Interrupted):
                with suppress(ConnectorError):
                    self._store.save_run(given_back, etag, lease)
                raise
            except (Stopped, Retryable) as error:
                advice = error.advice if isinstance(error, Stopped) else "nothing: every tick tries again"
                message = error.message if isinstance(error, Stopped) else str(error)
                self._save_problem(given_back, etag, lease, message, advice)
                raise
            except (_TimeIsUp, MemoryError) as error:
                short = "time (PLAN_TIME_LIMIT)" if isinstance(error, _TimeIsUp) else "memory"
                log.warning(
                    "planning unfinished",
                    extra={"feed": run.feed, "run": run.id, "error": type(error).__name__, "attempts": run.alone},
                )
                self._save_problem(run, etag, lease, f"planning ran out of its {short}", _ALONE)
                raise TryAlone(run.alone) from None
            span.set(state=planned.state.value, requests=planned.requests, **telemetry.row_counts(planned.rows))
        return replace(planned, attempts=0, alone=0)

    def _save_problem(self, run: Run, etag: str, lease: Lease, message: str, advice: str) -> None:
        """Says in the run's summary why it is still being planned."""
        waiting = replace(run, problem=Problem(code=ProblemCode.PLANNING, message=message, advice=advice))
        with suppress(ConnectorError):
            self._store.save_run(waiting, etag, lease)
            if waiting.problem != run.problem:
                self._publisher.publish(waiting)

    def say_damaged(self, key: RunKey, error: StateUnusable) -> None:
        """In the summary of a run that was being planned, so that settling does not look at it."""
        with suppress(Stopped, Conflict):
            self._publisher.publish_damage(*key, error)

    def _given_up(self, run: Run) -> Run:
        file = self._store.feed_file(run.feed)
        last = f"; the last time {run.problem.message}" if run.problem else ""
        fault = Fault(
            message=f"planning it alone did not end {ATTEMPTS} times: its process died, or it ran out of memory or of "
            f"time (PLAN_TIME_LIMIT){last}",
            advice="split the file, or raise PLAN_TIME_LIMIT; it is planned again when it is dropped again, or when "
            "its feed file has changed",
        )
        return self._as_rejected(
            run, DropUnusable(run.drop.path, [fault]), ProblemCode.ATTEMPTS, feed_etag=file[1] if file else ""
        )

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
        again = Run(drop=run.drop, times=Times(landed=run.drop.landed), beside=run.beside)
        with suppress(Conflict):
            # The index first: a run that it does not know is found no more.
            self._store.index.note(again)
            self._store.save_run(again, etag)
            self._store.index.forget((feed, run_id))
        return True

    def _plan_or_reject(self, run: Run, go_on: Callable[[], None]) -> Run:
        # An earlier attempt may have left bodies that this one does not write again.
        self._clear_spool(run)
        try:
            feed, etag = self._feeds.load(run.feed)
        except FeedUnusable as error:
            file = self._store.feed_file(run.feed)
            return self._as_rejected(run, error, ProblemCode.FEED, feed_etag=file[1] if file else "")
        run = replace(run, feed_etag=etag, upload_path=feed.feed.endpoint.upload_path)
        try:
            return self._fill_spool(run, feed, go_on)
        except DropRejected as error:
            cause, rows = error.cause, error.rows
        except (ConnectorError, Interrupted, _TimeIsUp, MemoryError):
            raise
        except Exception as error:
            # Reading, mapping and packing do no I/O of their own: what nobody foresaw is in the drop's bytes.
            log.error(
                "step failed",
                extra={"step": "plan", "feed": run.feed, "run": run.id, "error": type(error).__name__},
            )
            cause, rows = DropUnusable(run.drop.path, [unforeseen(error, "the drop")]), 0
        return self._as_rejected(run, cause, ProblemCode.DROP, rows=rows, feed_etag=etag)

    def _clear_spool(self, run: Run) -> None:
        for number in self._store.spooled(run):
            self._store.delete_request(run, number)

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

    def _fill_spool(self, run: Run, feed: LoadedFeed, go_on: Callable[[], None]) -> Run:
        index: list[PlannedBody] = []
        decisions: Counter[Decision] = Counter()
        notes: tuple[str, ...] = ()
        with self._store.write_plan(run) as planned, SpoolWriter(self._store, run, self._spoolers) as spool:
            for number, item in enumerate(self._decide(run.drop, feed, go_on)):
                if not number % ROWS_BETWEEN_LOOKS:
                    go_on()
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
            problem=None,
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

    def _decide(
        self, drop: Drop, feed: LoadedFeed, go_on: Callable[[], None] = lambda: None
    ) -> Iterator[PlannedRow | BulkRequest | Notes]:
        opened = plaintext(lambda: self._store.open_drop(drop), name=drop.path, feed=feed, secrets=self._secrets)
        return decide(opened, name=drop.path, landed=drop.landed, feed=feed, go_on=go_on, max_rows=self._max_rows)


class _TimeIsUp(Exception):
    """PLAN_TIME_LIMIT has passed."""


_ALONE = f"nothing yet: it is tried alone, {ATTEMPTS} times at most"


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
