"""How fast to send: at most so many calls in any window, as the server sees them. Pure: time is an argument."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from connector.vocabulary.limits import Limit

# What the two machines' timers may be off by: this share of a window, 15 ms in 5 s, and never less than 5 ms.
MARGIN = 0.003
LEAST_MARGIN = 0.005
# Calls whose fastest round trip stands for the path's own delay.
_SAMPLE = 400
_WARM = 4


@dataclass(slots=True, eq=False)
class Call:
    """One call, from its start until its answer; seconds of a monotonic clock."""

    started: float
    ended: float = math.inf
    warm: bool = False


class Window:
    """Keeps any `limit.seconds` of the *server's* clock to at most `limit.calls`, and uses them up.

    A call reaches the server some time between its start and its answer. What its round trip took longer than the
    fastest one bounds how much later than usual it can have arrived: `started + excess` is the latest arrival (but for
    the path's constant delay, which shifts all calls alike). A call still in flight may be arriving now. So a call may
    start when fewer than `calls` others are in flight or have a latest arrival within the last window: jitter narrows
    the pace by what it amounts to, and constant latency not at all.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._span = limit.seconds + max(limit.seconds * MARGIN, LEAST_MARGIN)
        self._allowed = limit.calls
        self._in_flight = 0
        self._most_in_flight = 0
        self._warm = 0
        self._ended: list[Call] = []
        self._round_trips: deque[float] = deque(maxlen=_SAMPLE)
        self._fastest = 0.0
        self._closed_until = -math.inf
        self._raised = -math.inf

    def assume(self, calls: int, now: float) -> None:
        """Somebody else made `calls`, of which nothing is known but that they may have arrived as late as now."""
        for _ in range(min(calls, self._limit.calls)):
            self._ended.append(Call(now, now))

    def seconds_until_free(self, now: float) -> float:
        """Seconds until a call may start, as things stand; infinity: not before a call in flight ends."""
        if now < self._closed_until:
            return self._closed_until - now
        self._recover(now)
        horizon = now - self._span
        # What was answered before the window began has arrived before it too.
        self._ended = [call for call in self._ended if call.ended > horizon]
        late = sorted(at for call in self._ended if (at := self._latest_arrival(call)) > horizon)
        free = self._allowed - self._in_flight - len(late)
        if free > 0:
            return 0.0
        # The oldest latest-arrivals leave the window first.
        need = 1 - free
        # Never so short that the clock, added up, would not move.
        return max(late[need - 1] - horizon, 0.001) if need <= len(late) else math.inf

    def _latest_arrival(self, call: Call) -> float:
        return max(call.started, call.ended - self._fastest)

    def start(self, now: float) -> Call:
        # With fewer in flight than there once were, a connection is free and need not be opened.
        call = Call(now, warm=self._in_flight < self._most_in_flight)
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        return call

    def end(self, call: Call, now: float) -> None:
        """The answer is here, whatever it was, or the connection failed."""
        self._in_flight -= 1
        call.ended = now
        self._ended.append(call)
        self._round_trips.append(now - call.started)
        self._warm += call.warm
        # Calls that open connections say little of the path's delay: until there are others, any is possible.
        if self._warm >= _WARM:
            self._fastest = min(self._round_trips)

    def throttled(self, now: float, wait: float) -> None:
        """The server said 429: somebody else uses the tenant too. Close for `wait`, then probe with half as many."""
        if now >= self._closed_until:
            self._allowed = max(1, self._allowed // 2)
        self._closed_until = max(self._closed_until, now + wait)
        self._raised = self._closed_until

    def _recover(self, now: float) -> None:
        # A window without a 429 doubles what is allowed: from one call back to forty in half a minute.
        while self._allowed < self._limit.calls and now >= self._raised + self._limit.seconds:
            self._allowed = min(self._limit.calls, self._allowed * 2)
            self._raised += self._limit.seconds
