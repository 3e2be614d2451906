"""The only sender: holds the tenant-wide lease, paces, counts the quota, retries, drains the spools in order.

Whatever stops it, what is still in a spool is what is left to do, and the next sender goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import orjson

from connector import telemetry
from connector.clock import Clock
from connector.errors import Conflict, ConnectorError, Refused, Retryable, Stopped, Unusable
from connector.graph import Accepted, Graph, Throttled, TokenRefused
from connector.jobs import job_problem
from connector.pacing import Ledger, Window
from connector.plan import bulk_body, digest
from connector.retries import LONGEST_WAIT, retrying
from connector.run import Problem, ProblemCode, Receipt, Refusal, Run, State
from connector.settings import Settings
from connector.store import LEASE_SECONDS, Lease, Store

log = logging.getLogger(__name__)

IN_FLIGHT = 16
"""Requests under way at once: 8 calls/s at up to 2 s latency. Also the most that a crash can send twice."""

REFILL_SECONDS = 10.0
"""How often a drain looks for runs that were spooled while it sends."""
PUBLISH_SECONDS = 60.0
"""How often the summaries of runs that are being sent are written anew."""

# So often a body is made again in one drain.
REMAKES = 5
# A request that fails so often in a row is left in the spool: the next tick is the longer wait.
ATTEMPTS = 6
# A longer Retry-After than this is not about the 5-second window but about the quota.
LONGEST_THROTTLE = LONGEST_WAIT
# Retry-After says when to ask again, not how long to trust it: an absurd value must not silence the connector.
LONGEST_QUOTA_WAIT = timedelta(hours=1)


class Pause(Exception):
    """Sending ends for now, for all feeds; what is left stays in the spool. Not an error: the next tick goes on."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


@dataclass(slots=True)
class Sending:
    """One run under way: what is left of it, and what is known of its bodies."""

    run: Run
    etag: str
    path: str
    index: list[tuple[int, str]]
    receipts: dict[int, Receipt]
    left: deque[int]
    begun: dict[int, Receipt] = field(default_factory=dict)
    in_flight: int = 0
    missing: list[int] = field(default_factory=list)
    turn: int = 0
    problem: Problem | None = None
    said: str = ""
    sent: int = 0
    span: telemetry.Span = field(default_factory=lambda: telemetry.NO_SPAN)
    in_doubt_since: datetime | None = None
    """Of whatever has no receipt: an earlier sender was ended, and nobody knows what it had sent by then."""
    in_doubt: dict[int, datetime] = field(default_factory=dict)
    """Since when Entra may have a request that this sender has no receipt of."""

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


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did: the runs that moved, by (feed, id), and why it ended early, if it did."""

    runs: frozenset[tuple[str, str]]
    problem: Problem | None = None


class Uplink:
    """Sends what the spools hold. `upload_path` gives the path of a feed's job, and raises ConnectorError without one.

    `respool` makes the bodies of the named requests again, from the drop; it gives the numbers that it could make.
    """

    def __init__(
        self,
        store: Store,
        graph: Graph,
        clock: Clock,
        settings: Settings,
        *,
        upload_path: Callable[[Run], str],
        respool: Callable[[Run, list[int]], set[int]],
        publish: Callable[[Run], object],
        random_source: random.Random | None = None,
    ) -> None:
        self._store = store
        self._graph = graph
        self._clock = clock
        self._settings = settings
        self._upload_path = upload_path
        self._respool = respool
        self._publish = publish
        self._random = random_source or random.Random()

    async def drain(self) -> Drained:
        """Sends until nothing is left, the time limit is near, or something stops it. One drain at a time a tenant."""
        overview = await asyncio.to_thread(self._store.overview)
        if not any(entry.state is State.SENDING for entry in overview.values()):
            return Drained(frozenset())
        lease = await self._acquire()
        if lease is None:
            log.info("uplink is held by another instance")
            return Drained(frozenset())
        async with self._held(lease) as session:
            return await session.drain()

    async def _acquire(self) -> Lease | None:
        """Waits as long as a killed holder's lease can last; who still holds it then is alive, and sends for us."""
        deadline = self._clock.monotonic() + LEASE_SECONDS + 5
        while True:
            try:
                return await asyncio.to_thread(self._store.lease_uplink)
            except Conflict:
                if self._clock.monotonic() >= deadline:
                    return None
            await self._clock.sleep(1.0)

    @asynccontextmanager
    async def _held(self, lease: Lease) -> AsyncIterator[_Session]:
        data, age = await asyncio.to_thread(self._store.ledger)
        ledger = Ledger.parse(data)
        window = Window(self._settings.send_limit)
        if age <= self._settings.send_limit.seconds + 1:
            # The last sender's final calls may still be in the server's window.
            window.assume(ledger.used(self._clock.now(), self._settings.send_quota), self._clock.monotonic())
        session = _Session(self, lease, ledger, window)
        try:
            yield session
        finally:
            # A lease that is lost, or a storage that is down, ends the same way: the lease runs out by itself.
            with suppress(ConnectorError):
                await asyncio.shield(asyncio.to_thread(session.close))


class _Session:
    """One drain, from the lease to its release."""

    def __init__(self, uplink: Uplink, lease: Lease, ledger: Ledger, window: Window) -> None:
        self._store = uplink._store
        self._graph = uplink._graph
        self._clock = uplink._clock
        self._settings = uplink._settings
        self._upload_path = uplink._upload_path
        self._respool = uplink._respool
        self._publish = uplink._publish
        self._random = uplink._random
        self._lease = lease
        self._ledger = ledger
        self._before = ledger.dump()
        self._window = window
        self._gate = asyncio.Lock()
        self._set_aside = 0
        self._minute = 0
        self._made = 0
        self._begun = self._clock.monotonic()
        self._published = self._begun
        self._until = self._begun + self._settings.send_time_limit.total_seconds()
        self._feeds: dict[str, Sending] = {}
        self._stopped_feeds: set[str] = set()
        self._moved: set[tuple[str, str]] = set()
        self._remade: Counter[tuple[str, str, int]] = Counter()
        self._turn = 0
        self._pause: Pause | None = None
        self._done = False
        self._throttled_since: float | None = None
        # Set when a worker may find something to do, and when a run or the drain may have ended.
        self._work_there = asyncio.Event()
        self._changed = asyncio.Event()

    async def drain(self) -> Drained:
        keeper = asyncio.create_task(self._keep())
        workers: list[asyncio.Task[None]] = []
        try:
            if await self._refill() and await self._probe():
                workers = [asyncio.create_task(self._work()) for _ in range(IN_FLIGHT)]
                while self._pause is None and await self._refill():
                    await self._changes()
        except BaseException:
            # The host is about to end this function: nothing new is started.
            self._pause = self._pause or Pause(_INTERRUPTED)
            raise
        finally:
            self._done = True
            self._work_there.set()
            keeper.cancel()
            # What is in flight is waited for: a request that was accepted and has no receipt would be sent again.
            results = await asyncio.gather(keeper, *workers, return_exceptions=True)
            for sending in self._feeds.values():
                sending.end_span()
            self._measure()
        for result in results:
            if isinstance(result, Exception):
                raise result
        await self._note_problems()
        return Drained(frozenset(self._moved), self._pause.problem if self._pause else None)

    def _measure(self) -> None:
        limit = self._settings.send_limit
        if self._made:
            windows = 1 + (self._clock.monotonic() - self._begun) / limit.seconds
            telemetry.measure("connector.window.use", round(self._made / (windows * limit.calls), 3))
        left = self._ledger.left(self._clock.now(), self._settings.send_quota)
        telemetry.measure("connector.quota.left", left)

    async def _keep(self) -> None:
        """Renews the lease until cancelled. When it is lost, somebody else may be sending: sending ends."""
        held_until = self._clock.monotonic() + LEASE_SECONDS
        while self._pause is None:
            await self._clock.sleep(LEASE_SECONDS / 3)
            asked = self._clock.monotonic()
            try:
                await asyncio.to_thread(self._lease.renew)
                held_until = asked + LEASE_SECONDS
            except Conflict:
                self._pause = Pause(_LEASE_LOST)
            except ConnectorError:
                # Storage is slow or down. The lease may outlast it, but past its time nobody can know.
                if self._clock.monotonic() >= held_until - LEASE_SECONDS / 3:
                    self._pause = Pause(_LEASE_LOST)
        self._changed.set()

    async def _changes(self) -> None:
        """Returns when a run is finished or sending ends, and from time to time, since drops land meanwhile."""
        waiter = asyncio.create_task(self._changed.wait())
        timer = asyncio.create_task(self._clock.sleep(REFILL_SECONDS))
        try:
            await asyncio.wait({waiter, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiter, timer):
                task.cancel()
            await asyncio.gather(waiter, timer, return_exceptions=True)
        self._changed.clear()

    async def _refill(self) -> bool:
        """Closes what is completely sent, and gives every feed its oldest run. False when nothing is left to do."""
        for feed, sending in list(self._feeds.items()):
            if sending.idle and not sending.problem:
                await self._close_run(sending)
                sending.end_span()
                del self._feeds[feed]
        await self._show_progress()
        overview = await asyncio.to_thread(self._store.overview)
        passed: set[str] = set()
        for (feed, run_id), entry in sorted(overview.items()):
            if entry.state is State.PLANNING:
                # Newest wins: what landed later waits for what is still being planned.
                passed.add(feed)
            if entry.state is State.SENDING and feed not in {*self._feeds, *self._stopped_feeds, *passed}:
                opened = await self._open(feed, run_id)
                if opened:
                    self._feeds[feed] = opened
                    self._work_there.set()
                    if opened.idle:
                        self._changed.set()
        return any(not sending.problem for sending in self._feeds.values())

    async def _show_progress(self) -> None:
        """A drain may take 25 minutes, and people watch."""
        now = self._clock.monotonic()
        if now - self._published >= PUBLISH_SECONDS:
            self._published = now
            for sending in list(self._feeds.values()):
                if sending.sent:
                    with suppress(ConnectorError):
                        await asyncio.to_thread(self._publish, sending.run)

    async def _open(self, feed: str, run_id: str) -> Sending | None:
        found = await asyncio.to_thread(self._store.run, feed, run_id)
        if found is None or found[0].state is not State.SENDING:
            return None
        run, etag = found
        said = run.problem.code if run.problem else ""
        try:
            path = await asyncio.to_thread(self._upload_path, run)
        except Unusable as error:
            self._stopped_feeds.add(feed)
            problem: Problem | None = Problem(code=ProblemCode.FEED, message=str(error), advice="mend the feed file")
            await self._note(run, etag, replace(run, problem=problem), said)
            return None
        # The feed may name another endpoint by now: whoever stopped for a wrong one goes on with the right one.
        run = replace(run, upload_path=path)
        index = await asyncio.to_thread(self._index, run)
        known = await asyncio.to_thread(self._store.receipts, run, unfinished=True)
        begun = {number: receipt for number, receipt in known.items() if not receipt.final}
        receipts = {number: receipt for number, receipt in known.items() if receipt.final}
        spooled = await asyncio.to_thread(self._store.spooled, run)
        for number in spooled:
            # A receipt without its deletion: the crash fell between the two, and nothing is sent again.
            if number in receipts or number > run.requests:
                await asyncio.to_thread(self._store.delete_request, run, number)
        left = deque(number for number in spooled if number not in receipts and number <= run.requests)
        missing = sorted(set(range(1, run.requests + 1)) - receipts.keys() - set(left))
        problem = await job_problem(self._graph, path.rpartition("/")[0])
        in_doubt_since = run.in_doubt_since
        noted = replace(run, problem=problem, in_doubt_since=in_doubt_since or (self._graph.now() if left else None))
        if noted != run:
            run = noted
            with suppress(Conflict):
                etag = await asyncio.to_thread(self._store.save_run, run, etag)
        span = telemetry.begin("send", feed=feed, run=run_id)
        return Sending(
            run,
            etag,
            path,
            index,
            receipts,
            left,
            begun,
            missing=missing,
            said=said,
            span=span,
            in_doubt_since=in_doubt_since,
        )

    def _index(self, run: Run) -> list[tuple[int, str]]:
        """How many people each body has, and what `_intact` knows it by: "" when the index and the plan are gone."""
        index = self._store.requests_index(run)
        if len(index) == run.requests:
            return index
        records: dict[int, list[str]] = {}
        for row in self._store.read_plan(run):
            if row.request:
                records.setdefault(row.request, []).append(row.digest)
        numbers = range(1, run.requests + 1)
        return [(len(records.get(number, ())), "".join(records.get(number, ()))) for number in numbers]

    def _take(self) -> tuple[Sending, int] | None:
        """The next request: the feeds in turn, so that one of 100,000 people does not starve one of ten."""
        busy = [s for s in self._feeds.values() if s.left and not s.problem]
        if not busy:
            return None
        sending = min(busy, key=lambda s: s.turn)
        self._turn += 1
        sending.turn = self._turn
        return sending, sending.left.popleft()

    async def _probe(self) -> bool:
        """After an outage one request finds out whether it is over; false when it is not."""
        if self._ledger.outage is not None and (item := self._take()):
            with suppress(Pause), item[0].span.current():
                await self._one(*item)
        return self._pause is None

    async def _work(self) -> None:
        while self._pause is None and not self._done:
            item = self._take()
            if item is None:
                self._work_there.clear()
                await self._work_there.wait()
                continue
            try:
                with item[0].span.current():
                    await self._one(*item)
            except Pause:
                return
            except BaseException:
                # What nobody foresaw ends the drain, which raises it; the other workers finish what they have begun.
                self._pause = self._pause or Pause(_INTERRUPTED)
                raise
            finally:
                if item[0].idle or self._pause is not None:
                    self._changed.set()

    async def _one(self, sending: Sending, number: int) -> None:
        """Sends one bulk request for good: receipt first, then its deletion from the spool."""
        sending.in_flight += 1
        run = sending.run
        try:
            body = await asyncio.to_thread(self._store.request, run, number)
            people, expected = sending.index[number - 1]
            if body is None or not _intact(body, expected):
                sending.missing.append(number)
                return
            receipt = await self._deliver(sending, number, people, body)
            sending.in_doubt[number] = receipt.accepted
            await self._keep_receipt(run, receipt)
            del sending.in_doubt[number]
            self._moved.add((run.feed, run.id))
            await asyncio.to_thread(self._store.delete_request, run, number)
            sending.sent += 1
            log.info(
                "request sent", extra={"feed": run.feed, "run": run.id, "request": number, "people": receipt.people}
            )
        except Stopped as error:
            # It concerns this feed's job; the other feeds go on.
            sending.left.appendleft(number)
            self._stopped_feeds.add(run.feed)
            sending.problem = Problem(code=ProblemCode.STOPPED, message=error.message, advice=error.advice)
            self._changed.set()
        except (Retryable, Conflict) as error:
            sending.left.appendleft(number)
            self._ledger.outage = self._ledger.outage or self._clock.now()
            self._stop(
                Pause(Problem(code=ProblemCode.OUTAGE, message=str(error), advice="nothing: every tick tries again"))
            )
        except Pause:
            sending.left.appendleft(number)
            raise
        finally:
            sending.in_flight -= 1

    async def _keep_receipt(self, run: Run, receipt: Receipt) -> None:
        """Tries long: without its receipt, a request that Entra has taken is sent again."""
        async for attempt in retrying(self._clock, self._random, attempts=ATTEMPTS):
            with attempt:
                await asyncio.to_thread(self._store.append_receipt, run, receipt)

    def _stop(self, pause: Pause) -> NoReturn:
        self._pause = self._pause or pause
        raise self._pause

    async def _deliver(self, sending: Sending, number: int, people: int, body: bytes) -> Receipt:
        """The receipt of a body that Entra took, in parts if it refused some of its operations.

        Where sending has to end between two parts, what was answered is kept, so that no part is sent again: otherwise
        a quota smaller than all the parts of the requests in flight would be used up by the same parts every day.
        """
        begun = sending.begun.get(number)
        parts = _Parts(body, begun)
        try:
            while parts.left:
                try:
                    parts.accept(await self._upload(sending, number, parts.next_body()))
                except Refused as error:
                    parts.refuse(error)
        except (Pause, ConnectorError):
            if parts.answered:
                receipt = parts.receipt(number, people, self._clock.now(), sending.earliest(number))
                with suppress(ConnectorError):
                    await self._keep_receipt(sending.run, receipt)
                    sending.begun[number] = receipt
            raise
        return parts.receipt(number, people, self._clock.now(), sending.earliest(number))

    async def _upload(self, sending: Sending, number: int, body: bytes) -> Accepted:
        """One body, retried while that can help. Raises Refused, Stopped, Retryable after the last try, and Pause."""

        attempts = 1 if self._ledger.outage else ATTEMPTS
        # Throttling is no failure: `_throttled` closes the window, and knows when to give up. Nor is an expired token.
        policy = retrying(
            self._clock, self._random, attempts=attempts, free=lambda e: isinstance(e, Throttled | TokenRefused)
        )
        async for attempt in policy:
            with attempt:
                return await self._call(sending, number, body)
        raise AssertionError("a retry ends with a result or an exception")

    async def _call(self, sending: Sending, number: int, body: bytes) -> Accepted:
        await self._may_start()
        begun = self._graph.now()
        call = self._window.start(self._clock.monotonic())
        self._made += 1
        try:
            accepted = await self._graph.upload(sending.path, body)
        except Throttled as error:
            self._throttled(error)
            raise
        except TokenRefused:
            raise
        except Retryable:
            # Whatever became of the answer, Entra may have taken the request.
            sending.in_doubt.setdefault(number, begun)
            raise
        finally:
            self._window.end(call, self._clock.monotonic())
        self._throttled_since = None
        if self._ledger.outage:
            log.info("outage over")
            self._ledger.outage = None
        return accepted

    def _throttled(self, error: Throttled) -> None:
        """Closes the window, or, where this cannot be about the window, ends sending until the quota frees up."""
        now = self._clock.monotonic()
        window = self._settings.send_limit.seconds
        if self._throttled_since is None:
            self._throttled_since = now
        wait = error.wait if error.wait is not None else window
        # Windows went by, and not one call went through: it is the quota, whatever Retry-After says.
        if wait > LONGEST_THROTTLE or now - self._throttled_since > max(3 * window, 15.0):
            until = self._clock.now() + min(timedelta(seconds=max(wait, 60.0)), LONGEST_QUOTA_WAIT)
            self._ledger.quota_until = until
            self._stop(Pause(_quota_problem(until)))
        self._window.throttled(now, max(wait, 0.1))
        log.warning("throttled", extra={"wait": round(wait, 1)})

    async def _may_start(self) -> None:
        """Waits for the window, in the order of asking. Raises Pause when the time, the quota or the lease is up."""
        async with self._gate:
            await self._quota()
            while True:
                now = self._clock.monotonic()
                if self._pause is not None:
                    raise self._pause
                wait = self._window.wait(now)
                if now + (0.0 if wait == float("inf") else wait) >= self._until:
                    self._stop(Pause(_TIME_IS_UP))
                if wait <= 0:
                    return
                # Where only an answer can make room, there is nothing to compute: look again soon.
                await self._clock.sleep(min(wait, 0.05 if wait == float("inf") else 1.0))

    async def _quota(self) -> None:
        """Counts a call before it is made, a window's worth at a time, so that a crash forgets none."""
        now = self._clock.now()
        if self._ledger.quota_until is not None:
            if now < self._ledger.quota_until:
                self._stop(Pause(_quota_problem(self._ledger.quota_until)))
            self._ledger.quota_until = None
        if self._made < self._set_aside:
            return
        quota = self._settings.send_quota
        block = min(self._settings.send_limit.calls, self._ledger.left(now, quota))
        if not block:
            self._stop(Pause(_quota_problem(self._ledger.frees_at(now, quota))))
        self._minute = self._ledger.set_aside(now, block)
        self._set_aside += block
        try:
            await asyncio.to_thread(self._store.put_ledger, self._ledger.dump(), self._lease)
        except Conflict:
            self._stop(Pause(_LEASE_LOST))

    async def _close_run(self, sending: Sending) -> None:
        """To `settling` with a run that is completely sent; bodies that vanished are made again or given up by name."""
        run = sending.run
        if sending.missing:
            # A sender that took the lease over may have sent them, and deleted them for that.
            known = await asyncio.to_thread(self._store.receipts, run)
            missing = set(sending.missing) - known.keys()
            made = await asyncio.to_thread(self._respool, run, sorted(missing)) if missing else set()
            # What comes out otherwise than it was planned would be made again for ever.
            made = {number for number in made if self._remade[run.feed, run.id, number] < REMAKES}
            self._remade.update((run.feed, run.id, number) for number in made)
            for number in sorted(missing - made):
                people = sending.index[number - 1][0]
                begun = sending.begun.get(number)
                lost = Receipt(request=number, accepted=self._clock.now(), people=people, lost=True)
                if begun is not None:
                    lost = replace(begun, lost=True)
                await asyncio.to_thread(self._store.append_receipt, run, lost)
                log.error("request lost", extra={"feed": run.feed, "run": run.id, "request": number})
            if made:
                return
        self._moved.add((run.feed, run.id))
        times = replace(run.times, sent=self._clock.now())
        done = replace(run, state=State.SETTLING, times=times, in_doubt_since=None)
        with suppress(Conflict):
            await asyncio.to_thread(self._store.save_run, done, sending.etag)
            log.info("run sent", extra={"feed": run.feed, "run": run.id, "requests": run.requests})

    async def _note_problems(self) -> None:
        """Says in every run that has to wait why it does."""
        for sending in self._feeds.values():
            if not sending.idle:
                problem = sending.problem or (self._pause.problem if self._pause else None)
                noted = replace(sending.run, problem=problem, in_doubt_since=sending.left_in_doubt())
                with suppress(ConnectorError):
                    await self._note(sending.run, sending.etag, noted, sending.said)

    async def _note(self, run: Run, etag: str, noted: Run, said: str) -> None:
        self._moved.add((run.feed, run.id))
        if noted != run:
            problem = noted.problem
            # Once, and not at every tick; that a quota frees up at another time than it seemed is in the summary.
            if problem and problem != run.problem and problem.code != said:
                log.warning("run waits", extra={"feed": run.feed, "run": run.id, "code": problem.code})
            with suppress(Conflict):
                await asyncio.to_thread(self._store.save_run, noted, etag)

    def close(self) -> None:
        """Gives back the calls that were set aside and not made, and the lease."""
        self._ledger.give_back(self._minute, max(0, self._set_aside - self._made))
        data = self._ledger.dump()
        # Its age tells the next sender when calls were made last.
        if data != self._before:
            self._store.put_ledger(data, self._lease)
        self._lease.release()


_LEASE_LOST = Problem(
    code=ProblemCode.LEASE, message="the uplink's lease was lost while sending", advice="nothing: the next tick goes on"
)
_INTERRUPTED = Problem(
    code=ProblemCode.INTERRUPTED, message="sending was interrupted", advice="nothing: the next tick goes on"
)
_TIME_IS_UP = Problem(
    code=ProblemCode.TIME,
    message="the function's time limit is near (SEND_TIME_LIMIT)",
    advice="nothing: the next tick goes on",
)


def _quota_problem(until: datetime) -> Problem:
    return Problem(
        code=ProblemCode.QUOTA,
        message=f"the tenant's quota of calls is used up; sending goes on at about {until:%Y-%m-%d %H:%M} UTC",
        advice="nothing, or send less: `content: delta`, or Entra ID Governance's larger quota (SEND_QUOTA)",
    )


def _intact(body: bytes, expected: str) -> bool:
    """Whether a body is as planned: by its own digest, or by its records' digests where the index of bodies is gone."""
    if not expected or digest(body) == expected:
        return True
    try:
        records = [digest(orjson.dumps(operation["data"])) for operation in orjson.loads(body)["Operations"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return "".join(records) == expected


class _Parts:
    """A body on its way, halved wherever Entra refuses: what is left of it, and what was answered."""

    def __init__(self, body: bytes, begun: Receipt | None) -> None:
        self._body = body
        self._begun = begun
        self._accepted: list[Accepted] = []
        self._refusals: list[Refusal] = list(begun.refusals) if begun else []
        # The whole body is sent as it was spooled: parsed only once it is refused.
        self.left: list[list[Any] | None] = [None]
        self.answered = False
        if begun is not None:
            people = {operation["data"]["externalId"]: operation for operation in orjson.loads(body)["Operations"]}
            self.left = [[people[person] for person in part] for part in begun.unsent]

    def next_body(self) -> bytes:
        part = self.left[-1]
        return self._body if part is None else bulk_body([orjson.dumps(operation) for operation in part])

    def accept(self, accepted: Accepted) -> None:
        self.left.pop()
        self.answered = True
        self._accepted.append(accepted)

    def refuse(self, error: Refused) -> None:
        part = self.left.pop()
        self.answered = True
        operations = orjson.loads(self._body)["Operations"] if part is None else part
        if len(operations) > 1:
            middle = len(operations) // 2
            self.left += [operations[middle:], operations[:middle]]
            return
        person = operations[0]["data"]["externalId"]
        self._refusals.append(Refusal(external_id=person, code=error.code, message=error.message))

    def receipt(self, number: int, people: int, now: datetime, earliest: datetime | None) -> Receipt:
        times = [accepted.at for accepted in self._accepted]
        if earliest is not None:
            times.append(earliest)
        ids = [accepted.request_id for accepted in self._accepted if accepted.request_id]
        if self._begun is not None:
            times.append(self._begun.accepted)
            ids = [*self._begun.request_ids, *ids]
        return Receipt(
            request=number,
            accepted=min(times, default=now),
            people=people,
            request_ids=tuple(ids),
            refusals=tuple(self._refusals),
            unsent=tuple(tuple(o["data"]["externalId"] for o in part or ()) for part in self.left),
        )
