"""A clock that jumps to the next sleeper as soon as nothing else can happen: 24 hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
"""When a virtual clock starts unless told otherwise: a Monday morning."""


class VirtualClock:
    """`now`, `monotonic` and `sleep` like the production clock, in virtual time.

    Time stands still while anything can run, and while `busy()` says that real I/O is under way. Once the event loop
    is idle and nobody is busy, time jumps to the earliest sleeper, and that one alone is woken: two sleepers with the
    same deadline wake in the order in which they lay down, so a run is deterministic as far as its I/O is.

    Reading the time is safe from any thread; sleeping and `busy()` belong to one event loop.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._busy = 0
        self._held = 0
        self._calm: asyncio.Event | None = None
        self._driver: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        """The virtual time of day, aware, in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Virtual seconds since the clock was made."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Returns when `seconds` of virtual time have passed."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), sleeper))
        if self._driver is None or self._driver.done() or self._driver.get_loop() is not loop:
            self._calm = asyncio.Event()
            self._driver = loop.create_task(self._drive(), name="virtual clock")
        await sleeper

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around real I/O: time stands still until it is left."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._recheck()

    async def hold(self, seconds: float) -> None:
        """A server's sleep while it keeps a client waiting that counts as busy: that client does not hold time up."""
        self._held += 1
        self._recheck()
        try:
            await self.sleep(seconds)
        finally:
            self._held -= 1

    def advance(self, by: timedelta | float) -> None:
        """Moves time by hand, from any thread; whoever should have woken by then wakes."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if seconds < 0:
            raise ValueError("time only advances")
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            sleeper = heapq.heappop(self._sleepers)[2]
            sleeper.get_loop().call_soon_threadsafe(_wake, sleeper)

    def _recheck(self) -> None:
        if self._calm is not None and self._busy <= self._held:
            self._calm.set()

    async def _drive(self) -> None:
        while self._pending():
            await self._idle()
            if self._pending():
                deadline, _, sleeper = heapq.heappop(self._sleepers)
                self._elapsed = max(self._elapsed, deadline)
                _wake(sleeper)

    def _pending(self) -> bool:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return bool(self._sleepers)

    async def _idle(self) -> None:
        # asyncio has no public way to ask "can anything else run?"; its queue of ready callbacks is the exact answer.
        # Events of the selector are in it too by the time that the driver is resumed.
        ready: Sized = vars(asyncio.get_running_loop())["_ready"]
        assert self._calm is not None
        while True:
            if self._busy > self._held:
                self._calm.clear()
                await self._calm.wait()
            await asyncio.sleep(0)
            if not ready and self._busy <= self._held:
                return


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
