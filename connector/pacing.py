"""How fast to send: the limit of calls in a window as the server sees it, and the quota of calls in 24 hours.

Pure: time comes in as an argument. `uplink.py` waits and sends.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from connector.limits import Limit

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

    def wait(self, now: float) -> float:
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


@dataclass(slots=True)
class Ledger:
    """`uplink.json`: what the next sender must know. Calls of the last 24 hours by minute, as minutes since 1970.

    `quota_until`: Graph itself said that the quota is used up, and this is when to try again. `outage`: since when
    nothing has gone through; the next sender tries with one request alone.
    """

    calls: dict[int, int] = field(default_factory=dict)
    quota_until: datetime | None = None
    outage: datetime | None = None

    @classmethod
    def parse(cls, data: bytes) -> Ledger:
        """A ledger that is damaged counts as empty: Graph keeps its own count, and says 429."""
        try:
            found = orjson.loads(data)
            return cls(
                calls={int(minute): int(calls) for minute, calls in found.get("calls", {}).items()},
                quota_until=_moment(found.get("quota_until")),
                outage=_moment(found.get("outage")),
            )
        except (ValueError, AttributeError, TypeError):
            return cls()

    def dump(self) -> bytes:
        # Sorted, so that the same calls are the same bytes: the uplink writes a ledger only when it has changed.
        return orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)

    def used(self, now: datetime, quota: Limit) -> int:
        """Calls in the window that ends now. A minute counts until its last second has left the window."""
        oldest = _minute(now - timedelta(seconds=quota.seconds))
        self.calls = {minute: calls for minute, calls in self.calls.items() if minute >= oldest}
        return sum(self.calls.values())

    def left(self, now: datetime, quota: Limit) -> int:
        return max(0, quota.calls - self.used(now, quota))

    def set_aside(self, now: datetime, calls: int) -> int:
        """Counts calls before they are made, so that a crash cannot lose count; gives the minute they count in."""
        minute = _minute(now)
        self.calls[minute] = self.calls.get(minute, 0) + calls
        return minute

    def give_back(self, minute: int, calls: int) -> None:
        """Of what was set aside, `calls` were not made."""
        if minute in self.calls:
            self.calls[minute] -= calls

    def frees_at(self, now: datetime, quota: Limit) -> datetime:
        """When a call can be made again: now, or as the oldest minutes leave the window."""
        free, moment = quota.calls - self.used(now, quota), now
        for minute in sorted(self.calls):
            if free > 0:
                break
            free += self.calls[minute]
            moment = datetime.fromtimestamp((minute + 1) * 60, UTC) + timedelta(seconds=quota.seconds)
        return moment


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // 60


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
