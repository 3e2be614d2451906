"""One drain of the spools, from the lease to its release: the runs in order, many requests at once, each for good.

Whatever stops it, what is still in a spool is what is left to do, and the next sender goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from connector.outside import telemetry
from connector.outside.blobs import LEASE_SECONDS, Lease
from connector.outside.graph import Accepted, Graph, Throttled, TokenRefused
from connector.outside.retries import retrying
from connector.outside.store import Store
from connector.provisioning.job_status import job_problem
from connector.reporting.publisher import Publisher
from connector.sending.gate import Gate
from connector.sending.parts import Parts, intact, people_in
from connector.sending.pause import INTERRUPTED, LEASE_LOST, Pause
from connector.sending.run_under_way import RunUnderWay, log_failed, planned_bodies, problem_of
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import (
    Conflict,
    ConnectorError,
    Refused,
    Retryable,
    StateUnusable,
    StorageDown,
    Unusable,
)
from connector.vocabulary.order import next_to_send
from connector.vocabulary.run import Problem, ProblemCode, Receipt, Run, State

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

_RECEIPTS = (
    "nothing is lost, and nothing is sent twice: the receipt is in a blob of its own; but each tick sends no more than "
    "a few requests of this feed until receipts.jsonl can be appended to (is there a legal hold, or a restored blob?)"
)


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did: the runs that moved, by (feed, id), and why it ended early, if it did."""

    runs: frozenset[tuple[str, str]]
    problem: Problem | None = None


class Drain:
    """Sends what is spooled until nothing is left or the gate is closed.

    `upload_path` gives the path of a run's job, and raises ConnectorError without one. `respool` makes the bodies of
    the named requests again, from the drop; it gives the numbers that it could make.
    """

    def __init__(
        self,
        store: Store,
        graph: Graph,
        clock: Clock,
        *,
        upload_path: Callable[[Run], str],
        respool: Callable[[Run, list[int]], set[int]],
        publisher: Publisher,
        random_source: random.Random,
        lease: Lease,
        gate: Gate,
    ) -> None:
        self._store = store
        self._graph = graph
        self._clock = clock
        self._upload_path = upload_path
        self._respool = respool
        self._publisher = publisher
        self._random = random_source
        self._lease = lease
        self._gate = gate
        self._published = clock.monotonic()
        self._feeds: dict[str, RunUnderWay] = {}
        self._stopped_feeds: set[str] = set()
        self._moved: set[tuple[str, str]] = set()
        self._remade: Counter[tuple[str, str, int]] = Counter()
        self._turn = 0
        self._done = False
        # Set when a worker may find something to do, and when a run or the drain may have ended.
        self._work_there = asyncio.Event()
        self._changed = asyncio.Event()

    async def drain(self) -> Drained:
        keeper = asyncio.create_task(self._renew_lease())
        workers: list[asyncio.Task[None]] = []
        try:
            if await self._refill() and await self._try_one_after_outage():
                workers = [asyncio.create_task(self._work()) for _ in range(IN_FLIGHT)]
                while self._gate.pause is None and await self._refill():
                    await self._wait_for_change()
        except BaseException:
            # The host is about to end this function: nothing new is started.
            self._gate.end(Pause(INTERRUPTED))
            raise
        finally:
            self._done = True
            self._work_there.set()
            keeper.cancel()
            # What is in flight is waited for: a request that was accepted and has no receipt would be sent again.
            results = await asyncio.gather(keeper, *workers, return_exceptions=True)
            for under_way in self._feeds.values():
                under_way.end_span()
            self._gate.measure()
        for result in results:
            if isinstance(result, Exception):
                raise result
        await self._save_problems()
        return Drained(frozenset(self._moved), self._gate.pause.problem if self._gate.pause else None)

    async def _renew_lease(self) -> None:
        """Renews the lease until cancelled. When it is lost, somebody else may be sending: sending ends."""
        held_until = self._clock.monotonic() + LEASE_SECONDS
        while self._gate.pause is None:
            await self._clock.sleep(LEASE_SECONDS / 3)
            asked = self._clock.monotonic()
            try:
                await asyncio.to_thread(self._lease.renew)
                held_until = asked + LEASE_SECONDS
            except Conflict:
                self._gate.end(Pause(LEASE_LOST))
            except ConnectorError:
                # Storage is slow or down. The lease may outlast it, but past its time nobody can know.
                if self._clock.monotonic() >= held_until - LEASE_SECONDS / 3:
                    self._gate.end(Pause(LEASE_LOST))
        self._changed.set()

    async def _wait_for_change(self) -> None:
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
        for feed, under_way in list(self._feeds.items()):
            if under_way.idle and not under_way.problem:
                try:
                    await self._close_run(under_way)
                except StorageDown:
                    raise
                except Exception as error:
                    self._stop_for(under_way, error)
                    continue
                under_way.end_span()
                del self._feeds[feed]
        await self._show_progress()
        index = await asyncio.to_thread(self._store.index.read)
        for feed, run_id in next_to_send(index.states()).items():
            if feed not in self._feeds and feed not in self._stopped_feeds:
                opened = await self._opened(feed, run_id)
                if opened:
                    self._feeds[feed] = opened
                    self._work_there.set()
                    if opened.idle:
                        self._changed.set()
        return any(not under_way.problem for under_way in self._feeds.values())

    async def _show_progress(self) -> None:
        """A drain may take 25 minutes, and people watch."""
        now = self._clock.monotonic()
        if now - self._published >= PUBLISH_SECONDS:
            self._published = now
            for under_way in list(self._feeds.values()):
                if under_way.sent:
                    try:
                        await asyncio.to_thread(self._publisher.publish, under_way.run)
                    except ConnectorError:
                        pass
                    except Exception as error:
                        log_failed(under_way.run.feed, under_way.run.id, error)

    async def _opened(self, feed: str, run_id: str) -> RunUnderWay | None:
        """None as well where the run's own state is what keeps it: it is no reason for the others to wait."""
        try:
            return await self._open(feed, run_id)
        except StorageDown:
            raise
        except Exception as error:
            self._stopped_feeds.add(feed)
            # Settling says of a damaged state which blob it is.
            if not isinstance(error, StateUnusable):
                with suppress(ConnectorError):
                    await self._say_not_opened(feed, run_id, problem_of(feed, run_id, error))
            return None

    async def _say_not_opened(self, feed: str, run_id: str, problem: Problem) -> None:
        found = await asyncio.to_thread(self._store.run, feed, run_id)
        if found is not None and found[0].problem != problem:
            await asyncio.to_thread(self._store.save_run, replace(found[0], problem=problem), found[1])
            self._moved.add((feed, run_id))

    async def _open(self, feed: str, run_id: str) -> RunUnderWay | None:
        found = await asyncio.to_thread(self._store.run, feed, run_id)
        if found is None:
            return None
        run, etag = found
        if run.state is not State.SENDING:
            # The index lags where a process died between the two.
            await asyncio.to_thread(self._store.index.note, run)
            return None
        if self._keeps_waiting(run):
            return None
        known = await asyncio.to_thread(self._store.receipts, run, unfinished=True)
        path = run.upload_path
        if not known:
            # The feed may name another endpoint by now, and whoever stopped for a wrong one goes on with the right one.
            # Once Entra had a part of it, the rest goes to the same job; and so it does while the feed file is broken.
            with suppress(Unusable):
                path = await asyncio.to_thread(self._upload_path, run)
        run = replace(run, upload_path=path)
        index = await asyncio.to_thread(planned_bodies, self._store, run)
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
        return RunUnderWay(
            replace(run, problem=problem),
            found[0],
            etag,
            path,
            index,
            receipts,
            left,
            begun,
            missing=missing,
            last_problem=run.problem,
            span=telemetry.begin("send", feed=feed, run=run_id),
            in_doubt_since=run.in_doubt_since,
        )

    def _keeps_waiting(self, run: Run) -> bool:
        """Whether nothing of this run is tried now, and it says so already: that costs no more than having read it."""
        if (pause := self._gate.used_up()) and run.problem == pause.problem:
            self._gate.end(pause)
            return True
        # One request finds out whether the outage is over, and it is another run's.
        return bool(self._gate.outage and self._feeds and run.problem and run.problem.code is ProblemCode.OUTAGE)

    async def _note_begun(self, under_way: RunUnderWay) -> None:
        """Before the first call: from now on Entra may have any request, and nobody reads the run as it was."""
        async with under_way.noting:
            saved = under_way.saved
            if saved.in_doubt_since is not None and saved.upload_path == under_way.path:
                return
            since = saved.in_doubt_since or self._graph.now()
            under_way.run = under_way.saved = replace(under_way.run, in_doubt_since=since)
            try:
                under_way.etag = await asyncio.to_thread(self._store.save_run, under_way.run, under_way.etag)
            except Conflict:
                # Whoever settles the run may have written how far the log was read.
                found = await asyncio.to_thread(self._store.run, under_way.run.feed, under_way.run.id)
                if found is not None and found[0].state is State.SENDING:
                    under_way.run = under_way.saved = replace(
                        under_way.run, watermark=found[0].watermark, events_etag=found[0].events_etag
                    )
                    with suppress(Conflict):
                        under_way.etag = await asyncio.to_thread(self._store.save_run, under_way.run, found[1])

    def _next_request(self) -> tuple[RunUnderWay, int] | None:
        """The next request: the feeds in turn, so that one of 100,000 people does not starve one of ten."""
        busy = [s for s in self._feeds.values() if s.left and not s.problem and not (s.cautious and s.in_flight)]
        if not busy:
            return None
        under_way = min(busy, key=lambda s: s.turn)
        self._turn += 1
        under_way.turn = self._turn
        return under_way, under_way.left.popleft()

    async def _try_one_after_outage(self) -> bool:
        """After an outage one request finds out whether it is over; false when it is not."""
        if self._gate.outage and (item := self._next_request()):
            with suppress(Pause), item[0].span.current():
                await self._send_request(*item)
        return self._gate.pause is None

    async def _work(self) -> None:
        while self._gate.pause is None and not self._done:
            item = self._next_request()
            if item is None:
                self._work_there.clear()
                await self._work_there.wait()
                continue
            try:
                with item[0].span.current():
                    await self._send_request(*item)
            except Pause:
                return
            except BaseException:
                # What nobody foresaw ends the drain, which raises it; the other workers finish what they have begun.
                self._gate.end(Pause(INTERRUPTED))
                raise
            finally:
                if item[0].idle or self._gate.pause is not None:
                    self._changed.set()

    async def _send_request(self, under_way: RunUnderWay, number: int) -> None:
        """Sends one bulk request for good: receipt first, then its deletion from the spool."""
        under_way.in_flight += 1
        run = under_way.run
        try:
            body = await asyncio.to_thread(self._store.request, run, number)
            people, expected = under_way.index[number - 1]
            if body is None or not intact(body, expected):
                under_way.missing.append(number)
                return
            if pause := self._gate.used_up():
                self._gate.stop(pause)
            await self._note_begun(under_way)
            receipt = await self._deliver(under_way, number, people or people_in(body), body)
            under_way.in_doubt[number] = receipt.accepted
            await self._keep_receipt(under_way, receipt)
            del under_way.in_doubt[number]
            self._moved.add((run.feed, run.id))
            await asyncio.to_thread(self._store.delete_request, run, number)
            under_way.sent += 1
            self._work_there.set()
            log.info(
                "request sent", extra={"feed": run.feed, "run": run.id, "request": number, "people": receipt.people}
            )
        except Pause:
            under_way.left.appendleft(number)
            raise
        except Retryable as error:
            under_way.left.appendleft(number)
            self._gate.stop_for_outage(str(error))
        except Exception as error:
            # It concerns this feed's job, or what this run alone has; the other feeds go on.
            under_way.left.appendleft(number)
            self._stop_for(under_way, error)
        finally:
            under_way.in_flight -= 1

    def _stop_for(self, under_way: RunUnderWay, error: Exception) -> None:
        self._stop_feed(under_way, problem_of(under_way.run.feed, under_way.run.id, error))

    def _stop_feed(self, under_way: RunUnderWay, problem: Problem) -> None:
        """Nothing more of this feed is sent in this drain."""
        self._stopped_feeds.add(under_way.run.feed)
        under_way.problem = problem
        self._changed.set()

    async def _keep_receipt(self, under_way: RunUnderWay, receipt: Receipt) -> None:
        """Tries long: without its receipt, a request that Entra has taken is sent again.

        Where storage refuses it for good, it gets a blob of its own, and its feed stops: nothing is sent twice.
        """
        run = under_way.run
        try:
            async for attempt in retrying(self._clock, self._random, attempts=ATTEMPTS):
                with attempt:
                    await asyncio.to_thread(self._store.append_receipt, run, receipt)
        except StorageDown:
            raise
        except ConnectorError as error:
            await asyncio.to_thread(self._store.put_receipt, run, receipt)
            under_way.receipts_apart = True
            log.error("receipt kept apart", extra={"feed": run.feed, "run": run.id, "request": receipt.request})
            message = f"storage refuses a receipt: {error}"
            self._stop_feed(under_way, Problem(code=ProblemCode.DAMAGED, message=message, advice=_RECEIPTS))

    async def _deliver(self, under_way: RunUnderWay, number: int, people: int, body: bytes) -> Receipt:
        """The receipt of a body that Entra took, in parts if it refused some of its operations.

        Where sending has to end between two parts, what was answered is kept, so that no part is sent again: otherwise
        a quota smaller than all the parts of the requests in flight would be used up by the same parts every day.
        """
        begun = under_way.begun.get(number)
        parts = Parts(body, begun)
        try:
            while parts.left:
                try:
                    parts.accept(await self._upload(under_way, number, parts.next_body()))
                except Refused as error:
                    parts.refuse(error)
        except (Pause, ConnectorError):
            if parts.answered:
                receipt = parts.receipt(number, people, self._clock.now(), under_way.earliest(number))
                with suppress(ConnectorError):
                    await self._keep_receipt(under_way, receipt)
                    under_way.begun[number] = receipt
            raise
        return parts.receipt(number, people, self._clock.now(), under_way.earliest(number))

    async def _upload(self, under_way: RunUnderWay, number: int, body: bytes) -> Accepted:
        """One body, retried while that can help. Raises Refused, Stopped, Retryable after the last try, and Pause."""

        attempts = 1 if self._gate.outage else ATTEMPTS
        # Throttling is no failure: `_throttled` closes the window, and knows when to give up. Nor is an expired token.
        policy = retrying(
            self._clock, self._random, attempts=attempts, free=lambda e: isinstance(e, Throttled | TokenRefused)
        )
        async for attempt in policy:
            with attempt:
                return await self._call(under_way, number, body)
        raise AssertionError("a retry ends with a result or an exception")

    async def _call(self, under_way: RunUnderWay, number: int, body: bytes) -> Accepted:
        await self._gate.wait_for_turn()
        begun = self._graph.now()
        try:
            return await self._gate.call(under_way.path, body)
        except (Throttled, TokenRefused):
            raise
        except Retryable:
            # Whatever became of the answer, Entra may have taken the request.
            under_way.in_doubt.setdefault(number, begun)
            raise

    async def _close_run(self, under_way: RunUnderWay) -> None:
        """To `settling` with a run that is completely sent; bodies that vanished are made again or given up by name."""
        run = under_way.run
        if under_way.missing:
            # A sender that took the lease over may have sent them, and deleted them for that.
            known = await asyncio.to_thread(self._store.receipts, run)
            missing = set(under_way.missing) - known.keys()
            made = await asyncio.to_thread(self._respool, run, sorted(missing)) if missing else set()
            # What comes out otherwise than it was planned would be made again for ever.
            made = {number for number in made if self._remade[run.feed, run.id, number] < REMAKES}
            self._remade.update((run.feed, run.id, number) for number in made)
            for number in sorted(missing - made):
                people = under_way.index[number - 1].people_count
                begun = under_way.begun.get(number)
                lost = Receipt(request=number, accepted=self._clock.now(), people=people, lost=True)
                if begun is not None:
                    lost = replace(begun, lost=True)
                await self._keep_receipt(under_way, lost)
                log.error("request lost", extra={"feed": run.feed, "run": run.id, "request": number})
            if made:
                return
        self._moved.add((run.feed, run.id))
        times = replace(run.times, sent=self._clock.now())
        apart = await asyncio.to_thread(self._store.has_receipts_apart, run)
        done = replace(run, state=State.SETTLING, times=times, in_doubt_since=None, receipts_apart=apart)
        with suppress(Conflict):
            await asyncio.to_thread(partial(self._store.save_run, done, under_way.etag, moved=True))
            log.info("run sent", extra={"feed": run.feed, "run": run.id, "requests": run.requests})

    async def _save_problems(self) -> None:
        """Says in every run that has to wait why it does."""
        for under_way in self._feeds.values():
            if under_way.problem or not under_way.idle:
                problem = under_way.problem or (self._gate.pause.problem if self._gate.pause else None)
                noted = replace(
                    under_way.run,
                    problem=problem,
                    in_doubt_since=under_way.left_in_doubt(),
                    receipts_apart=under_way.run.receipts_apart or under_way.receipts_apart,
                )
                if noted != under_way.saved:
                    with suppress(ConnectorError):
                        await self._save_problem(under_way, noted)

    async def _save_problem(self, under_way: RunUnderWay, noted: Run) -> None:
        problem, last = noted.problem, under_way.last_problem
        if problem != last:
            self._moved.add((noted.feed, noted.id))
        # Once, and not at every tick; that a quota frees up at another time than it seemed is in the summary.
        if problem and problem != under_way.run.problem and problem.code != (last.code if last else ""):
            log.warning("run waits", extra={"feed": noted.feed, "run": noted.id, "code": problem.code})
        with suppress(Conflict):
            await asyncio.to_thread(self._store.save_run, noted, under_way.etag)
