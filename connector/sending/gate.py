"""Where a call to bulkUpload waits for its turn: window, daily quota and time limit, and what ends sending."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import NoReturn

from connector.outside import telemetry
from connector.outside.blobs import Lease
from connector.outside.graph import Accepted, Graph, Throttled
from connector.outside.retries import LONGEST_WAIT
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.sending.ledger import LONGEST_QUOTA_WAIT, Ledger
from connector.sending.pause import LEASE_LOST, TIME_IS_UP, Pause, quota_problem
from connector.sending.window import Window
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Conflict
from connector.vocabulary.run import Problem, ProblemCode

log = logging.getLogger(__name__)

# A longer Retry-After than this is not about the 5-second window but about the quota.
LONGEST_THROTTLE = LONGEST_WAIT


class Gate:
    """Closed for good once `pause` is there. Counts calls in the ledger before they are made, under the lease."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        clock: Clock,
        settings: Settings,
        *,
        lease: Lease,
        ledger: Ledger,
        window: Window,
        until: float,
    ) -> None:
        self._store = store
        self._graph = graph
        self._clock = clock
        self._settings = settings
        self._lease = lease
        self._ledger = ledger
        self._before = ledger.dump()
        self._window = window
        self._in_order = asyncio.Lock()
        self._set_aside = 0
        self._minute = 0
        self._made = 0
        self._begun = clock.monotonic()
        self._until = until
        self._throttled_since: float | None = None
        self.pause: Pause | None = None

    @property
    def outage(self) -> bool:
        """Whether nothing has gone through lately: then one call tries, alone."""
        return self._ledger.outage is not None

    def end(self, pause: Pause) -> None:
        """Ends sending, unless it has ended already."""
        self.pause = self.pause or pause

    def stop(self, pause: Pause) -> NoReturn:
        """Ends sending. Raises what ended it first."""
        self.end(pause)
        assert self.pause is not None
        raise self.pause

    def stop_for_outage(self, message: str) -> NoReturn:
        self._ledger.outage = self._ledger.outage or self._clock.now()
        self.stop(Pause(Problem(code=ProblemCode.OUTAGE, message=message, advice="nothing: every tick tries again")))

    def used_up(self) -> Pause | None:
        """What the next call would end sending with, where the quota leaves none."""
        now, quota = self._graph.clocks().now, self._settings.send_quota
        until = self._ledger.refused_until(now)
        if until is None:
            if self._made < self._set_aside or self._ledger.left(now, quota):
                return None
            until = self._ledger.frees_at(now, quota)
        return Pause(quota_problem(until))

    async def wait_for_turn(self) -> None:
        """Waits for the window, in the order of asking. Raises Pause when the time, the quota or the lease is up."""
        async with self._in_order:
            await self._reserve_calls()
            while True:
                now = self._clock.monotonic()
                if self.pause is not None:
                    raise self.pause
                wait = self._window.seconds_until_free(now)
                if now + (0.0 if wait == float("inf") else wait) >= self._until:
                    self.stop(Pause(TIME_IS_UP))
                if wait <= 0:
                    return
                # Where only an answer can make room, there is nothing to compute: look again soon.
                await self._clock.sleep(min(wait, 0.05 if wait == float("inf") else 1.0))

    async def call(self, path: str, body: bytes) -> Accepted:
        """One call, whose turn has come. Raises what `Graph.upload` does, and Pause."""
        call = self._window.start(self._clock.monotonic())
        self._made += 1
        try:
            accepted = await self._graph.upload(path, body)
        except Throttled as error:
            self._throttled(error)
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
            until = self._graph.clocks().now + min(timedelta(seconds=max(wait, 60.0)), LONGEST_QUOTA_WAIT)
            self._ledger.quota_until = until
            self.stop(Pause(quota_problem(until)))
        self._window.throttled(now, max(wait, 0.1))
        log.warning("throttled", extra={"wait": round(wait, 1)})

    async def _reserve_calls(self) -> None:
        """Counts a call before it is made, a window's worth at a time, so that a crash forgets none."""
        if pause := self.used_up():
            self.stop(pause)
        self._ledger.quota_until = None
        if self._made < self._set_aside:
            return
        now = self._clock.now()
        block = min(self._settings.send_limit.calls, self._ledger.left(now, self._settings.send_quota))
        self._minute = self._ledger.set_aside(now, block)
        self._set_aside += block
        try:
            await asyncio.to_thread(self._store.put_ledger, self._ledger.dump(), self._lease)
        except Conflict:
            self.stop(Pause(LEASE_LOST))

    def measure(self) -> None:
        """States how much of the window was used, and what is left of the quota."""
        limit = self._settings.send_limit
        if self._made:
            windows = 1 + (self._clock.monotonic() - self._begun) / limit.seconds
            telemetry.measure("connector.window.use", round(self._made / (windows * limit.calls), 3))
        left = self._ledger.left(self._graph.clocks().now, self._settings.send_quota)
        telemetry.measure("connector.quota.left", left)

    def close(self) -> None:
        """Gives back the calls that were set aside and not made, and the lease."""
        self._ledger.give_back(self._minute, max(0, self._set_aside - self._made))
        data = self._ledger.dump()
        # Its age tells the next sender when calls were made last.
        if data != self._before:
            self._store.put_ledger(data, self._lease)
        self._lease.release()
